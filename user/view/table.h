/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A screenful of a snapshot: the head, and one line per call path, as many as
 * fit. Plain text; every name escaped.
 */
#ifndef HEAPSONDE_VIEW_TABLE_H
#define HEAPSONDE_VIEW_TABLE_H

#include <stdio.h>

#include "model/snapshot.h"

struct table_size {
	int rows, columns;
};

#define TABLE_SIZE_PLAIN ((struct table_size){ 24, 100 })	/* when there is no terminal */
#define TABLE_ROWS_MIN 8
#define TABLE_COLUMNS_MIN 60

/* Stacks stand in the snapshot's order (snapshot_sort()). Prints at most size.rows - 1 lines. */
void view_table(const struct snapshot *snap, FILE *f, struct table_size size);

#endif
