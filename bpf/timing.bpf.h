/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the programs themselves take, measured in moments that user space
 * chooses (capture/cost/cost.h): the clock is too dear to be read at every hit.
 */
#ifndef HEAPSONDE_TIMING_BPF_H
#define HEAPSONDE_TIMING_BPF_H

#include "bpf/maps.bpf.h"

/* Switched by user space; while set, every hit is timed. */
bool timing __weak;
/* Sums over all moments. Not per CPU: uprobe programs are preemptible. */
__u64 timed_hits __weak, timed_ns __weak;
/* The same of large requests, which are far between, and find nothing in the caches. */
__u64 large_timed_hits __weak, large_timed_ns __weak;

/*
 * Always 0. Read, rather than known: with two known values the verifier would
 * look at all that a program does twice.
 */
__u64 never __weak;

static __always_inline __u64 timing_begin(void)
{
	return timing ? bpf_ktime_get_ns() : never;
}

/*
 * No program takes so long by itself. One that did was preempted, where that can be: what
 * others ran meanwhile is none of its cost.
 */
#define PREEMPTED_NS 50000

static __always_inline void timing_add(__u64 begun, __u64 *hits, __u64 *ns)
{
	__u64 took;

	if (!begun)
		return;
	took = bpf_ktime_get_ns() - begun;
	if (took >= PREEMPTED_NS)
		return;
	__sync_fetch_and_add(ns, took);
	__sync_fetch_and_add(hits, 1);
}

static __always_inline void timing_end(__u64 begun)
{
	timing_add(begun, &timed_hits, &timed_ns);
}

static __always_inline void timing_end_large(__u64 begun)
{
	timing_add(begun, &large_timed_hits, &large_timed_ns);
}

#endif
