/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interned strings: equal text is stored once and compares equal by pointer.
 * All strings die with the pool.
 */
#ifndef HEAPSONDE_BASE_STRPOOL_H
#define HEAPSONDE_BASE_STRPOOL_H

#include <stddef.h>

#include "base/cleanup.h"

struct strpool;

struct strpool *strpool_create(void);
void strpool_destroy(struct strpool *pool);
DEFINE_CLEANUP(struct strpool *, strpool_destroy);

/* Never NULL; owned by the pool. */
const char *strpool_intern(struct strpool *pool, const char *s);

#endif
