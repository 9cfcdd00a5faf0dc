/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The text report's paragraph on what a language's runtime says, in words. */
#ifndef HEAPSONDE_EXPORT_RUNTIME_TEXT_H
#define HEAPSONDE_EXPORT_RUNTIME_TEXT_H

#include <stdio.h>

#include "model/snapshot.h"

/* Nothing if no runtime is known. */
void text_put_runtime(const struct snapshot *snap, FILE *f);

#endif
