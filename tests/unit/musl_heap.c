// SPDX-License-Identifier: GPL-2.0-or-later
/* musl's heap: a page of descriptions made up here, with its groups, slots and heads. */
#include <string.h>
#include <unistd.h>

#include "capture/ledger/musl_heap.h"
#include "tests/unit/test.h"

#define SECRET 0x5ec2e7u
#define OUTER 0x100000u		/* 4 slots of 1152 bytes; in the second lies ... */
#define INNER (OUTER + 16 + 1152)	/* ... a group of 30 slots of 32 */
#define MAPPED 0x900000u	/* a block of 3 pages by itself */

enum { CLASS_32 = 1, CLASS_1152 = 20 };

static uint64_t page[MUSL_PAGE / 8];
static struct musl_heap heap;

static void describe(int i, uint64_t mem, uint32_t avail, uint32_t freed, uint64_t bits)
{
	uint64_t *at = page + 3 + 5 * i;

	at[2] = mem;
	at[3] = (uint64_t)freed << 32 | avail;
	at[4] = bits;
}

static uint64_t bits(uint64_t last_slot, uint64_t class, uint64_t pages)
{
	return last_slot | class << 6 | pages << 12;
}

static void begin(void)
{
	memset(page, 0, sizeof(page));
	page[0] = SECRET;
	page[1] = 0x77000;
	page[2] = 101;
	describe(1, INNER, 0xf0, 0x3, bits(29, CLASS_32, 0));
	describe(5, MAPPED, 0, 0, bits(0, 63, 3));
	describe(100, OUTER, 0, 0x8, bits(3, CLASS_1152, 0));
}

static bool take(uint64_t secret)
{
	uint64_t next = 0;
	bool taken;

	musl_heap_deinit(&heap);
	taken = musl_groups_add_page(&heap, page, secret, &next);
	musl_groups_order(&heap);
	check(!taken || next == 0x77000);
	return taken;
}

/* What lies in the 8 bytes before a block: @units from its group's first slot. */
static uint64_t head(uint32_t slot, uint32_t reserved, uint64_t units)
{
	return units << 48 | (uint64_t)(slot | reserved << 5) << 40 | 0xdead;
}

TEST(groups_and_what_lies_in_them)
{
	const struct musl_group *group;
	uint32_t slot = 99;

	begin();
	check(take(SECRET));
	check_int(heap.groups.len, 3);
	group = musl_group_at(&heap, INNER + 16 + 32 * 7 + 16, &slot);
	check(group && group->mem == INNER && slot == 7);
	check_int(__builtin_popcount(group->in_use), 30 - 4 - 2);
	/* Behind the inner group, in the same slot of the outer one. */
	group = musl_group_at(&heap, INNER + 16 + 32 * 30, &slot);
	check(group && group->mem == OUTER && slot == 1);
	check_int(group->in_use, 0x5);
	group = musl_group_at(&heap, OUTER + 16 + 3 * 1152, &slot);
	check(group && group->mem == OUTER && slot == 3);
	group = musl_group_at(&heap, MAPPED + 3 * MUSL_PAGE - 1, &slot);
	check(group && group->stride == 3 * MUSL_PAGE - 16 && slot == 0);
	check(!musl_group_at(&heap, OUTER, &slot));
	check(!musl_group_at(&heap, OUTER + 16 + 4 * 1152, &slot));
	check(!musl_group_at(&heap, MAPPED + 3 * MUSL_PAGE, &slot));
	musl_heap_deinit(&heap);
}

TEST(what_is_no_page_of_descriptions)
{
	begin();
	check(take(0));
	check(!take(SECRET + 1));
	page[0] = 0;
	check(!take(0));
	begin();
	page[2] = 100;
	check(!take(SECRET));
	begin();
	page[1] = 0x77008;
	check(!take(SECRET));
	begin();
	describe(2, 0x200000, 0, 0, bits(3, 48, 0));
	check(!take(SECRET));
	begin();
	describe(2, 0x200008, 0, 0, bits(3, CLASS_32, 0));
	check(!take(SECRET));
	musl_heap_deinit(&heap);
}

TEST(heads_tell_of_blocks)
{
	const uint64_t block = OUTER + 16 + 2 * 1152;	/* 144 units from the first slot */
	const struct musl_group *group;
	uint32_t slot;

	begin();
	take(SECRET);
	group = musl_group_at(&heap, block, &slot);
	check(musl_head_is_block(head(2, 0, 144), group, slot, block));
	/* The block begins further on in its slot, and so a shorter one fits. */
	check(!musl_head_is_block(head(2, 0, 145), group, slot, block));
	check(musl_head_is_block(head(2, 3, 145), group, slot, block + 16));
	/* As free() leaves it; as a slot's start and a group in it are marked. */
	check(!musl_head_is_block(0xffull << 40, group, slot, block));
	check(!musl_head_is_block(head(2, 7, 144), group, slot, block));
	check(!musl_head_is_block(head(2, 6, 144), group, slot, block));
	/* Too far from the first slot for 16 bits. */
	check(musl_head_is_block(2ull << 40 | 1ull << 32 | 144, group, slot, block));

	check(musl_head_fits_request(head(2, 0, 144), group, slot, block, 1148));
	check(musl_head_fits_request(head(2, 4, 144), group, slot, block, 1144));
	check(!musl_head_fits_request(head(2, 4, 144), group, slot, block, 1145));
	check(musl_head_fits_request(head(2, 5, 144), group, slot, block, 1143));
	check(musl_head_fits_request(head(2, 5, 144), group, slot, block, 1000));
	check(!musl_head_fits_request(head(2, 5, 144), group, slot, block, 1144));
	check(musl_head_fits_request(head(2, 0, 145), group, slot, block + 16, 1132));

	check_int(musl_block_in_slot(head(0, 7, 3), block), block + 48);
	check_int(musl_block_in_slot(head(2, 4, 144), block), block);
	check(musl_head_mark(0) != 0);
	check(musl_head_mark(head(2, 0, 144)) != musl_head_mark(head(2, 1, 144)));
	musl_heap_deinit(&heap);
}

TEST(slots_that_requests_are_given)
{
	check_int(musl_slot_bytes(0), 16);
	check_int(musl_slot_bytes(12), 16);
	check_int(musl_slot_bytes(13), 32);
	check_int(musl_slot_bytes(156), 160);
	check_int(musl_slot_bytes(157), 192);
	check_int(musl_slot_bytes(131051), 131056);
	check_int(musl_slot_bytes(131052), 32 * MUSL_PAGE - 16);
	check_int(musl_slot_bytes(131053), 33 * MUSL_PAGE - 16);
}

/* This program's own C library is another one. */
TEST(nothing_is_taken_for_such_a_heap)
{
	uint64_t first;

	check(!musl_heap_find((uint32_t)getpid(), &first));
}
