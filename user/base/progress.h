/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How far a piece of work has come, on one line of stderr that is rewritten
 * and then removed: only if stderr is a terminal, only without -q, and only
 * once the work has taken a second.
 */
#ifndef HEAPSONDE_BASE_PROGRESS_H
#define HEAPSONDE_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *what;	/* "reading unwind tables"; borrowed */
	uint64_t start_ns;
	uint64_t drawn_ns;	/* 0: not yet */
	bool silent;
};

void progress_begin(struct progress *progress, const char *what);
/* @done of @total, in whatever is counted; a @total of 0 is unknown. Cheap to call often. */
void progress_update(struct progress *progress, uint64_t done, uint64_t total);
void progress_end(struct progress *progress);

#endif
