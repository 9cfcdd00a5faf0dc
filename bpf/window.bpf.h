/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Windows: stretches of some milliseconds in which allocator probes count
 * (user/capture/cost/windows.h). Setting and removing probes takes longer than a
 * window, so that what they hit before and after it is told apart here.
 */
#ifndef HEAPSONDE_WINDOW_BPF_H
#define HEAPSONDE_WINDOW_BPF_H

#include "bpf/maps.bpf.h"

/* 0: there are no windows, every hit counts; odd: one is open; even: shut. */
__u32 window_nr;
/* Calls in the open one, how many there may be, when the first came, and the one too many. */
__u64 window_calls, window_calls_max, window_first_ns, window_full_ns;
/* Hits in it at instructions that are single-stepped, which cost many times what others do. */
__u64 window_stepped;
/* Calls outside of windows, and hits at such instructions there. */
__u64 edge_calls, edge_stepped;

static __noinline int window_fill(__u32 nr)
{
	/* Racy: the last to get here says a little too late a time. */
	window_nr = nr + 1;
	window_full_ns = bpf_ktime_get_ns();
	return 0;
}

static __noinline int window_first(void)
{
	window_first_ns = bpf_ktime_get_ns();
	return 0;
}

/* Whether this call is outside of all windows; to be asked once per call. */
static __always_inline bool window_is_shut(void)
{
	__u32 nr = *(volatile __u32 *)&window_nr;

	if (!nr)
		return false;
	if (nr & 1) {
		__u64 before = __sync_fetch_and_add(&window_calls, 1);

		if (!before)
			window_first();
		if (before < window_calls_max)
			return false;
		window_fill(nr);
	}
	__sync_fetch_and_add(&edge_calls, 1);
	count(COUNT_OUTSIDE_HITS);
	count(COUNT_QUIET_HITS);
	return true;
}

/* Of the probe just hit: the instruction decides what the trap costs. */
static __always_inline void count_stepped(union probe_cookie cookie)
{
	__u32 nr = *(volatile __u32 *)&window_nr;

	if (!cookie.stepped)
		return;
	count(COUNT_STEPPED_HITS);
	if (nr & 1)
		__sync_fetch_and_add(&window_stepped, 1);
	else if (nr)
		__sync_fetch_and_add(&edge_stepped, 1);
}

#endif
