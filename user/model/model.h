/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The model's inside, shared by its own files only:
 *
 *	model.c		records in: checks, queue, images, dispatch
 *	heap.c		what allocations, frees and reallocations do
 *	mapping.c	what maps and unmaps do
 *	residence.c	what the kernel sees of it
 *	rows.c		metrics out
 */
#ifndef HEAPSONDE_MODEL_MODEL_H
#define HEAPSONDE_MODEL_MODEL_H

#include "model/aggregate.h"
#include "model/blocks.h"
#include "model/growth.h"
#include "model/residence.h"
#include "model/pools.h"
#include "model/reclaim.h"
#include "model/regions.h"
#include "model/sink.h"
#include "model/stacks.h"
#include "model/threads.h"

#define IMAGES_MAX (1u << 20)
_Static_assert(IMAGES_MAX <= 1u << 29, "struct agg_path's image");

/* Records wait here while the memory that they will touch is fetched. */
#define QUEUE_LEN 16

union record {
	struct ev_header h;
	struct ev_alloc alloc;
	struct ev_free free;
	struct ev_pairs pairs;
	struct ev_realloc realloc;
	struct ev_pool pool;
	struct ev_map map;
	struct ev_memory memory;
	struct ev_touch touch;
	struct ev_reclaim reclaim;
	struct ev_process process;
};
_Static_assert(sizeof(union record) == 64, "a queued record is one cache line");

/* The oldest live block of a row whose image has ended. */
struct row_birth {
	uint32_t row;
	uint64_t birth_ns;
};

DEFINE_VEC(row_birth_vec, struct row_birth);

/*
 * One program image, beside its public struct model_image. When it ends, the
 * tables go and only what rows need remains.
 */
struct image {
	uint32_t number;
	struct blocks blocks;
	struct regions regions;
	struct threads threads;
	struct pools pools;
	struct map64 reported;			/* addresses of blocks that the program told of */
	struct residence residence;
	uint32_t parent;			/* tgid; 0: none, or its memory is known */
	struct map64 paths[MEMORY_KINDS_COUNT];	/* stack id -> path */
	struct map64 rows[MEMORY_KINDS_COUNT];	/* origin_key() -> row */
	struct map64 thread_numbers;		/* tid -> index in model->thread_list */
	uint64_t ended_ns;
	uint64_t ended_seq;			/* agg.peak_seq then */
	struct row_birth_vec oldest;
};

DEFINE_VEC(mapped_vec, int64_t);

DEFINE_VEC(image_info_vec, struct model_image);
DEFINE_VEC(image_vec, struct image *);

struct model {
	union record queue[QUEUE_LEN];
	unsigned int queue_first, queue_len;

	struct image_info_vec infos;
	struct image_vec images;	/* as infos */
	struct map64 by_tgid;		/* tgid -> number of its newest image + 1 */
	struct image *recent;		/* one that has not ended, and its tgid */
	uint32_t recent_tgid;

	struct agg agg;
	struct model_thread_vec thread_list;	/* [0]: all that are not told apart */
	struct stacks stacks;
	struct growth growth;
	struct reclaim_log reclaims;
	struct agg touched;		/* the ledger's rows: what was touched, and is resident */
	struct growth touched_growth;
	struct mapped_vec mapped;	/* bytes mapped, by row of touched */
	struct region_cut_vec cuts;	/* scratch */
	struct model_totals counts;	/* all but the metrics */
	uint64_t lost;			/* records, by model_note_loss() */
	uint64_t draws;			/* state of heap.c's random numbers */
	int64_t room_bytes;		/* for what is new; see model_set_room() */

	/* A birth is the number of an epoch of 1 << epoch_shift ns since start_ns. */
	uint64_t start_ns;
	unsigned int epoch_shift;
	bool started;
};

/* Dispatches what waits in the queue; whoever reads the model does so first. */
void model_drain(struct model *model);

/* The image of @tgid that has not ended, or NULL. */
struct image *model_running_image(struct model *model, uint32_t tgid);
/* The same, begun if there is none; NULL if there are too many. */
struct image *model_image_of(struct model *model, uint32_t tgid);

/* Who asked for memory: all that decides which row it belongs to, beside its kind. */
struct origin {
	uint64_t stack_id;
	uint32_t tid;
	unsigned int size_class;
};

/* Stack ids are hashes; so is this. Another thread or size is another key. */
static inline uint64_t origin_key(const struct origin *origin)
{
	return origin->stack_id ^
	       ((uint64_t)origin->tid << 8 | (origin->size_class + 1)) * 0x9e3779b97f4a7c15u;
}

static inline struct origin origin_of(const struct ev_alloc *ev)
{
	return (struct origin){ ev->stack_id, ev->h.tid, size_class(ev->size) };
}

/* What one costs, on the safe side: with its part of tables, of growth and of names. */
#define ROOM_OF_BLOCK 32
#define ROOM_OF_ROW 4096

/* False if there is no room left for so much. */
static inline bool model_take_room(struct model *model, int64_t bytes)
{
	if (model->room_bytes < bytes)
		return false;
	model->room_bytes -= bytes;
	return true;
}

/* The row of that origin, or 0 if there are too many. */
uint32_t model_row_of(struct model *model, struct image *image, const struct origin *origin,
		      enum memory_kind kind);

/* The number of the epoch that @time_ns is in; makes epochs longer if they have run out. */
uint16_t model_birth(struct model *model, uint64_t time_ns);

static inline uint64_t model_birth_ns(const struct model *model, uint16_t birth)
{
	return model->start_ns + ((uint64_t)birth << model->epoch_shift);
}

/*
 * Calls fn(arg, row, birth_ns) for the oldest block of each row of a running
 * image, and more often than once for some.
 */
void image_each_oldest(const struct model *model, struct image *image,
		       void (*fn)(void *arg, uint32_t row, uint64_t birth_ns), void *arg);

void heap_on_alloc(struct model *model, struct image *image, const struct ev_alloc *ev);
void heap_on_free(struct model *model, struct image *image, const struct ev_free *ev);
/* The births of blocks told a moment later, and pairs of births and frees. */
void heap_on_held(struct model *model, struct image *image, const struct ev_alloc *ev);
void heap_on_held_later(struct model *model, struct image *image, const struct ev_alloc *ev);
void heap_on_pairs(struct model *model, struct image *image, const struct ev_pairs *ev);
/* The free of a block that is not its thread's last allocation. */
void heap_on_free_later(struct model *model, struct image *image, const struct ev_free *ev);
/* ... whose thread has just freed one there, of which nothing was told. */
void heap_on_free_again(struct model *model, struct image *image, const struct ev_free *ev);
/* The program itself tells of a block that it sampled, and of its end. */
void heap_on_report_alloc(struct model *model, struct image *image, const struct ev_alloc *ev);
void heap_on_report_free(struct model *model, struct image *image, const struct ev_free *ev);
void heap_on_realloc_begin_later(struct model *model, struct image *image,
				 const struct ev_free *ev);
void heap_on_realloc_begin(struct model *model, struct image *image, const struct ev_free *ev);
void heap_on_pool_add(struct model *model, struct image *image, const struct ev_pool *ev);
void heap_on_pool_clear(struct model *model, struct image *image, const struct ev_pool *ev);
void heap_on_realloc(struct model *model, struct image *image, const struct ev_realloc *ev);

void mapping_on_map(struct model *model, struct image *image, const struct ev_map *ev);
void mapping_on_unmap(struct model *model, struct image *image, const struct ev_map *ev);

#endif
