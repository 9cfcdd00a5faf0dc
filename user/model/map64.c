// SPDX-License-Identifier: GPL-2.0-or-later
/* The small hash maps of the model: stacks, rows, threads; see map64.h. */
#include <stdlib.h>

#include "base/alloc.h"
#include "model/map64.h"

#define BITS_MIN 6		/* 1 KiB, so that chains are short in the small maps too */

void map64_deinit(struct map64 *map)
{
	free(map->slots);
	*map = (struct map64){ 0 };
}

/* The slot that holds the key, or the empty one where it belongs. */
static struct map64_slot *find(const struct map64 *map, uint64_t key)
{
	size_t mask = ((size_t)1 << map->bits) - 1;
	size_t i = map64_home(map, key);

	while (map->slots[i].value && map->slots[i].key != key)
		i = (i + 1) & mask;
	return &map->slots[i];
}

static void grow(struct map64 *map)
{
	struct map64 old = *map;

	map->bits = old.slots ? old.bits + 1 : BITS_MIN;
	map->slots = xcalloc_table((size_t)1 << map->bits, sizeof(*map->slots));
	map64_for_each(slot, &old)
		*find(map, slot->key) = *slot;
	free(old.slots);
}

void map64_set(struct map64 *map, uint64_t key, uint32_t value)
{
	struct map64_slot *slot;

	/* At most five eighths full: chains stay within a cache line or two. */
	if (!map->slots || map->len >= ((size_t)5 << map->bits) / 8)
		grow(map);
	slot = find(map, key);
	map->len += !slot->value;
	*slot = (struct map64_slot){ key, value };
}

void map64_remove(struct map64 *map, uint64_t key)
{
	size_t mask = ((size_t)1 << map->bits) - 1;
	size_t hole, i;

	if (!map->slots)
		return;
	hole = i = (size_t)(find(map, key) - map->slots);
	if (!map->slots[hole].value)
		return;
	for (;;) {
		size_t home;

		i = (i + 1) & mask;
		if (!map->slots[i].value)
			break;
		home = map64_home(map, map->slots[i].key);
		/* Moves back only what may stand in the hole: its home is not behind it. */
		if (((i - home) & mask) >= ((i - hole) & mask)) {
			map->slots[hole] = map->slots[i];
			hole = i;
		}
	}
	map->slots[hole].value = 0;
	map->len--;
}
