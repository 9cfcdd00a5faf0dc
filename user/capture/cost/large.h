/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Large requests, all of them: while allocators are probed in windows only, one probe
 * stands in the middle of glibc's malloc, where nothing passes but requests for more than
 * some size (discovery/large_path.h). These are few, and most of a heap's bytes.
 *
 *	windows' estimate of how many there are -> from which size on that fits the budget
 *	-> the probe is proven on a child (large_trial.h) and set
 *	-> EV_LARGE -> window_calls.h: whose it is -> model/windows.h: windows_large()
 *
 * A third of the budget is for it. Where it takes more than half, the probe moves to where
 * only larger ones pass.
 */
#ifndef HEAPSONDE_CAPTURE_COST_LARGE_H
#define HEAPSONDE_CAPTURE_COST_LARGE_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/attach.h"
#include "capture/discovery/large_path.h"

struct session;

#define LARGE_BUDGET 0.33	/* of the budget: where it is set ... */
#define LARGE_MOST 0.5		/* ... and where it may stay */

struct large_requests {
	uint32_t generation;	/* of the image that all this is of */
	bool tried, proven;	/* the path */
	struct large_path path;
	struct attachment probe;
	size_t step;		/* that has it, if it is set */
	double next_look_s;
	double not_before_s;	/* until then it is set nowhere, or no lower */
	double debt_ns;		/* CPU time spent beyond the budget */
	uint64_t looked_ns;	/* when that was last looked at */
	int64_t hits, paid;	/* of the probe, and of these; hits: under the session's lock */
};

/* Whether there may be such a probe; before programs are loaded. */
bool large_may_be_told(const struct session *session);
/* For the thread that follows the target: pays, sets the probe, moves it. */
void session_keep_large(struct session *session, double now_s);
/* Windows end, and with them the probe, which is gone when it returns. */
void session_suspend_large(struct session *session);
void session_free_large(struct session *session);

#endif
