// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The lives of the targets: exec, exit, fork, and what they load. The
 * tracepoints fire for every process of the machine, so the first thing is to
 * see whether it is one of ours.
 */
#include "bpf/held.bpf.h"
#include "bpf/target.bpf.h"
#include "bpf/unwind.bpf.h"

static __always_inline void emit_process(struct task_struct *task, enum event_kind kind,
					 __u32 tgid, __u32 child, __s32 exit_code,
					 __u64 cpu_ns)
{
	struct ev_process *ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);

	if (!ev) {
		count(COUNT_DROP_PROCESS);
		return;
	}
	ev->h.kind = kind;
	ev->h.cpu = bpf_get_smp_processor_id();
	ev->h.tgid = tgid;
	ev->h.tid = (__u32)bpf_get_current_pid_tgid();
	ev->h.func = 0;
	ev->h.time_ns = bpf_ktime_get_ns();
	ev->child = child;
	ev->exit_code = exit_code;
	ev->cpu_ns = cpu_ns;
	bpf_probe_read_kernel_str(ev->comm, sizeof(ev->comm), task->comm);
	bpf_ringbuf_submit(ev, BPF_RB_FORCE_WAKEUP);
}

SEC("raw_tp/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, pid_t old_pid)
{
	__u32 pid = pid_here(BPF_CORE_READ(task, group_leader));

	if (!watched(pid))
		return 0;
	/* Until user space has seen the new image, its addresses mean nothing. */
	bpf_map_delete_elem(&unwind_spaces, &pid);
	if (cfg_hold)
		held_tell_of(pid);
	emit_process(task, EV_EXEC, pid, old_pid, 0, 0);
	return 0;
}

/*
 * Of the process whose last thread ends: what threads have left behind that are
 * gone, and what the first one and the last one have not yet.
 */
static __always_inline __u64 cpu_ns_of(struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	__u64 sum = BPF_CORE_READ(task, signal, sum_sched_runtime) +
		    BPF_CORE_READ(task, se.sum_exec_runtime);

	return leader == task ? sum : sum + BPF_CORE_READ(leader, se.sum_exec_runtime);
}

SEC("raw_tp/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	__u32 pid;

	/* The last thread counts down to 0 before this tracepoint. */
	if (BPF_CORE_READ(task, signal, live.counter))
		return 0;
	pid = pid_here(BPF_CORE_READ(task, group_leader));
	if (watched(pid)) {
		int code = BPF_CORE_READ(task, signal, group_exit_code);

		if (!code)
			code = BPF_CORE_READ(task, exit_code);
		if (cfg_hold)
			held_tell_of(pid);
		emit_process(task, EV_EXIT, pid, 0, code, cpu_ns_of(task));
		/* The number may soon be another's. */
		bpf_map_delete_elem(&targets, &pid);
		targets_epoch++;
		bpf_map_delete_elem(&unwind_spaces, &pid);
	}
	return 0;
}

/*
 * Before the victim gets its SIGKILL, in the context of whoever asked for memory. The
 * task may be any of the process's threads. Kernels whose tracepoint has its
 * number only do not get this program (features.c).
 */
SEC("raw_tp/mark_victim")
int BPF_PROG(oom_victim, struct task_struct *task)
{
	__u32 pid = pid_here(BPF_CORE_READ(task, group_leader));

	if (watched(pid))
		emit_process(task, EV_OOM_VICTIM, pid, 0, 0, 0);
	return 0;
}

/*
 * A child is a target from its first instruction on: its own forks and exec
 * are told, and its stacks walked by what is known of its parent's mappings,
 * which are its own until user space has looked.
 */
static __always_inline void adopt(__u32 parent, __u32 child, bool shares_memory)
{
	struct unwind_space *space = bpf_map_lookup_elem(&unwind_spaces, &parent);
	__u32 yes = 1;

	bpf_map_update_elem(&targets, &child, &yes, BPF_ANY);
	targets_epoch++;
	if (space && !shares_memory)
		bpf_map_update_elem(&unwind_spaces, &child, space, BPF_ANY);
}

SEC("raw_tp/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 pid = pid_here(BPF_CORE_READ(parent, group_leader)), child_pid;
	bool shares_memory;

	/* A new thread is no new process. */
	if (BPF_CORE_READ(child, tgid) == BPF_CORE_READ(parent, tgid))
		return 0;
	if (!watched(pid))
		return 0;
	child_pid = pid_here(BPF_CORE_READ(child, group_leader));
	shares_memory = BPF_CORE_READ(child, mm) == BPF_CORE_READ(parent, mm);
	if (cfg_children && child_pid)
		adopt(pid, child_pid, shares_memory);
	emit_process(child, EV_FORK, pid, child_pid, shares_memory, 0);
	return 0;
}

/*
 * The state of a target's dynamic loader, which calls an empty function for
 * debuggers whenever it has changed (struct r_debug of <link.h>).
 */
enum loader_state { LOADER_CONSISTENT, LOADER_ADDING, LOADER_DELETING };

struct loader {
	__u64 state;		/* address of r_debug's r_state */
	__u32 deleting;
	__u32 changes;		/* counts the calls */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);		/* tgid */
	__type(value, struct loader);
} loaders SEC(".maps");

/*
 * From when the loader is about to unmap something until user space has looked
 * after it did so, no walk can trust what is known of the mappings. There are
 * several lists of objects (dlmopen), and r_debug is of the first: what looks
 * consistent may be a change in another.
 */
SEC("uprobe")
int loader_changed(struct pt_regs *ctx)
{
	__u32 pid = bpf_get_attach_cookie(ctx);
	struct loader *loader = bpf_map_lookup_elem(&loaders, &pid);
	struct unwind_space *space = bpf_map_lookup_elem(&unwind_spaces, &pid);
	__u32 state = 0;

	if (!loader || bpf_probe_read_user(&state, sizeof(state), (void *)loader->state))
		return 0;
	if (state == LOADER_ADDING)
		return 0;
	if (state == LOADER_DELETING)
		loader->deleting = 1;
	loader->changes++;
	if (loader->deleting && space)
		space->suspect = 1;
	emit_process((struct task_struct *)bpf_get_current_task_btf(),
		     loader->deleting ? EV_UNLOADING : EV_LOADED, pid, 0, 0, 0);
	if (state == LOADER_CONSISTENT)
		loader->deleting = 0;
	return 0;
}
