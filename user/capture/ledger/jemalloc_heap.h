/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The heap of jemalloc 5 (64 bits, pages of 4 KiB), read from outside.
 *
 * Memory is cut into extents: slabs with up to 512 blocks of one size, or one large block
 * each. A radix tree of two levels leads from an address to what describes its extent: the
 * entry of a page in a leaf has the description's address, the number of the size and a
 * flag for slabs in one word; the description has a bit for each free block of a slab, and
 * counts them. (include/jemalloc/internal there: rtree.h, edata.h, in 5.0 to 5.2 extent.h.)
 *
 * Blocks that a thread's cache holds look like blocks in use: that lies in the threads.
 */
#ifndef HEAPSONDE_CAPTURE_LEDGER_JEMALLOC_HEAP_H
#define HEAPSONDE_CAPTURE_LEDGER_JEMALLOC_HEAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"

#define JEMALLOC_REGIONS_MAX 512u
#define JEMALLOC_WORDS 16	/* of a description */

/* Where the tree's root lies, and where in a description's first word the size is. */
struct jemalloc_tree {
	uint64_t root;
	unsigned int size_shift;
};

struct jemalloc_extent {
	uint64_t addr, bytes;		/* bytes 0: there is none */
	uint64_t block_bytes;		/* of each of its blocks */
	uint32_t blocks;		/* places for them */
	uint32_t free_blocks;
	uint64_t free[JEMALLOC_REGIONS_MAX / 64];
};

DEFINE_VEC(jemalloc_extent_vec, struct jemalloc_extent);

/*
 * The tree of process @pid: a pointer in a program's or a library's zeroed data that leads
 * to a leaf, in which all that is described says of itself that it lies there and has as many
 * free blocks as it counts. False: no such allocator, or it has few blocks yet.
 */
bool jemalloc_find(uint32_t pid, struct jemalloc_tree *ret);
/* Appends all extents in use, in the order of their addresses; false if it makes no sense. */
bool jemalloc_read(uint32_t pid, const struct jemalloc_tree *tree,
		   struct jemalloc_extent_vec *ret);
/* The extents of @count addresses, at most JEMALLOC_BATCH. False: the process is gone. */
#define JEMALLOC_BATCH 32
bool jemalloc_look_up(uint32_t pid, const struct jemalloc_tree *tree, const uint64_t *addrs,
		      int count, struct jemalloc_extent *ret);

/* An extent from its entry in a leaf and its description; false if they do not agree. */
bool jemalloc_parse(uint64_t entry, const uint64_t *words, unsigned int size_shift,
		    struct jemalloc_extent *ret);
/* Whether a block is given out that begins just there. */
bool jemalloc_has_block(const struct jemalloc_extent *extent, uint64_t addr);
bool jemalloc_is_free(const struct jemalloc_extent *extent, uint32_t block);

/* The size that a request is rounded up to. */
uint64_t jemalloc_block_bytes(uint64_t request);

#endif
