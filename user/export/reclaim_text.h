/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What was given back to the kernel, in words. */
#ifndef HEAPSONDE_EXPORT_RECLAIM_TEXT_H
#define HEAPSONDE_EXPORT_RECLAIM_TEXT_H

#include <stdio.h>

#include "model/snapshot.h"

/* Nothing if nothing was seen. */
void text_put_reclaim(const struct snapshot *snap, FILE *f);

#endif
