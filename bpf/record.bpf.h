/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The records of events.h, written into the ring.
 */
#ifndef HEAPSONDE_RECORD_BPF_H
#define HEAPSONDE_RECORD_BPF_H

#include "bpf/hold.bpf.h"
#include "bpf/ring.bpf.h"
#include "bpf/sampling.bpf.h"

/* Of the call in t->call. */
static __noinline int emit_map(struct thread_state *t, enum event_kind kind, __u64 addr,
			       __u64 size, __u64 stack_id)
{
	struct ev_map *ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);

	if (!ev) {
		count(COUNT_DROP_MAP);
		return 0;
	}
	fill_header(&ev->h, kind, t->call.cookie, t->tid);
	ev->addr = addr;
	ev->size = size;
	ev->stack_id = stack_id;
	ev->is_brk = t->call.cookie.kind == PROBE_BRK;
	ev->pad = 0;
	bpf_ringbuf_submit(ev, wake_flags(t));
	return 0;
}

/*
 * The model does not see the allocations between two samples, so that whether
 * this block was its thread's last one is told here. A free that finds no
 * room in the ring leaves the address known: the next one there settles it.
 */
static __noinline int emit_sampled_free(__u64 cookie_value, __u64 addr)
{
	union probe_cookie cookie = { .value = cookie_value };
	struct thread_state *t;
	struct ev_free *ev;
	bool newest;

	if (!is_live_sample(addr, cookie.tgid)) {
		count(COUNT_QUIET_HITS);
		return 0;
	}
	t = thread_state(0);
	newest = t && t->newest == (addr & ~0ull >> 8);
	ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);
	if (!ev) {
		count(COUNT_DROP_FREE);
		return 0;
	}
	forget_sample(addr, cookie.tgid);
	fill_header(&ev->h, newest ? EV_FREE : EV_FREE_LATER, cookie,
		    (__u32)bpf_get_current_pid_tgid());
	ev->addr = addr;
	bpf_ringbuf_submit(ev, BPF_RB_NO_WAKEUP);
	return 0;
}

/* How the end of a block is told of; EV_PAIRS: it is settled with its birth. */
static __always_inline enum event_kind end_block(union probe_cookie cookie, __u64 addr)
{
	struct thread_state *t = thread_state(BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!t) {
		held_tell_block(cookie.value, addr);
		return EV_FREE_LATER;
	}
	return settle_pair(t, cookie, addr) ? EV_PAIRS : free_kind(t, addr);
}

static __always_inline void emit_free(union probe_cookie cookie, __u32 tid, __u64 addr)
{
	enum event_kind kind = EV_FREE;
	struct ev_free *ev;

	if (!addr) {
		count(COUNT_QUIET_HITS);
		return;
	}
	if (sample_bytes && !sampling_begins) {
		if (*filter_of(addr))
			emit_sampled_free(cookie.value, addr);
		else
			count(COUNT_QUIET_HITS);
		return;
	}
	if (sample_bytes && *filter_of(addr))
		forget_sample(addr, cookie.tgid);
	if (cookie.lane)
		kind = end_block(cookie, addr);
	if (kind == EV_PAIRS)
		return;
	ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);
	if (!ev) {
		count(COUNT_DROP_FREE);
		return;
	}
	fill_header(&ev->h, kind, cookie, tid);
	ev->addr = addr;
	bpf_ringbuf_submit(ev, BPF_RB_NO_WAKEUP);
}

/* Also inside of other calls: pools clear those below them. */
static __noinline int emit_clear(__u64 cookie_value, __u32 tid, __u64 pool)
{
	union probe_cookie cookie = { .value = cookie_value };
	struct ev_pool *ev;

	if (!pool)
		return 1;
	ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);
	if (!ev) {
		count(COUNT_DROP_FREE);
		return 1;
	}
	fill_header(&ev->h, EV_POOL_CLEAR, cookie, tid);
	ev->pool = pool;
	ev->addr = 0;
	bpf_ringbuf_submit(ev, BPF_RB_NO_WAKEUP);
	return 1;
}

/* Behind the block's own record. */
static __noinline int emit_pool(struct thread_state *t)
{
	struct ev_pool *ev;

	if (!t->call.given)
		return 0;
	ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);
	if (!ev) {
		count(COUNT_DROP_ALLOC);
		return 0;
	}
	fill_header(&ev->h, EV_POOL_ADD, t->call.cookie, t->tid);
	ev->pool = t->call.pool;
	ev->addr = t->call.given;
	bpf_ringbuf_submit(ev, BPF_RB_NO_WAKEUP);
	return 0;
}

static __always_inline bool keep_sample(struct thread_state *t, __u64 addr)
{
	t->newest = addr & ~0ull >> 8;
	return remember_sample(addr, t->call.cookie.tgid);
}

static __always_inline void emit_alloc(struct thread_state *t, __u64 addr, __u64 stack_id)
{
	struct ev_alloc *ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);

	if (!ev) {
		count(COUNT_DROP_ALLOC);
		return;
	}
	if (sample_bytes && addr && !keep_sample(t, addr)) {
		bpf_ringbuf_discard(ev, BPF_RB_NO_WAKEUP);
		return;
	}
	fill_header(&ev->h, t->call.cookie.kind == PROBE_FOCUS ? EV_FOCUS : EV_ALLOC,
		    t->call.cookie, t->tid);
	ev->addr = addr;
	ev->size = t->call.size;
	ev->stack_id = stack_id;
	ev->weight = t->call.weight;
	bpf_ringbuf_submit(ev, wake_flags(t));
}

static __noinline int emit_realloc(struct thread_state *t, __u64 addr, __u64 stack_id)
{
	struct ev_realloc *ev;

	/* While sampling: a failed one leaves the old block where it was. */
	if (sample_bytes && !addr && t->call.size && t->call.old_known)
		remember_sample(t->call.ptr, t->call.cookie.tgid);
	if (sample_bytes && addr && stack_id && !keep_sample(t, addr))
		stack_id = 0;
	if (!sample_bytes && addr && t->call.cookie.lane)
		held_succeed(t);
	ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);
	if (!ev) {
		count(COUNT_DROP_REALLOC);
		return 0;
	}
	fill_header(&ev->a.h, EV_REALLOC, t->call.cookie, t->tid);
	ev->a.addr = addr;
	ev->a.size = t->call.size;
	ev->a.stack_id = stack_id;
	ev->a.weight = t->call.weight;
	ev->old_addr = t->call.old_known ? t->call.ptr : 0;
	bpf_ringbuf_submit(ev, wake_flags(t));
	return 0;
}

#endif
