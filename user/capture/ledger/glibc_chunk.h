/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a block of the GNU C library is still its owner's, told from what
 * lies in and around its chunk, read from outside (glibc 2.31 to 2.41, 64 bits;
 * malloc/malloc.c there: malloc_chunk, tcache_entry, PROTECT_PTR).
 */
#ifndef HEAPSONDE_CAPTURE_LEDGER_GLIBC_CHUNK_H
#define HEAPSONDE_CAPTURE_LEDGER_GLIBC_CHUNK_H

#include <stdbool.h>
#include <stdint.h>

#define CHUNK_SIZE_MASK (~7ull)
#define CHUNK_PREV_INUSE 1ull
#define CHUNK_IS_MAPPED 2ull
#define CHUNK_WORDS 2		/* of the block that are looked at */

/* From the chunk's first byte on, as it lies in memory. */
struct chunk_view {
	uint64_t prev_size, head;
	uint64_t words[CHUNK_WORDS];
};

/* How it was when it was first read, its block in use or just freed. */
struct chunk_before {
	uint64_t head, word0;
};

/*
 * What freed blocks in a thread's cache bear in their second word: a random
 * number (since 2.34), or the address of the cache, which is a chunk of its own.
 */
struct tcache_key {
	enum { TCACHE_KEY_UNKNOWN, TCACHE_KEY_NUMBER, TCACHE_KEY_ADDRESS } kind;
	uint64_t number;
};

/* Reads the head of the chunk at @chunk; false if that cannot be read. */
struct chunk_reader {
	bool (*head)(void *arg, uint64_t chunk, uint64_t *ret);
	void *arg;
};

/*
 * Whether the block at @block (behind the chunk's header) is no longer what it
 * was @before. @next_head, NULL if it could not be read, is that of the chunk
 * behind. False means: nothing speaks against it.
 */
bool chunk_has_ended(uint64_t block, const struct chunk_before *before,
		     const struct chunk_view *now, const uint64_t *next_head,
		     const struct tcache_key *key, const struct chunk_reader *reader);

/* Whether a chunk of that head can hold a request of @size bytes, no more room than need be. */
bool chunk_fits_request(uint64_t head, uint64_t size);

/*
 * The key of process @pid, from a thread's cache at @tcache: only if every
 * block in it bears it. False if the cache is empty or says something else.
 */
bool tcache_key_read(uint32_t pid, uint64_t tcache, struct tcache_key *ret);

#endif
