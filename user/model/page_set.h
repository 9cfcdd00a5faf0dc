/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which row touched which page first. Pages lie in blocks of 2 MiB, as large as
 * a huge page and as what is read of the kernel's page map at once.
 */
#ifndef HEAPSONDE_MODEL_PAGE_SET_H
#define HEAPSONDE_MODEL_PAGE_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"
#include "model/map64.h"

#define PAGE_BYTES 4096ull
#define PAGES_PER_BLOCK 512
#define PAGE_BLOCK_BYTES (PAGES_PER_BLOCK * PAGE_BYTES)
#define PAGE_BLOCKS_MAX 16384		/* 32 GiB touched, 64 MiB of ours */

enum page_flag {
	PAGE_FRESH = 0x1,	/* nobody has looked yet what became resident with it */
	PAGE_AWAY = 0x2,	/* it is not resident: swapped out, or reclaimed */
	PAGE_COPIED = 0x4,	/* of one older than the watch: keeps its weight, for its like */
};

struct page {
	uint32_t row;		/* 0: nobody's */
	uint16_t weight;	/* pages that it stands for; 1 once those have rows themselves */
	uint16_t flags;		/* enum page_flag */
};

struct page_block {
	uint64_t start;
	uint32_t used;		/* pages with a row; 0: the block is free for reuse */
	struct page pages[PAGES_PER_BLOCK];
};

DEFINE_VEC(page_block_vec, struct page_block *);
DEFINE_VEC(page_block_number_vec, uint32_t);

/* Pages of a block that were resident before anybody looked. */
struct older_block { uint64_t start, bits[PAGES_PER_BLOCK / 64]; };

DEFINE_VEC(older_block_vec, struct older_block);

/* A zeroed struct is an empty set. */
struct page_set {
	struct older_block_vec older;
	struct map64 older_index;		/* start -> number + 1 */
	struct page_block_vec blocks;
	struct map64 index;			/* start -> number + 1 */
	struct page_block_number_vec free;
};

void page_set_deinit(struct page_set *pages);
/* The page at @addr, or NULL. */
struct page *page_set_find(struct page_set *pages, uint64_t addr);
/* Whether anybody holds a page of the block at @start. */
bool page_set_holds(const struct page_set *pages, uint64_t start);
/* As page_set_find(), for a row to be set by page_set_set(); NULL if there are too many. */
struct page *page_set_get(struct page_set *pages, uint64_t addr);
void page_set_set(struct page_set *pages, uint64_t addr, struct page page);

/* Enters pages that were there before, by block: bit i % 64 of word i / 64 is page i. */
void page_set_add_older(struct page_set *pages, uint64_t start,
			const uint64_t bits[PAGES_PER_BLOCK / 64]);
/* The block's, or NULL. */
const struct older_block *page_set_older(const struct page_set *pages, uint64_t addr);
bool page_set_is_older(const struct page_set *pages, uint64_t addr);
/* Forgets those in [start, end); returns how many there were. */
size_t page_set_drop_older(struct page_set *pages, uint64_t start, uint64_t end);
/* How many there are. */
size_t page_set_count_older(const struct page_set *pages, uint64_t start, uint64_t end);

typedef void page_fn(void *arg, uint64_t addr, const struct page *page);
/* Hands all pages in [start, end) to @fn. */
void page_set_each(struct page_set *pages, uint64_t start, uint64_t end, page_fn *fn, void *arg);
/* The same, and takes them out before; @fn may be NULL. */
void page_set_drop(struct page_set *pages, uint64_t start, uint64_t end, page_fn *fn, void *arg);
/* What was at [from, from + size) is at [to, to + size) now. */
void page_set_move(struct page_set *pages, uint64_t from, uint64_t to, uint64_t size);

#endif
