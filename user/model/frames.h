/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Named frames that the snapshots of one source share: a stack is named once
 * and lies where it is from then on, so that a snapshot of 20,000 stacks
 * copies no frame and no name.
 *
 * One thread adds; whoever holds a snapshot reads what that one shows, in any
 * thread. Counted: each snapshot holds a reference.
 */
#ifndef HEAPSONDE_MODEL_FRAMES_H
#define HEAPSONDE_MODEL_FRAMES_H

#include <stdint.h>

#include "base/cleanup.h"

struct frame;
struct strpool;
struct frame_store;

/* With one reference, the caller's. */
struct frame_store *frame_store_create(void);
struct frame_store *frame_store_ref(struct frame_store *store);
/* Drops one reference; the last one frees frames and strings. */
void frame_store_destroy(struct frame_store *store);
DEFINE_CLEANUP(struct frame_store *, frame_store_destroy);

/* Where the strings of added frames must lie. */
struct strpool *frame_store_strings(struct frame_store *store);

/* A copy that stays in place until the store goes. */
const struct frame *frame_store_add(struct frame_store *store, const struct frame *frames,
				    uint32_t count);

#endif
