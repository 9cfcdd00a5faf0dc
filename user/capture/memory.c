// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel's figures for one process; see memory.h. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/format.h"
#include "base/procfs.h"
#include "base/strbuf.h"
#include "capture/account.h"
#include "capture/memory.h"

int64_t memory_rss_bytes(uint32_t pid)
{
	struct strbuf statm __cleanup_strbuf = { 0 };
	long long pages;

	if (procfs_read(pid, "statm", &statm) ||
	    sscanf(strbuf_str(&statm), "%*d %lld", &pages) != 1)
		return -1;
	return pages * sysconf(_SC_PAGESIZE);
}

static int64_t field_or_unknown(const char *text, const char *key)
{
	int64_t value;

	return procfs_field(text, key, &value) ? value : -1;
}

/* The first line of a file as a number; -1 if there is none ("max" too). */
static int64_t read_number(const char *path)
{
	__cleanup_fclose FILE *f = fopen(path, "re");
	char line[64];
	uint64_t value;

	if (!f || !fgets(line, sizeof(line), f))
		return -1;
	line[strcspn(line, "\n")] = '\0';
	if (!parse_uint(line, 0, INT64_MAX, &value))
		return -1;
	return value;
}

/*
 * The lowest limit from the process's own cgroup up to the root. Version 2 has
 * memory.max, version 1 memory.limit_in_bytes, where "none" is a huge number.
 */
static int64_t lowest_limit(const char *mount, const char *group, const char *file)
{
	__cleanup_free char *path = xstrdup(group);
	int64_t lowest = -1;

	for (;;) {
		__cleanup_free char *name = xasprintf("%s%s/%s", mount,
						      strcmp(path, "/") ? path : "", file);
		int64_t limit = read_number(name);
		char *slash;

		if (limit >= 0 && limit < INT64_MAX / 2 && (lowest < 0 || limit < lowest))
			lowest = limit;
		slash = strrchr(path, '/');
		if (!slash || !path[1])
			return lowest;
		slash[slash == path] = '\0';
	}
}

static int64_t cgroup_limit(uint32_t pid)
{
	struct strbuf groups __cleanup_strbuf = { 0 };
	int64_t limit = -1;
	char *save, *line;

	if (procfs_read(pid, "cgroup", &groups) || !groups.len)
		return -1;
	for (line = strtok_r(groups.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *controllers = strchr(line, ':');
		char *path = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = '\0';
		if (!strcmp(controllers + 1, "memory"))
			return lowest_limit("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes");
		if (!controllers[1])
			limit = lowest_limit("/sys/fs/cgroup", path, "memory.max");
	}
	return limit;
}

static int64_t machine_memory(void)
{
	return (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
}

/* The limit that bites first, and what kind it is. */
static void read_limit(uint32_t pid, struct snapshot_memory *ret)
{
	const struct { const char *kind; int64_t bytes; } limits[] = {
		{ "cgroup", cgroup_limit(pid) },
		{ "machine", machine_memory() },
	};

	ret->limit_bytes = -1;
	ret->limit_kind = "none";
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		if (limits[i].bytes < 0 ||
		    (ret->limit_bytes >= 0 && limits[i].bytes >= ret->limit_bytes))
			continue;
		ret->limit_bytes = limits[i].bytes;
		ret->limit_kind = limits[i].kind;
	}
}

void memory_read(uint32_t pid, const struct account *account, struct snapshot_memory *ret)
{
	struct strbuf status __cleanup_strbuf = { 0 };
	const char *text;

	procfs_read(pid, "status", &status);
	text = strbuf_str(&status);
	ret->rss_bytes = field_or_unknown(text, "VmRSS");
	ret->anon_bytes = field_or_unknown(text, "RssAnon");
	ret->file_bytes = field_or_unknown(text, "RssFile");
	ret->shmem_bytes = field_or_unknown(text, "RssShmem");
	ret->swap_bytes = field_or_unknown(text, "VmSwap");
	ret->page_tables_bytes = field_or_unknown(text, "VmPTE");
	ret->pss_bytes = -1;
	if (account) {
		/* Of one moment with the account, and without status's per-CPU rounding. */
		ret->rss_bytes = account->rss_bytes;
		ret->anon_bytes = account->anon_bytes;
		ret->file_bytes = account->file_bytes;
		ret->shmem_bytes = account->shmem_bytes;
		ret->pss_bytes = account->pss_bytes;
	}
	read_limit(pid, ret);
}
