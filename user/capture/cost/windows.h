/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The governor of windows: when the target's allocator is probed, and for how
 * long, so that it costs no more than the budget.
 *
 *	governor: draws a moment -> probes set, window open, shut, probes removed
 *	          (all aside: aside.h) -> ring drained -> model/windows.h
 *	poller:   reads from outside what became of what was seen (window_polls.h)
 *
 * Time is cut into periods, and each has one window that begins at a moment
 * drawn evenly from all of it, so that every moment has the same chance. How
 * long the period is follows from what windows have cost until then.
 */
#ifndef HEAPSONDE_CAPTURE_COST_WINDOWS_H
#define HEAPSONDE_CAPTURE_COST_WINDOWS_H

#include "capture/attach.h"
#include "capture/cost/budget.h"
#include "model/windows.h"

struct session;
struct governor;

/*
 * Of one process, within @budget. @session outlives it. Nothing is
 * probed before governor_start().
 */
struct governor *governor_create(struct session *session, struct budget budget);
/* All that may fail; no window opens before governor_begin(). */
struct error *governor_start(struct governor *governor) __must_check;
/*
 * Since @since_ns nothing was seen (0: nor ever before), and what probes have cost more
 * than the budget until now, @debt_ns, is to be saved first.
 */
void governor_begin(struct governor *governor, uint64_t since_ns, double debt_ns);
/* Takes an object's probes in, of those that windows set. */
void governor_add_probes(struct governor *governor, const struct attach_job *job);
/*
 * Where the process has the GNU C library's malloc, so that blocks which that maps are
 * known by its system calls; objects without are ignored.
 */
void governor_note_allocator(struct governor *governor, uint32_t pid,
			     const struct object_plan *object);
/* Where that malloc is, within its text; 0: there is none, or blocks may be another's. */
uint64_t governor_malloc_pc(const struct governor *governor);
/* Where estimates are made; under the session's lock. Borrowed. */
struct windows *governor_windows(const struct governor *governor);
/* The process; 0 before there are probes. */
uint32_t governor_pid(const struct governor *governor);
/* When it returns no window is open and none will be; the heap was read a last time. */
void governor_stop(struct governor *governor);
void governor_destroy(struct governor *governor);

/*
 * For the reader of the ring, with the session's lock held: a record, and that
 * the target runs another program from here on.
 */
void governor_feed(struct governor *governor, const void *record, size_t size);
/* The same of an EV_MEMORY, which is not the governor's alone. */
void governor_feed_call(struct governor *governor, const void *record, size_t size);
/* The same of an EV_LARGE. */
void governor_feed_large(struct governor *governor, const void *record, size_t size);
void governor_forget(struct governor *governor);

/* What the last few windows have shown of the target, while they were open. */
struct window_pace {
	uint32_t windows;	/* 0: nothing is known yet */
	uint64_t since_ns;	/* windows stand for all time from then on, once there is one */
	double hits_per_s;
	double cpu_share;	/* of a core, with what probes cost */
	double debt_ns;		/* of CPU time, that probes have cost beyond the budget */
	double budget_share;	/* of a core, for windows and what tells of large requests */
	uint64_t stands_until_ns;	/* for all time until then windows have stood */
};

/* Whether there is anything that windows would see. */
bool governor_has_probes(struct governor *governor);

/* So much of the budget is the windows' from now on; the rest is for others' probes. */
void governor_share_budget(struct governor *governor, double share);

struct window_pace governor_pace(const struct governor *governor);

/* The newest estimate, borrowed until the next call; made anew if it is not of now. */
struct window_estimate {
	struct window_row_vec rows;
	struct metrics total;
	struct window_quality quality;
	double period_s, window_s;	/* as they are now */
	int64_t outside;		/* hits of probes that were set while none was open */
};

const struct window_estimate *governor_estimate(struct governor *governor, uint64_t now_ns,
						bool fresh);

#endif
