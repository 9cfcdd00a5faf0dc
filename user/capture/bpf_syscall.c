// SPDX-License-Identifier: GPL-2.0-or-later
/* bpf(2) beyond the distribution's libbpf; see bpf_syscall.h. */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/bpf.h>

#include "capture/bpf_syscall.h"

/* union bpf_attr, link_create, with the arm that older headers lack. */
struct link_create_uprobe_multi {
	uint32_t prog_fd, target_fd, attach_type, flags;
	uint64_t path, offsets, ref_ctr_offsets, cookies;
	uint32_t count, multi_flags, pid, pad;
};

_Static_assert(offsetof(struct link_create_uprobe_multi, path) == 16, "link_create's union");

int uprobe_multi_link(int prog_fd, uint32_t attach_type, const struct uprobe_multi *multi)
{
	struct link_create_uprobe_multi attr = {
		.prog_fd = prog_fd,
		.attach_type = attach_type,
		.path = (uintptr_t)multi->path,
		.offsets = (uintptr_t)multi->offsets,
		.cookies = (uintptr_t)multi->cookies,
		.count = multi->count,
		.multi_flags = multi->flags,
		.pid = multi->pid,
	};
	long fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));

	return fd < 0 ? -errno : (int)fd;
}
