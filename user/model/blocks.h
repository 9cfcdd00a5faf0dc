/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The live-block table of one image: address -> bytes, row, birth. Built for
 * ten million blocks at 16 bytes a slot and a load of 0.57 to 0.8, that is
 * 20 to 28 bytes a block.
 *
 * Addresses keep their low 56 bits: all that a user address has with five
 * levels of page tables (x86-64) or 52 bits (arm64), while arm64's tags in
 * the top byte fall off, so that a block is found by any of its tagged names.
 *
 * A block's birth is the number of an epoch, whose length is the model's
 * affair (model.c); when numbers run out, blocks_coarsen() halves them.
 *
 * Layout: extensible hashing (Fagin et al., 1979) over segments of at most a
 * few ten thousand slots; within a segment, linear probing with all entries
 * in the order of their hash. Nothing is ever rehashed as a whole, growing
 * or splitting a segment is one sequential pass of a millisecond or two, a
 * search ends at the first greater hash, and deletion leaves no tombstone.
 */
#ifndef HEAPSONDE_MODEL_BLOCKS_H
#define HEAPSONDE_MODEL_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/vec.h"
#include "model/estimate.h"
#include "model/map64.h"

/* Rows are numbered from 1 and fit 24 bits. */
#define BLOCK_ROW_MAX ((1u << 24) - 1)

struct block {
	uint64_t bytes;
	uint64_t count;		/* allocations it stands for; 1 unless sampled */
	uint32_t row;		/* 1 to BLOCK_ROW_MAX */
	uint16_t birth;
	struct variance variance;	/* zeros unless sampled */
};

/* What does not fit an entry: 4 GiB and more, or several allocations. */
struct block_extra {
	uint64_t bytes, count;
	struct variance variance;
};

DEFINE_VEC(block_extra_vec, struct block_extra);
DEFINE_VEC(block_index_vec, uint32_t);

struct block_entry {
	uint64_t hash;		/* 56 bits of hashed address | birth's high byte; 0: empty */
	uint64_t rest;		/* 32 bits of bytes | 24 of row | birth's low byte */
};

struct block_segment {
	struct block_entry *slots;	/* cap homes, overflow, one that stays empty */
	uint32_t cap, total;		/* homes; slots without the last */
	uint32_t len;
	uint32_t depth;			/* leading hash bits that all entries share */
};

struct blocks {
	struct block_segment **dir;	/* by the first dir_bits of the hash */
	unsigned int dir_bits;
	size_t len;
	size_t bytes;			/* held by all of it */
	size_t bytes_high;		/* highest since memory was last given back */
	struct map64 extra_index;	/* address -> index + 1 */
	struct block_extra_vec extra;
	struct block_index_vec extra_free;
};

void blocks_init(struct blocks *blocks);
void blocks_deinit(struct blocks *blocks);

/*
 * Enters a block at @addr (not 0). If one was there already, it is replaced,
 * handed back in @old, and the answer is true.
 */
bool blocks_put(struct blocks *blocks, uint64_t addr, const struct block *block,
		struct block *old);
/* Removes the block at @addr; false if there is none. */
bool blocks_take(struct blocks *blocks, uint64_t addr, struct block *ret);
/* Whether there is a block at @addr, and how large. */
bool blocks_find(const struct blocks *blocks, uint64_t addr, uint64_t *bytes_ret);

/* Of a large table, parts of it one after the other, so that it may change in between. */
#define BLOCKS_PART_BITS 6
#define BLOCKS_PARTS (1u << BLOCKS_PART_BITS)

/* Hands out the blocks of @part, below BLOCKS_PARTS; each block is of one part for good. */
void blocks_each(const struct blocks *blocks, unsigned int part,
		 void (*fn)(void *arg, uint64_t addr, uint64_t bytes, uint32_t row), void *arg);

/* Hands out every block, in no order; the table is empty meanwhile, and may be filled anew. */
void blocks_drain(struct blocks *blocks,
		  void (*fn)(void *arg, uint64_t addr, const struct block *block), void *arg);

/* The row of the block at @addr, or 0. */
uint32_t blocks_row(const struct blocks *blocks, uint64_t addr);

/*
 * Asks for the memory that @addr will need, some ten records ahead of it.
 * Always inlined: gcc 12 takes a function that only prefetches for one
 * without effect and drops the call.
 */
static inline __attribute__((always_inline))
void blocks_prefetch(const struct blocks *blocks, uint64_t addr);

/* Lowers oldest[row] to the lowest birth among the row's blocks. */
void blocks_oldest(const struct blocks *blocks, uint16_t *oldest);
/* Shifts all births right by @shift bits. */
void blocks_coarsen(struct blocks *blocks, unsigned int shift);

static inline size_t blocks_bytes(const struct blocks *blocks)
{
	return blocks->bytes + map64_bytes(&blocks->extra_index) +
	       blocks->extra.cap * sizeof(*blocks->extra.data) +
	       blocks->extra_free.cap * sizeof(*blocks->extra_free.data);
}

/*
 * A bijection of the low 56 bits, left-justified: different addresses never
 * collide, so the hash is all that must be stored, and only 0 becomes 0. Two
 * multiplications with the high half folded down between them bring every
 * address bit into the leading bits that choose the place.
 */
static inline uint64_t block_hash(uint64_t addr)
{
	uint64_t x = (addr << 8) * 0x9e3779b97f4a7c15u;

	x ^= x >> 28 & ~0xffull;
	return x * 0xd6e8feb86659fd93u;
}

static inline struct block_segment *
blocks_segment(const struct blocks *blocks, uint64_t hash)
{
	return blocks->dir[hash >> 1 >> (63 - blocks->dir_bits)];
}

/* The address, in its low 56 bits, of that hash. */
static inline uint64_t block_addr(uint64_t hash)
{
	/* Inverses of the multipliers modulo 2^64; a fold by 28 bits is undone in two steps. */
	uint64_t y = (hash & ~0xffull) * 0xcfee444d8b59a89bu, x = y;

	for (int i = 0; i < 2; i++)
		x = y ^ (x >> 28 & ~0xffull);
	return x * 0xf1de83e19937733du >> 8;
}

/* Where the entry stands if nothing pushes it further; monotone in the hash. */
static inline size_t block_home(const struct block_segment *segment, uint64_t hash)
{
	return (hash << segment->depth >> 32) * segment->cap >> 32;
}

static inline __attribute__((always_inline))
void blocks_prefetch(const struct blocks *blocks, uint64_t addr)
{
	uint64_t hash = block_hash(addr);
	const struct block_segment *segment = blocks_segment(blocks, hash);

	if (segment->slots)
		__builtin_prefetch(segment->slots + block_home(segment, hash), 1);
}

#endif
