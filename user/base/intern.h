/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers for things: equal keys of one fixed size get the same number, new
 * ones the next, from 0. Keys are compared as bytes, so they must have no
 * padding, and strings in them must be pointers into one strpool.
 */
#ifndef HEAPSONDE_BASE_INTERN_H
#define HEAPSONDE_BASE_INTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct intern {
	size_t key_size;	/* a multiple of 8 */
	char *keys;
	size_t len, cap;
	uint32_t *slots;	/* number + 1; 0 is free */
	size_t slots_count;	/* a power of two */
};

void intern_init(struct intern *in, size_t key_size);
void intern_deinit(struct intern *in);

/* @is_new (may be NULL): whether the key was unknown until now. */
size_t intern_put(struct intern *in, const void *key, bool *is_new);

#endif
