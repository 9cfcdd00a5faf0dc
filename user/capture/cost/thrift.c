// SPDX-License-Identifier: GPL-2.0-or-later
/* Our own memory and time; see thrift.h. */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/procfs.h"
#include "capture/cost/thrift.h"
#include "capture/ledger/cgroup.h"

#define DEFAULT_SHARE 16
#define DEFAULT_MIN (64ll << 20)
#define RING_SHARE 8
#define RING_MAX (8ull << 20)
#define SPARE_TABLE_SHARE 16
#define SPARE_TABLE_MAX (4ull << 20)
#define SEEN_SHARE 64
#define SEEN_MAX (2ull << 20)
#define TRIM_EVERY 20		/* looks */
/* The readers' part of the limit, each, and how many keep what they have read. */
#define READER_SHARE 8
#define READERS_FEW 3
#define READERS_MANY 5
#define MANY_FROM (1ll << 30)
#define LINES_FROM (32ll << 20)	/* with less there are none */

/* linux/ioprio.h, which older headers keep to the kernel */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_BEST_EFFORT_LAST (2 << 13 | 7)
#define NICE 10

/* What the cgroup that we live in may have in all; -1: as much as there is. */
static int64_t cgroup_limit(void)
{
	struct strbuf mountinfo __cleanup_strbuf = { 0 }, groups __cleanup_strbuf = { 0 };
	struct cgroup_mounts mounts = { 0 };
	struct cgroup_memory cgroup;
	int64_t limit = -1;

	if (procfs_read_self("mountinfo", &mountinfo) || !mountinfo.len ||
	    procfs_read_self("cgroup", &groups))
		return -1;
	cgroup_mounts_parse(mountinfo.data, &mounts);
	if (cgroup_memory_read(&mounts, strbuf_str(&groups), &cgroup)) {
		limit = cgroup.limit_bytes;
		cgroup_memory_deinit(&cgroup);
	}
	cgroup_mounts_deinit(&mounts);
	return limit;
}

int64_t thrift_default_limit(void)
{
	int64_t machine = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
	int64_t cgroup = cgroup_limit();
	int64_t share = (cgroup >= 0 && cgroup < machine ? cgroup : machine) / DEFAULT_SHARE;

	return share > DEFAULT_MIN ? share : DEFAULT_MIN;
}

static uint64_t part(int64_t limit_bytes, int share, uint64_t most)
{
	uint64_t bytes = (uint64_t)limit_bytes / share;

	return bytes < most ? bytes : most;
}

uint64_t thrift_ring_bytes(int64_t limit_bytes)
{
	return part(limit_bytes, RING_SHARE, RING_MAX);
}

uint64_t thrift_spare_table_bytes(int64_t limit_bytes)
{
	return part(limit_bytes, SPARE_TABLE_SHARE, SPARE_TABLE_MAX);
}

uint64_t thrift_seen_bytes(int64_t limit_bytes)
{
	return part(limit_bytes, SEEN_SHARE, SEEN_MAX);
}

uint64_t thrift_reader_bytes(int64_t limit_bytes)
{
	return (uint64_t)limit_bytes / READER_SHARE;
}

int thrift_readers(int64_t limit_bytes)
{
	if (limit_bytes >= MANY_FROM)
		return READERS_MANY;
	return limit_bytes >= LINES_FROM ? READERS_FEW : 0;
}

/* One more may be compiling a table, while those who read lines are not at their limits. */
static int64_t for_readers(int64_t limit_bytes)
{
	int readers = thrift_readers(limit_bytes);

	return limit_bytes / READER_SHARE * (readers ? readers : 1);
}

void thrift_add_map(struct thrift *thrift, int map_fd)
{
	struct strbuf text __cleanup_strbuf = { 0 };
	char name[32];
	int64_t bytes;

	snprintf(name, sizeof(name), "fdinfo/%d", map_fd);
	if (!procfs_read_self(name, &text) &&
	    procfs_field(strbuf_str(&text), "memlock", &bytes))
		thrift->kernel_bytes += bytes;
}

static int64_t own_bytes(void)
{
	struct strbuf text __cleanup_strbuf = { 0 };
	int64_t resident = 0, swapped = 0;

	if (procfs_read_self("status", &text))
		return 0;
	procfs_field(strbuf_str(&text), "RssAnon", &resident);
	procfs_field(strbuf_str(&text), "VmSwap", &swapped);
	return resident + swapped;
}

static int64_t look(struct thrift *thrift)
{
	int64_t bytes = own_bytes() + thrift->kernel_bytes;

	if (bytes > thrift->most_bytes)
		thrift->most_bytes = bytes;
	return thrift->limit_bytes - for_readers(thrift->limit_bytes) - bytes;
}

int64_t thrift_room(struct thrift *thrift)
{
	int64_t room = look(thrift);

	/* What was freed comes first, but not again and again: it holds up other threads. */
	if (room > 0 || thrift->trimmed_looks++ % TRIM_EVERY)
		return room;
	malloc_trim(0);
	return look(thrift);
}

void thrift_yield_disk(void)
{
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_BEST_EFFORT_LAST);
}

void thrift_yield_processor(void)
{
	setpriority(PRIO_PROCESS, 0, NICE);
}
