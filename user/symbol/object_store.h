/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Objects that several address spaces share, so that a file which a hundred
 * processes map is opened once and its symbols are read once.
 */
#ifndef HEAPSONDE_SYMBOL_OBJECT_STORE_H
#define HEAPSONDE_SYMBOL_OBJECT_STORE_H

#include "base/cleanup.h"
#include "base/error.h"

struct object;
struct object_store;

struct object_store *object_store_create(void);
/* Objects live on as long as somebody else holds them. */
void object_store_destroy(struct object_store *store);
DEFINE_CLEANUP(struct object_store *, object_store_destroy);

/*
 * As object_create() and object_set_root(), which see; but what @store has of
 * the same file, unchanged, by the same name and below the same root, is given
 * again. A vDSO is the same if its build id is. @store may be NULL. The
 * caller gives its reference back with object_destroy().
 */
struct error *object_store_open(struct object_store *store, int fd, const char *path,
				int root_fd, struct object **ret) __must_check;

#endif
