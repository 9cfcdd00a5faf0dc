// SPDX-License-Identifier: GPL-2.0-or-later
/* Blocks of pools; see pools.h. */
#include "model/pools.h"

#define COMPACT_FROM 64		/* blocks in a list before it is looked through */

void pools_deinit(struct pools *pools)
{
	vec_for_each(pool, &pools->list)
		addr_vec_deinit(&pool->blocks);
	pool_vec_deinit(&pools->list);
	map64_deinit(&pools->by_address);
	map64_deinit(&pools->by_block);
}

static uint32_t number_of(struct pools *pools, uint64_t address)
{
	uint32_t number = map64_get(&pools->by_address, address);

	if (number)
		return number;
	pool_vec_push(&pools->list, (struct pool){ .address = address });
	map64_set(&pools->by_address, address, pools->list.len);
	return pools->list.len;
}

/* Drops the blocks that have left; one that left and came back is listed twice. */
static void compact(struct pools *pools, struct pool *pool, uint32_t number)
{
	size_t kept = 0;

	for (size_t i = 0; i < pool->blocks.len; i++) {
		uint64_t block = pool->blocks.data[i];

		if (map64_get(&pools->by_block, block) != number)
			continue;
		map64_remove(&pools->by_block, block);
		pool->blocks.data[kept++] = block;
	}
	pool->blocks.len = kept;
	vec_for_each(block, &pool->blocks)
		map64_set(&pools->by_block, *block, number);
}

void pools_add(struct pools *pools, uint64_t address, uint64_t block)
{
	uint32_t number = number_of(pools, address);
	struct pool *pool = &pools->list.data[number - 1];

	pools_remove(pools, block);
	if (pool->blocks.len >= COMPACT_FROM && pool->blocks.len > 2 * pool->live)
		compact(pools, pool, number);
	addr_vec_push(&pool->blocks, block);
	map64_set(&pools->by_block, block, number);
	pool->live++;
}

uint64_t pools_remove(struct pools *pools, uint64_t block)
{
	uint32_t number = map64_get(&pools->by_block, block);

	if (!number)
		return 0;
	map64_remove(&pools->by_block, block);
	pools->list.data[number - 1].live--;
	return pools->list.data[number - 1].address;
}

void pools_clear(struct pools *pools, uint64_t address, void (*fn)(void *arg, uint64_t block),
		 void *arg)
{
	uint32_t number = map64_get(&pools->by_address, address);
	struct addr_vec blocks;

	if (!number)
		return;
	blocks = pools->list.data[number - 1].blocks;
	pools->list.data[number - 1].blocks = (struct addr_vec){ 0 };
	vec_for_each(block, &blocks) {
		if (map64_get(&pools->by_block, *block) != number)
			continue;
		pools_remove(pools, *block);
		fn(arg, *block);
	}
	addr_vec_deinit(&blocks);
}
