/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the watching costs the targets: hits, each at the price of its trap
 * (price.h) and of what the program then does (bpf/timing.bpf.h), over the CPU
 * time that the targets have had meanwhile. The kernel's ledger has hits of its own,
 * at tracepoints, and may make system calls slower that it has no interest in.
 */
#ifndef HEAPSONDE_CAPTURE_COST_COST_H
#define HEAPSONDE_CAPTURE_COST_COST_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"
#include "capture/cost/price.h"

/* All since the beginning. */
struct cost_counts {
	int64_t hits;			/* of these ... */
	int64_t stepped;		/* ... at single-stepped instructions, */
	int64_t returns;		/* ... at returns, */
	int64_t large;			/* ... and of large requests (cost/large.h) */
	int64_t timed_hits, timed_ns;	/* of some hits: what the programs took, ... */
	int64_t large_timed_hits, large_timed_ns;	/* ... and of some large requests' */
	/* The kernel's ledger: system calls and page faults that it saw ... */
	int64_t ledger_hits, ledger_timed_hits, ledger_timed_ns;
	int64_t slowed_calls;		/* ... and other calls that its listening made slower */
};

/* A process's CPU time while it was watched. */
struct cost_clock {
	uint32_t pid;
	uint64_t begun_ns, now_ns;
};

DEFINE_VEC(cost_clock_vec, struct cost_clock);

#define COST_HIT_NS_UNKNOWN 1500.0	/* on the safe side, until it has been measured */
#define COST_LARGE_NS_UNKNOWN 5000.0	/* the same of a large request's */

struct cost {
	struct price price;
	pthread_t measuring;
	bool started;
	atomic_bool measured;
	enum attach_method method;
	struct kernel_price kernel;
	bool kernel_measured;
	struct cost_clock_vec clocks;	/* of those that live */
	uint64_t ended_ns;		/* CPU time of those that do not */
	struct cost_counts counts;	/* of the last cost_update() ... */
	uint64_t cpu_ns;		/* ... and CPU time up to then */
	double ns_per_hit, ledger_ns_per_hit;	/* < 0: not known yet */
	/* Of those that were neither single-stepped nor large requests', and of these; the same. */
	double plain_ns_per_hit, ns_per_large;
	double share;			/* of the targets' CPU time; < 0: not known yet */
};

/*
 * Measures the price in a thread of its own: attaching waits for nothing. @kernel is
 * NULL where the ledger's price could not be had.
 */
void cost_init(struct cost *cost, enum attach_method method, const struct kernel_price *kernel);
void cost_deinit(struct cost *cost);
/* Waits for that thread, some tenths of a second at most after cost_init(). */
void cost_settle(struct cost *cost);

/* All CPU time that it has had; 0 if it is gone. */
uint64_t cost_process_cpu_ns(uint32_t pid);
/* A process is watched from now on; @from_start: its whole CPU time counts. */
void cost_watch(struct cost *cost, uint32_t pid, bool from_start);
/* It ended; @cpu_ns is all it ever had, 0 if nobody knows. */
void cost_end(struct cost *cost, uint32_t pid, uint64_t cpu_ns);

/* Reads the clocks; what is said is then of one moment. */
void cost_update(struct cost *cost, const struct cost_counts *counts);

/* A moment to measure from. */
struct cost_mark {
	struct cost_counts counts;
	uint64_t cpu_ns;
};

struct cost_mark cost_mark(const struct cost *cost);
/* The share from @mark up to the last cost_update(); < 0: too little to say. */
double cost_share_since(const struct cost *cost, const struct cost_mark *mark);
/* Of a hit since then, or, where there were few, since the beginning; < 0: not known yet. */
double cost_hit_ns_since(const struct cost *cost, const struct cost_mark *mark);
/* What a large request's hit takes; guessed, too high, as long as nothing is known. */
double cost_large_ns(const struct cost *cost);
/*
 * What so many hits, no large requests', took of the targets' time, of which @stepped were
 * single-stepped: some moments have more of these than others. What is not known yet is
 * guessed, too high.
 */
double cost_ns_of(const struct cost *cost, double hits, double stepped);

#endif
