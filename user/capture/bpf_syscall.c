// SPDX-License-Identifier: GPL-2.0-or-later
/* bpf(2) beyond the distribution's libbpf; see bpf_syscall.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <linux/perf_event.h>

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
		.ref_ctr_offsets = (uintptr_t)multi->semaphores,
		.count = multi->count,
		.multi_flags = multi->flags,
		.pid = multi->pid,
	};
	long fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));

	return fd < 0 ? -errno : (int)fd;
}

#define UPROBE_PMU "/sys/bus/event_source/devices/uprobe/"

/* The number that stands behind @prefix in a small file of sysfs, or -errno. */
static int sysfs_number(const char *path, size_t prefix)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return -errno;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	return len > (ssize_t)prefix ? atoi(text + prefix) : -ENOENT;
}

static int open_uprobe_event(const struct uprobe_single *single)
{
	int type = sysfs_number(UPROBE_PMU "type", 0);
	int return_bit = sysfs_number(UPROBE_PMU "format/retprobe", strlen("config:"));
	struct perf_event_attr attr = { .size = sizeof(attr), .disabled = 1 };
	long fd;

	if (type < 0 || return_bit < 0)
		return type < 0 ? type : return_bit;
	attr.type = type;
	attr.config = single->is_return ? 1ull << return_bit : 0;
	/* a6ca88b241d5 ("trace_uprobe: support reference counter in fd-based uprobe"), v4.20 */
	attr.config |= single->semaphore << 32;
	attr.uprobe_path = (uintptr_t)single->path;
	attr.probe_offset = single->offset;
	fd = syscall(SYS_perf_event_open, &attr, single->pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : (int)fd;
}

/* union bpf_attr, link_create, with the arm for perf events. */
struct link_create_perf_event {
	uint32_t prog_fd, target_fd, attach_type, flags;
	uint64_t cookie;
};

#define ATTACH_TYPE_PERF_EVENT 41

int uprobe_single_link(int prog_fd, const struct uprobe_single *single)
{
	int event = open_uprobe_event(single);
	struct link_create_perf_event attr = {
		.prog_fd = prog_fd,
		.target_fd = event,
		.attach_type = ATTACH_TYPE_PERF_EVENT,
		.cookie = single->cookie,
	};
	long fd;

	if (event < 0)
		return event;
	fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	if (fd < 0)
		fd = -errno;
	else
		ioctl(event, PERF_EVENT_IOC_ENABLE, 0);
	close(event);
	return fd;
}
