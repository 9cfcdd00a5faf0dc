/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether the current process is one of the targets: asked at events of the
 * whole machine, which must cost nothing where it is not.
 */
#ifndef HEAPSONDE_TARGET_BPF_H
#define HEAPSONDE_TARGET_BPF_H

#include "bpf/maps.bpf.h"

#define MAX_PID_NAMESPACES 32	/* MAX_PID_NS_LEVEL of the kernel */

/* The PID as heapsonde's own namespace knows it, 0 if it does not. */
static __always_inline __u32 pid_here(struct task_struct *leader)
{
	struct pid *pid = BPF_CORE_READ(leader, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);
	const __u32 stride = bpf_core_type_size(struct upid);

	for (__u32 i = 0; i <= level && i < MAX_PID_NAMESPACES; i++) {
		struct upid *upid = (void *)__builtin_preserve_access_index(&pid->numbers) +
				    i * stride;

		if (BPF_CORE_READ(upid, ns, ns.inum) == cfg_pid_namespace)
			return BPF_CORE_READ(upid, nr);
	}
	return 0;
}

static __always_inline bool watched(__u32 pid)
{
	return pid && bpf_map_lookup_elem(&targets, &pid);
}

/* Counts the changes of targets; racy, but no change is ever taken for none. */
__u32 targets_epoch __weak;

/* What was found out of processes, by the initial PID namespace's number. */
struct verdict {
	__u32 epoch;		/* targets_epoch then */
	__u32 pid;		/* as heapsonde has it; 0: no target */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct verdict);
} verdicts SEC(".maps") __weak;

static __noinline __u32 find_target(struct task_struct *task)
{
	struct verdict verdict = { .epoch = targets_epoch };
	__u32 tgid = BPF_CORE_READ(task, tgid);
	__u32 pid = pid_here(BPF_CORE_READ(task, group_leader));

	verdict.pid = watched(pid) ? pid : 0;
	bpf_map_update_elem(&verdicts, &tgid, &verdict, BPF_ANY);
	return verdict.pid;
}

/* The current process's PID as heapsonde has it if it is a target, or 0. */
static __always_inline __u32 current_target(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct verdict *verdict = bpf_map_lookup_elem(&verdicts, &tgid);

	if (verdict && verdict->epoch == targets_epoch)
		return verdict->pid;
	return find_target((struct task_struct *)bpf_get_current_task_btf());
}

#endif
