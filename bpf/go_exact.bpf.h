/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every block of a Go heap, by its address: its birth (go_birth) where the
 * allocator publishes what it just took from a span, and the deaths in a span
 * (go_swept) when that was swept, which the marks have become the allocation
 * bits of. No return is probed, and nothing is guessed: the span's free index is one
 * behind the block, and the goroutine cannot leave its processor meanwhile.
 *
 * What a swept span holds is told whole: a record that is lost is made up for
 * by the next collection's. The world does not stand still for any of this.
 */
#ifndef HEAPSONDE_GO_EXACT_BPF_H
#define HEAPSONDE_GO_EXACT_BPF_H

#include "bpf/go.bpf.h"

/*
 * By a hash of its address: a span in which a block was seen born, or another
 * of the same hash. No other span has anything to tell when it is swept.
 */
__u8 go_has_births[1 << 17];

static __always_inline __u8 *go_births_of(__u64 span_start)
{
	return &go_has_births[(span_start >> PAGE_SHIFT) * 0x9e3779b97f4a7c15 >> (64 - 17)];
}

/* The block that the span on the stack has just given: t->addr. */
static __noinline bool go_find_birth(struct pt_regs *ctx)
{
	union go_birth_cookie cookie = { .value = bpf_get_attach_cookie(ctx) };
	__u32 tgid = cookie.tgid;
	struct go_target *g = bpf_map_lookup_elem(&go_targets, &tgid);
	struct go_thread *t = g ? go_enter(ctx, tgid) : NULL;
	__u64 span = 0;

	if (!t)
		return false;
	if (bpf_probe_read_user(&span, sizeof(span), (void *)(PT_REGS_SP(ctx) + cookie.slot))) {
		count(COUNT_READ_FAULT);
		return false;
	}
	if (!go_read_span(t, g, span))
		return false;
	if (t->size < cfg_min_size || t->size > cfg_max_size) {
		count(COUNT_IGNORED);
		return false;
	}
	t->span_start = span_word(t, g->span_start);
	t->addr = t->span_start + (span_count(t, g, g->span_free_index) - 1) * t->size;
	t->crosscall = g->crosscall;
	t->crosscall_bytes = g->crosscall_bytes;
	*go_births_of(t->span_start) = 1;
	return true;
}

static __always_inline bool go_on_birth(struct pt_regs *ctx)
{
	return go_find_birth(ctx) && go_tell(EV_GO_BIRTH);
}

static __noinline bool go_emit_swept(struct go_thread *t, const struct go_target *g, __u64 start)
{
	__u32 bytes = (t->nelems + 63) / 64 * 8;
	struct ev_go_swept *ev = &t->swept;

	if (bytes > sizeof(ev->bits))
		bytes = sizeof(ev->bits);
	if (bpf_probe_read_user(ev->bits, bytes, (void *)span_word(t, g->span_alloc_bits))) {
		count(COUNT_READ_FAULT);
		return false;
	}
	go_header(&ev->h, EV_GO_SWEPT, t->tgid);
	ev->span_start = start;
	ev->size = t->size;
	ev->nelems = t->nelems;
	if (bpf_ringbuf_output(&events, ev, offsetof(struct ev_go_swept, bits) + bytes,
			       BPF_RB_NO_WAKEUP)) {
		count(COUNT_DROP_FREE);
		return false;
	}
	return true;
}

static __noinline bool go_on_swept(struct pt_regs *ctx)
{
	__u32 tgid = bpf_get_attach_cookie(ctx);
	struct go_target *g = bpf_map_lookup_elem(&go_targets, &tgid);
	__u64 span = GO_ARGUMENT_1(ctx), start = 0;
	struct go_thread *t;

	if (!g || bpf_probe_read_user(&start, sizeof(start), (void *)(span + g->span_start)) ||
	    !*go_births_of(start))
		return false;
	t = go_enter(ctx, tgid);
	if (!t || !go_read_span(t, g, span))
		return false;
	return go_emit_swept(t, g, start);
}

#endif
