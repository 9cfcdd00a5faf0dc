// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Interned strings: text lies in chunks that never move, an open-addressing
 * table of pointers finds it again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strpool.h"

#define CHUNK_BYTES 16384
#define BITS_MIN 6

struct chunk {
	struct chunk *next;
	char text[];
};

struct entry {
	const char *s;		/* NULL: empty */
	uint64_t hash;
};

struct strpool {
	struct chunk *chunks;	/* newest first */
	char *free;		/* the rest of the newest ordinary chunk */
	size_t free_len;
	struct entry *entries;
	size_t len;
	unsigned int bits;	/* 1 << bits entries */
};

struct strpool *strpool_create(void)
{
	struct strpool *pool = xcalloc(1, sizeof(*pool));

	pool->bits = BITS_MIN;
	pool->entries = xcalloc((size_t)1 << pool->bits, sizeof(*pool->entries));
	return pool;
}

void strpool_destroy(struct strpool *pool)
{
	if (!pool)
		return;
	while (pool->chunks) {
		struct chunk *next = pool->chunks->next;

		free(pool->chunks);
		pool->chunks = next;
	}
	free(pool->entries);
	free(pool);
}

/* FNV-1a, spread once more because its high bits are weak on short text. */
static uint64_t hash_text(const char *s, size_t len)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)s[i]) * 0x100000001b3u;
	return hash * 0x9e3779b97f4a7c15u;
}

/* The entry of that text, or the empty one where it belongs. */
static struct entry *find(const struct strpool *pool, const char *s, uint64_t hash)
{
	size_t mask = ((size_t)1 << pool->bits) - 1, i = hash >> (64 - pool->bits);

	for (;; i = (i + 1) & mask) {
		struct entry *e = &pool->entries[i];

		if (!e->s || (e->hash == hash && !strcmp(e->s, s)))
			return e;
	}
}

static void grow(struct strpool *pool)
{
	size_t old_len = (size_t)1 << pool->bits;
	struct entry *old = pool->entries;

	pool->bits++;
	pool->entries = xcalloc(2 * old_len, sizeof(*old));
	for (size_t i = 0; i < old_len; i++) {
		if (old[i].s)
			*find(pool, old[i].s, old[i].hash) = old[i];
	}
	free(old);
}

static char *add_chunk(struct strpool *pool, size_t bytes)
{
	struct chunk *chunk = xmalloc(sizeof(*chunk) + bytes);

	chunk->next = pool->chunks;
	pool->chunks = chunk;
	return chunk->text;
}

/* Room for @bytes; long texts get a chunk of their own. */
static char *reserve(struct strpool *pool, size_t bytes)
{
	char *text;

	if (bytes > CHUNK_BYTES / 4)
		return add_chunk(pool, bytes);
	if (bytes > pool->free_len) {
		pool->free = add_chunk(pool, CHUNK_BYTES);
		pool->free_len = CHUNK_BYTES;
	}
	text = pool->free;
	pool->free += bytes;
	pool->free_len -= bytes;
	return text;
}

const char *strpool_intern(struct strpool *pool, const char *s)
{
	size_t len = strlen(s);
	uint64_t hash = hash_text(s, len);
	struct entry *e = find(pool, s, hash);

	if (e->s)
		return e->s;
	if (pool->len >= ((size_t)1 << pool->bits) / 2) {
		grow(pool);
		e = find(pool, s, hash);
	}
	pool->len++;
	*e = (struct entry){ memcpy(reserve(pool, len + 1), s, len + 1), hash };
	return e->s;
}
