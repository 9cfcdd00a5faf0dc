/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What all records in the ring have in common: their header, and when the
 * reader is woken.
 */
#ifndef HEAPSONDE_RING_BPF_H
#define HEAPSONDE_RING_BPF_H

#include "bpf/thread.bpf.h"

#define EVENTS_PER_FILL_CHECK 32

/*
 * Records wake nobody: the reader polls. Only a ring that fills up faster than
 * that is worth a wake-up, looked at now and then because the look costs.
 */
static __always_inline __u64 wake_flags(struct thread_state *t)
{
	if (++t->events % EVENTS_PER_FILL_CHECK)
		return BPF_RB_NO_WAKEUP;
	if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) < cfg_wake_bytes)
		return BPF_RB_NO_WAKEUP;
	return BPF_RB_FORCE_WAKEUP;
}

/*
 * The time of the current tick: reading the clock costs as much as all the
 * rest of a record. Shared by all CPUs and racy, which shifts a time by a tick.
 */
struct {
	__u64 jiffies, ns;
} tick __weak;	/* not static: clang would split it into two without types */

static __always_inline __u64 tick_ns(void)
{
	__u64 jiffies = bpf_jiffies64();

	if (jiffies != tick.jiffies) {
		tick.ns = bpf_ktime_get_ns();
		tick.jiffies = jiffies;
	}
	return tick.ns;
}

static __always_inline void fill_header(struct ev_header *h, enum event_kind kind,
					union probe_cookie cookie, __u32 tid)
{
	h->kind = kind;
	h->tgid = cookie.tgid;
	h->func = cookie.func;
	h->tid = tid;
	/* Store what is known before the calls, or clang spills it across them. */
	barrier();
	h->cpu = bpf_get_smp_processor_id();
	h->time_ns = tick_ns();
}

#endif
