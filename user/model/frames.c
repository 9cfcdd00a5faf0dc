// SPDX-License-Identifier: GPL-2.0-or-later
/* Shared frames, in chunks that never move; see frames.h. */
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strpool.h"
#include "model/frames.h"
#include "model/snapshot.h"

#define CHUNK_FRAMES 4096

struct chunk {
	struct chunk *next;
	uint32_t used, size;
	struct frame frames[];
};

struct frame_store {
	atomic_uint refs;
	struct chunk *chunks;	/* newest first */
	struct strpool *strings;
};

struct frame_store *frame_store_create(void)
{
	struct frame_store *store = xcalloc(1, sizeof(*store));

	atomic_init(&store->refs, 1);
	store->strings = strpool_create();
	return store;
}

struct frame_store *frame_store_ref(struct frame_store *store)
{
	if (store)
		atomic_fetch_add(&store->refs, 1);
	return store;
}

void frame_store_destroy(struct frame_store *store)
{
	if (!store || atomic_fetch_sub(&store->refs, 1) > 1)
		return;
	while (store->chunks) {
		struct chunk *next = store->chunks->next;

		free(store->chunks);
		store->chunks = next;
	}
	strpool_destroy(store->strings);
	free(store);
}

struct strpool *frame_store_strings(struct frame_store *store)
{
	return store->strings;
}

static struct chunk *chunk_with_room(struct frame_store *store, uint32_t count)
{
	struct chunk *chunk = store->chunks;
	uint32_t size = count > CHUNK_FRAMES ? count : CHUNK_FRAMES;

	if (chunk && chunk->size - chunk->used >= count)
		return chunk;
	chunk = xmalloc(sizeof(*chunk) + size * sizeof(chunk->frames[0]));
	chunk->used = 0;
	chunk->size = size;
	chunk->next = store->chunks;
	store->chunks = chunk;
	return chunk;
}

const struct frame *frame_store_add(struct frame_store *store, const struct frame *frames,
				    uint32_t count)
{
	struct chunk *chunk = chunk_with_room(store, count);
	struct frame *to = &chunk->frames[chunk->used];

	if (count)
		memcpy(to, frames, count * sizeof(*frames));
	chunk->used += count;
	return to;
}
