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
 * Uprobe programs are preemptible (v6.0), so nothing per CPU is held across
 * statements: all state is in task storage, every subprogram stays below 64
 * bytes of stack (a private per-CPU stack is given from there on, v6.13
 * a76ab5731e32), and preemption is switched off where that is possible.
 */
#include "bpf/maps.bpf.h"
#include "bpf/sample.h"

struct unwind_state;
static bool may_leave_walk(void);
#define UNWIND_MAY_LEAVE(s) may_leave_walk()
static struct unwind_state *current_unwind_state(void);
#define UNWIND_STATE() current_unwind_state()
#include "bpf/unwind.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define MAP_ANONYMOUS 0x20
#define EEXIST 17
#define MAX_ERRNO 4095
#define EVENTS_PER_FILL_CHECK 32
#define UNKNOWN_STACK 1		/* an id whose frames never travel */

#if defined(__TARGET_ARCH_x86)
#define RETURN_SLOT 8		/* bytes of stack that the return pops */
#define SIXTH_ARGUMENT(ctx) ((ctx)->r9)		/* libbpf 1.1 knows five */
#else
#define RETURN_SLOT 0
#define SIXTH_ARGUMENT(ctx) (((struct user_pt_regs *)(ctx))->regs[5])
#endif

extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;

/*
 * The outermost allocator call that a thread is inside of; sp 0 when it is in
 * none. Calls nested in it are the allocator's own business.
 */
struct pending_call {
	__u64 sp;		/* at the entry: identifies the call */
	union probe_cookie cookie;
	__u64 size;
	__u64 ptr;		/* old block or mapping, out-pointer, or old program break */
	__u64 pool;		/* that the block will belong to; 0: none */
	__u64 given;		/* the block, once the call has returned */
	__u64 old_size;		/* mremap's; the return address, where exits are probed */
	__u64 weight;		/* bytes it stands for; 0: not sampled, while sampling */
	__u32 start;		/* enum unwind_start */
	bool walk;		/* ... and whether its stack is wanted */
	bool left;		/* a longjmp or throw ran since */
	bool old_known;		/* a reallocation's old block is one whose end is told */
};

struct thread_state {
	struct pending_call call;
	__u64 until_sample;	/* bytes still to pass before the next sampled one ... */
	__u64 sampled_mean;	/* ... as drawn for this mean; 0: never drawn */
	__u64 newest_sample;	/* the thread's last allocation, if it was sampled */
	__u32 events;		/* emitted by this thread, for the fill check */
	__u32 tid;
	struct unwind_state unwind;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread_state);
} threads SEC(".maps");

/*
 * Stacks whose frames already travelled. Eight ways a bucket; a bucket that
 * overflows only means that frames travel again.
 */
struct seen_bucket {
	__u64 ids[8];
};

#define SEEN_BUCKETS 32768

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SEEN_BUCKETS);
	__type(key, __u32);
	__type(value, struct seen_bucket);
} seen SEC(".maps");

/* Set while sampling: mean bytes between samples. 0: every allocation is recorded. */
__u64 sample_bytes;

/* Samples that live: the only blocks whose frees are told while sampling. */
struct sample_key {
	__u64 addr;		/* without arm64's tag */
	__u32 tgid, pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);		/* sized by user space */
	__type(key, struct sample_key);
	__type(value, __u8);
} live_samples SEC(".maps");

/*
 * How many live samples there are by a hash of their address: nearly all frees
 * are told here that they are of none, out of memory that stays in the cache.
 */
#define SAMPLE_FILTER_BITS 14

__u32 sample_filter[1 << SAMPLE_FILTER_BITS];

/*
 * Functions that others call from inside: their unsampled calls are awaited
 * too, or the inner call would have a second chance to be sampled. Nobody tells
 * which they are, so that the first calls of each are awaited to find out.
 */
#define CALLS_WATCHED 8

struct {
	__u8 calls, wraps;
} functions_seen[PROBE_FUNCS_MAX];

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

/*
 * The time of the current tick: reading the clock costs as much as all the
 * rest of a record. Shared by all CPUs and racy, which shifts a time by a tick.
 */
struct {
	__u64 jiffies, ns;
} tick;		/* not static: clang would split it into two without types */

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
	fill_header(&u->record.h, EV_STACK, t->call.cookie, t->tid);
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
__u32 walks_to_leave;		/* not static: see tick */

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
	fill_header(&ev->h, EV_UNFINISHED, t->call.cookie, t->tid);
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

	fill_header(&u->memory.h, EV_STACK_MEMORY, t->call.cookie, t->tid);
	u->memory.stack_id = (u->hash ^ bpf_ktime_get_ns() * 0x9e3779b97f4a7c15) | 1;
	send_stack(t, u->memo.sp, guarded);
	/* A signal may have interrupted another stack, where the walk then was. */
	if (u->sp - u->memo.sp >= u->slot - u->memo.sp)
		send_stack(t, u->sp, guarded);
	return emit_unfinished(t);
}

/*
 * At a return probe the registers are those of the caller right behind its
 * call, so that its frame is never missing and no prologue is half done. At a
 * return instruction they are as they were at the entry. What can be guarded has
 * bpf_loop(), which is older.
 */
static __always_inline __u64 capture_stack(struct thread_state *t, struct pt_regs *ctx,
					   bool guarded)
{
	__u32 start = *(volatile __u32 *)&t->call.start;
	struct unwind_state *u = &t->unwind;
	struct seen_bucket *bucket;
	__u32 bucket_nr;
	__u64 id;

	if (!unwind_enter(u, PT_REGS_IP(ctx), PT_REGS_SP(ctx), PT_REGS_FP(ctx), 0))
		return UNKNOWN_STACK;
	if (guarded)
		unwind_stack(u, start, t->call.cookie.tgid, cfg_max_depth);
	else
		unwind_stack_global(u, start, t->call.cookie.tgid, cfg_max_depth);
	if (u->unfinished)
		return leave_walk(t, guarded);
	id = u->hash | 1;
	bucket_nr = id >> 40 & (SEEN_BUCKETS - 1);
	bucket = bpf_map_lookup_elem(&seen, &bucket_nr);
	if (bucket && !was_seen(bucket, id))
		emit_frames(t, bucket, id);
	return id;
}

static __always_inline struct thread_state *thread_state(__u64 flags)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread_state *t = bpf_task_storage_get(&threads, task, NULL, flags);

	/* Not once for all: a thread that calls exec takes over the first one's. */
	if (t)
		t->tid = task->pid;
	return t;
}

static __always_inline struct unwind_state *current_unwind_state(void)
{
	struct thread_state *t = thread_state(0);

	return t ? &t->unwind : NULL;
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

/* The same where exits are probed: the return address is still where it was. */
static __noinline bool exit_pending(__u64 sp, __u64 address)
{
	__u64 slot = 0;

	return !bpf_probe_read_user(&slot, sizeof(slot), (void *)sp) && slot == address;
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

/*
 * Whether this thread is inside an allocator call already. A remembered call
 * that can no longer return is forgotten here: threads that leave one by
 * longjmp or an exception must not stay "inside" for ever.
 */
static __always_inline bool inside_call(struct thread_state *t, __u64 sp)
{
	if (!t->call.sp)
		return false;
	if (!t->call.cookie.returns) {
		/* At the same depth the inner function's record covers a tail call. */
		if (sp < t->call.sp && !t->call.left &&
		    exit_pending(t->call.sp, t->call.old_size))
			return true;
	} else if (is_below(sp, t->call.sp) && !t->call.left && return_pending(t->call.sp)) {
		return true;
	}
	if (sp != t->call.sp && !t->call.left)
		count(COUNT_LOST_RETURN);
	t->call.sp = 0;
	return false;
}

/* The C library calls its own mmap and sbrk: for malloc, thread stacks, stdio. */
static __noinline bool called_from_inside(struct pt_regs *ctx, __u64 cookie)
{
	struct text_around *text = bpf_map_lookup_elem(&texts, &cookie);
	__u64 caller = 0, probe = PT_REGS_IP(ctx);

	if (!text)
		return false;
#if RETURN_SLOT
	if (bpf_probe_read_user(&caller, sizeof(caller), (void *)PT_REGS_SP(ctx)))
		count(COUNT_READ_FAULT);
#else
	caller = PT_REGS_RET(ctx);
#endif
	return caller - probe + text->before < text->before + text->after;
}

/*
 * Whether this call of @size bytes is a sample, as a weight; 0 if it is not. A
 * block of no bytes has the chance of one byte, or there would be none of them.
 */
static __noinline __u64 draw_sample(struct thread_state *t, __u64 size)
{
	__u64 mean = sample_bytes;

	size |= !size;
	mean = mean ? mean : 1;		/* switched off just now */
	if (t->sampled_mean != mean) {
		t->sampled_mean = mean;
		t->until_sample = sample_interval(mean, bpf_get_prandom_u32(),
						  bpf_get_prandom_u32());
	}
	if (size <= t->until_sample) {
		t->until_sample -= size;
		return 0;
	}
	/* Exponential intervals remember nothing: the next one begins behind this block. */
	t->until_sample = sample_interval(mean, bpf_get_prandom_u32(), bpf_get_prandom_u32());
	return sample_weight(size, mean);
}

/* Whether the end of a call that is no sample matters all the same. */
static __always_inline bool may_wrap(union probe_cookie cookie)
{
	__u32 func = cookie.func & (PROBE_FUNCS_MAX - 1);

	if (functions_seen[func].calls < CALLS_WATCHED) {
		functions_seen[func].calls++;
		return true;
	}
	return functions_seen[func].wraps;
}

/* A call was entered inside of the pending one. */
static __always_inline void note_nested(struct thread_state *t, union probe_cookie inner)
{
	if (inner.kind <= PROBE_RESIZE)
		functions_seen[t->call.cookie.func & (PROBE_FUNCS_MAX - 1)].wraps = 1;
}

static __always_inline __u32 *filter_of(__u64 addr)
{
	__u64 hash = (addr & ~0ull >> 8) * 0x9e3779b97f4a7c15;

	return &sample_filter[hash >> (64 - SAMPLE_FILTER_BITS)];
}

static __always_inline struct sample_key sample_key(__u64 addr, __u32 tgid)
{
	return (struct sample_key){ .addr = addr & ~0ull >> 8, .tgid = tgid };
}

static __noinline bool is_live_sample(__u64 addr, __u32 tgid)
{
	struct sample_key key = sample_key(addr, tgid);

	return *filter_of(addr) && bpf_map_lookup_elem(&live_samples, &key);
}

static __noinline int forget_sample(__u64 addr, __u32 tgid)
{
	struct sample_key key = sample_key(addr, tgid);

	if (!bpf_map_delete_elem(&live_samples, &key))
		__sync_fetch_and_add(filter_of(addr), -1);
	return 0;
}

/*
 * False if there is no room: then the block's end would not be told. One that
 * is there already has ended unseen.
 */
static __noinline bool remember_sample(__u64 addr, __u32 tgid)
{
	struct sample_key key = sample_key(addr, tgid);
	long err;
	__u8 value = 1;

	/* Counted first, or a free in between would miss it. */
	__sync_fetch_and_add(filter_of(addr), 1);
	err = bpf_map_update_elem(&live_samples, &key, &value, BPF_NOEXIST);
	if (!err)
		return true;
	__sync_fetch_and_add(filter_of(addr), -1);
	if (err == -EEXIST)
		return true;
	count(COUNT_NO_SAMPLE_ROOM);
	return false;
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
	if (bpf_probe_read_user(&t->call.old_size, sizeof(t->call.old_size),
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
	t->call.sp = PT_REGS_SP(ctx);
	return cookie.returns ? 0 : remember_return_address(t);
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
	newest = t && t->newest_sample == addr;
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

static __always_inline void emit_free(union probe_cookie cookie, __u32 tid, __u64 addr)
{
	struct ev_free *ev;

	if (!addr) {
		count(COUNT_QUIET_HITS);
		return;
	}
	if (sample_bytes) {
		if (*filter_of(addr))
			emit_sampled_free(cookie.value, addr);
		else
			count(COUNT_QUIET_HITS);
		return;
	}
	ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);
	if (!ev) {
		count(COUNT_DROP_FREE);
		return;
	}
	fill_header(&ev->h, EV_FREE, cookie, tid);
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

/* A free that passes on to another allocator's is awaited, so that it counts once. */
static __always_inline int enter_free(struct thread_state *t, struct pt_regs *ctx,
				      union probe_cookie cookie)
{
	emit_free(cookie, t->tid, argument(ctx, cookie.ptr_arg));
	if (!cookie.returns)
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
	t->call.old_known = t->call.ptr && is_live_sample(t->call.ptr, tgid);
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
	__u64 newest = t->newest_sample;
	struct ev_free *ev;

	t->newest_sample = 0;
	t->call.old_known = t->call.ptr;
	t->call.weight = t->call.size;
	if (sample_bytes && !sample_realloc(t))
		return 1;
	if (!t->call.old_known)
		return waive;
	ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);
	if (!ev) {
		count(COUNT_DROP_REALLOC);
		return waive;
	}
	if (sample_bytes)
		forget_sample(t->call.ptr, cookie.tgid);
	fill_header(&ev->h, !sample_bytes || newest == t->call.ptr ? EV_REALLOC_BEGIN :
		    EV_REALLOC_BEGIN_LATER, cookie, t->tid);
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
	struct thread_state *t = thread_state(BPF_LOCAL_STORAGE_GET_F_CREATE);

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
	t->call.weight = asked_size(ctx, cookie);
	if (sample_bytes) {
		t->newest_sample = 0;
		t->call.weight = draw_sample(t, t->call.weight);
		if (!t->call.weight && !may_wrap(cookie)) {
			count(COUNT_QUIET_HITS);
			return 1;
		}
	}
	return remember_call(t, ctx, cookie);
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
	t->newest_sample = addr;
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
	fill_header(&ev->h, EV_ALLOC, t->call.cookie, t->tid);
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
	if (!t || t->call.sp != PT_REGS_SP(ctx) - RETURN_SLOT * start) {
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
	judge_result(t, PT_REGS_RC(ctx));
	addr = *(volatile __u64 *)&t->call.given;
	if (*(volatile bool *)&t->call.walk)
		stack_id = capture_stack(t, ctx, guarded);	/* long to verify: once */
	switch (t->call.cookie.kind) {
	case PROBE_ALLOC:
	case PROBE_ALLOC_OUT:
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

static __noinline int on_return(struct pt_regs *ctx, __u32 start)
{
	return settle_call(ctx, start, true);
}

static __noinline int on_return_plain(struct pt_regs *ctx, __u32 start)
{
	return settle_call(ctx, start, false);
}

/* At a return instruction, that is, rather than at an entry or after a return. */
static __always_inline bool is_exit(struct pt_regs *ctx)
{
	union probe_cookie cookie = { .value = bpf_get_attach_cookie(ctx) };

	return cookie.kind == PROBE_EXIT;
}

/* Half of all hits: a free that no other call can surround needs no state. */
static __always_inline void on_free(struct pt_regs *ctx)
{
	union probe_cookie cookie = { .value = bpf_get_attach_cookie(ctx) };

	emit_free(cookie, (__u32)bpf_get_current_pid_tgid(), argument(ctx, cookie.ptr_arg));
}

/* While sampling, most frees: nothing is held that preemption could touch. */
static __always_inline bool is_unsampled_free(struct pt_regs *ctx)
{
	union probe_cookie cookie = { .value = bpf_get_attach_cookie(ctx) };

	if (*filter_of(argument(ctx, cookie.ptr_arg)))
		return false;
	count(COUNT_QUIET_HITS);
	return true;
}

SEC("uprobe")
int alloc_free(struct pt_regs *ctx)
{
	if (sample_bytes && is_unsampled_free(ctx))
		return 0;
	bpf_preempt_disable();
	on_free(ctx);
	bpf_preempt_enable();
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
	__u32 start = is_return(ctx) ? UNWIND_AT_RETURN : UNWIND_AT_ENTRY;
	int waive = 1;

	bpf_preempt_disable();
	if (start == UNWIND_AT_RETURN || is_exit(ctx))
		on_return(ctx, start);
	else
		waive = on_entry(ctx);
	bpf_preempt_enable();
	/* The verifier of session programs wants to see 0 or 1. */
	return waive ? 1 : 0;
}

SEC("uprobe")
int alloc_entry(struct pt_regs *ctx)
{
	bpf_preempt_disable();
	on_entry(ctx);
	bpf_preempt_enable();
	return 0;
}

/* Behind returns, and at exits where there are no sessions. */
SEC("uprobe")
int alloc_return(struct pt_regs *ctx)
{
	bpf_preempt_disable();
	on_return(ctx, is_exit(ctx) ? UNWIND_AT_ENTRY : UNWIND_AT_RETURN);
	bpf_preempt_enable();
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
	on_free(ctx);
	return 0;
}

SEC("uprobe")
int alloc_entry_plain(struct pt_regs *ctx)
{
	on_entry(ctx);
	return 0;
}

SEC("uprobe")
int alloc_return_plain(struct pt_regs *ctx)
{
	on_return_plain(ctx, is_exit(ctx) ? UNWIND_AT_ENTRY : UNWIND_AT_RETURN);
	return 0;
}
