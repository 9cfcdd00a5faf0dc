/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The aggregate: one row of sums per path, thread and size class, and the peak
 * of their total. A path is an image, a stack and a memory kind; its sums are
 * those of its rows, added up when somebody asks.
 *
 * Every row knows its share of the peak without a copy of all rows at each
 * new maximum: a new maximum only raises peak_seq, and a row saves its live
 * bytes when it first changes after that. Rows that have not changed since
 * still hold their share.
 */
#ifndef HEAPSONDE_MODEL_AGGREGATE_H
#define HEAPSONDE_MODEL_AGGREGATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/vec.h"
#include "model/estimate.h"
#include "model/snapshot.h"

#define AGG_ROWS_MAX (1u << 20)		/* bounds our own memory */
/* From here on new rows are of a path only: of any thread and size. */
#define AGG_DETAILED_ROWS_MAX (1u << 19)

struct agg_row {
	uint64_t alloc_bytes, alloc_count;
	uint64_t free_bytes, free_count;
	uint64_t temporary_count;
	int64_t peak_live;	/* live bytes when the peak of peak_seq was reached */
	uint64_t peak_seq;
	uint32_t path;		/* index */
	uint32_t thread : 24;	/* index, model_threads(); 0: of any */
	uint32_t size_class : 8;	/* size_class(), or SIZE_CLASS_ANY */
};
_Static_assert(sizeof(struct agg_row) == 64, "a row is one cache line");

struct agg_path {
	uint32_t stack;		/* index, model/stacks.h */
	uint32_t image : 29;
	uint32_t kind : 3;	/* enum memory_kind */
};

DEFINE_VEC(agg_path_vec, struct agg_path);

struct agg {
	struct agg_row *rows;	/* [0] stands for none; on cache line boundaries */
	struct spread *spreads;	/* one a row: how far its sums may be from the truth */
	uint32_t len, cap;
	struct agg_path_vec paths;	/* [0] stands for none */
	int64_t live;		/* bytes of all rows whose image has not ended */
	int64_t peak;		/* its highest value ... */
	uint64_t peak_seq;	/* ... which is the peak_seq-th new maximum */
};

void agg_init(struct agg *agg);
void agg_deinit(struct agg *agg);

uint32_t agg_add_path(struct agg *agg, uint32_t stack, uint32_t image, unsigned int kind);
/* A new row's index, or 0 if there are too many. */
uint32_t agg_add_row(struct agg *agg, uint32_t path, uint32_t thread, unsigned int size_class);

static inline int64_t agg_row_live(const struct agg_row *row)
{
	return (int64_t)(row->alloc_bytes - row->free_bytes);
}

static inline struct agg_row *agg_row_before_change(struct agg *agg, uint32_t i)
{
	struct agg_row *row = &agg->rows[i];

	if (row->peak_seq < agg->peak_seq) {
		row->peak_live = agg_row_live(row);
		row->peak_seq = agg->peak_seq;
	}
	return row;
}

static inline void agg_alloc(struct agg *agg, uint32_t i, uint64_t bytes, uint64_t count)
{
	struct agg_row *row = agg_row_before_change(agg, i);

	row->alloc_bytes += bytes;
	row->alloc_count += count;
	agg->live += (int64_t)bytes;
	if (agg->live > agg->peak) {
		agg->peak = agg->live;
		agg->peak_seq++;
	}
}

static inline void agg_free(struct agg *agg, uint32_t i, uint64_t bytes, uint64_t count,
			    uint64_t temporary)
{
	struct agg_row *row = agg_row_before_change(agg, i);

	row->free_bytes += bytes;
	row->free_count += count;
	row->temporary_count += temporary;
	agg->live -= (int64_t)bytes;
}

/* Blocks that have come and gone, one after the other. */
static inline void agg_pass(struct agg *agg, uint32_t i, uint64_t bytes, uint64_t count,
			    uint64_t temporary)
{
	struct agg_row *row = agg_row_before_change(agg, i);

	row->alloc_bytes += bytes;
	row->alloc_count += count;
	row->free_bytes += bytes;
	row->free_count += count;
	row->temporary_count += temporary;
}

/* A live block of the row counts for more or less than it did. */
static inline void agg_reweigh(struct agg *agg, uint32_t i, int64_t bytes, int64_t count)
{
	struct agg_row *row = agg_row_before_change(agg, i);

	row->alloc_bytes += (uint64_t)bytes;
	row->alloc_count += (uint64_t)count;
	agg->live += bytes;
}

/* The row's live bytes at the moment of the peak. */
static inline int64_t agg_row_peak(const struct agg *agg, const struct agg_row *row)
{
	return row->peak_seq == agg->peak_seq ? row->peak_live : agg_row_live(row);
}

#endif
