/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Focus: while allocators are probed in windows only, each allocation of the few call
 * paths that look most like leaks is traced, by probes at their own calls
 * (discovery/call_site.h). What is born there is known exactly from then on; what
 * becomes of it is found out as of all blocks that windows have shown.
 *
 *	windows' estimate -> suspects -> calls -> probes -> EV_FOCUS -> model/windows.h
 *
 * Half of the budget is for it, the other half is the windows'. All call paths
 * through a call that is focused on are: it is the call that has the probes.
 */
#ifndef HEAPSONDE_CAPTURE_COST_FOCUS_H
#define HEAPSONDE_CAPTURE_COST_FOCUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"
#include "bpf/events.h"
#include "capture/attach.h"
#include "model/map64.h"

struct session;
struct snapshot;

#define FOCUS_BUDGET 0.5	/* of the budget */

/* A call that has, or had, probes. */
struct focus_site {
	uint64_t returns_to;	/* in the target: names it */
	uint64_t stack_id;	/* of the call path that it was chosen for */
	struct attachment probes;
	double since_s, until_s;	/* until_s 0: it has them */
	const char *why;	/* NULL while it has; else why they went. Constant. */
	double birth_ns;	/* CPU time that each of its births costs */
	int64_t births;		/* under the session's lock */
	int64_t settled;	/* of these, those that were paid for */
	double paid_ns;		/* lately */
	uint32_t cold;		/* picks in a row that would rather have had another */
};

DEFINE_VEC(focus_site_vec, struct focus_site);

struct focus {
	uint64_t wanted;	/* calls at most; 0: none */
	uint32_t generation;	/* of the image that the sites are of */
	struct focus_site_vec sites;
	struct map64 hopeless;	/* calls that cannot be probed, so that this is told once */
	double next_pick_s;
	double debt_ns;		/* CPU time spent beyond the budget */
	uint64_t looked_ns, cpu_ns;	/* of the target: when that was last looked at */
	uint64_t hits;		/* of probes of sites; under the session's lock */
};

/* Under the session's lock: a birth at one of the sites. */
void focus_note(struct focus *focus, const struct ev_alloc *birth);
/*
 * For the thread that follows the target: pays for what was traced, lets go what has
 * become too dear, picks the suspects of now.
 */
void session_keep_focus(struct session *session, double now_s);
/*
 * Windows end, and with them its probes, which are gone when it returns: calls in
 * focus would hide others inside of them. What is known stays.
 */
void session_suspend_focus(struct session *session);
void session_free_focus(struct session *session);
/* What is and was in focus; @estimate NULL: windows have ended. */
struct window_estimate;
void session_add_focus(struct session *session, const struct window_estimate *estimate,
		       struct snapshot *snap);

#endif
