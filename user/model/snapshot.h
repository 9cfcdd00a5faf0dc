/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A snapshot: everything that was known at one moment, frozen. It is what
 * views and exports draw, what JSON prints, what a recording stores and gives
 * back; none of them ever sees the live model. It is composed by
 * capture/session.c from a live target or by recording/reader.c from a file.
 *
 * Whoever made it may change it; once shared (snapshot_ref()) it stays as it
 * is, and any thread may read it. Strings are interned in the snapshot's own
 * pool, or lie in the frame store that it shares, and are never NULL unless
 * said so here.
 */
#ifndef HEAPSONDE_MODEL_SNAPSHOT_H
#define HEAPSONDE_MODEL_SNAPSHOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/vec.h"
#include "model/frames.h"
#include "model/metrics.h"
#include "model/runtime.h"

/* What kind of memory a stack asked for. */
enum memory_kind {
	MEMORY_HEAP, MEMORY_MMAP, MEMORY_BRK,
	/* The heap by the target's own profile of it: an estimate since its start, not ours. */
	MEMORY_PROFILE,
	/*
	 * What the kernel saw under this stack, mapped and touched. The allocators'
	 * blocks lie in the same memory, so such a row has nothing but mapped_bytes,
	 * resident_bytes and the growth of these.
	 */
	MEMORY_GROWTH,
	MEMORY_KINDS_COUNT
};
/* "heap", "mmap", "brk", "profile", "growth" */
const char *memory_kind_name(enum memory_kind kind);

/*
 * One line of a stack. An inlined function has a frame of its own, above the
 * (not inlined) frame of the function it stands in, and shares its pc.
 */
struct frame {
	uint64_t pc;		/* in the target; a return address, except signal frames */
	uint64_t offset;	/* in the module: ELF virtual address of pc */
	const char *function;	/* demangled; NULL if unknown */
	const char *raw;	/* as the symbol table has it; NULL if unknown */
	const char *module;	/* file name of the object; "" if none is mapped there */
	const char *path;	/* whole path as the target sees it; "" */
	const char *build_id;	/* hexadecimal; "" if it has none */
	const char *file;	/* source file; NULL if unknown */
	const char *type;	/* of what the call there allocates; NULL if unknown */
	uint32_t line, column;	/* 0 if unknown */
	uint32_t start_line;	/* of the function; 0 if unknown */
	bool inlined;
};

DEFINE_VEC(frame_vec, struct frame);

/* Rows of the same target and stack but other memory kind are separate. */
struct snapshot_stack {
	uint64_t id;		/* hash of the frames */
	uint32_t target;	/* index into targets */
	enum memory_kind kind;
	uint32_t status;	/* enum unwind_status of bpf/events.h */
	uint32_t frame_first, frame_count;	/* slice of frames, leaf first ... */
	const struct frame *shared_frames;	/* ... unless they lie here, in snapshot.store */
	/* Slice of shares, by thread and class, whose sum m is; count 0: not known. */
	uint32_t share_first, share_count;
	struct metrics m;
};

/*
 * What one thread asked for under one stack in blocks of one size class. What
 * was freed is what was allocated and is not live. A stack may have several
 * shares of the same thread and class.
 */
struct snapshot_share {
	uint32_t thread;	/* index into threads */
	uint32_t size_class;	/* blocks of up to 1 << class bytes; SIZE_CLASS_ANY: any */
	int64_t live_bytes, live_count, alloc_bytes, alloc_count;
	int64_t temporary_count, peak_live_bytes;
	float oldest_live_s;
	/* Half-widths of 95 % intervals; 0: exact. */
	float live_bytes_error, live_count_error, alloc_bytes_error, alloc_count_error;
};

#define SIZE_CLASS_ANY 64u		/* sizes that are not told apart */

static inline unsigned int size_class(uint64_t bytes)
{
	return bytes > 1 ? 64 - (unsigned int)__builtin_clzll(bytes - 1) : 0;
}

/* [0] stands for all threads that are not told apart. */
struct snapshot_thread {
	uint32_t target;	/* index into targets */
	uint32_t tid;		/* 0: of [0] */
	const char *name;	/* its own, as it last was; NULL: could not be read */
};

/* One program image: a PID that execs has two of them. */
struct snapshot_target {
	uint32_t pid;
	const char *comm, *exe, *cmdline;
	bool exited;
	const char *exit_reason;	/* NULL while it runs */
	bool oom_killed;
	/* Of a process that is watched now; recordings do not keep them. */
	bool stopped;			/* by a signal or a debugger */
	double uptime_s;		/* since it was started; 0 if not known */
};

struct snapshot_totals {
	struct metrics m;
	int64_t unknown_free_count;	/* -1: cannot be told from frees of what was left out */
	int64_t failed_alloc_count, ignored_count;
};

struct snapshot_loss {
	int64_t dropped_events, dropped_stacks, untracked_allocs, missed_probes;
	bool complete;		/* every number is exact */
};

/* Several of a kind by the same within a short time are one (model/reclaim.h). */
struct snapshot_reclaim {
	double t_s;		/* of the first */
	const char *kind;
	int64_t bytes;		/* -1: not known */
	uint32_t pid;
	const char *detail;
};

/* The pid is 0 in the account of all. */
struct snapshot_account { const char *kind; int64_t bytes; uint32_t pid; };

/* X(name): of a process, and of all together; bytes, -1 where the kernel does not tell. */
#define PROCESS_FIGURES(X)						\
	X(rss_bytes)							\
	X(pss_bytes)							\
	X(anon_bytes)							\
	X(file_bytes)							\
	X(shmem_bytes)							\
	X(swap_bytes)							\
	X(page_tables_bytes)						\
	X(trimmable_bytes)	/* of RSS: what malloc_trim() would give back */ \
	X(adjusted_bytes)	/* taken off the heap's lines, which grew meanwhile */

struct snapshot_process {
	uint32_t pid;
#define X(name) int64_t name;
	PROCESS_FIGURES(X)
#undef X
};

/* The confidence from which on growth of memory is taken for more than chance. */
#define GROWTH_SURE 0.99

struct snapshot_memory {
#define X(name) int64_t name;
	PROCESS_FIGURES(X)
#undef X
	/* What is met first, and what counts against it now; -1: none. */
	int64_t limit_bytes, limit_used_bytes;
	const char *limit_kind;		/* "cgroup", "rlimit_as", "rlimit_data", "machine" */
	/* Of RSS, as it moves now; the confidence, 0 to 1, that it is no chance. */
	double growth_bytes_per_s, growth_confidence;
	double live_growth_bytes_per_s, live_growth_confidence;	/* the same of live bytes */
	double seconds_to_limit;	/* < 0: not foreseeable, or no growth */
};

/*
 * The heap that was there before heapsonde came, by a census at attach; bytes are
 * of whole chunks. Only processes with glibc's heap have one.
 */
struct snapshot_census {
	uint32_t pid;
	double t_s;
	int64_t older_count, older_bytes;	/* in use, and not allocated under the watch */
	int64_t in_use_count, in_use_bytes;	/* in heaps */
	int64_t mapped_count, mapped_bytes;	/* in use, in mappings of their own */
	int64_t free_count, free_bytes;		/* in bins */
	int64_t cached_count, cached_bytes;	/* freed, in caches and fast bins */
	int64_t top_bytes;
	int64_t heaps, unfinished_heaps;	/* those that changed too fast to be walked */
	int64_t retries;
};

/* Of the same, chunks of up to that many bytes, and more than half of it. */
struct snapshot_census_class {
	uint32_t pid;
	int64_t max_bytes;
	int64_t in_use_count, in_use_bytes, free_count, free_bytes;
};

/* A memory cgroup that targets live in; -1: not told, or no limit (capture/ledger/cgroup.h). */
struct snapshot_cgroup {
	const char *path;
	uint32_t version;
	int64_t usage_bytes, reclaimable_bytes, limit_bytes, high_bytes;
	int64_t limit_events, high_events, oom_events, oom_kills;
	const char *pressure_of;	/* "cgroup", "machine"; NULL: not told */
	double some_avg10, full_avg10;
	int64_t some_us, full_us;
};

/* From when on it was seen how; a word of --mode. */
struct snapshot_level { double t_s; const char *level; };

/* A moment that somebody gave a name: by key, by signal or by heapsonde mark. */
struct snapshot_mark { double t_s; const char *name; };

/*
 * A call path whose allocations were all traced beside windows: its births since then
 * are exact, how many of them live is found out as of all others.
 */
struct snapshot_focus {
	const char *stack;		/* its id, in hexadecimal */
	uint32_t pid;
	double since_s, until_s;	/* until_s -1: it still is */
	const char *why;		/* it is no longer; NULL: it is */
	int64_t alloc_count, alloc_bytes;
};

struct snapshot_sample {
	double t_s;
	int64_t live_bytes, rss_bytes, alloc_bytes, free_bytes;
};

/* Stacks by how their walk ended. */
struct snapshot_unwind {
	int64_t complete, truncated, guessed, failed;
	int64_t unreadable_files;	/* whose readers failed, or that had too much to be read */
};

/* Of evidence: what windows saw since then is added, and as uncertain as they are. */
#define EVIDENCE_OLD_WALK "heap walk some seconds ago"

/* How good estimates from windows are; see model/windows.h. */
struct snapshot_windows {
	double since_s;			/* from when on; all was recorded before */
	int64_t windows, truncated;	/* truncated: shut early, to keep the budget */
	double window_s, period_s;	/* as they are now */
	double covered_share;		/* of the time, by windows */
	int64_t outside_hits;		/* of probes, while they were set and no window was open */
	int64_t samples, controls;	/* followed now */
	double ghost_share;		/* of the samples: dead, and nobody has noticed */
	double ghost_s;			/* how long that lasts on average */
	int64_t detectable_count;	/* a stack that kept more blocks would have been seen */
	int64_t held_bytes, older_bytes;	/* chunks in use; of these, from before */
	int64_t unattributed_bytes;	/* held, of no stack that was seen */
	int64_t told_above_bytes;	/* each larger request is told, or was lately; 0: none is */
	const char *evidence;		/* what estimates rest on; NULL: there were no windows */
};

struct snapshot_cost {
	int64_t probe_hits;
	double probe_ns_per_hit;	/* < 0: not measured */
	double target_cpu_share;	/* of the target's CPU time; < 0: not measured */
	/* The kernel's ledger: events that it saw, and system calls that it made slower. */
	int64_t ledger_hits, slowed_calls;
	double ledger_ns_per_hit, ns_per_slowed_call;	/* < 0: not measured */
	double own_cpu_s;
	int64_t own_rss_bytes;
	/* The most that heapsonde took for itself alone, and its limit; 0: not known. */
	int64_t own_memory_bytes, memory_limit_bytes;
	/* Looks at samples while a Go target's world was stopped, and how long they took. */
	int64_t gc_looks, gc_look_ns, gc_look_max_ns;
};

DEFINE_VEC(snapshot_stack_vec, struct snapshot_stack);
DEFINE_VEC(snapshot_share_vec, struct snapshot_share);
DEFINE_VEC(snapshot_thread_vec, struct snapshot_thread);
DEFINE_VEC(snapshot_target_vec, struct snapshot_target);
DEFINE_VEC(snapshot_reclaim_vec, struct snapshot_reclaim);
DEFINE_VEC(snapshot_account_vec, struct snapshot_account);
DEFINE_VEC(snapshot_process_vec, struct snapshot_process);
DEFINE_VEC(snapshot_census_vec, struct snapshot_census);
DEFINE_VEC(snapshot_census_class_vec, struct snapshot_census_class);
DEFINE_VEC(snapshot_cgroup_vec, struct snapshot_cgroup);
DEFINE_VEC(snapshot_sample_vec, struct snapshot_sample);
DEFINE_VEC(snapshot_mark_vec, struct snapshot_mark);
DEFINE_VEC(snapshot_level_vec, struct snapshot_level);
DEFINE_VEC(snapshot_focus_vec, struct snapshot_focus);
DEFINE_VEC(runtime_size_vec, struct runtime_size);

struct strpool;

struct snapshot {
	atomic_uint refs;
	struct strpool *strings;
	struct frame_store *store;	/* of the stacks' shared_frames; NULL: there are none */
	struct snapshot *origin;	/* whose frames and strings are pointed at; NULL: none */
	const char *version;		/* of the heapsonde that watched */
	double duration_s;		/* since attach */
	const char *mode, *stack_mode;
	int64_t sample_bytes;		/* -1 when exact */
	struct snapshot_target_vec targets;
	struct snapshot_totals totals;
	struct snapshot_loss loss;
	struct snapshot_stack_vec stacks;
	struct frame_vec frames;
	struct snapshot_share_vec shares;	/* empty where they are not known */
	struct snapshot_thread_vec threads;	/* the same */
	bool threads_full;			/* later ones are all threads[0] */
	bool shares_full;			/* new ones are of any thread and size */
	struct snapshot_reclaim_vec reclaim;
	struct snapshot_memory memory;
	struct snapshot_runtime runtime;
	struct runtime_size_vec sizes;		/* of the runtime's small objects, ascending */
	struct snapshot_account_vec account;	/* adds up to rss_bytes */
	struct snapshot_process_vec processes;	/* those that memory is the sum of */
	struct snapshot_account_vec process_account;	/* of each, in their order */
	struct snapshot_cgroup_vec cgroups;
	struct snapshot_census_vec census;
	struct snapshot_census_class_vec census_classes;	/* of each, in their order */
	struct snapshot_sample_vec timeline;
	struct snapshot_mark_vec marks;		/* in the order of time */
	struct snapshot_level_vec levels;	/* the same; the first is of the beginning */
	struct snapshot_focus_vec focus;	/* of the windows that windows tells of */
	struct snapshot_unwind unwind;
	struct snapshot_windows windows;
	struct snapshot_cost cost;
};

/* With one reference, the caller's. */
struct snapshot *snapshot_create(void);
struct snapshot *snapshot_ref(struct snapshot *snap);
/* Drops one reference; the last one frees all of it. */
void snapshot_destroy(struct snapshot *snap);
DEFINE_CLEANUP(struct snapshot *, snapshot_destroy);

/*
 * A snapshot like @origin but without stacks. It keeps a reference: stacks that
 * are added may point at frames and strings of @origin.
 */
struct snapshot *snapshot_derive(struct snapshot *origin);

/* A copy of @s that lives as long as the snapshot; NULL stays NULL. */
const char *snapshot_string(struct snapshot *snap, const char *s);

/* Largest first, by the metric of that name (one of METRICS); stable. */
void snapshot_sort(struct snapshot *snap, const char *metric);

/*
 * What the heap of C holds beside that of a runtime: blocks, and what the allocator
 * keeps of freed ones; 0 where it is not known.
 */
int64_t snapshot_c_heap_bytes(const struct snapshot *snap);

/* Of the level that sees no allocations. */
bool snapshot_is_growth(const struct snapshot *snap);
/*
 * What stands for @metric there: of live bytes nothing is known, what is resident
 * is the next best. @metric itself at all other levels.
 */
const char *snapshot_metric(const struct snapshot *snap, const char *metric);

/* One with the rows of allocations alone. The caller's. */
struct snapshot *snapshot_without_growth(const struct snapshot *snap);

/* Whether all allocations of the call path are traced, at that moment. */
bool snapshot_in_focus(const struct snapshot *snap, const struct snapshot_stack *stack);
/* Of how many that is so. */
size_t snapshot_focused(const struct snapshot *snap);

/* Rows of the kernel's ledger are shown beside allocations only if asked for. */
static inline bool snapshot_shows(const struct snapshot *snap, const struct snapshot_stack *stack)
{
	return stack->kind != MEMORY_GROWTH || snapshot_is_growth(snap);
}

static inline const struct frame *
snapshot_frames(const struct snapshot *snap, const struct snapshot_stack *stack)
{
	return stack->shared_frames ? stack->shared_frames : snap->frames.data + stack->frame_first;
}

/* The type of what the call path allocates; NULL if unknown. */
static inline const char *
snapshot_stack_type(const struct snapshot *snap, const struct snapshot_stack *stack)
{
	return stack->frame_count ? snapshot_frames(snap, stack)->type : NULL;
}

/* The metric named @name as a number, or false if there is no such metric. */
bool metrics_get(const struct metrics *m, const char *name, double *ret);
/* "live_bytes, live_count, …" for messages. */
const char *metrics_names(void);

#endif
