/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The allocator call that a thread makes: its arguments, whether it stands
 * inside of another one, and what is remembered of it until it returns.
 */
#ifndef HEAPSONDE_CALL_BPF_H
#define HEAPSONDE_CALL_BPF_H

#include "bpf/thread.bpf.h"
#include "bpf/window.bpf.h"

#include "bpf/sampling.bpf.h"

#if defined(__TARGET_ARCH_x86)
#define RETURN_SLOT 8		/* bytes of stack that the return pops */
#define SIXTH_ARGUMENT(ctx) ((ctx)->r9)		/* libbpf 1.1 knows five */
#else
#define RETURN_SLOT 0
#define SIXTH_ARGUMENT(ctx) (((struct user_pt_regs *)(ctx))->regs[5])
#endif

/* For mmap and its kin: how far the C library's text reaches around the probe. */
struct text_around {
	__u64 before, after;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);		/* union probe_cookie */
	__type(value, struct text_around);
} texts SEC(".maps");

/*
 * For the programs of a process: where its allocator's text lies that is not the C
 * library's. Looked at where not all of the allocator's calls are followed, so that
 * nobody is known to be inside one.
 */
struct text_range {
	__u64 start, end;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);		/* tgid, of the cookie */
	__type(value, struct text_range);
} allocator_texts SEC(".maps");

/* The addresses of variables that hold the current pool, for probes with PROBE_VARIABLE. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);		/* union probe_cookie */
	__type(value, __u64);
} pool_variables SEC(".maps");

/*
 * The barrier keeps clang from merging the loads into one of ctx plus a
 * computed offset, which the verifier forbids.
 */
#define ARGUMENT_CASE(n, value) \
	case n: v = value; barrier_var(v); return v

static __always_inline __u64 argument(struct pt_regs *ctx, __u8 position)
{
	__u64 v;

	switch (position) {
	ARGUMENT_CASE(0, PT_REGS_PARM1(ctx));
	ARGUMENT_CASE(1, PT_REGS_PARM2(ctx));
	ARGUMENT_CASE(2, PT_REGS_PARM3(ctx));
	ARGUMENT_CASE(3, PT_REGS_PARM4(ctx));
	ARGUMENT_CASE(4, PT_REGS_PARM5(ctx));
	ARGUMENT_CASE(5, SIXTH_ARGUMENT(ctx));
	}
	return 0;
}

/* count * size, saturated: the call will fail, and the record says how large it was meant. */
static __always_inline __u64 product(__u64 a, __u64 b)
{
	__u64 p = a * b;

	/* Or clang makes a 128-bit multiplication of it, which BPF has not. */
	barrier_var(p);
	if ((a | b) >> 32 && b && p / b != a)
		return ~0ull;
	return p;
}

static __always_inline __u64 asked_size(struct pt_regs *ctx, union probe_cookie cookie)
{
	__u64 size = argument(ctx, cookie.size_arg);

	if (cookie.kind != PROBE_MREMAP && cookie.count_arg != PROBE_NO_ARG)
		size = product(argument(ctx, cookie.count_arg), size);
	return size;
}

static __always_inline bool ignored_size(__u64 size)
{
	return size < cfg_min_size || size > cfg_max_size;
}

/*
 * Whether the return of the call that was entered at @sp is still to come:
 * the kernel has put its trampoline in place of the return address. A
 * longjmp leaves the slot behind, and new frames overwrite it.
 */
static __noinline bool return_pending(__u64 sp)
{
#if RETURN_SLOT
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 trampoline = BPF_CORE_READ(task, mm, uprobes_state.xol_area, vaddr);
	__u64 slot = 0;

	if (bpf_probe_read_user(&slot, sizeof(slot), (void *)sp))
		return false;
	return slot == trampoline;
#else
	return true;
#endif
}

/*
 * The same where exits are probed: the return address is still where it was, or
 * another's return probe stands there, be it that of another process's session (see
 * enum probe_role in capture/attach.c).
 */
static __noinline bool exit_pending(__u64 sp, __u64 address)
{
	__u64 slot = 0;

	if (!bpf_probe_read_user(&slot, sizeof(slot), (void *)sp) && slot == address)
		return true;
	return RETURN_SLOT && return_pending(sp);
}

/* Whether an entry at @sp can stand inside the call that was entered at @outer. */
static __always_inline bool is_below(__u64 sp, __u64 outer)
{
	/*
	 * At the same depth it is a tail call. Its return address is the
	 * trampoline already; where that cannot be seen, a call that was left
	 * must not be taken for one.
	 */
	return RETURN_SLOT ? sp <= outer : sp < outer;
}

/* Watched all the time, whatever windows there are. */
static __always_inline bool is_mapping(__u8 kind)
{
	return kind >= PROBE_MMAP && kind <= PROBE_BRK;
}

/* The same of calls that are focused on. */
static __always_inline bool is_unwindowed(__u8 kind)
{
	return is_mapping(kind) || kind == PROBE_FOCUS || kind == PROBE_FOCUS_END;
}

/* Whether the pending call is of a window before: nobody saw it return. */
static __always_inline bool of_past_window(const struct thread_state *t, __u32 grace)
{
	__u32 nr = *(volatile __u32 *)&window_nr;

	return nr - t->call.window > grace && !is_unwindowed(t->call.cookie.kind);
}

/*
 * Whether this thread is inside an allocator call already. A remembered call
 * that can no longer return is forgotten here: threads that leave one by
 * longjmp or an exception must not stay "inside" for ever.
 */
static __always_inline bool inside_call(struct thread_state *t, __u64 sp)
{
	if (!t->call.sp)
		return false;
	if (of_past_window(t, 0)) {
		t->call.sp = 0;
		return false;
	}
	if (!t->call.cookie.returns) {
		/*
		 * At the same depth the inner function's record covers a tail call; of a
		 * call that is focused on it is the very function that is called.
		 */
		if (sp < t->call.sp + (t->call.cookie.kind == PROBE_FOCUS) && !t->call.left &&
		    exit_pending(t->call.sp, t->call.returns_to))
			return true;
	} else if (is_below(sp, t->call.sp) && !t->call.left && return_pending(t->call.sp)) {
		return true;
	}
	if (sp != t->call.sp && !t->call.left)
		count(COUNT_LOST_RETURN);
	t->call.sp = 0;
	return false;
}

static __always_inline __u64 caller_of(struct pt_regs *ctx)
{
#if RETURN_SLOT
	__u64 caller = 0;

	if (bpf_probe_read_user(&caller, sizeof(caller), (void *)PT_REGS_SP(ctx)))
		count(COUNT_READ_FAULT);
	return caller;
#else
	return PT_REGS_RET(ctx);
#endif
}

/*
 * The C library calls its own mmap and sbrk: for malloc, thread stacks, stdio. Other
 * allocators call the C library's.
 */
static __noinline bool called_from_inside(struct pt_regs *ctx, __u64 cookie_value)
{
	union probe_cookie cookie = { .value = cookie_value };
	struct text_around *text = bpf_map_lookup_elem(&texts, &cookie);
	__u64 caller = caller_of(ctx), probe = PT_REGS_IP(ctx);
	struct text_range *allocator;
	__u32 tgid = cookie.tgid;

	if (text && caller - probe + text->before < text->before + text->after)
		return true;
	if (!sample_bytes && !window_nr)
		return false;
	allocator = bpf_map_lookup_elem(&allocator_texts, &tgid);
	return allocator && caller - allocator->start < allocator->end - allocator->start;
}

static __always_inline __u64 program_break(void)
{
	return BPF_CORE_READ(bpf_get_current_task_btf(), mm, brk);
}

static __noinline __u64 current_pool(__u64 cookie)
{
	__u64 *variable = bpf_map_lookup_elem(&pool_variables, &cookie);
	__u64 pool = 0;

	if (variable && bpf_probe_read_user(&pool, sizeof(pool), (void *)*variable))
		count(COUNT_READ_FAULT);
	return pool;
}

static __noinline int remember_return_address(struct thread_state *t)
{
	if (bpf_probe_read_user(&t->call.returns_to, sizeof(t->call.returns_to),
				(void *)t->call.sp))
		count(COUNT_READ_FAULT);
	return 1;
}

/* Fills the call and says whether its return matters: to session probes, 0 means yes. */
static __always_inline int remember_call(struct thread_state *t, struct pt_regs *ctx,
					 union probe_cookie cookie)
{
	t->call.cookie = cookie;
	t->call.size = asked_size(ctx, cookie);
	t->call.ptr = argument(ctx, cookie.ptr_arg);
	t->call.old_size = argument(ctx, cookie.count_arg);
	t->call.pool = argument(ctx, cookie.pool_arg);
	if (cookie.pool_arg == PROBE_VARIABLE)
		t->call.pool = current_pool(cookie.value);
	t->call.left = false;
	t->call.window = window_nr;
	t->call.sp = PT_REGS_SP(ctx);
	return cookie.returns ? 0 : remember_return_address(t);
}

/*
 * The same of a call that is focused on, at its very instruction: as it will be
 * at the entry of what is called.
 */
static __noinline int remember_focus(struct thread_state *t, struct pt_regs *ctx,
				     __u64 cookie_value)
{
	union probe_cookie cookie = { .value = cookie_value };

	t->call.cookie = cookie;
	t->call.size = asked_size(ctx, cookie);
	t->call.ptr = t->call.old_size = t->call.pool = 0;
	t->call.left = false;
	t->call.sp = PT_REGS_SP(ctx) - RETURN_SLOT;
	t->call.returns_to = PT_REGS_IP(ctx) + cookie.object;
	t->call.weight = t->call.returns_to;
	return 1;
}

#endif
