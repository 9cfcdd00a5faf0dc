/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory cgroup that a process lives in, of version 1 or 2: what it may
 * use, what it uses, what happened in it, and how much it had to wait for
 * memory (PSI). Limits hold for all below a cgroup, so that of all from the
 * process's own up to the root the one counts that has the least room left.
 *
 * Of version 2 the kernel's Documentation/admin-guide/cgroup-v2.rst is the
 * reference, of version 1 cgroup-v1/memory.rst. Pressure is a matter of
 * version 2 alone; where both are mounted, the same process's group there has
 * it, and where it says nothing, the machine's is told.
 */
#ifndef HEAPSONDE_CAPTURE_LEDGER_CGROUP_H
#define HEAPSONDE_CAPTURE_LEDGER_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

/* Where the two hierarchies are mounted; NULL: it is not. */
struct cgroup_mounts {
	char *v1, *v1_root;	/* of the memory controller; what of it is mounted there */
	char *v2, *v2_root;
};

/* From the text of /proc/self/mountinfo, into which it writes. */
void cgroup_mounts_parse(char *mountinfo, struct cgroup_mounts *ret);
void cgroup_mounts_deinit(struct cgroup_mounts *mounts);

/* Bytes and counts; -1: not told. */
struct cgroup_memory {
	int version;
	char *dir;		/* of its files */
	char *pressure;		/* the file that has the pressure; NULL: none */
	bool pressure_is_its_own;	/* not the whole machine's */
	int64_t usage_bytes;
	int64_t reclaimable_bytes;	/* of it, file pages that go before anybody is killed */
	int64_t limit_bytes, high_bytes;	/* -1: none */
	int64_t limit_events;	/* the limit was hit */
	int64_t high_events;	/* memory.high was exceeded */
	int64_t oom_events;	/* reclaim did not help */
	int64_t oom_kills;
	double some_avg10, full_avg10;	/* share of the last 10 s, percent; -1: not told */
	int64_t some_us, full_us;	/* all waiting so far */
};

/* @groups is the text of /proc/PID/cgroup. False: there is no memory cgroup to be read. */
bool cgroup_memory_read(const struct cgroup_mounts *mounts, const char *groups,
			struct cgroup_memory *ret);
/* Reads anew what changes from moment to moment, all but reclaimable_bytes and the limits. */
void cgroup_memory_glance(struct cgroup_memory *cgroup);
void cgroup_memory_deinit(struct cgroup_memory *cgroup);

#endif
