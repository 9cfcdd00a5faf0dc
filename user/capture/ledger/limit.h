/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The limit that a process's memory meets first: its cgroup's (cgroup.h), its
 * own (setrlimit(2), of address space or data), or the machine's memory and swap.
 */
#ifndef HEAPSONDE_CAPTURE_LEDGER_LIMIT_H
#define HEAPSONDE_CAPTURE_LEDGER_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/ledger/cgroup.h"

struct memory_limit {
	const char *kind;	/* "cgroup", "rlimit_as", "rlimit_data", "machine"; "none" */
	int64_t bytes;		/* -1: there is none */
	/*
	 * What counts against it: of a cgroup without the file pages that would go
	 * first, of the machine what is not available.
	 */
	int64_t used_bytes;
	bool is_of_mapped;	/* not of resident memory: rlimits */
};

/* Of all that bind @pid, the one with the least room. @cgroup may be NULL. */
void memory_limit_read(uint32_t pid, const struct cgroup_memory *cgroup,
		       struct memory_limit *ret);

/* Whether @a is met before @b. */
bool memory_limit_tighter(const struct memory_limit *a, const struct memory_limit *b);

#endif
