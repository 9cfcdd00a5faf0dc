/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which live blocks belong to which pool, arena or memory context: all of them
 * end when it is cleared. A zeroed struct has none. Costs nothing where no
 * allocator with pools is watched.
 */
#ifndef HEAPSONDE_MODEL_POOLS_H
#define HEAPSONDE_MODEL_POOLS_H

#include <stdint.h>

#include "base/vec.h"
#include "model/map64.h"

DEFINE_VEC(addr_vec, uint64_t);

struct pool {
	uint64_t address;
	struct addr_vec blocks;		/* also some that have left since */
	size_t live;			/* how many have not */
};

DEFINE_VEC(pool_vec, struct pool);

struct pools {
	struct map64 by_address;	/* of a pool -> index + 1 */
	struct map64 by_block;		/* block -> index of its pool + 1 */
	struct pool_vec list;
};

void pools_deinit(struct pools *pools);
/* The block at @block is @pool's from now on, and nobody else's. */
void pools_add(struct pools *pools, uint64_t pool, uint64_t block);
/* The block has ended by itself. The pool it was of, or 0. */
uint64_t pools_remove(struct pools *pools, uint64_t block);
/* Empties @pool, calling fn(arg, block) for each that is still in it. */
void pools_clear(struct pools *pools, uint64_t pool, void (*fn)(void *arg, uint64_t block),
		 void *arg);

#endif
