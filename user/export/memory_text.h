/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The text report's paragraph on the kernel's side: what the resident memory
 * is made of, where it is going, and the limits that it lives under.
 */
#ifndef HEAPSONDE_EXPORT_MEMORY_TEXT_H
#define HEAPSONDE_EXPORT_MEMORY_TEXT_H

#include <stdio.h>

#include "model/snapshot.h"

/* Who was killed for lack of memory, and what they held; nothing if nobody was. */
void text_put_killed(const struct snapshot *snap, FILE *f);

/* Nothing if the kernel told nothing. */
void text_put_memory(const struct snapshot *snap, FILE *f);

#endif
