/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What kernel_stack.bpf.c tells of its last run. */
#ifndef HEAPSONDE_TESTS_KERNEL_KERNEL_STACK_H
#define HEAPSONDE_TESTS_KERNEL_KERNEL_STACK_H

#define KERNEL_STACK_FRAMES_MAX 127

struct kernel_stack {
	__u64 elapsed_ns;
	__s64 id;
};

#endif
