/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Walking the chunks of one of glibc's heaps from outside while its owner goes
 * on changing it, so that no size is believed that was not one.
 *
 * Chunks lie end to end, each with its size, whose lowest bit says whether the
 * chunk before is in use; a free one has its size at its end, too. A stretch is
 * read twice, and counts up to the first header that differs: what is the same
 * before and after was so in between. What joins two stretches are the last chunks
 * of the one, whose sizes are read again with the next. That is sound, because
 * chunks do not move: the border between two of them, A and B, goes away only when
 * A grows over it (its size changes), or A became free and was joined to the chunk
 * before it. That one's size changes then, and B says that A is free, of another
 * size, until somebody writes there. So many chunks are compared that all of what
 * is written would have to look like the very sizes that were there. Where a border
 * is gone the walk goes back to one before.
 *
 * It ends at the top chunk, where the arena says that is, or at a fence post.
 */
#ifndef HEAPSONDE_CAPTURE_LEDGER_HEAP_CHUNKS_H
#define HEAPSONDE_CAPTURE_LEDGER_HEAP_CHUNKS_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/ledger/pages.h"

/* Of the size word. */
#define CHUNK_FLAGS 7ull
#define CHUNK_PREV_IN_USE 1ull
#define CHUNK_IS_MAPPED 2ull
#define CHUNK_HEADER 16ull
#define CHUNK_MIN 32ull

/* What a chunk is, as its neighbours say. */
enum chunk_kind { CHUNK_KIND_IN_USE, CHUNK_KIND_FREE, CHUNK_KIND_TOP, CHUNK_KIND_FENCE };

struct chunk_walk {
	uint32_t pid;
	const struct pages *pages;	/* of the mapping; only what is resident is read */
	uint64_t first, end;		/* chunks, as they were when it was found */
	uint64_t limit;			/* it may grow up to here meanwhile */
	uint64_t top_at;		/* where the arena notes its top chunk; 0: not known */
	/* A thread's heap notes at size_at (0: it does not) how long it is from start on. */
	uint64_t start, size_at;
	void (*tell)(void *arg, enum chunk_kind kind, uint64_t addr, uint64_t size);
	void *arg;
	int64_t retries;		/* stretches that were read again */
	bool finished;			/* it was walked to its end */
};

/* Tells each chunk once, in order. Where it got to: the end, or what cannot be read. */
uint64_t chunk_walk(struct chunk_walk *walk);

#endif
