/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's ledger of the targets: what the resident memory of each is made
 * of (account.h), the sums, the cgroups and the limit that they live under
 * (limit.h), and where it all is going (model/forecast.h). It keeps what was
 * last read, so that a target that has ended can still be spoken of.
 */
#ifndef HEAPSONDE_CAPTURE_LEDGER_LEDGER_H
#define HEAPSONDE_CAPTURE_LEDGER_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/vec.h"
#include "capture/ledger/account.h"
#include "capture/ledger/cgroup.h"
#include "capture/ledger/limit.h"
#include "model/forecast.h"
#include "model/snapshot.h"

/* As struct account_live, of several processes. */
struct ledger_live {
	void (*find)(void *arg, uint32_t pid, struct account_block *blocks, size_t count);
	void (*each)(void *arg, uint32_t pid, account_block_visitor *fn, void *fn_arg);
	void *arg;
};

struct ledger_process {
	uint32_t pid;
	struct account account;
	struct snapshot_process figures;
};

/* The heap of a process as it was when it was first read. */
struct ledger_birth {
	uint32_t pid;
	double t_s;
	int64_t older_count, older_bytes;
	struct glibc_heap_census census;
};

DEFINE_VEC(ledger_birth_vec, struct ledger_birth);
DEFINE_VEC(ledger_process_vec, struct ledger_process);
DEFINE_VEC(cgroup_memory_vec, struct cgroup_memory);

struct ledger {
	struct ledger_process_vec processes;	/* as of the last reading */
	struct ledger_birth_vec births;
	struct cgroup_mounts mounts;
	struct cgroup_memory_vec cgroups;	/* each once */
	struct memory_limit limit;		/* met first by any of them ... */
	size_t limit_cgroup;			/* ... which, if it is a cgroup's */
	struct forecast rss, live, mapped;
	bool has_mounts;
};

void ledger_deinit(struct ledger *ledger);

/*
 * Reads all of them, which takes time in proportion to their heaps. Where none
 * can be read any more, what was known stays. @live is NULL where live blocks are
 * not all known.
 */
void ledger_read(struct ledger *ledger, const uint32_t *pids, size_t count, double t_s,
		 const struct ledger_live *live);

/* Whether the same cgroup's limit is met first by both processes. */
bool ledger_same_limit(struct ledger *ledger, uint32_t a, uint32_t b);

/*
 * Brings what the cgroups use, and what happened in them, up to date, and by it
 * the limit's use: cheap enough for many times a second.
 */
void ledger_glance(struct ledger *ledger);

/* Notes the resident and the live bytes of all, which is cheap, for the forecast. */
void ledger_note_growth(struct ledger *ledger, double t_s, int64_t rss_bytes,
			int64_t live_bytes);

void ledger_fill(const struct ledger *ledger, struct snapshot *snap);

#endif
