/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One refresh as plain text, for scripts and pipes: the head, and one line per
 * call path. Every name escaped.
 */
#ifndef HEAPSONDE_VIEW_BATCH_H
#define HEAPSONDE_VIEW_BATCH_H

#include <stdio.h>

#include "model/snapshot.h"

struct batch;

/* @sort: a metric's name. @limit: call paths printed, 0 is all. */
struct batch *batch_create(const char *sort, size_t limit);
void batch_destroy(struct batch *batch);
DEFINE_CLEANUP(struct batch *, batch_destroy);

/* Rates and trends are those since the snapshot printed before. */
void batch_print(struct batch *batch, struct snapshot *snap, FILE *f);

#endif
