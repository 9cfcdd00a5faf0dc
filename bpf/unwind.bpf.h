/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Walking the target's stack, by frame pointers for now. What a walk costs is
 * not its arithmetic but its bpf_probe_read_user() calls, so the stack is
 * copied in windows of 2 KiB and the walk goes on inside the copy.
 *
 * The walk begins where malloc's caller goes on: at a return probe the
 * registers are those of the caller, so its frame is never missing and no
 * prologue is half done.
 */
#ifndef HEAPSONDE_UNWIND_BPF_H
#define HEAPSONDE_UNWIND_BPF_H

#include "bpf/maps.bpf.h"

#define WINDOW_BYTES 2048
#define FIRST_WINDOW_BYTES 512	/* most stacks' upper frames, for half the price */
#define WINDOW_WORDS (WINDOW_BYTES / 8)
#define PAGE_BYTES 4096

/* Lives in task storage: a program that is preempted keeps its own. */
struct unwind_state {
	__u64 bp;
	__u64 hash;
	__u64 window_base;
	__u32 window_bytes;	/* valid ones */
	__u32 pad;
	__u64 stack_end;	/* 0: not met yet */
	__u64 window[WINDOW_WORDS];
	/* The record as it travels: header and frames are contiguous. */
	struct ev_stack record;
	__u64 pcs[MAX_DEPTH];
};

static __always_inline void add_frame(struct unwind_state *u, __u64 pc)
{
	__u32 n = u->record.count;

	u->pcs[n & (MAX_DEPTH - 1)] = pc;
	u->record.count = n + 1;
	/* A multiplicative hash with feedback of the high half; order counts. */
	u->hash = (u->hash ^ pc) * 0x9e3779b97f4a7c15ull;
	u->hash ^= u->hash >> 32;
}

/*
 * Makes [addr, addr + 16) readable from the window. Near a stack's end a whole
 * window does not fit, and a read that fails is dearer than ten that succeed:
 * where that end is gets remembered for the thread.
 */
static __always_inline bool fill_window(struct unwind_state *u, __u64 addr)
{
	__u64 rest = u->stack_end - addr;
	__u32 bytes = u->window_bytes ? WINDOW_BYTES : FIRST_WINDOW_BYTES;

	u->window_base = addr;
	u->window_bytes = bytes;
	if (rest >= bytes && !bpf_probe_read_user(u->window, bytes, (void *)addr))
		return true;
	if (rest >= bytes) {
		rest = PAGE_BYTES - (addr & (PAGE_BYTES - 1));
		u->stack_end = addr + rest;
	}
	if (rest >= WINDOW_BYTES || rest < 16)
		return false;
	u->window_bytes = rest;
	return !bpf_probe_read_user(u->window, rest & (WINDOW_BYTES - 1), (void *)addr);
}

/* One frame; the callback of bpf_loop(): 1 ends the walk. */
static long unwind_frame(__u32 i, struct unwind_state **state)
{
	struct unwind_state *u = *state;
	__u64 bp = u->bp, next, ra, at;

	if (u->record.count >= cfg_max_depth) {
		u->record.status = UNWIND_TRUNCATED;
		return 1;
	}
	at = bp - u->window_base;
	if (at > u->window_bytes - 16 || u->window_bytes < 16) {
		if (!fill_window(u, bp))
			return 1;
		at = 0;
	}
	/* at is a multiple of 8 below the window's end; the mask tells the verifier. */
	next = u->window[(at >> 3) & (WINDOW_WORDS - 1)];
	ra = u->window[((at >> 3) + 1) & (WINDOW_WORDS - 1)];
	if (!ra) {
		u->record.status = UNWIND_COMPLETE;
		return 1;
	}
	/* The first page is never mapped, the upper half is the kernel's. */
	if (ra < PAGE_BYTES || (__s64)ra < 0)
		return 1;
	add_frame(u, ra);
	if (!next) {
		u->record.status = UNWIND_COMPLETE;
		return 1;
	}
	/* Stacks grow down and frames are aligned, or it is no frame pointer. */
	if (next <= bp || (next & 7)) {
		u->record.status = UNWIND_GUESSED;
		return 1;
	}
	u->bp = next;
	return 0;
}

/*
 * Fills u->record and u->pcs from the registers at a return probe and
 * returns the stack's id, never 0.
 */
static __always_inline __u64 unwind(struct unwind_state *u, struct pt_regs *ctx)
{
	__u64 sp = PT_REGS_SP(ctx), bp = PT_REGS_FP(ctx);
	struct unwind_state *state = u;

	u->hash = 0;
	u->record.count = 0;
	u->record.status = UNWIND_FAILED;
	u->window_base = 0;
	u->window_bytes = 0;
	add_frame(u, PT_REGS_IP(ctx));
	if (bp >= sp && !(bp & 7)) {
		u->bp = bp;
		bpf_loop(MAX_DEPTH, unwind_frame, &state, 0);
	}
	return u->hash | 1;
}

#endif
