// SPDX-License-Identifier: GPL-2.0-or-later
/* What the kernel takes for the caller's stack by frame pointers; see tests/bench/unwind.c. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "tests/kernel/kernel_stack.h"

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64[KERNEL_STACK_FRAMES_MAX]);
} stacks SEC(".maps");

struct kernel_stack taken;

SEC("raw_tp/sys_enter")
int stack_of_kernel(void *ctx)
{
	__u64 begin = bpf_ktime_get_ns();

	taken.id = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	taken.elapsed_ns = bpf_ktime_get_ns() - begin;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
