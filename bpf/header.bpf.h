/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What all records in the ring have in common.
 */
#ifndef HEAPSONDE_HEADER_BPF_H
#define HEAPSONDE_HEADER_BPF_H

#include "bpf/maps.bpf.h"

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
