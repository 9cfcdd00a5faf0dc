// SPDX-License-Identifier: GPL-2.0-or-later
/* jemalloc's extents, from entries of its tree and descriptions made up here. */
#include <string.h>
#include <unistd.h>

#include "capture/ledger/jemalloc_heap.h"
#include "tests/unit/test.h"

#define AT 0x7f0000200000u
#define SHIFT 20		/* of the size, as in 5.3 */

enum { SIZE_224 = 11, SIZE_20480 = 37, NONE = 232 };

static uint64_t words[JEMALLOC_WORDS];
static struct jemalloc_extent extent;

static uint64_t entry(uint64_t size, bool slab)
{
	return size << 48 | 0x7f0000001280 | slab;
}

/* Some of the bits that stand around what is read. */
static void describe(uint64_t size, uint64_t free_blocks, uint64_t addr, uint64_t bytes)
{
	memset(words, 0, sizeof(words));
	words[0] = 0x1003 | size << SHIFT | free_blocks << (SHIFT + 8) | 1ull << (SHIFT + 18);
	words[1] = addr;
	words[2] = bytes | 0x123;
}

static bool parse(uint64_t size, bool slab)
{
	return jemalloc_parse(entry(size, slab), words, SHIFT, &extent);
}

TEST(slabs_have_blocks)
{
	describe(SIZE_224, 3, AT, 7 * 4096);
	words[8] = 1ull << 2;
	words[9] = 3ull << 62;
	check(parse(SIZE_224, true));
	check_int(extent.blocks, 128);
	check_int(extent.block_bytes, 224);
	check_int(extent.free_blocks, 3);
	check(jemalloc_has_block(&extent, AT));
	check(!jemalloc_has_block(&extent, AT + 8));
	check(!jemalloc_has_block(&extent, AT + 2 * 224));
	check(jemalloc_has_block(&extent, AT + 125 * 224));
	check(!jemalloc_has_block(&extent, AT + 126 * 224));
	check(!jemalloc_has_block(&extent, AT + 128 * 224));
	check(!jemalloc_has_block(&extent, AT - 224));
}

TEST(large_blocks_are_extents)
{
	/* With a page more, in the first of which it begins anywhere. */
	describe(SIZE_20480, 0, AT + 64 * 3, 6 * 4096);
	check(parse(SIZE_20480, false));
	check_int(extent.blocks, 1);
	check(jemalloc_has_block(&extent, AT + 64 * 3));
	check(!jemalloc_has_block(&extent, AT));
	check(!jemalloc_has_block(&extent, AT + 64 * 4));
}

TEST(what_does_not_agree_is_no_extent)
{
	describe(SIZE_224, 0, AT, 7 * 4096);
	check(!parse(SIZE_224 + 1, true));
	check(!jemalloc_parse(entry(SIZE_224, true), words, SHIFT - 2, &extent));
	check(!jemalloc_has_block(&extent, AT));
	describe(SIZE_224, 0, AT, 6 * 4096);
	check(!parse(SIZE_224, true));
	describe(SIZE_224, 0, AT + 64, 7 * 4096);
	check(!parse(SIZE_224, true));
	describe(SIZE_224, 0, AT, 0);
	check(!parse(SIZE_224, true));
	describe(NONE, 0, AT, 4096);
	check(!parse(NONE, false));
	/* More blocks than there are bits. */
	describe(0, 0, AT, 2 * 4096);
	check(!parse(0, true));
	describe(SIZE_20480, 0, AT, 4 * 4096);
	check(!parse(SIZE_20480, false));
}

TEST(sizes_that_requests_are_given)
{
	static const uint64_t pairs[][2] = {
		{ 0, 8 }, { 8, 8 }, { 9, 16 }, { 17, 32 }, { 33, 48 }, { 64, 64 }, { 65, 80 },
		{ 128, 128 }, { 129, 160 }, { 225, 256 }, { 257, 320 }, { 4097, 5120 },
		{ 1 << 20, 1 << 20 }, { (1 << 20) + 1, 5 << 18 },
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		check_int(jemalloc_block_bytes(pairs[i][0]), pairs[i][1]);
}

/* Zeroed data as large as a root, with words in it that lead to what is no leaf. */
static uint64_t like_a_root[(1 << 18) + 512];

TEST(nothing_is_taken_for_such_a_tree)
{
	struct jemalloc_tree tree;
	uint64_t *leaf = aligned_alloc(4096, 64 << 10);

	memset(leaf, 0x11, 64 << 10);
	for (int i = 0; i < 512; i++)
		like_a_root[i * 512] = (uintptr_t)leaf;
	check(!jemalloc_find((uint32_t)getpid(), &tree));
	free(leaf);
}
