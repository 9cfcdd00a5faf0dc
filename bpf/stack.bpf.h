/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stack of a thread: walked, known by its hash, its frames told the
 * first time; or left to user space, with the memory it lies in, where the
 * tables for its code are not there yet.
 */
#ifndef HEAPSONDE_STACK_BPF_H
#define HEAPSONDE_STACK_BPF_H

#include "bpf/ring.bpf.h"

#if defined(__TARGET_ARCH_x86)
#define LINK_REGISTER(ctx) 0
#else
#define LINK_REGISTER(ctx) PT_REGS_RET(ctx)
#endif

#define UNKNOWN_STACK 1		/* an id whose frames never travel */

/*
 * Stacks whose frames already travelled. Eight ways a bucket; a bucket that
 * overflows only means that frames travel again.
 */
struct seen_bucket {
	__u64 ids[8];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);		/* sized by user space: cfg_seen_buckets */
	__type(key, __u32);
	__type(value, struct seen_bucket);
} seen SEC(".maps") __weak;

static __always_inline bool was_seen(struct seen_bucket *bucket, __u64 id)
{
#pragma unroll
	for (int i = 0; i < 8; i++)
		if (bucket->ids[i] == id)
			return true;
	return false;
}

/*
 * The frames of a new stack go first, then it counts as seen: a drop is
 * repaired by the next allocation from there.
 */
static __noinline int emit_frames(struct thread_state *t, struct seen_bucket *bucket, __u64 id)
{
	struct unwind_state *u = &t->unwind;
	__u32 frames = u->record.count;

	if (frames > MAX_DEPTH)
		frames = MAX_DEPTH;
	fill_header(&u->record.h, EV_STACK, t->owner, t->tid);
	u->record.stack_id = id;
	if (bpf_ringbuf_output(&events, &u->record, sizeof(u->record) + frames * 8,
			       BPF_RB_NO_WAKEUP)) {
		count(COUNT_DROP_STACK);
		return 0;
	}
	/* Races lose an entry at worst, and its frames travel once more. */
	bucket->ids[id >> 55 & 7] = id;
	return 0;
}

/*
 * How many stacks may still be left to user space to walk. It refills this
 * when it has seen code mapped; addresses that stay unknown use it up.
 */
__u32 walks_to_leave __weak;	/* not static: see tick */

/* They are large: they may not take the room of what must not be lost. */
static __noinline bool may_leave_walk(void)
{
	if (!walks_to_leave || bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > 3 * cfg_wake_bytes)
		return false;
	walks_to_leave--;	/* racy: a few more or less */
	return true;
}

/* The sooner user space looks, the fewer follow; but once a tick, or when many have come. */
static __always_inline __u64 leave_wake_flags(void)
{
	static __u64 woken;
	__u64 jiffies = bpf_jiffies64();

	if (jiffies == woken &&
	    bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) < cfg_wake_bytes / 8)
		return BPF_RB_NO_WAKEUP;
	woken = jiffies;
	return BPF_RB_FORCE_WAKEUP;
}

#define UNWIND_LEFT_MAX (64u << 10)	/* bytes of a stack that travel at most */
#define UNWIND_LEFT_GUESS (16u << 10)	/* ... when the bottom is not known */
#define PIECES_MAX (2 * UNWIND_LEFT_MAX / (UNWIND_WINDOW_WORDS * 8))

/* Sends what lies at u->slot, and steps over it; the callback of bpf_loop(). */
static long send_piece(__u32 i, struct thread_state **state)
{
	struct thread_state *t = *state;
	struct unwind_state *u = &t->unwind;
	__u32 bytes;

	if (u->slot >= u->stack_end || !unwind_fill_window(u, u->slot))
		return 1;
	bytes = u->window_bytes;
	if (bytes > sizeof(u->window))
		return 1;
	u->memory.addr = u->slot;
	u->memory.size = bytes;
	if (bpf_ringbuf_output(&events, &u->memory, sizeof(u->memory) + bytes,
			       BPF_RB_NO_WAKEUP))
		return 1;
	u->slot += bytes;
	return 0;
}

/* Where the C library keeps what is a thread's own: right above its stack. */
static __always_inline __u64 thread_pointer(void)
{
#if defined(__TARGET_ARCH_x86)
	return BPF_CORE_READ(bpf_get_current_task_btf(), thread.fsbase);
#else
	return BPF_CORE_READ(bpf_get_current_task_btf(), thread.uw.tp_value);
#endif
}

/*
 * How far the stack that lies at @sp reaches: the first thread's begins where
 * the kernel put it, others below the thread pointer; or else where this
 * thread's last whole walk ended.
 */
static __noinline __u64 stack_end(const struct unwind_state *u, __u64 sp)
{
	__u64 end = BPF_CORE_READ(bpf_get_current_task_btf(), mm, start_stack);

	if (end - sp <= UNWIND_LEFT_MAX)
		return end;
	end = thread_pointer();
	if (end - sp <= UNWIND_LEFT_MAX)
		return end;
	return u->bottom - sp <= UNWIND_LEFT_MAX ? u->bottom : sp + UNWIND_LEFT_GUESS;
}

/* The memory of the stack from @sp on. */
static __noinline int send_memory(struct thread_state *t, __u64 sp)
{
	struct thread_state *state = t;
	struct unwind_state *u = &t->unwind;

	u->slot = sp & ~7ul;
	u->stack_end = stack_end(u, sp);
	bpf_loop(PIECES_MAX, send_piece, &state, 0);
	return 0;
}

#define PLAIN_PIECES_MAX 16	/* as many as the verifier follows in reasonable time */

/* The same without bpf_loop(). */
static __noinline int send_memory_plain(struct thread_state *t, __u64 sp)
{
	struct thread_state *state = t;
	struct unwind_state *u = &t->unwind;

	u->slot = sp & ~7ul;
	u->stack_end = stack_end(u, sp);
	for (__u32 i = 0; i < PLAIN_PIECES_MAX; i++)
		if (send_piece(i, &state))
			break;
	return 0;
}

static __always_inline void send_stack(struct thread_state *t, __u64 sp, bool guarded)
{
	if (guarded)
		send_memory(t, sp);
	else
		send_memory_plain(t, sp);
}

/* The registers of a walk that is left to user space, after its stack's memory. */
static __noinline __u64 emit_unfinished(struct thread_state *t)
{
	struct unwind_state *u = &t->unwind;
	struct ev_unfinished *ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);

	if (!ev) {
		count(COUNT_DROP_STACK);
		return UNKNOWN_STACK;
	}
	fill_header(&ev->h, EV_UNFINISHED, t->owner, t->tid);
	ev->stack_id = u->memory.stack_id;
	ev->pc = u->memo.pc;
	ev->sp = u->memo.sp;
	ev->bp = u->memo.bp;
	ev->lr = u->memo.lr;
	ev->start = u->memo.start;
	ev->pad = 0;
	bpf_ringbuf_submit(ev, leave_wake_flags());
	return u->memory.stack_id;
}

/* Leaves a walk to user space; returns the stack's id until then. */
static __always_inline __u64 leave_walk(struct thread_state *t, bool guarded)
{
	struct unwind_state *u = &t->unwind;

	fill_header(&u->memory.h, EV_STACK_MEMORY, t->owner, t->tid);
	u->memory.stack_id = (u->hash ^ bpf_ktime_get_ns() * 0x9e3779b97f4a7c15) | 1;
	send_stack(t, u->memo.sp, guarded);
	/* A signal may have interrupted another stack, where the walk then was. */
	if (u->sp - u->memo.sp >= u->slot - u->memo.sp)
		send_stack(t, u->sp, guarded);
	return emit_unfinished(t);
}

/*
 * Walks from where unwind_enter() put the thread, which t->owner is to be told
 * of, and returns the stack's id. What can be guarded has bpf_loop(), which is older.
 */
static __always_inline __u64 walk_stack(struct thread_state *t, __u32 start, bool guarded)
{
	struct unwind_state *u = &t->unwind;
	struct seen_bucket *bucket;
	__u32 bucket_nr;
	__u64 id;

	if (guarded)
		unwind_stack(u, start, t->owner.tgid, cfg_max_depth);
	else
		unwind_stack_global(u, start, t->owner.tgid, cfg_max_depth);
	if (u->unfinished)
		return leave_walk(t, guarded);
	id = u->hash | 1;
	bucket_nr = id >> 40 & (cfg_seen_buckets - 1);
	bucket = bpf_map_lookup_elem(&seen, &bucket_nr);
	if (bucket && !was_seen(bucket, id))
		emit_frames(t, bucket, id);
	return id;
}

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FOCUS_SITES_MAX);
	__type(key, __u64);		/* where the call returns to */
	__type(value, struct focus_inner);
} focus_inners SEC(".maps") __weak;

/* The stack is to be the one that a walk from inside of the call would see. */
static __noinline int begin_inside(struct thread_state *t)
{
	struct focus_inner *inner = bpf_map_lookup_elem(&focus_inners, &t->call.returns_to);

	for (int i = 0; inner && i < FOCUS_INNER_MAX; i++)
		t->unwind.inner[i] = inner->pcs[i];
	return 0;
}

/*
 * At a return probe the registers are those of the caller right behind its
 * call, so that its frame is never missing and no prologue is half done. At a
 * return instruction they are as they were at the entry, and a report's probe
 * stands where it stands. Of a call that is focused on, the probe behind it may
 * stand some instructions later, that have changed nothing of what is walked.
 */
static __always_inline __u64 capture_stack(struct thread_state *t, struct pt_regs *ctx,
					   bool guarded)
{
	__u32 start = *(volatile __u32 *)&t->call.start;
	__u64 pc = PT_REGS_IP(ctx);

	/* Or clang selects between two addresses, of which the context's may not be one. */
	barrier_var(pc);
	if (t->call.cookie.kind == PROBE_FOCUS)
		pc = t->call.returns_to;
	if (!unwind_enter(&t->unwind, pc, PT_REGS_SP(ctx), PT_REGS_FP(ctx), LINK_REGISTER(ctx)))
		return UNKNOWN_STACK;
	if (t->call.cookie.kind == PROBE_FOCUS && t->call.cookie.awaited)
		begin_inside(t);
	t->owner = t->call.cookie;
	return walk_stack(t, start, guarded);
}

#endif
