/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x86-64's registers at a probe; all other types are in common.h. */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#include "vmlinux/common.h"

struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
} __attribute__((preserve_access_index));

#endif
