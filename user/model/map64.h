/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hash map from any 64-bit key to a nonzero 32-bit value, usually an index
 * into an array: open addressing, linear probing, deletion by shifting back,
 * so that no tombstones gather. A zeroed struct is an empty map.
 */
#ifndef HEAPSONDE_MODEL_MAP64_H
#define HEAPSONDE_MODEL_MAP64_H

#include <stddef.h>
#include <stdint.h>

struct map64_slot {
	uint64_t key;
	uint32_t value;		/* 0: the slot is empty */
};

struct map64 {
	struct map64_slot *slots;
	size_t len;
	unsigned int bits;	/* 1 << bits slots, when there are any */
};

void map64_deinit(struct map64 *map);
/* @value is not 0. Replaces what the key had. */
void map64_set(struct map64 *map, uint64_t key, uint32_t value);
/* Does nothing if the key is not there. */
void map64_remove(struct map64 *map, uint64_t key);

static inline size_t map64_home(const struct map64 *map, uint64_t key)
{
	return ((key ^ key >> 29) * 0x9e3779b97f4a7c15u) >> (64 - map->bits);
}

/* The key's value, or 0. */
static inline uint32_t map64_get(const struct map64 *map, uint64_t key)
{
	size_t mask = ((size_t)1 << map->bits) - 1;

	if (!map->slots)
		return 0;
	for (size_t i = map64_home(map, key);; i = (i + 1) & mask) {
		const struct map64_slot *slot = &map->slots[i];

		if (!slot->value || slot->key == key)
			return slot->value;
	}
}

static inline size_t map64_bytes(const struct map64 *map)
{
	return map->slots ? sizeof(*map->slots) << map->bits : 0;
}

static inline __attribute__((always_inline))
void map64_prefetch(const struct map64 *map, uint64_t key)
{
	if (map->slots)
		__builtin_prefetch(&map->slots[map64_home(map, key)]);
}

/* Visits the slots in use, in no order; the map must not change meanwhile. */
#define map64_for_each(slot, map)					\
	for (const struct map64_slot *slot = (map)->slots;		\
	     slot && slot < (map)->slots + ((size_t)1 << (map)->bits); slot++) \
		if (slot->value)

#endif
