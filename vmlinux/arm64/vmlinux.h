/* SPDX-License-Identifier: GPL-2.0-or-later */
/* arm64's registers at a probe; all other types are in common.h. */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#include "vmlinux/common.h"

/* The kernel's pt_regs begins with this, which the user API fixes. */
struct user_pt_regs {
	__u64 regs[31], sp, pc, pstate;
};

struct pt_regs {
	struct user_pt_regs user_regs;
	u64 orig_x0;
	s32 syscallno;
} __attribute__((preserve_access_index));

#endif
