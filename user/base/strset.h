/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A set of strings that others own. A zeroed struct is an empty set. */
#ifndef HEAPSONDE_BASE_STRSET_H
#define HEAPSONDE_BASE_STRSET_H

#include <stdbool.h>
#include <stddef.h>

struct strset {
	const char **slots;	/* NULL: empty; open addressing */
	size_t len, cap;	/* cap is 0 or a power of two */
};

void strset_deinit(struct strset *set);
/* @s is borrowed for the life of the set. */
void strset_add(struct strset *set, const char *s);
bool strset_has(const struct strset *set, const char *s);

#endif
