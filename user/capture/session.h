/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A session watches live processes: it owns the BPF skeleton, the ring's
 * reader, the model, the targets' address spaces and all probes.
 *
 *	probes -> ring -> reader thread -> model -> session_snapshot()
 *
 * The reader thread does nothing but feed the model; everything slow (reading
 * maps, naming addresses, attaching to a new image) happens in the caller's
 * thread, inside session_run() and session_snapshot().
 */
#ifndef HEAPSONDE_CAPTURE_SESSION_H
#define HEAPSONDE_CAPTURE_SESSION_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "capture/attach.h"
#include "capture/discovery/description.h"
#include "model/snapshot.h"

struct session_settings {
	const uint32_t *pids;
	size_t pids_count;
	char **command;			/* NULL: attach to pids; else start this */
	bool children;			/* also what the targets fork or exec */
	double interval_s;
	enum attach_method method;	/* ATTACH_BEST: choose */
	const struct allocator_choice *allocators;	/* what overrides discovery */
	bool frame_pointers;		/* --stack fp: no unwind tables */
	bool no_table_cache;		/* --no-cache: see symbol/unwind_cache.h */
	bool no_symbols;		/* frames with objects and offsets, without names */
	uint32_t max_depth;
	uint64_t min_size, max_size;
	bool exact;			/* what can only be sampled is to be told */
	bool growth;			/* no allocator is probed, only the kernel's ledger kept */
	uint64_t sample_bytes;		/* mean bytes between samples; 0: every allocation */
	bool may_sample;		/* keeps room for session_set_sampling() */
	bool auto_level;		/* exact, and in windows once that is too dear */
	bool windows;			/* allocators are probed in short windows only */
	uint64_t focus;			/* beside windows: session_set_focus() */
	bool may_focus;			/* loads what session_set_focus() needs */
	double max_share;		/* of the targets' CPU time, for probes; 0: no bound */
	double max_own_cpu;		/* processors, for heapsonde itself; 0: cost/watchdog.h's */
	uint64_t ring_bytes;		/* 0: by the limit; rounded up to a power of two */
	uint64_t memory_limit;		/* of our own, see cost/thrift.h; 0: its default */
};

/* The ring buffer that is taken under that limit, unless another is wanted. */
uint64_t session_ring_bytes(int64_t memory_limit);
#define SESSION_SAMPLE_BYTES (512ull << 10)	/* between samples; as tcmalloc's and Go's */

struct session;

/*
 * Checks the targets, loads the programs, attaches (or starts the command
 * with its probes in place) and begins to read. On failure nothing is left
 * attached, and a command is not left running.
 */
struct error *session_create(const struct session_settings *settings, struct session **ret)
	__must_check;
/* Detaches everything that is still attached. */
void session_destroy(struct session *session);
DEFINE_CLEANUP(struct session *, session_destroy);

enum session_state {
	SESSION_RUNNING,	/* @seconds are over */
	SESSION_ENDED,		/* all targets have exited */
	SESSION_INTERRUPTED,	/* *interrupted became true */
	SESSION_TOO_DEAR,	/* max_share or max_own_cpu cannot be kept: call session_stop() */
	SESSION_ALARMED,	/* memory runs short: session_alarm() */
};

/*
 * Watches for @seconds (< 0: for ever), takes a sample of the timeline each
 * settings.interval_s, follows exec and exit. Returns early as said above.
 * Call it again to go on.
 */
struct error *session_run(struct session *session, double seconds,
			  const volatile sig_atomic_t *interrupted,
			  enum session_state *ret) __must_check;

/*
 * Whether we live in the memory cgroup that limits a target: then we must do
 * with what we have when it is full.
 */
bool session_shares_limit(struct session *session);
/* Whether memory was so short to the end that what was new by then got no names. */
bool session_was_short(const struct session *session);
/* From now on session_run() tells when memory runs short for a target. */
void session_raise_alarms(struct session *session);
/*
 * What the alarm is, in words. Whoever keeps what is known should do so now: the
 * target may be killed next.
 */
const char *session_alarm(struct session *session);

/* Seconds watched: until now, or until the end. */
double session_watched_s(const struct session *session);
/* Another time between samples; between calls of session_run() only. */
void session_set_interval(struct session *session, double seconds);
/* How many times longer than wished the intervals are, as we took too much ourselves. */
double session_thinner(const struct session *session);

/*
 * Another mean between samples from now on; 0: every allocation is recorded.
 * What is live stays in the books. When sampling begins, blocks that were known
 * exactly become samples, as if they had been drawn when they were allocated;
 * when it ends, blocks that were not sampled stay unknown, and their frees with
 * them. Between calls of session_run() only. Does nothing without
 * session_can_sample().
 */
void session_set_sampling(struct session *session, uint64_t mean);
/* Whether there is room for samples: settings said so. */
bool session_can_sample(const struct session *session);
/*
 * While allocators are probed in windows, each allocation of so many call paths that
 * look most like leaks is traced (capture/cost/focus.h); 0: of none. Between calls of
 * session_run() only. Does nothing where settings said nothing of it.
 */
void session_set_focus(struct session *session, uint64_t calls);
uint64_t session_focus(const struct session *session);
#define SESSION_FOCUS_CALLS 5	/* where nobody says how many */
/* Whether a function of any target that gives blocks is probed. */
bool session_probes_allocations(const struct session *session);

/*
 * Ends the watching: what was recorded until now counts, all probes are
 * removed. Snapshots can still be taken.
 */
void session_stop(struct session *session);

/*
 * After session_stop(): fetches the debug files that stacks would need and
 * that are not here from $DEBUGINFOD_URLS, and names the stacks anew. Takes as
 * long as the servers do, or until *@interrupted. ERROR_UNSUPPORTED if nobody
 * can be asked.
 */
struct error *session_fetch_debug(struct session *session,
				  const volatile sig_atomic_t *interrupted) __must_check;

enum snapshot_flags {
	SNAPSHOT_NAMES = 1,	/* frames of every stack, with names */
	SNAPSHOT_NEW_NAMES = 4,	/* the same, but only of stacks that no snapshot had yet */
	SNAPSHOT_SHARES = 8,	/* what threads and size classes have of each stack */
	SNAPSHOT_OLDEST = 2,	/* ages of the oldest blocks: reads all live blocks */
};

struct error *session_snapshot(struct session *session, unsigned int flags,
			       struct snapshot **ret) __must_check;

/* Of the command: as wait(2) gives it; -1 while it runs or if there is none. */
int session_exit_status(const struct session *session);
/* Objects whose unwind table found no room: their frames are guessed. */
size_t session_omitted_tables(const struct session *session);
/* Processes that targets forked, which are not watched. */
int64_t session_forks(const struct session *session);
/* Passes a signal on to the command, if it still runs. */
void session_signal(const struct session *session, int sig);

#endif
