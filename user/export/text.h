/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The report for people: 100 columns, no colours, every name escaped. */
#ifndef HEAPSONDE_EXPORT_TEXT_H
#define HEAPSONDE_EXPORT_TEXT_H

#include <stddef.h>
#include <stdio.h>

#include "model/snapshot.h"

struct text_options {
	size_t limit;		/* stacks shown, the rest is summed; 0: all */
	size_t depth;		/* lines of one call path; 0: TEXT_DEPTH */
	const char *sort;	/* metric by which the snapshot was sorted; NULL: live_bytes */
};

#define TEXT_DEPTH 12

/* Stacks stand in the snapshot's order (snapshot_sort()). */
void export_text(const struct snapshot *snap, FILE *f, const struct text_options *options);

/* One call path's lines, at most @depth of them (0: TEXT_DEPTH), as in the table. */
void text_put_frames(const struct snapshot *snap, const struct snapshot_stack *stack, FILE *f,
		     size_t depth);

#endif
