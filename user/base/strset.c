// SPDX-License-Identifier: GPL-2.0-or-later
/* A set of strings; see strset.h. */
#include "base/strset.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* FNV-1a */
static uint32_t hash(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h;
}

/* Where @s is, or the empty slot where it would be. */
static const char **slot_of(const struct strset *set, const char *s)
{
	size_t i = hash(s) & (set->cap - 1);

	while (set->slots[i] && strcmp(set->slots[i], s))
		i = (i + 1) & (set->cap - 1);
	return &set->slots[i];
}

static void grow(struct strset *set)
{
	struct strset old = *set;

	set->cap = old.cap ? old.cap * 2 : 64;
	set->slots = xcalloc(set->cap, sizeof(*set->slots));
	for (size_t i = 0; i < old.cap; i++)
		if (old.slots[i])
			*slot_of(set, old.slots[i]) = old.slots[i];
	free(old.slots);
}

void strset_deinit(struct strset *set)
{
	free(set->slots);
	*set = (struct strset){ 0 };
}

void strset_add(struct strset *set, const char *s)
{
	const char **slot;

	if (set->len * 2 >= set->cap)
		grow(set);
	slot = slot_of(set, s);
	set->len += !*slot;
	*slot = s;
}

bool strset_has(const struct strset *set, const char *s)
{
	return set->cap && *slot_of(set, s);
}
