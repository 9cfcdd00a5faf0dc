/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A census of the GNU C library's heap, read from outside while its owner runs
 * on: every chunk of the main arena, of the threads' arenas and those mapped
 * by themselves, whether it is in use, and how much of it is in memory.
 *
 * What it relies on is the layout of glibc 2.31 to 2.41 on 64-bit machines
 * (malloc/malloc.c, malloc/arena.c there: malloc_chunk, heap_info,
 * malloc_state, tcache_perthread_struct), and on nothing else: no symbols are
 * needed. Nothing is locked, so what is read may be torn: heap_chunks.h says how
 * that is noticed and made good. Where it cannot be, the rest of that heap counts
 * as unknown. Only resident pages are read: nothing is brought in. Threads' caches
 * and fast bins are lists that change many times a second; what is counted of them
 * can be wrong by what they hold at most (seven blocks of each size a thread).
 */
#ifndef HEAPSONDE_CAPTURE_LEDGER_GLIBC_HEAP_H
#define HEAPSONDE_CAPTURE_LEDGER_GLIBC_HEAP_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/ledger/pages.h"
#include "capture/ledger/smaps.h"

enum chunk_use {
	CHUNK_IN_USE,
	CHUNK_MAPPED,		/* in use, and a mapping of its own */
	CHUNK_FREE,		/* in a bin */
	CHUNK_FAST,		/* freed, in a fast bin: looks in use to its neighbours */
	CHUNK_TCACHE,		/* freed, in a thread's cache: the same */
	CHUNK_TOP,		/* the end of a heap, from which new chunks are cut */
	CHUNK_ADMIN,		/* arena headers, fence posts */
	CHUNK_USES_COUNT
};

/* Chunk sizes in classes: up to 16, 32, 64 ... bytes; the last takes all larger. */
#define CHUNK_CLASSES 32

struct chunk_sum {
	int64_t count;
	int64_t bytes;		/* whole chunks, their headers too */
	int64_t resident;	/* of these, in memory */
};

struct glibc_heap_census {
	struct chunk_sum use[CHUNK_USES_COUNT];
	struct chunk_sum classes[CHUNK_CLASSES];	/* chunks in use, by size */
	struct chunk_sum free_classes[CHUNK_CLASSES];	/* those in bins */
	/*
	 * Resident bytes that malloc_trim(0) would give back: whole pages within free
	 * chunks, and of the main arena's top (mtrim() and systrim() of malloc.c).
	 */
	int64_t trimmable;
	int64_t heaps;			/* walked from end to end, or until they made no sense */
	int64_t unfinished;		/* of these, those that could not be walked to the end */
	int64_t unknown_resident;	/* resident bytes of heaps that could not be walked */
	int64_t retries;		/* sizes that were read again */
};

/*
 * Told of each chunk that looks in use, before it is known which of them are
 * cached: the block the program has in it, the whole chunk, whether it is mapped by
 * itself, and the pages of the mapping they lie in, whose array lives until @end was
 * called, after the last.
 * Then of those that are cached, and of what may be a thread's cache; both, and
 * @end, may be NULL.
 */
struct glibc_heap_watcher {
	void (*in_use)(void *arg, uint64_t block, uint64_t chunk_bytes, bool mapped,
		       const struct pages *pages);
	void (*end)(void *arg);
	void (*cached)(void *arg, uint64_t block, uint64_t chunk_bytes);
	void (*tcache)(void *arg, uint64_t block);
	void *arg;
};

/*
 * Takes the census of process @pid, whose mappings are @maps. @parts_ret, one
 * for each of @maps, gets the resident bytes of that mapping which the census
 * speaks of, unknown ones too. @watcher may be NULL. False if there is no
 * heap of glibc's kind.
 */
bool glibc_heap_read(uint32_t pid, const struct smaps_entry_vec *maps, int64_t *parts_ret,
		     const struct glibc_heap_watcher *watcher, struct glibc_heap_census *ret);

#endif
