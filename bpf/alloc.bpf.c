// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Allocator events: one generic program for every function of every allocator.
 * What a probed function does, and which arguments count, comes in the attach
 * cookie (union probe_cookie).
 *
 *	entry:  free is recorded; a call that allocates is remembered
 *	return: the remembered call is settled, its stack is walked
 *
 * A return probe replaces the return address on the stack, which a C++
 * exception on its way up does not survive: functions that throw have probes
 * on their return instructions instead (PROBE_EXIT), and the cookie of their
 * entry says that no return probe is there.
 *
 * Three ways to attach share the code: one session program (v6.13), an entry
 * and a return program on uprobe_multi links (v6.6), the same on single
 * uprobes; plain frees have a program of their own. Each program but the
 * session's is there twice: with preemption switched off and for kernels that
 * cannot do that.
 *
 * Uprobe programs are preemptible (v6.0): state is a thread's (thread.bpf.h),
 * every subprogram stays below 64 bytes of stack (a private per-CPU stack is
 * given from there on, v6.13 a76ab5731e32), and preemption is switched off
 * where that is possible.
 */
#include "bpf/call.bpf.h"
#include "bpf/go.bpf.h"
#include "bpf/go_exact.bpf.h"
#include "bpf/hold.bpf.h"
#include "bpf/large.bpf.h"
#include "bpf/record.bpf.h"
#include "bpf/report.bpf.h"
#include "bpf/sampling.bpf.h"
#include "bpf/stack.bpf.h"
#include "bpf/thread.bpf.h"
#include "bpf/timing.bpf.h"
#include "bpf/window.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define MAP_ANONYMOUS 0x20
#define MAX_ERRNO 4095

extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;

/* A free that passes on to another allocator's is awaited, so that it counts once. */
static __always_inline int enter_free(struct thread_state *t, struct pt_regs *ctx,
				      union probe_cookie cookie)
{
	emit_free(cookie, t->tid, argument(ctx, cookie.ptr_arg));
	if (!cookie.awaited)
		return 1;
	return remember_call(t, ctx, cookie);
}

/*
 * While sampling: whether the call's old block is a sample, whether its new one
 * will be, and so whether its return matters. True to go on as if exact.
 */
static __noinline bool sample_realloc(struct thread_state *t)
{
	__u32 tgid = t->call.cookie.tgid;
	__u64 size = t->call.size;

	t->call.weight = ignored_size(size) ? 0 : draw_sample(t, size);
	t->call.old_known = t->call.ptr &&
			    (sampling_begins || is_live_sample(t->call.ptr, tgid));
	if (t->call.old_known || t->call.weight || may_wrap(t->call.cookie))
		return true;
	t->call.sp = 0;
	if (ignored_size(size))
		count(COUNT_IGNORED);
	count(COUNT_QUIET_HITS);
	return false;
}

static __noinline int enter_realloc(struct thread_state *t, struct pt_regs *ctx, __u64 cookie_value)
{
	union probe_cookie cookie = { .value = cookie_value };
	int waive = remember_call(t, ctx, cookie);
	enum event_kind kind = EV_REALLOC_BEGIN;
	__u64 newest = t->newest;
	struct ev_free *ev;

	if (sample_bytes)
		t->newest = 0;
	t->call.old_known = t->call.ptr;
	t->call.weight = t->call.size;
	if (sample_bytes && !sample_realloc(t))
		return 1;
	if (!t->call.old_known)
		return waive;
	if (cookie.lane)
		held_tell_block(cookie_value, t->call.ptr);
	if ((sample_bytes || cookie.lane) && newest != (t->call.ptr & ~0ull >> 8))
		kind = EV_REALLOC_BEGIN_LATER;
	ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);
	if (!ev) {
		count(COUNT_DROP_REALLOC);
		return waive;
	}
	if (sample_bytes)
		forget_sample(t->call.ptr, cookie.tgid);
	fill_header(&ev->h, kind, cookie, t->tid);
	ev->addr = t->call.ptr;
	bpf_ringbuf_submit(ev, BPF_RB_NO_WAKEUP);
	return waive;
}

static __noinline int enter_mapping(struct thread_state *t, struct pt_regs *ctx, __u64 cookie_value)
{
	union probe_cookie cookie = { .value = cookie_value };

	count(COUNT_QUIET_HITS);
	if (called_from_inside(ctx, cookie.value))
		return 1;
	switch (cookie.kind) {
	case PROBE_MMAP:
		/* File mappings are the page cache's, not the heap's. */
		if (!(argument(ctx, 3) & MAP_ANONYMOUS))
			return 1;
		break;
	case PROBE_MUNMAP:
		t->call.cookie = cookie;
		emit_map(t, EV_UNMAP, argument(ctx, cookie.ptr_arg),
			 argument(ctx, cookie.size_arg), 0);
		return 1;
	}
	remember_call(t, ctx, cookie);
	if (cookie.kind == PROBE_BRK)
		t->call.ptr = program_break();
	return 0;
}

/*
 * Returns 1 when the return does not matter: a session probe then has none.
 * What is rare is a subprogram, so that each stays below 64 bytes of stack;
 * what is frequent is not, because a call costs as much as a map look-up.
 */
static __always_inline int on_entry(struct pt_regs *ctx)
{
	union probe_cookie cookie = { .value = bpf_get_attach_cookie(ctx) };
	struct thread_state *t;

	count_stepped(cookie);
	if (!is_unwindowed(cookie.kind) && window_is_shut())
		return 1;
	t = thread_state(BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!t) {
		count(COUNT_NO_THREAD_STATE);
		count(COUNT_QUIET_HITS);
		return 1;
	}
	if (cookie.kind == PROBE_LEAVE) {
		t->call.left = true;
		count(COUNT_QUIET_HITS);
		return 1;
	}
	if (cookie.kind == PROBE_CLEAR)
		return emit_clear(cookie.value, t->tid, argument(ctx, cookie.ptr_arg));
	if (inside_call(t, PT_REGS_SP(ctx))) {
		note_nested(t, cookie);
		count(COUNT_QUIET_HITS);
		return 1;
	}
	switch (cookie.kind) {
	case PROBE_FREE:
		return enter_free(t, ctx, cookie);
	case PROBE_REALLOC:
	case PROBE_REALLOC_OR_FREE:
	case PROBE_RESIZE:
		return enter_realloc(t, ctx, cookie.value);
	case PROBE_MMAP:
	case PROBE_MUNMAP:
	case PROBE_MREMAP:
	case PROBE_BRK:
		return enter_mapping(t, ctx, cookie.value);
	}
	if (cookie.kind != PROBE_HIDE && ignored_size(asked_size(ctx, cookie))) {
		count(COUNT_IGNORED);
		count(COUNT_QUIET_HITS);
		return 1;
	}
	if (cookie.kind == PROBE_FOCUS)
		return remember_focus(t, ctx, cookie.value);
	t->call.weight = asked_size(ctx, cookie);
	if (sample_bytes) {
		t->newest = 0;
		t->call.weight = draw_sample(t, t->call.weight);
		if (!t->call.weight && !may_wrap(cookie)) {
			count(COUNT_QUIET_HITS);
			return 1;
		}
	}
	return remember_call(t, ctx, cookie);
}

/* posix_memalign's result is an error number; the block is in *ptr. */
static __noinline __u64 out_block(struct thread_state *t, __u64 error)
{
	__u64 addr = 0;

	if (!error && bpf_probe_read_user(&addr, sizeof(addr), (void *)t->call.ptr))
		count(COUNT_READ_FAULT);
	return addr;
}

/* The break has moved up: what is new of it begins where it was. */
static __noinline __u64 raised_break(struct thread_state *t)
{
	__u64 old = t->call.ptr, new = program_break();

	if (new < old)
		emit_map(t, EV_UNMAP, new, old - new, 0);
	t->call.size = new - old;
	return new > old ? old : 0;
}

/*
 * Where the memory is that the call has given, 0 if it gave none. Of the kinds
 * that have no record of their own the return is counted here.
 */
static __always_inline __u64 given_memory(struct thread_state *t, __u64 result)
{
	switch (t->call.cookie.kind) {
	case PROBE_ALLOC:
	case PROBE_REALLOC:
	case PROBE_FOCUS:
		return result;
	case PROBE_REALLOC_OR_FREE:
		/* A reallocation to nothing: the old block ends. */
		if (!result)
			t->call.size = 0;
		return result;
	case PROBE_RESIZE:
		return result >= t->call.size ? t->call.ptr : 0;
	case PROBE_ALLOC_OUT:
		return out_block(t, result);
	}
	count(COUNT_QUIET_HITS);
	switch (t->call.cookie.kind) {
	case PROBE_MMAP:
	case PROBE_MREMAP:
		return result < -(__u64)MAX_ERRNO ? result : 0;
	case PROBE_BRK:
		return raised_break(t);
	}
	return 0;
}

/*
 * mremap's old range goes after the fact, because a failed mremap must leave
 * the books as they are; a thread that maps that range in between would be
 * cut, which no program was seen to provoke.
 */
static __always_inline void settle_mapping(struct thread_state *t, __u64 addr, __u64 stack_id)
{
	if (!addr)
		return;
	if (t->call.cookie.kind == PROBE_MREMAP)
		emit_map(t, EV_UNMAP, t->call.ptr, t->call.old_size, 0);
	emit_map(t, EV_MAP, addr, t->call.size, stack_id);
}

static __always_inline bool is_realloc(__u8 kind)
{
	return kind == PROBE_REALLOC || kind == PROBE_REALLOC_OR_FREE || kind == PROBE_RESIZE;
}

/* A call that was awaited only for what might be called inside of it. */
static __noinline bool is_unsampled(struct thread_state *t)
{
	__u8 kind = t->call.cookie.kind;

	return sample_bytes && !t->call.weight && kind <= PROBE_RESIZE &&
	       !(is_realloc(kind) && t->call.old_known);
}

/*
 * A realloc beyond --min-size and --max-size, or to what is no sample, has stack
 * 0: only the old block's end counts. Others were waived at their entry.
 */
static __always_inline bool wants_stack(struct thread_state *t)
{
	if (!is_realloc(t->call.cookie.kind))
		return true;
	if (!ignored_size(t->call.size))
		return !sample_bytes || t->call.weight;
	count(COUNT_IGNORED);
	t->call.pool = 0;
	return false;
}

/*
 * What the call gave and whether its stack is wanted. The answers go through
 * memory, so that the verifier looks once at what comes after them.
 */
static __noinline int judge_result(struct thread_state *t, __u64 result)
{
	t->call.given = given_memory(t, result);
	t->call.walk = t->call.given && wants_stack(t);
	return 0;
}

/* At a jump into what returns its first argument: that. */
static __always_inline __u64 result(struct pt_regs *ctx)
{
	union probe_cookie cookie = { .value = bpf_get_attach_cookie(ctx) };

	__u64 result = *(volatile __u64 *)&PT_REGS_RC(ctx);

	if (cookie.kind == PROBE_EXIT && cookie.ptr_arg < PROBE_ARGS)
		result = *(volatile __u64 *)&PT_REGS_PARM1(ctx);
	return result;
}

/* The probe behind a call that is focused on is none of any other call's. */
static __always_inline bool is_anothers(struct pt_regs *ctx, const struct thread_state *t)
{
	union probe_cookie cookie = { .value = bpf_get_attach_cookie(ctx) };

	return cookie.kind == PROBE_FOCUS_END && t->call.cookie.kind != PROBE_FOCUS;
}

/*
 * @start: UNWIND_AT_RETURN, or UNWIND_AT_ENTRY where the return instruction is
 * still to come. It goes through memory, so that the verifier looks at the
 * walk once for both.
 */
static __always_inline int settle_call(struct pt_regs *ctx, __u32 start, bool guarded)
{
	struct thread_state *t = thread_state(0);
	__u64 addr, stack_id = 0;

	/* Returns of nested calls come here too where they cannot be waived. */
	if (!t || t->call.sp != PT_REGS_SP(ctx) - RETURN_SLOT * start || of_past_window(t, 1) ||
	    is_anothers(ctx, t)) {
		count(COUNT_QUIET_HITS);
		return 0;
	}
	t->call.sp = 0;
	t->call.start = start;
	if (sample_bytes && is_unsampled(t)) {
		count(COUNT_QUIET_HITS);
		count(COUNT_QUIET_HITS);
		return 0;
	}
	judge_result(t, result(ctx));
	addr = *(volatile __u64 *)&t->call.given;
	if (*(volatile bool *)&t->call.walk)
		stack_id = capture_stack(t, ctx, guarded);	/* long to verify: once */
	switch (t->call.cookie.kind) {
	case PROBE_ALLOC:
	case PROBE_ALLOC_OUT:
	case PROBE_FOCUS:
		if (sample_bytes || !addr || !hold_birth(t, stack_id))
			emit_alloc(t, addr, stack_id);
		break;
	case PROBE_REALLOC:
	case PROBE_REALLOC_OR_FREE:
	case PROBE_RESIZE:
		emit_realloc(t, addr, stack_id);
		break;
	case PROBE_MMAP:
	case PROBE_MREMAP:
	case PROBE_BRK:
		settle_mapping(t, addr, stack_id);
		break;
	}
	if (t->call.pool)
		emit_pool(t);
	return 0;
}

/* At a return instruction, that is, rather than at an entry or after a return. */
static __always_inline bool is_exit(struct pt_regs *ctx)
{
	union probe_cookie cookie = { .value = bpf_get_attach_cookie(ctx) };

	return cookie.kind == PROBE_EXIT;
}

static __always_inline __u32 walk_start(struct pt_regs *ctx)
{
	union probe_cookie cookie = { .value = bpf_get_attach_cookie(ctx) };

	if (cookie.kind == PROBE_FOCUS_END)
		count_stepped(cookie);
	if (cookie.kind != PROBE_EXIT)
		return UNWIND_AT_RETURN;
	count_stepped(cookie);
	return UNWIND_AT_ENTRY;
}

static __noinline int on_return(struct pt_regs *ctx)
{
	return settle_call(ctx, walk_start(ctx), true);
}

static __noinline int on_return_plain(struct pt_regs *ctx)
{
	return settle_call(ctx, walk_start(ctx), false);
}

/* Half of all hits: a free that no other call can surround needs no state. */
static __always_inline void on_free(struct pt_regs *ctx)
{
	union probe_cookie cookie = { .value = bpf_get_attach_cookie(ctx) };

	count_stepped(cookie);
	emit_free(cookie, (__u32)bpf_get_current_pid_tgid(), argument(ctx, cookie.ptr_arg));
}

/* While sampling, most frees: nothing is held that preemption could touch. */
static __always_inline bool is_unsampled_free(struct pt_regs *ctx)
{
	union probe_cookie cookie = { .value = bpf_get_attach_cookie(ctx) };

	if (sampling_begins || *filter_of(argument(ctx, cookie.ptr_arg)))
		return false;
	count_stepped(cookie);
	count(COUNT_QUIET_HITS);
	return true;
}

static __always_inline void run_free(struct pt_regs *ctx)
{
	if (sample_bytes && is_unsampled_free(ctx))
		return;
	bpf_preempt_disable();
	on_free(ctx);
	bpf_preempt_enable();
}

SEC("uprobe")
int alloc_free(struct pt_regs *ctx)
{
	__u64 begun = timing_begin();

	run_free(ctx);
	timing_end(begun);
	return 0;
}

/*
 * Not bpf_session_is_return(): its prototype is another one from v7.0 on, and a
 * kernel function of another prototype than declared is refused. The probed
 * address is the helper's result at both ends, and no call of a function
 * returns to where that function's entry is probed.
 */
static __always_inline bool is_return(struct pt_regs *ctx)
{
	return bpf_get_func_ip(ctx) != PT_REGS_IP(ctx);
}

SEC("uprobe")
int alloc_session(struct pt_regs *ctx)
{
	__u64 begun = timing_begin();
	int waive = 1;

	bpf_preempt_disable();
	if (is_return(ctx) || is_exit(ctx))
		on_return(ctx);
	else
		waive = on_entry(ctx);
	bpf_preempt_enable();
	timing_end(begun);
	/* The verifier wants to see 0 or 1; compilers may know that it is, and say nothing. */
	barrier_var(waive);
	return waive & 1;
}

SEC("uprobe")
int alloc_entry(struct pt_regs *ctx)
{
	__u64 begun = timing_begin();

	bpf_preempt_disable();
	on_entry(ctx);
	bpf_preempt_enable();
	timing_end(begun);
	return 0;
}

/* Behind returns and calls that are focused on, and at exits where there are no sessions. */
SEC("uprobe")
int alloc_return(struct pt_regs *ctx)
{
	__u64 begun = timing_begin();

	bpf_preempt_disable();
	on_return(ctx);
	bpf_preempt_enable();
	timing_end(begun);
	return 0;
}

/* At a probe that the program itself has (report.bpf.h). */
SEC("uprobe")
int alloc_report(struct pt_regs *ctx)
{
	bpf_preempt_disable();
	on_report(ctx, true);
	bpf_preempt_enable();
	return 0;
}

/* In the middle of malloc (large.bpf.h). */
SEC("uprobe")
int alloc_large(struct pt_regs *ctx)
{
	__u64 begun = timing_begin();

	bpf_preempt_disable();
	on_large(ctx, true);
	bpf_preempt_enable();
	timing_end_large(begun);
	return 0;
}

/*
 * For kernels without bpf_preempt_disable() (v6.10, fc7566ad0a82 "bpf: Introduce
 * bpf_preempt_[disable,enable] kfuncs"). Not one program with a switch: before
 * v5.16 (a5d827275241 "bpf: Be conservative while processing invalid kfunc
 * calls") an unknown function is refused even where it is never called.
 */
SEC("uprobe")
int alloc_free_plain(struct pt_regs *ctx)
{
	__u64 begun = timing_begin();

	on_free(ctx);
	timing_end(begun);
	return 0;
}

SEC("uprobe")
int alloc_entry_plain(struct pt_regs *ctx)
{
	__u64 begun = timing_begin();

	on_entry(ctx);
	timing_end(begun);
	return 0;
}

SEC("uprobe")
int alloc_return_plain(struct pt_regs *ctx)
{
	__u64 begun = timing_begin();

	on_return_plain(ctx);
	timing_end(begun);
	return 0;
}

SEC("uprobe")
int alloc_report_plain(struct pt_regs *ctx)
{
	on_report(ctx, false);
	return 0;
}

SEC("uprobe")
int alloc_large_plain(struct pt_regs *ctx)
{
	__u64 begun = timing_begin();

	on_large(ctx, false);
	timing_end_large(begun);
	return 0;
}

/* Go's allocator: a hit without a record of its own is counted. */
#define GO_PROGRAM(name, on_hit)					\
	SEC("uprobe")							\
	int name(struct pt_regs *ctx)					\
	{								\
		__u64 begun;						\
									\
		bpf_preempt_disable();					\
		begun = timing_begin();					\
		if (!on_hit(ctx))					\
			count(COUNT_QUIET_HITS);			\
		timing_end(begun);					\
		bpf_preempt_enable();					\
		return 0;						\
	}								\
									\
	SEC("uprobe")							\
	int name##_plain(struct pt_regs *ctx)				\
	{								\
		__u64 begun = timing_begin();				\
									\
		if (!on_hit(ctx))					\
			count(COUNT_QUIET_HITS);			\
		timing_end(begun);					\
		return 0;						\
	}

/* Run by user space: what is held is told of, so that all that happened is known. */
SEC("syscall")
int held_tell_all(void *ctx)
{
	bpf_preempt_disable();
	held_tell_of(0);
	bpf_preempt_enable();
	return 0;
}

GO_PROGRAM(go_refill, go_on_refill)
GO_PROGRAM(go_large, go_on_large)
GO_PROGRAM(go_sweep, go_on_sweep)
GO_PROGRAM(go_birth, go_on_birth)
GO_PROGRAM(go_swept, go_on_swept)
