/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stack table: 64-bit stack id -> index, and the frames, which come once
 * in a record of their own (perhaps never: the record may be lost). Frames
 * lie in chunks that never move, so pointers to them stay.
 */
#ifndef HEAPSONDE_MODEL_STACKS_H
#define HEAPSONDE_MODEL_STACKS_H

#include <stdint.h>

#include "base/vec.h"
#include "model/map64.h"

/* Bounds on our own memory; a program has some ten thousand stacks. */
#define STACKS_MAX (2u << 20)
#define STACKS_PCS_MAX (32u << 20)	/* 256 MiB of frames */

struct stack {
	uint64_t id;
	const uint64_t *pcs;	/* leaf first; NULL until they come */
	uint32_t count;
	uint32_t status;	/* enum unwind_status; UNWIND_LOST until they come */
	uint32_t same_as;	/* index of the stack that this one turned out to be; or 0 */
};

DEFINE_VEC(stack_vec, struct stack);
DEFINE_VEC(stack_chunk_vec, uint64_t *);

struct stacks {
	struct map64 index;
	struct stack_vec list;		/* [0] stands for none */
	struct stack_chunk_vec chunks;
	uint32_t chunk_used;		/* pcs, of the last chunk */
	uint32_t pcs_total;
	uint32_t renamed;		/* stacks that turned out to be others */
};

void stacks_init(struct stacks *stacks);
void stacks_deinit(struct stacks *stacks);

/* The index of the stack, entered if new; 0 if there are too many. */
uint32_t stacks_intern(struct stacks *stacks, uint64_t id);
/* The stack known as @id is @real. */
void stacks_rename(struct stacks *stacks, uint64_t id, uint64_t real);
/* The index of the stack that stack @i is. */
uint32_t stacks_real(const struct stacks *stacks, uint32_t i);
/* Gives a stack its frames, unless it has them; @pcs need not be aligned. */
void stacks_set_frames(struct stacks *stacks, uint64_t id, const void *pcs, uint32_t count,
		       uint32_t status);

#endif
