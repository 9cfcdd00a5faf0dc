/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What unwind_self.bpf.c tells unwind_self.c. */
#ifndef HEAPSONDE_TESTS_KERNEL_UNWIND_SELF_H
#define HEAPSONDE_TESTS_KERNEL_UNWIND_SELF_H

#include "bpf/events.h"

struct walk_result {
	__u64 elapsed_ns;
	__u64 walks;
	__u32 count;
	__u32 status;
	__u64 pcs[MAX_DEPTH];
};

#endif
