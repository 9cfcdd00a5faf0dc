// SPDX-License-Identifier: GPL-2.0-or-later
/* Numbers for things, by open addressing; see intern.h. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/intern.h"

void intern_init(struct intern *in, size_t key_size)
{
	*in = (struct intern){ .key_size = key_size };
}

void intern_deinit(struct intern *in)
{
	free(in->keys);
	free(in->slots);
	*in = (struct intern){ 0 };
}

static uint64_t hash(const struct intern *in, const char *key)
{
	uint64_t h = in->key_size;

	for (size_t i = 0; i < in->key_size; i += 8) {
		uint64_t word;

		memcpy(&word, key + i, 8);
		h = (h ^ word) * 0x9e3779b97f4a7c15;
		h ^= h >> 32;
	}
	return h;
}

/* The slot that holds @key, or the free one where it belongs. */
static uint32_t *find_slot(const struct intern *in, const char *key)
{
	size_t mask = in->slots_count - 1;

	for (size_t i = hash(in, key) & mask;; i = (i + 1) & mask) {
		uint32_t slot = in->slots[i];

		if (!slot || !memcmp(in->keys + (slot - 1) * in->key_size, key, in->key_size))
			return &in->slots[i];
	}
}

static void rehash(struct intern *in)
{
	free(in->slots);
	in->slots_count = in->slots_count ? in->slots_count * 2 : 1024;
	in->slots = xcalloc(in->slots_count, sizeof(*in->slots));
	for (size_t i = 0; i < in->len; i++)
		*find_slot(in, in->keys + i * in->key_size) = i + 1;
}

size_t intern_put(struct intern *in, const void *key, bool *is_new)
{
	uint32_t *slot;

	if (in->len * 2 >= in->slots_count)
		rehash(in);
	slot = find_slot(in, key);
	if (is_new)
		*is_new = !*slot;
	if (*slot)
		return *slot - 1;
	if (in->len == in->cap) {
		in->cap = in->cap ? in->cap * 2 : 256;
		in->keys = xreallocarray(in->keys, in->cap, in->key_size);
	}
	memcpy(in->keys + in->len * in->key_size, key, in->key_size);
	*slot = ++in->len;
	return in->len - 1;
}
