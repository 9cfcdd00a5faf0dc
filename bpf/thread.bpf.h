/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is kept of a thread between the probes that it hits: the allocator call
 * that it is inside of, how far it is from its next sample, its stack walk.
 *
 * Uprobe programs are preemptible (v6.0), so nothing per CPU is held across
 * statements: all state is in task storage.
 */
#ifndef HEAPSONDE_THREAD_BPF_H
#define HEAPSONDE_THREAD_BPF_H

#include "bpf/maps.bpf.h"

struct unwind_state;
static bool may_leave_walk(void);
#define UNWIND_MAY_LEAVE(s) may_leave_walk()
static struct unwind_state *current_unwind_state(void);
#define UNWIND_STATE() current_unwind_state()
#include "bpf/unwind.bpf.h"

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
	__u64 old_size;		/* mremap's */
	__u64 returns_to;	/* where exits are probed */
	__u64 weight;		/* bytes it stands for; 0: not sampled, while sampling */
	__u32 window;		/* window_nr at the entry */
	__u32 start;		/* enum unwind_start */
	bool walk;		/* ... and whether its stack is wanted */
	bool left;		/* a longjmp or throw ran since */
	bool old_known;		/* a reallocation's old block is one whose end is told */
};

/* Two kinds of page faults: see memory.bpf.c. */
enum fault_kind { FAULT_IN_BLOCK, FAULT_IN_ANOTHER, FAULT_KINDS };

/* How many of a thread's page faults of a kind are told: see memory.bpf.c. */
struct fault_sampling {
	__u64 tick;		/* of the clock, when it was last looked at */
	__u64 window;		/* number of the span of time that the rest is of */
	__u32 credit;		/* so many may be told in it before fewer are */
	__u32 seen, told;	/* in it; seen: up to the last that was told */
	__u32 period;		/* one of so many is told now ... */
	__u32 until;		/* ... after so many more */
	__u32 untold;		/* that no sample stands for yet, of earlier spans */
	__u32 weight;		/* of the one that is told now */
};

#define HELD_LATEST 8	/* births of a thread that are held back at most; a power of 2 */

struct thread_state {
	struct pending_call call;
	__u64 until_sample;	/* bytes still to pass before the next sampled one ... */
	__u64 sampled_mean;	/* ... as drawn for this mean; 0: never drawn */
	__u64 newest;		/* the thread's last allocation, while sampling if it is one */
	__u64 freed;		/* what it freed since, last, and was settled (held.bpf.h) */
	__u64 held[HELD_LATEST];	/* its latest births, as they are named there ... */
	__u32 births;		/* ... by the number of each */
	__u32 events;		/* emitted by this thread, for the fill check */
	__u32 tid;
	struct fault_sampling faults[FAULT_KINDS];
	__u64 fault_block;	/* the last fault's */
	struct ev_memory memory;	/* that is about to travel */
	union probe_cookie owner;	/* of the stack that is being walked: tgid and func count */
	struct unwind_state unwind;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread_state);
} threads SEC(".maps") __weak;

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

#endif
