// SPDX-License-Identifier: GPL-2.0-or-later
/* Pages and who touched them first; see page_set.h. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "model/page_set.h"

void page_set_deinit(struct page_set *pages)
{
	vec_for_each(block, &pages->blocks)
		free(*block);
	page_block_vec_deinit(&pages->blocks);
	page_block_number_vec_deinit(&pages->free);
	map64_deinit(&pages->index);
	older_block_vec_deinit(&pages->older);
	map64_deinit(&pages->older_index);
}

static uint64_t block_start(uint64_t addr)
{
	return addr & -PAGE_BLOCK_BYTES;
}

static struct page_block *find_block(const struct page_set *pages, uint64_t addr)
{
	uint32_t number = map64_get(&pages->index, block_start(addr));

	return number ? pages->blocks.data[number - 1] : NULL;
}

static struct page *page_in(struct page_block *block, uint64_t addr)
{
	return &block->pages[addr / PAGE_BYTES % PAGES_PER_BLOCK];
}

struct page *page_set_find(struct page_set *pages, uint64_t addr)
{
	struct page_block *block = find_block(pages, addr);

	return block ? page_in(block, addr) : NULL;
}

static struct page_block *add_block(struct page_set *pages, uint64_t addr)
{
	uint32_t number = pages->blocks.len;

	if (pages->free.len)
		number = pages->free.data[--pages->free.len];
	else if (number < PAGE_BLOCKS_MAX)
		page_block_vec_push(&pages->blocks, xcalloc(1, sizeof(struct page_block)));
	else
		return NULL;
	pages->blocks.data[number]->start = block_start(addr);
	map64_set(&pages->index, block_start(addr), number + 1);
	return pages->blocks.data[number];
}

struct page *page_set_get(struct page_set *pages, uint64_t addr)
{
	struct page_block *block = find_block(pages, addr);

	if (!block)
		block = add_block(pages, addr);
	return block ? page_in(block, addr) : NULL;
}

void page_set_set(struct page_set *pages, uint64_t addr, struct page page)
{
	struct page_block *block = find_block(pages, addr);
	struct page *at = page_in(block, addr);

	block->used += !at->row;
	*at = page;
}

bool page_set_holds(const struct page_set *pages, uint64_t start)
{
	const struct page_block *block = find_block(pages, start);

	return block && block->used;
}

struct walk { page_fn *fn; void *arg; bool drop; };

static void walk_block(struct page_set *pages, struct page_block *block, uint64_t start,
		       uint64_t end, const struct walk *walk)
{
	uint32_t number = map64_get(&pages->index, block->start) - 1;

	for (uint64_t addr = start; addr < end && block->used; addr += PAGE_BYTES) {
		struct page *at = page_in(block, addr);
		struct page page = *at;

		if (!page.row)
			continue;
		if (walk->drop) {
			*at = (struct page){ 0 };
			block->used--;
		}
		if (walk->fn)
			walk->fn(walk->arg, addr, &page);
	}
	if (block->used)
		return;
	map64_remove(&pages->index, block->start);
	page_block_number_vec_push(&pages->free, number);
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void page_set_add_older(struct page_set *pages, uint64_t start,
			const uint64_t bits[PAGES_PER_BLOCK / 64])
{
	uint32_t number = map64_get(&pages->older_index, start);

	if (!number) {
		older_block_vec_push(&pages->older, (struct older_block){ .start = start });
		number = pages->older.len;
		map64_set(&pages->older_index, start, number);
	}
	for (size_t i = 0; i < PAGES_PER_BLOCK / 64; i++)
		pages->older.data[number - 1].bits[i] |= bits[i];
}

const struct older_block *page_set_older(const struct page_set *pages, uint64_t addr)
{
	uint32_t number = map64_get(&pages->older_index, block_start(addr));

	return number ? &pages->older.data[number - 1] : NULL;
}

bool page_set_is_older(const struct page_set *pages, uint64_t addr)
{
	const struct older_block *block = page_set_older(pages, addr);
	unsigned int i = addr / PAGE_BYTES % PAGES_PER_BLOCK;

	return block && block->bits[i / 64] >> i % 64 & 1;
}

/* Counts, and takes out if @drop, those of one block. */
static size_t walk_older(struct older_block *block, uint64_t start, uint64_t end, bool drop)
{
	size_t count = 0;

	start = later(start, block->start);
	end = earlier(end, block->start + PAGE_BLOCK_BYTES);
	for (uint64_t addr = start; addr < end; addr += PAGE_BYTES) {
		unsigned int i = addr / PAGE_BYTES % PAGES_PER_BLOCK;
		uint64_t bit = 1ull << i % 64;

		count += !!(block->bits[i / 64] & bit);
		if (drop)
			block->bits[i / 64] &= ~bit;
	}
	return count;
}

static size_t walk_all_older(const struct page_set *pages, uint64_t start, uint64_t end,
			     bool drop)
{
	size_t count = 0;

	if ((end - start) / PAGE_BLOCK_BYTES > pages->older.len) {
		vec_for_each(block, &pages->older)
			count += walk_older(block, start, end, drop);
		return count;
	}
	for (uint64_t at = block_start(start); at < end; at += PAGE_BLOCK_BYTES) {
		uint32_t number = map64_get(&pages->older_index, at);

		if (number)
			count += walk_older(&pages->older.data[number - 1], start, end, drop);
	}
	return count;
}

size_t page_set_drop_older(struct page_set *pages, uint64_t start, uint64_t end)
{
	return walk_all_older(pages, start, end, true);
}

size_t page_set_count_older(const struct page_set *pages, uint64_t start, uint64_t end)
{
	return walk_all_older(pages, start, end, false);
}

static void walk_all(struct page_set *pages, uint64_t start, uint64_t end,
		     const struct walk *walk)
{
	/* Ranges may be far larger than what was touched of them. */
	if ((end - start) / PAGE_BLOCK_BYTES > pages->blocks.len) {
		for (size_t i = 0; i < pages->blocks.len; i++) {
			struct page_block *block = pages->blocks.data[i];
			uint64_t block_end = block->start + PAGE_BLOCK_BYTES;

			if (block->used && block->start < end && block_end > start)
				walk_block(pages, block, later(start, block->start),
					   earlier(end, block_end), walk);
		}
		return;
	}
	for (uint64_t at = block_start(start); at < end; at += PAGE_BLOCK_BYTES) {
		struct page_block *block = find_block(pages, at);

		if (block)
			walk_block(pages, block, later(start, at),
				   earlier(end, at + PAGE_BLOCK_BYTES), walk);
	}
}

void page_set_drop(struct page_set *pages, uint64_t start, uint64_t end, page_fn *fn, void *arg)
{
	walk_all(pages, start, end, &(struct walk){ fn, arg, true });
}

void page_set_each(struct page_set *pages, uint64_t start, uint64_t end, page_fn *fn, void *arg)
{
	walk_all(pages, start, end, &(struct walk){ fn, arg, false });
}

struct moved_page { uint64_t addr; struct page page; };
DEFINE_VEC(moved_page_vec, struct moved_page);

static void keep_page(void *arg, uint64_t addr, const struct page *page)
{
	moved_page_vec_push(arg, (struct moved_page){ addr, *page });
}

void page_set_move(struct page_set *pages, uint64_t from, uint64_t to, uint64_t size)
{
	struct moved_page_vec moved __cleanup(moved_page_vec_deinit) = { 0 };

	page_set_drop(pages, from, from + size, keep_page, &moved);
	vec_for_each(m, &moved)
		if (page_set_get(pages, m->addr - from + to))
			page_set_set(pages, m->addr - from + to, m->page);
}
