// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel's ledger: what makes a target grow and what gives memory back, as
 * the kernel sees it, whoever asked for it.
 *
 *	system calls on memory, when they return, with stacks
 *	page faults, with stacks, a sample of them where they are many
 *	reclaim by the target or within its cgroup
 *
 * All of these happen in every process of the machine; who is no target must
 * not notice. Two ways to see system calls: on the kernel's functions for those
 * that matter (fexit), which costs all other calls nothing, or by the tracepoint
 * at the end of any (some 80 ns for each call of every process: kernels take
 * the slow way out as long as somebody listens). The entry would cost the same
 * again and is not needed: what a call was asked for is still in the registers.
 *
 * There, a walk does not begin behind a call of an allocator but at the
 * instruction that trapped: UNWIND_AT_PC.
 */
#include "bpf/stack.bpf.h"
#include "bpf/target.bpf.h"
#include "bpf/timing.bpf.h"

#if defined(__TARGET_ARCH_x86)
#define ARCH_SYS(name) "__x64_sys_" #name
#define CALL_NR(regs) ((regs)->orig_ax)
#define CALL_ARG0(regs) ((regs)->di)
#define CALL_ARG1(regs) ((regs)->si)
#define CALL_ARG2(regs) ((regs)->dx)
#define CALL_ARG3(regs) ((regs)->r10)
#define USER_PC(regs) ((regs)->ip)
#define USER_SP(regs) ((regs)->sp)
#define USER_FP(regs) ((regs)->bp)
#define USER_LR(regs) 0
enum call_nr {
	NR_mmap = 9, NR_mprotect = 10, NR_munmap = 11, NR_brk = 12, NR_mremap = 25,
	NR_madvise = 28, NR_process_madvise = 440,
};
#define FAULT_IS_PRESENT(error_code) ((error_code) & 0x1)
#define FAULT_WRITES(error_code) ((error_code) & 0x2)
#define FAULT_FETCHES(error_code) ((error_code) & 0x10)
#else
#define ARCH_SYS(name) "__arm64_sys_" #name
#define CALL_NR(regs) ((regs)->syscallno)
#define CALL_ARG0(regs) ((regs)->orig_x0)
#define CALL_ARG1(regs) ((regs)->user_regs.regs[1])
#define CALL_ARG2(regs) ((regs)->user_regs.regs[2])
#define CALL_ARG3(regs) ((regs)->user_regs.regs[3])
#define USER_PC(regs) ((regs)->user_regs.pc)
#define USER_SP(regs) ((regs)->user_regs.sp)
#define USER_FP(regs) ((regs)->user_regs.regs[29])
#define USER_LR(regs) ((regs)->user_regs.regs[30])
enum call_nr {
	NR_brk = 214, NR_munmap = 215, NR_mremap = 216, NR_mmap = 222, NR_mprotect = 226,
	NR_madvise = 233, NR_process_madvise = 440,
};
/* ESR_ELx: a permission fault; WnR; the class of instruction aborts */
#define FAULT_IS_PRESENT(error_code) (((error_code) & 0x3c) == 0xc)
#define FAULT_WRITES(error_code) ((error_code) & 0x40)
#define FAULT_FETCHES(error_code) ((error_code) >> 26 == 0x20)
#endif

/* Of the kernel's user API. */
#define PROT_ANY 0x7
#define MAP_SHARED 0x1		/* also in MAP_SHARED_VALIDATE */
#define MAP_ANONYMOUS 0x20
#define MAP_POPULATE 0x8000
#define MAP_LOCKED 0x2000
#define MADV_DONTNEED 4
#define MADV_FREE 8
#define MADV_REMOVE 9
#define MADV_HUGEPAGE 14
#define MADV_NOHUGEPAGE 15
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#define MADV_DONTNEED_LOCKED 24
#define ENOMEM 12
#define MAX_ERRNO 4095

static __always_inline enum memory_call call_of(struct pt_regs *regs)
{
	switch (CALL_NR(regs)) {
#define X(call, name) case NR_##name: return call;
	MEMORY_CALLS(X)
#undef X
	}
	return CALL_NONE;
}

static __always_inline bool is_error(long ret)
{
	return (unsigned long)ret >= -(unsigned long)MAX_ERRNO;
}

static __always_inline bool advice_matters(__u64 advice)
{
	switch (advice) {
	case MADV_DONTNEED:
	case MADV_FREE:
	case MADV_REMOVE:
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
	case MADV_COLD:
	case MADV_PAGEOUT:
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
	case MADV_DONTNEED_LOCKED:
		return true;
	}
	return false;
}

static __always_inline __u64 mmap_flags(__u64 prot, __u64 flags)
{
	return (prot & PROT_ANY ? MEMORY_ACCESSIBLE : 0) |
	       (flags & MAP_ANONYMOUS ? 0 : MEMORY_FILE) |
	       (flags & MAP_SHARED ? MEMORY_SHARED : 0) |
	       (flags & (MAP_POPULATE | MAP_LOCKED) ? MEMORY_POPULATE : 0);
}

/* The only range, or none if there are several. */
static __noinline int set_vector(struct ev_memory *ev, __u64 vector, __u64 ranges)
{
	__u64 range[2] = { 0 };

	if (ranges == 1 && bpf_probe_read_user(range, sizeof(range), (void *)vector))
		count(COUNT_READ_FAULT);
	ev->addr = range[0];
	return 0;
}

/* What the call did, into the record; false if nothing that matters. */
static __noinline bool describe_call(struct ev_memory *ev, struct pt_regs *regs, long ret,
				     enum memory_call call)
{
	ev->addr = CALL_ARG0(regs);
	ev->size = CALL_ARG1(regs);
	ev->old_addr = 0;
	ev->call = call;
	ev->arg = CALL_ARG2(regs);
	switch (call) {
	case CALL_MMAP:
		ev->addr = ret;
		ev->arg = mmap_flags(CALL_ARG2(regs), CALL_ARG3(regs));
		return !is_error(ret);
	case CALL_MREMAP:
		ev->old_addr = CALL_ARG0(regs);
		ev->arg = CALL_ARG1(regs);
		ev->addr = ret;
		ev->size = CALL_ARG2(regs);
		return !is_error(ret);
	case CALL_BRK:
		ev->addr = ret;
		ev->size = 0;
		return true;
	case CALL_MPROTECT:
		ev->arg = mmap_flags(CALL_ARG2(regs), MAP_ANONYMOUS);
		return !ret;
	case CALL_MADVISE:
		/* ENOMEM: what was mapped of the range was advised all the same. */
		return (!ret || ret == -ENOMEM) && advice_matters(CALL_ARG2(regs));
	case CALL_PROCESS_MADVISE:
		set_vector(ev, CALL_ARG1(regs), CALL_ARG2(regs));
		ev->size = ret;
		ev->arg = CALL_ARG3(regs);
		return !is_error(ret) && ret && advice_matters(CALL_ARG3(regs));
	default:
		return !ret;
	}
}

/* The stack of the current thread at its trap into the kernel. */
static __always_inline __u64 user_stack(struct thread_state *t, __u32 tgid, bool guarded)
{
	struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());

	if (!unwind_enter(&t->unwind, USER_PC(regs), USER_SP(regs), USER_FP(regs), USER_LR(regs)))
		return UNKNOWN_STACK;
	t->owner = (union probe_cookie){ .tgid = tgid };
	return walk_stack(t, UNWIND_AT_PC, guarded);
}

static __always_inline int tell_call(struct pt_regs *regs, long ret, enum memory_call call,
				     __u32 tgid, bool guarded)
{
	struct thread_state *t = thread_state(BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!t) {
		count(COUNT_NO_THREAD_STATE);
		return 0;
	}
	if (!describe_call(&t->memory, regs, ret, call))
		return 0;
	t->memory.stack_id = user_stack(t, tgid, guarded);
	fill_header(&t->memory.h, EV_MEMORY, (union probe_cookie){ .tgid = tgid }, t->tid);
	if (bpf_ringbuf_output(&events, &t->memory, sizeof(t->memory), wake_flags(t)))
		count(COUNT_DROP_MEMORY);
	return 0;
}

/* Of timed moments: what the programs took, and how many other calls targets made. */
__u64 ledger_timed_hits, ledger_timed_ns, timed_other_calls;

/*
 * Switched by user space apart from that of probes, which may be on for long: there are
 * many more page faults and system calls, and each would pay for two clocks.
 */
bool ledger_timing;

/* Some are timed at any moment, for in the moments of timing there may be few of them. */
#define LEDGER_TIMED_ONE_IN 8

static __always_inline __u64 ledger_begin(void)
{
	static __u32 turn;	/* racy: any will do */

	return ledger_timing || !(++turn % LEDGER_TIMED_ONE_IN) ? bpf_ktime_get_ns() : never;
}

static __always_inline void ledger_end(__u64 begun)
{
	timing_add(begun, &ledger_timed_hits, &ledger_timed_ns);
}

static __always_inline int see_call(struct pt_regs *regs, long ret, enum memory_call call,
				    bool guarded)
{
	__u64 begun = call ? ledger_begin() : 0;
	__u32 tgid = call || ledger_timing ? current_target() : 0;

	if (!tgid)
		return 0;
	if (!call) {
		__sync_fetch_and_add(&timed_other_calls, 1);
		return 0;
	}
	count(COUNT_LEDGER_HITS);
	tell_call(regs, ret, call, tgid, guarded);
	ledger_end(begun);
	return 0;
}

/*
 * These programs may be preempted, as all are that run for a task (at the
 * tracepoint since v6.13 "tracing: Allow system call tracepoints to handle page
 * faults"). Unlike those on uprobes they are never run into themselves: the
 * kernel leaves the second run out. It counts that for all tasks of the machine,
 * so that nobody can say whether a target's was among them.
 * Each is there twice, with bpf_loop() and for kernels without.
 */
#define CALL_PROGRAMS(section, program, number)					\
SEC(section)									\
int BPF_PROG(program, struct pt_regs *regs, long ret)				\
{										\
	return see_call(regs, ret, number, true);				\
}										\
										\
SEC(section)									\
int BPF_PROG(program##_plain, struct pt_regs *regs, long ret)			\
{										\
	return see_call(regs, ret, number, false);				\
}

CALL_PROGRAMS("tp_btf/sys_exit", memory_any_call, call_of(regs))

#define X(call, name) CALL_PROGRAMS("fexit/" ARCH_SYS(name), memory_##name, call)
MEMORY_CALLS(X)
#undef X

/*
 * Of a thread's page faults all are told while they are few, so that programs that
 * touch little are seen exactly: FAULTS_EXACT at once, FAULTS_REFILL in each span of an
 * eighth of a second for long. Where there were more in the span before, one of so many
 * is told as leaves FAULTS_REFILL, but one of FAULTS_SPARSE at least; beyond that, each
 * FAULTS_STEP that were told half as many. So what a second of faults costs is bounded,
 * and of a burst no more than a sixtieth ends untold.
 *
 * A fault in another block than the thread's last may make all of that block resident, as a
 * huge page, five hundred times what others do. A sample of both would tell of neither, so
 * they are two kinds, each with its own. Of huge pages nearly all are told: the kernel
 * does not clear many more in a second.
 */
#define FAULT_BLOCK_SHIFT 21
#define FAULTS_EXACT 128
#define FAULTS_REFILL 16
#define FAULTS_SPARSE 16
#define FAULTS_STEP 64
#define FAULTS_PERIOD_MAX (1 << 14)
#define FAULTS_WEIGHT_MAX 0xffff
#define FAULTS_WINDOW_SHIFT 27	/* of nanoseconds */

static __always_inline void begin_window(struct fault_sampling *f, __u64 window)
{
	__u64 spans = f->period ? window - f->window : FAULTS_EXACT;
	__u32 untold = f->period - f->until, seen = f->seen + untold;

	f->untold += untold;
	f->credit -= f->told < f->credit ? f->told : f->credit;
	f->credit += spans < FAULTS_EXACT / FAULTS_REFILL ? spans * FAULTS_REFILL : FAULTS_EXACT;
	if (f->credit > FAULTS_EXACT)
		f->credit = FAULTS_EXACT;
	f->period = 1;
	if (spans == 1 && seen > f->credit)
		f->period = seen / FAULTS_REFILL;
	if (f->period > FAULTS_SPARSE)
		f->period = FAULTS_SPARSE;
	f->until = f->period;
	f->window = window;
	f->told = f->seen = 0;
}

/* The clock is dear to a program that does little else: it is read once a tick at most. */
static __always_inline void begin_tick(struct fault_sampling *f, __u64 tick)
{
	__u64 window = bpf_ktime_get_ns() >> FAULTS_WINDOW_SHIFT;

	f->tick = tick;
	if (f->window != window || !f->period)
		begin_window(f, window);
}

/*
 * Whether this fault is told, and f->weight: for how many it stands, those included
 * that an earlier span has left over. Through memory, so that the verifier looks at the
 * walk once.
 */
static __noinline bool sample_fault(struct fault_sampling *f)
{
	__u64 tick = bpf_jiffies64();
	__u32 weight;

	if (f->tick != tick)
		begin_tick(f, tick);
	if (--f->until)
		return false;
	f->seen += f->period;
	weight = f->period + f->untold;
	f->untold = weight > FAULTS_WEIGHT_MAX ? weight - FAULTS_WEIGHT_MAX : 0;
	f->weight = weight - f->untold;
	if (++f->told >= f->credit && f->told % FAULTS_STEP == 0 && f->period < FAULTS_PERIOD_MAX)
		f->period *= 2;
	f->until = f->period;
	return true;
}

/* Where the kernel keeps what probes need: not the target's doing. */
static __noinline bool is_probes_page(__u64 addr)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return addr >> 12 == BPF_CORE_READ(task, mm, uprobes_state.xol_area, vaddr) >> 12;
}

static __always_inline int tell_fault(struct thread_state *t, __u64 addr, __u64 error_code,
				      __u32 weight, bool guarded)
{
	__u32 tgid = current_target();
	struct ev_touch *ev;
	__u64 stack_id;

	if (!tgid)
		return 0;
	count_many(COUNT_LEDGER_HITS, weight);
	stack_id = user_stack(t, tgid, guarded);
	ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);
	if (!ev) {
		count(COUNT_DROP_MEMORY);
		return 0;
	}
	fill_header(&ev->h, EV_TOUCH, (union probe_cookie){ .tgid = tgid }, t->tid);
	ev->addr = addr;
	ev->stack_id = stack_id;
	ev->weight = weight;
	ev->flags = (FAULT_WRITES(error_code) ? TOUCH_WRITE : 0) |
		    (FAULT_IS_PRESENT(error_code) ? TOUCH_PRESENT : 0);
	bpf_ringbuf_submit(ev, wake_flags(t));
	return 0;
}

/*
 * What threads of targets have is looked for first: where faults are many, nearly all
 * of them are not told, and need nothing else.
 */
static __always_inline struct thread_state *faulting_thread(void)
{
	struct thread_state *t = thread_state(0);

	if (t || !current_target())
		return t;
	t = thread_state(BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!t)
		count(COUNT_NO_THREAD_STATE);
	return t;
}

static __always_inline int see_fault(__u64 addr, __u64 error_code, bool guarded)
{
	__u64 begun = ledger_begin();
	struct thread_state *t = addr >> 47 ? NULL : faulting_thread();
	__u64 block = addr >> FAULT_BLOCK_SHIFT;
	struct fault_sampling *f;

	/* The walker's own reads do not touch what is not there. */
	if (!t || t->unwind.busy || (FAULT_FETCHES(error_code) && is_probes_page(addr)))
		return 0;
	f = &t->faults[block == t->fault_block ? FAULT_IN_BLOCK : FAULT_IN_ANOTHER];
	t->fault_block = block;
	if (sample_fault(f))
		tell_fault(t, addr, error_code, f->weight, guarded);
	ledger_end(begun);
	return 0;
}

/*
 * By the program itself (page_fault_user), and by the kernel for it, as read()
 * does (page_fault_kernel). A raw tracepoint's program can stand at both, which
 * halves what the verifier has to look at.
 */
SEC("raw_tp")
int BPF_PROG(memory_fault, unsigned long addr, struct pt_regs *regs, unsigned long error_code)
{
	return see_fault(addr, error_code, true);
}

SEC("raw_tp")
int BPF_PROG(memory_fault_plain, unsigned long addr, struct pt_regs *regs,
	     unsigned long error_code)
{
	return see_fault(addr, error_code, false);
}

/* The current process's memory cgroup, by the inode of its directory; 0: none. */
static __noinline __u64 current_cgroup(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 controller = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
	struct cgroup_subsys_state *state = NULL;
	const void *slot = (const void *)BPF_CORE_READ(task, cgroups) +
			   bpf_core_field_offset(struct css_set, subsys) +
			   controller * sizeof(void *);

	if (bpf_probe_read_kernel(&state, sizeof(state), slot) || !state)
		return 0;
	return BPF_CORE_READ(state, cgroup, kn, id);
}

/* Cgroups of targets, by user space; the value is one of their PIDs. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u32);
} cgroups SEC(".maps");

/* A target that lives in the current process's cgroup; 0: none. */
static __noinline __u32 target_in_cgroup(void)
{
	__u64 cgroup = current_cgroup();
	__u32 *tgid = bpf_map_lookup_elem(&cgroups, &cgroup);

	return tgid ? *tgid : 0;
}

static __always_inline int tell_reclaim(__u64 pages, bool in_cgroup)
{
	__u32 current = pages ? current_target() : 0, tgid = current;
	struct ev_reclaim *ev;

	if (pages && !current && in_cgroup)
		tgid = target_in_cgroup();
	if (!tgid)
		return 0;
	ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);
	if (!ev) {
		count(COUNT_DROP_MEMORY);
		return 0;
	}
	ev->h = (struct ev_header){
		.kind = EV_RECLAIM,
		.tgid = tgid,
		.time_ns = bpf_ktime_get_ns(),
	};
	ev->bytes = pages * cfg_page_bytes;
	ev->in_cgroup = in_cgroup;
	ev->by_target = current != 0;
	bpf_ringbuf_submit(ev, 0);
	return 0;
}

SEC("tp_btf/mm_vmscan_direct_reclaim_end")
int BPF_PROG(memory_direct_reclaim, unsigned long pages)
{
	return tell_reclaim(pages, false);
}

SEC("tp_btf/mm_vmscan_memcg_reclaim_end")
int BPF_PROG(memory_cgroup_reclaim, unsigned long pages)
{
	return tell_reclaim(pages, true);
}
