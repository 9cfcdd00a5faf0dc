// SPDX-License-Identifier: GPL-2.0-or-later
/* Which limit binds; see limit.h. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/procfs.h"
#include "capture/ledger/limit.h"

bool memory_limit_tighter(const struct memory_limit *a, const struct memory_limit *b)
{
	if (a->bytes < 0 || b->bytes < 0)
		return a->bytes >= 0;
	return a->bytes - a->used_bytes < b->bytes - b->used_bytes;
}

static int64_t field(const char *text, const char *key)
{
	int64_t value;

	return procfs_field(text, key, &value) ? value : 0;
}

static struct memory_limit cgroup_limit(const struct cgroup_memory *cgroup)
{
	struct memory_limit limit = { "cgroup", cgroup->limit_bytes, cgroup->usage_bytes, false };

	/* Beyond memory.high everybody in it is held back, which ends a service as well. */
	if (cgroup->high_bytes >= 0 && (limit.bytes < 0 || cgroup->high_bytes < limit.bytes))
		limit.bytes = cgroup->high_bytes;
	if (cgroup->reclaimable_bytes > 0 && cgroup->reclaimable_bytes < limit.used_bytes)
		limit.used_bytes -= cgroup->reclaimable_bytes;
	return limit;
}

static struct memory_limit machine_limit(void)
{
	struct strbuf text __cleanup_strbuf = { 0 };
	char buf[4096];
	__cleanup_close int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof(buf) - 1);
	int64_t total, free_bytes;

	strbuf_add(&text, buf, n > 0 ? (size_t)n : 0);
	total = field(strbuf_str(&text), "MemTotal") + field(strbuf_str(&text), "SwapTotal");
	free_bytes = field(strbuf_str(&text), "MemAvailable") +
		     field(strbuf_str(&text), "SwapFree");
	return (struct memory_limit){ "machine", total > 0 ? total : -1, total - free_bytes,
				      false };
}

static struct memory_limit resource_limit(uint32_t pid, const char *status, const char *kind,
					  int resource, const char *used)
{
	struct memory_limit limit = { kind, -1, field(status, used), true };
	struct rlimit r;

	if (!prlimit((pid_t)pid, resource, NULL, &r) && r.rlim_cur != RLIM_INFINITY &&
	    r.rlim_cur < INT64_MAX)
		limit.bytes = (int64_t)r.rlim_cur;
	return limit;
}

void memory_limit_read(uint32_t pid, const struct cgroup_memory *cgroup,
		       struct memory_limit *ret)
{
	struct strbuf text __cleanup_strbuf = { 0 };
	const char *status;

	procfs_read(pid, "status", &text);
	status = strbuf_str(&text);
	const struct memory_limit limits[] = {
		cgroup ? cgroup_limit(cgroup) : (struct memory_limit){ "none", -1, -1, false },
		resource_limit(pid, status, "rlimit_as", RLIMIT_AS, "VmSize"),
		resource_limit(pid, status, "rlimit_data", RLIMIT_DATA, "VmData"),
		machine_limit(),
	};

	*ret = (struct memory_limit){ "none", -1, -1, false };
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		if (memory_limit_tighter(&limits[i], ret))
			*ret = limits[i];
}
