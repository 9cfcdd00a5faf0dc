/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was given back to the kernel or taken by it: when, how, how much, by
 * whom. Any source of events tells the log by reclaim_log_add(), from outside
 * the model by model_reclaim() (sink.h).
 *
 * Some programs do this ten thousand times a second. Events of the same kind,
 * process, stack and detail within fold_ns become one with a count. When there
 * are RECLAIM_MAX all the same, fold_ns doubles and what is there is folded anew,
 * at last without regard to stacks: nothing is ever left off, only told more
 * coarsely, and bytes and counts always add up to all that was seen.
 */
#ifndef HEAPSONDE_MODEL_RECLAIM_H
#define HEAPSONDE_MODEL_RECLAIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/vec.h"
#include "model/map64.h"

/* X(kind, name, what happened) */
#define RECLAIM_KINDS(X)						\
	X(RECLAIM_BRK, "brk", "the program break was lowered")		\
	X(RECLAIM_MUNMAP, "munmap", "anonymous memory was unmapped")	\
	X(RECLAIM_MREMAP, "mremap", "a mapping was made smaller")	\
	X(RECLAIM_DONTNEED, "madv_dontneed", "pages were given back at once") \
	X(RECLAIM_FREE, "madv_free", "pages may be taken when memory is short") \
	X(RECLAIM_REMOVE, "madv_remove", "pages of shared memory were freed") \
	X(RECLAIM_COLD, "madv_cold", "pages are to be reclaimed first")	\
	X(RECLAIM_PAGEOUT, "madv_pageout", "pages were to be reclaimed at once") \
	X(RECLAIM_MALLOC_TRIM, "malloc_trim", "the allocator was told to give back") \
	X(RECLAIM_DIRECT, "direct_reclaim", "the process had to free the machine's memory itself") \
	X(RECLAIM_CGROUP, "cgroup_reclaim", "memory was taken within the process's cgroup") \
	X(RECLAIM_KSWAPD, "kswapd", "the kernel freed the machine's memory in the background") \
	X(RECLAIM_OOM_KILL, "oom_kill", "the OOM killer ended the process") \
	X(RECLAIM_SWAP_OUT, "swap_out", "pages of the process went to swap") \
	X(RECLAIM_SWAP_IN, "swap_in", "pages of the process came back from swap") \
	X(RECLAIM_REFAULT, "refault", "what was given back is touched again soon") \
	X(RECLAIM_GC, "gc", "Go's collector finished a cycle")		\
	X(RECLAIM_GO_SCAVENGE, "go_scavenge", "Go's scavenger gave idle heap back") \
	X(RECLAIM_GO_FREE, "free_os_memory", "debug.FreeOSMemory gave idle heap back") \
	X(RECLAIM_GO_GROWTH, "go_heap_growth", "Go's heap took so much from the system") \
	X(RECLAIM_GO_PERCENT, "go_gogc", "GOGC was changed (debug.SetGCPercent)") \
	X(RECLAIM_GO_LIMIT, "go_memory_limit", "the memory limit was changed (SetMemoryLimit)")

enum reclaim_kind {
#define X(kind, name, text) kind,
	RECLAIM_KINDS(X)
#undef X
	RECLAIM_KINDS_COUNT
};

const char *reclaim_kind_name(enum reclaim_kind kind);

struct reclaim_event {
	enum reclaim_kind kind;
	uint32_t tgid;
	uint64_t time_ns;	/* CLOCK_MONOTONIC */
	int64_t bytes;		/* given back; -1: not known */
	uint64_t stack_id;	/* of who did it; 0: the kernel, or not known */
	const char *detail;	/* more words, copied; NULL: none */
};

struct reclaim_entry {
	enum reclaim_kind kind;
	uint32_t tgid;
	uint64_t first_ns, last_ns;
	int64_t bytes;		/* of all; -1: not known of any */
	uint64_t count;		/* events that this one stands for */
	uint64_t stack_id;	/* 0: none, or several */
	char *detail;		/* owned; NULL: none, or several */
	bool mixed;		/* several stacks, details */
};

DEFINE_VEC(reclaim_entry_vec, struct reclaim_entry);

#define RECLAIM_MAX 2048
#define RECLAIM_FOLD_NS 1000000000ull

struct reclaim_log {
	struct reclaim_entry_vec entries;	/* by first_ns */
	struct map64 newest;			/* of a key -> index + 1 */
	uint64_t fold_ns;			/* 0: RECLAIM_FOLD_NS */
};

/* A zeroed log is empty. */
void reclaim_log_deinit(struct reclaim_log *log);
void reclaim_log_add(struct reclaim_log *log, const struct reclaim_event *event);

#endif
