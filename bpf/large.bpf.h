/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Large requests, in the middle of malloc: where it looks for a chunk of the size that
 * is in a register (user/capture/discovery/large_path.h). Which chunk it will be is not
 * known yet. Told at all times, windows or not. The call that this is a part of may be
 * remembered by its own probe, and stays so.
 */
#ifndef HEAPSONDE_LARGE_BPF_H
#define HEAPSONDE_LARGE_BPF_H

#include "bpf/report.bpf.h"

static __noinline int emit_large(struct thread_state *t, __u64 chunk_bytes, __u64 stack_id)
{
	struct ev_alloc *ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);

	if (!ev) {
		count(COUNT_DROP_ALLOC);
		return 0;
	}
	fill_header(&ev->h, EV_LARGE, t->owner, t->tid);
	ev->addr = 0;
	ev->size = chunk_bytes;
	ev->stack_id = stack_id;
	ev->weight = chunk_bytes;
	bpf_ringbuf_submit(ev, wake_flags(t));
	return 0;
}

static __always_inline int on_large(struct pt_regs *ctx, bool guarded)
{
	struct thread_state *t = thread_state(BPF_LOCAL_STORAGE_GET_F_CREATE);
	union probe_cookie cookie = { .value = bpf_get_attach_cookie(ctx) };
	__u64 stack_id = UNKNOWN_STACK;

	if (!t) {
		count(COUNT_NO_THREAD_STATE);
		count(COUNT_QUIET_HITS);
		return 0;
	}
	t->owner = cookie;
	if (unwind_enter(&t->unwind, PT_REGS_IP(ctx), PT_REGS_SP(ctx), PT_REGS_FP(ctx),
			 LINK_REGISTER(ctx)))
		stack_id = walk_stack(t, UNWIND_AT_PC, guarded);
	return emit_large(t, register_at(ctx, cookie.site), stack_id);
}

#endif
