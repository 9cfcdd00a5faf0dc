/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a program tells by probes of its own (USDT) of the blocks that it
 * samples: otel_memory:alloc and :free. The probe stands anywhere in a
 * function, so that its operands may be anywhere and the walk begins at the
 * very instruction.
 */
#ifndef HEAPSONDE_REPORT_BPF_H
#define HEAPSONDE_REPORT_BPF_H

#include "bpf/call.bpf.h"
#include "bpf/record.bpf.h"
#include "bpf/stack.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, PROBE_SITES_MAX);
	__type(key, __u64);		/* union probe_cookie */
	__type(value, struct probe_operands);
} report_operands SEC(".maps");

/* By a helper: the verifier allows no access to the context at a computed offset. */
static __noinline __u64 register_at(struct pt_regs *ctx, __u32 offset)
{
	__u64 value = 0;

	if (offset > sizeof(*ctx) - sizeof(value))
		return 0;
	bpf_probe_read_kernel(&value, sizeof(value), (void *)ctx + offset);
	return value;
}

static __noinline __u64 operand_memory(__u64 addr)
{
	__u64 value = 0;

	if (bpf_probe_read_user(&value, sizeof(value), (void *)addr))
		count(COUNT_READ_FAULT);
	return value;
}

static __always_inline __u64 cut_to_size(__u64 value, const struct probe_operand *o)
{
	__u32 unused = 64 - 8 * (o->bytes & 15);

	value <<= unused & 63;
	return o->is_signed ? (__u64)((__s64)value >> (unused & 63)) : value >> (unused & 63);
}

/* Little-endian machines only: what is read of memory begins with the bytes that count. */
static __noinline __u64 operand(struct pt_regs *ctx, const struct probe_operand *o)
{
	__u64 value = o->value;

	if (o->place != OPERAND_CONSTANT)
		value += register_at(ctx, o->reg);
	if (o->place == OPERAND_MEMORY) {
		value += register_at(ctx, o->index) << (o->shift & 3);
		value = operand_memory(value);
	}
	return cut_to_size(value, o);
}

static __always_inline void emit_report(struct thread_state *t, __u64 addr, __u64 stack_id)
{
	struct ev_alloc *ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);

	if (!ev) {
		count(COUNT_DROP_ALLOC);
		return;
	}
	fill_header(&ev->h, EV_REPORT_ALLOC, t->call.cookie, t->tid);
	ev->addr = addr;
	ev->size = t->call.size;
	ev->stack_id = stack_id;
	ev->weight = t->call.weight;
	bpf_ringbuf_submit(ev, wake_flags(t));
}

static __noinline int emit_report_free(__u64 cookie_value, __u64 addr)
{
	union probe_cookie cookie = { .value = cookie_value };
	struct ev_free *ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);

	if (!ev) {
		count(COUNT_DROP_FREE);
		return 0;
	}
	fill_header(&ev->h, EV_REPORT_FREE, cookie, (__u32)bpf_get_current_pid_tgid());
	ev->addr = addr;
	bpf_ringbuf_submit(ev, BPF_RB_NO_WAKEUP);
	return 0;
}

/*
 * Set where functions are probed too. While these are sampled, what a report is
 * about was or was not a sample: told twice, it would count twice.
 */
bool reports_yield;		/* not static: user space sets it */

/*
 * Of a report from inside of a probed function, that function's own record
 * tells already.
 */
static __noinline bool wants_report(struct thread_state *t, struct pt_regs *ctx,
				    const struct probe_operands *operands)
{
	if ((sample_bytes && reports_yield) || inside_call(t, PT_REGS_SP(ctx))) {
		count(COUNT_QUIET_HITS);
		return false;
	}
	t->call.size = operand(ctx, &operands->size);
	t->call.weight = operand(ctx, &operands->weight);
	t->call.given = operand(ctx, &operands->ptr);
	if (!ignored_size(t->call.size))
		return true;
	count(COUNT_IGNORED);
	count(COUNT_QUIET_HITS);
	return false;
}

static __always_inline int on_report(struct pt_regs *ctx, bool guarded)
{
	union probe_cookie cookie = { .value = bpf_get_attach_cookie(ctx) };
	__u64 key = cookie.value;
	struct probe_operands *operands = bpf_map_lookup_elem(&report_operands, &key);
	struct thread_state *t;
	__u64 stack_id;

	if (!operands)
		return 0;
	if (cookie.kind == PROBE_REPORT_FREE)
		return emit_report_free(cookie.value, operand(ctx, &operands->ptr));
	t = thread_state(BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!t) {
		count(COUNT_NO_THREAD_STATE);
		return 0;
	}
	if (!wants_report(t, ctx, operands))
		return 0;
	t->call.cookie = cookie;
	t->call.start = UNWIND_AT_PC;
	stack_id = capture_stack(t, ctx, guarded);
	emit_report(t, t->call.given, stack_id);
	return 0;
}

#endif
