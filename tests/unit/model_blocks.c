// SPDX-License-Identifier: GPL-2.0-or-later
/* The live-block table by itself: size, shrinking, births, address bits. */
#include "model/blocks.h"
#include "tests/unit/test.h"

static struct block block(uint64_t i)
{
	return (struct block){ i * 7 % 1000, 1, 1 + i % 1000, i % 65536, { 0, 0 } };
}

/* Puts @n blocks, @step apart. */
static void fill(struct blocks *blocks, uint64_t n, uint64_t step)
{
	struct block old;

	for (uint64_t i = 1; i <= n; i++) {
		struct block b = block(i);

		if (blocks_put(blocks, i * step, &b, &old))
			test_fail("block %llu was there", (unsigned long long)i);
	}
}

static void take_all(struct blocks *blocks, uint64_t from, uint64_t n, uint64_t step)
{
	for (uint64_t i = from; i <= n; i++) {
		struct block want = block(i), got;

		if (!blocks_take(blocks, i * step, &got))
			test_fail("block %llu is gone", (unsigned long long)i);
		if (got.bytes != want.bytes || got.row != want.row || got.birth != want.birth ||
		    got.count != 1)
			test_fail("block %llu changed", (unsigned long long)i);
		if (blocks_take(blocks, i * step, &got))
			test_fail("block %llu is twice", (unsigned long long)i);
	}
}

/* 2M blocks, several segments, at the distances that allocators leave. */
TEST(blocks_come_back_whole)
{
	static const uint64_t steps[] = { 1, 16, 48, 4096, 1 << 20, 0x10000000001 };

	for (int i = 0; i < 6; i++) {
		struct blocks blocks;

		blocks_init(&blocks);
		fill(&blocks, 600000, steps[i]);
		check_int(blocks.len, 600000);
		take_all(&blocks, 1, 600000, steps[i]);
		check_int(blocks.len, 0);
		blocks_deinit(&blocks);
	}
}

TEST(at_most_32_bytes_a_block)
{
	struct blocks blocks;
	struct block old;

	blocks_init(&blocks);
	for (uint64_t i = 1; i <= 3000000; i++) {
		struct block b = block(i);

		blocks_put(&blocks, 0x7f0000000000 + i * 32, &b, &old);
		if (i >= 500 && blocks_bytes(&blocks) > 32 * i)
			test_fail("%zu bytes for %llu blocks", blocks_bytes(&blocks),
				  (unsigned long long)i);
	}
	check(blocks.dir_bits > 2);
	blocks_deinit(&blocks);
}

TEST(table_shrinks_after_mass_frees)
{
	struct blocks blocks;
	size_t full;

	blocks_init(&blocks);
	fill(&blocks, 2000000, 16);
	full = blocks_bytes(&blocks);
	take_all(&blocks, 1001, 2000000, 16);
	check(blocks_bytes(&blocks) < full / 200);
	take_all(&blocks, 1, 1000, 16);
	blocks_deinit(&blocks);
}

TEST(a_block_at_the_threshold_does_not_thrash)
{
	struct blocks blocks;
	struct block old, b = block(1);
	int moves = 0;

	blocks_init(&blocks);
	fill(&blocks, 100000, 16);
	take_all(&blocks, 20001, 100000, 16);
	for (int i = 0; i < 100000; i++) {
		const struct block_entry *before = blocks.dir[0]->slots;

		blocks_put(&blocks, 0xfff000, &b, &old);
		blocks_take(&blocks, 0xfff000, &old);
		moves += before != blocks.dir[0]->slots;
	}
	check(moves <= 1);
	blocks_deinit(&blocks);
}

TEST(address_keeps_56_bits)
{
	struct blocks blocks;
	struct block b = block(3), old;

	blocks_init(&blocks);
	for (int bit = 0; bit < 64; bit++)
		check_int(blocks_put(&blocks, 0x18000 ^ 1ull << bit, &b, &old), bit > 56);
	check_int(blocks.len, 57);
	blocks_deinit(&blocks);
}

TEST(replaced_block_is_handed_back)
{
	struct blocks blocks;
	struct block old, small = { 10, 1, 5, 6, { 0, 0 } },
		     big = { 1ull << 40, 1, 7, 8, { 0, 0 } };
	struct block sample = { 100, 9, 2, 3, { 50, 70 } };

	blocks_init(&blocks);
	check(!blocks_put(&blocks, 0x1000, &small, &old));
	check(blocks_put(&blocks, 0x1000, &big, &old));
	check_int(old.bytes, 10);
	check(blocks_put(&blocks, 0x1000, &sample, &old));
	check_int(old.bytes, 1ull << 40);
	check_int(old.row, 7);
	check(blocks_put(&blocks, 0x1000, &small, &old));
	check_int(old.count, 9);
	check_int(old.bytes, 100);
	check_int(blocks.extra_index.len, 0);
	check(blocks_take(&blocks, 0x1000, &old));
	check_int(old.bytes, 10);
	check_int(old.birth, 6);
	blocks_deinit(&blocks);
}

TEST(births_coarsen_and_the_oldest_is_found)
{
	struct blocks blocks;
	uint16_t oldest[4];
	struct block old;

	blocks_init(&blocks);
	for (uint64_t i = 1; i <= 700000; i++) {
		struct block b = { 1, 1, 1 + i % 3, 1000 + i % 60000, { 0, 0 } };

		blocks_put(&blocks, i * 16, &b, &old);
	}
	memset(oldest, 0xff, sizeof(oldest));
	blocks_oldest(&blocks, oldest);
	check_int(oldest[0], 0xffff);
	check_int(oldest[1], 1000);
	check_int(oldest[2], 1001);
	check_int(oldest[3], 1002);
	blocks_coarsen(&blocks, 3);
	memset(oldest, 0xff, sizeof(oldest));
	blocks_oldest(&blocks, oldest);
	check_int(oldest[1], 125);
	check(blocks_take(&blocks, 16 * 59999, &old));
	check_int(old.birth, 60999 >> 3);
	blocks_deinit(&blocks);
}

/* Addresses chosen so that all hash to one place: slow, but right and bounded. */
TEST(all_in_one_place)
{
	struct blocks blocks;
	struct block b = block(1), old;
	uint64_t n = 0, addr;

	blocks_init(&blocks);
	for (addr = 1; n < 2000; addr++) {
		if (block_hash(addr) >> 52)
			continue;
		check(!blocks_put(&blocks, addr, &b, &old));
		n++;
	}
	check(blocks_bytes(&blocks) < 200000);
	while (--addr)
		n -= blocks_take(&blocks, addr, &old);
	check_int(n, 0);
	blocks_deinit(&blocks);
}

TEST(find_leaves_it_there)
{
	struct block large = block(2), small = block(1), old;
	struct blocks blocks;
	uint64_t bytes = 0;

	blocks_init(&blocks);
	check(!blocks_find(&blocks, 0x1000, &bytes));
	large.bytes = 5ull << 32;
	blocks_put(&blocks, 0x1000, &large, &old);
	blocks_put(&blocks, 0x2000, &small, &old);
	check(blocks_find(&blocks, 0x1000, &bytes));
	check_int(bytes, 5ll << 32);
	check(blocks_find(&blocks, 0x2000, &bytes));
	check_int(bytes, small.bytes);
	check(!blocks_find(&blocks, 0x3000, &bytes));
	check(blocks_take(&blocks, 0x1000, &old));
	check_int(old.bytes, 5ll << 32);
	check(!blocks_find(&blocks, 0x1000, &bytes));
	blocks_deinit(&blocks);
}

static void mark_seen(void *arg, uint64_t addr, uint64_t bytes, uint32_t row)
{
	struct block want = block(addr / 16);
	unsigned char *seen = arg;

	if (bytes != want.bytes || row != want.row || seen[addr / 16]++)
		test_fail("block %llu is told wrongly or twice", (unsigned long long)addr / 16);
}

/* From fewer than a segment to more than there are parts of. */
TEST(parts_are_all_of_it_once)
{
	static const uint64_t counts[] = { 0, 5, 20000, 1300000 };

	for (int i = 0; i < 4; i++) {
		unsigned char *seen = calloc(counts[i] + 1, 1);
		struct blocks blocks;
		size_t sum = 0;

		blocks_init(&blocks);
		fill(&blocks, counts[i], 16);
		for (unsigned int part = 0; part < BLOCKS_PARTS; part++)
			blocks_each(&blocks, part, mark_seen, seen);
		for (uint64_t k = 1; k <= counts[i]; k++)
			sum += seen[k];
		check_int(sum, counts[i]);
		blocks_deinit(&blocks);
		free(seen);
	}
}

TEST(map64_against_an_array)
{
	struct map64 map = { 0 };
	uint32_t want[512] = { 0 };
	uint64_t x = 1;

	for (int i = 0; i < 200000; i++) {
		uint64_t key;

		x = x * 6364136223846793005u + 1442695040888963407u;
		key = x >> 55;
		if (x >> 32 & 1) {
			want[key] = 1 + i;
			map64_set(&map, key << 40, 1 + i);
		} else {
			want[key] = 0;
			map64_remove(&map, key << 40);
		}
		key = (x >> 46) % 512;
		check_int(map64_get(&map, key << 40), want[key]);
	}
	map64_deinit(&map);
}
