/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When the reader of the ring is woken.
 */
#ifndef HEAPSONDE_RING_BPF_H
#define HEAPSONDE_RING_BPF_H

#include "bpf/header.bpf.h"
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

#endif
