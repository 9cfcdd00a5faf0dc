/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event sink: where records of bpf/events.h enter the model, one at a
 * time and in ring order. It knows neither libbpf nor libelf nor curses.
 *
 *	records -> model_feed() -> stacks, live blocks, rows -> model_rows()
 *
 * One model holds all targets. Not thread-safe: the caller locks.
 */
#ifndef HEAPSONDE_MODEL_SINK_H
#define HEAPSONDE_MODEL_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/events.h"
#include "base/cleanup.h"
#include "model/hand_over.h"
#include "model/metrics.h"
#include "model/reclaim.h"
#include "model/snapshot.h"

struct model;

struct model *model_create(void);
void model_destroy(struct model *model);
DEFINE_CLEANUP(struct model *, model_destroy);

/*
 * Takes one record of @size bytes (struct ev_*). A malformed record (unknown
 * kind, too short) is counted and otherwise ignored. EV_EXEC ends the image
 * of its tgid: its rows stay, its blocks are kept as they are, and what comes
 * after belongs to a new image.
 */
void model_feed(struct model *model, const void *record, size_t size);

/*
 * A sampled call path is told of as if every block had been seen: that blocks like
 * @ev may have been missed, samples of which would have stood for @ev->weight.
 */
void model_may_miss(struct model *model, const struct ev_alloc *ev);

/*
 * The stack that allocations have named as @id is the stack @real: their rows
 * become one. For ids that were given before the stack was known.
 */
void model_rename_stack(struct model *model, uint64_t id, uint64_t real);

/*
 * From here on numbers may be inexact: tells the model that @count records
 * were lost, so that an address reused or a free unmatched is judged rightly.
 */
void model_note_loss(struct model *model, uint64_t count);

/* Memory was given back, or taken; any source of events tells it by this. */
void model_reclaim(struct model *model, const struct reclaim_event *event);
/* All of that, in the order of time; borrowed until the model changes. */
size_t model_reclaims(const struct model *model, const struct reclaim_entry **ret);
/* The stack that stack @id turned out to be (model_rename_stack()). */
uint64_t model_real_stack(const struct model *model, uint64_t id);

/* What the program that @tgid runs had mapped before anybody looked. */
struct older_mapping {
	uint64_t start, end;
	bool accessible, file, shared;
	bool is_break;		/* ends at the program break */
};

/* Enters what of it is not known from records yet. */
void model_add_older(struct model *model, uint32_t tgid, const struct older_mapping *mapping);

/*
 * Where the kernel fills a whole block of anonymous memory at its first touch: nowhere, where
 * madvise() asked for it, anywhere (Documentation/admin-guide/mm/transhuge.rst).
 */
enum huge_pages { HUGE_NEVER, HUGE_ADVISED, HUGE_ALWAYS };

void model_set_huge_pages(struct model *model, uint32_t tgid, enum huge_pages when);

/* What of a block of 2 MiB (model/page_set.h) is resident: bit i % 64 of word i / 64 is page i. */
struct page_truth {
	uint64_t resident[8];
	bool huge;		/* the block is one huge page */
};

/* False if nothing can be said. */
typedef bool page_look_fn(void *arg, uint64_t block_start, struct page_truth *ret);

/* Pages of the block that were resident before anybody looked. */
void model_add_older_pages(struct model *model, uint32_t tgid, uint64_t block_start,
			   const uint64_t resident[8]);

/*
 * Compares what is held resident of the program that @tgid runs with the truth,
 * @count blocks from block @from on. Returns where to go on, 0 at the end.
 */
size_t model_check_pages(struct model *model, uint32_t tgid, size_t from, size_t count,
			 page_look_fn *look, void *arg);

/*
 * How much memory may still be taken, until the next word of it. Blocks and rows
 * that find none are not held: untracked_allocs counts them. At first there is
 * no bound.
 */
void model_set_room(struct model *model, int64_t bytes);

/* Images in order of their first event; EV_EXEC adds one. */
struct model_image {
	uint32_t tgid;
	uint32_t generation;	/* 0 for the first of this tgid */
	bool ended;		/* exec or exit */
	int exit_code;		/* as wait(2); valid if exited */
	bool exited;
	char comm[16];		/* the new one's, from EV_EXEC; "" for the first */
};

size_t model_images(const struct model *model, const struct model_image **ret);

/* One row per image, stack and memory kind. */
struct model_row {
	uint32_t image;
	enum memory_kind kind;
	uint64_t stack_id;
	uint32_t status;	/* enum unwind_status; UNWIND_LOST if never seen */
	const uint64_t *pcs;	/* borrowed until model_destroy() */
	uint32_t pc_count;
	struct metrics m;
};

DEFINE_VEC(model_row_vec, struct model_row);

/* What is known of a stack, whatever allocated there: all of @row but image, kind and m. */
void model_describe_stack(struct model *model, uint64_t id, struct model_row *row);
/* The index of the image that @tgid runs now or ran last. */
uint32_t model_image_number(struct model *model, uint32_t tgid);

/*
 * Threads are told apart in the order in which they first ask for memory, and
 * only so many: what all later ones do is of thread 0.
 */
#define MODEL_THREADS_MAX 1024

struct model_thread { uint32_t image, tid; };

DEFINE_VEC(model_thread_vec, struct model_thread);

/* [0] stands for all that are not told apart. */
const struct model_thread_vec *model_threads(const struct model *model);

/*
 * Whether there are so many rows that new ones are of a call path only: of
 * thread 0, and of any size class. Those that were there before go on.
 */
bool model_rows_are_coarse(const struct model *model);

/* The part of a row that one thread asked for, in blocks of one size class. */
struct model_share {
	uint32_t row;		/* index */
	struct snapshot_share share;
};

DEFINE_VEC(model_share_vec, struct model_share);

struct model_totals {
	struct metrics m;		/* growth over the total live bytes */
	int64_t unknown_free_count, failed_alloc_count, ignored_count;
	int64_t settled_by_reuse;	/* blocks whose free was lost: their address came again */
	int64_t malformed;		/* records that made no sense */
	int64_t untracked_pages;	/* touched, and too many to be held */
	int64_t untracked_allocs;	/* allocations known to have happened but not held */
};

/*
 * Marks a moment of the timeline for the robust growth fit (Theil-Sen over at
 * most 24 thinned marks; confidence by the Mann-Kendall test).
 */
void model_mark_time(struct model *model, uint64_t time_ns);

enum model_rows_flags {
	MODEL_OLDEST = 1,	/* fill oldest_live_s: scans all live blocks */
};

/*
 * Appends all rows with their metrics as of now to @rows and fills @totals
 * (either may be NULL). @now_ns is CLOCK_MONOTONIC, for ages.
 */
void model_rows(const struct model *model, uint64_t now_ns, unsigned int flags,
		struct model_row_vec *rows, struct model_totals *totals);
/* The same, and of what shares the rows are the sums, in no order. */
void model_rows_and_shares(const struct model *model, uint64_t now_ns, unsigned int flags,
			   struct model_row_vec *rows, struct model_share_vec *shares,
			   struct model_totals *totals);

/* Blocks that live of the program that @tgid runs now. */
size_t model_live_count(struct model *model, uint32_t tgid);
/* Live bytes of all, without the price of rows. */
int64_t model_live_bytes(const struct model *model);

/*
 * Blocks that live and are known exactly become samples, as if they had been
 * drawn, one each @mean bytes, when they were allocated: those that are not
 * are forgotten, the others stand for them. kept(arg, tgid, addr) is called for
 * every block that stays known, also for those that were samples before.
 */
void model_thin(struct model *model, uint64_t mean,
		void (*kept)(void *arg, uint32_t tgid, uint64_t addr), void *arg);

/* What becomes of the live blocks of a process that the model gives away. */
struct model_heir {
	void (*block)(void *arg, const struct given_block *block);
	/* What the stack had when all live bytes were highest; of one stack perhaps in parts. */
	void (*peak)(void *arg, uint64_t stack_id, int64_t bytes);
	void *arg;
};

/*
 * The blocks of the program that @tgid runs now, and its peak. What has been freed
 * until now stays with the model. Growth begins anew.
 */
void model_hand_over(struct model *model, uint32_t tgid, const struct model_heir *heir);

/*
 * The other way: what the program's stacks have allocated and freed, and their
 * blocks, come in between a beginning and an end; @peak_bytes is of all. Growth
 * begins anew here too.
 */
void model_begin_taking(struct model *model);
void model_take_row(struct model *model, uint32_t tgid, const struct given_row *row);
void model_take_block(struct model *model, uint32_t tgid, const struct given_block *block);
void model_end_taking(struct model *model, double peak_bytes);

/*
 * The bytes that were asked for of the live block at @addr of the program that
 * @tgid runs now; -1 if none is known there.
 */
int64_t model_live_block(struct model *model, uint32_t tgid, uint64_t addr);

/*
 * Calls fn(arg, addr, bytes) for live heap blocks of the program that @tgid runs now,
 * one part of MODEL_PARTS after the other, so that the model may change in between.
 */
#define MODEL_PARTS 64u
void model_each_live_block(struct model *model, uint32_t tgid, unsigned int part,
			   void (*fn)(void *arg, uint64_t addr, uint64_t bytes), void *arg);

/* Bytes held by the live-block tables, for the books and the benchmark. */
size_t model_block_bytes(const struct model *model);

#endif
