// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel's ledger: what is mapped and resident by whom, what was given back. */
#include <string.h>

#include "model/page_set.h"
#include "tests/unit/model_records.h"

#define PG 4096ull
#define BASE 0x40000000ull	/* on a block's boundary */
#define ANON MEMORY_ACCESSIBLE

static void call(enum memory_call nr, uint64_t addr, uint64_t size, uint64_t arg,
		 uint64_t old_addr, uint64_t stack)
{
	struct ev_memory ev = { m_header(EV_MEMORY, T1), addr, size, old_addr, stack, nr, arg };

	model_feed(m, &ev, sizeof(ev));
}

static void map(uint64_t addr, uint64_t pages, uint64_t stack)
{
	call(CALL_MMAP, addr, pages * PG, ANON, 0, stack);
}

static void touch(uint64_t addr, uint32_t weight, uint32_t flags, uint64_t stack)
{
	struct ev_touch ev = { m_header(EV_TOUCH, T1), addr, stack, weight, flags };

	model_feed(m, &ev, sizeof(ev));
}

static void touch_all(uint64_t addr, uint64_t pages, uint64_t stack)
{
	for (uint64_t i = 0; i < pages; i++)
		touch(addr + i * PG, 1, TOUCH_WRITE, stack);
}

static struct metrics row(uint64_t stack)
{
	struct model_row_vec rows = { 0 };
	struct metrics ret = { 0 };

	model_rows(m, m_now, 0, &rows, NULL);
	vec_for_each(r, &rows)
		if (r->kind == MEMORY_GROWTH && r->stack_id == stack)
			ret = r->m;
	model_row_vec_deinit(&rows);
	return ret;
}

/* The last one told. */
static struct reclaim_entry last(void)
{
	const struct reclaim_entry *entries;
	size_t count = model_reclaims(m, &entries);

	return count ? entries[count - 1] : (struct reclaim_entry){ .kind = RECLAIM_KINDS_COUNT };
}

/* The truth that check_pages() tells the model: the first so many pages of the block. */
static uint64_t resident_pages;
static bool is_huge;

static bool look(void *arg, uint64_t start, struct page_truth *ret)
{
	for (uint64_t i = 0; i < resident_pages; i++)
		ret->resident[i / 64] |= 1ull << i % 64;
	ret->huge = is_huge;
	return true;
}

static void check_pages(uint64_t resident, bool huge)
{
	resident_pages = resident;
	is_huge = huge;
	check_int(model_check_pages(m, PID, 0, 100, look, NULL), 0);
}

/* As many as make the rows move while they are filled. */
TEST(many_stacks)
{
	struct model_row_vec rows = { 0 };
	int64_t resident = 0;

	m_begin();
	map(BASE, 500, S1);
	for (uint64_t i = 0; i < 500; i++)
		touch(BASE + i * PG, 1, TOUCH_WRITE, 1000 + i);
	model_rows(m, m_now, 0, &rows, NULL);
	check_int(rows.len, 501);
	vec_for_each(r, &rows) {
		check_int(r->m.resident_bytes, r->stack_id == S1 ? 0 : PG);
		resident += r->m.resident_bytes;
	}
	check_int(resident, 500 * PG);
	model_row_vec_deinit(&rows);
}

TEST(mapped_and_touched)
{
	struct model_totals totals;

	m_begin();
	map(BASE, 10, S1);
	touch_all(BASE, 4, S2);
	check_int(row(S1).mapped_bytes, 10 * PG);
	check_int(row(S1).resident_bytes, 0);
	check_int(row(S2).resident_bytes, 4 * PG);
	check_int(row(S2).live_bytes, 0);
	model_rows(m, m_now, 0, NULL, &totals);
	check_int(totals.m.mapped_bytes, 10 * PG);
	check_int(totals.m.resident_bytes, 4 * PG);
	check_int(totals.m.live_bytes, 0);
	check_int(totals.m.alloc_count, 0);
}

/* Between two faults that are told, whole blocks may have become resident. */
TEST(blocks_that_no_fault_was_told_of)
{
	m_begin();
	map(BASE, 3 * PAGES_PER_BLOCK, S1);
	touch(BASE + (PAGES_PER_BLOCK + 5) * PG, 1700, TOUCH_WRITE, S2);
	check_int(row(S2).resident_bytes, 1700 * PG);
	check_pages(PAGES_PER_BLOCK, false);
	check_int(row(S2).resident_bytes, 3 * PAGES_PER_BLOCK * PG);
	check_pages(3, false);
	check_int(row(S2).resident_bytes, 3 * 3 * PG);
}

TEST(unmapped)
{
	m_begin();
	map(BASE, 10, S1);
	touch_all(BASE, 10, S2);
	call(CALL_MUNMAP, BASE + 4 * PG, 3 * PG, 0, 0, S3);
	check_int(row(S1).mapped_bytes, 7 * PG);
	check_int(row(S2).resident_bytes, 7 * PG);
	check_int(last().kind, RECLAIM_MUNMAP);
	check_int(last().bytes, 3 * PG);
	check_int(last().stack_id, S3);
}

/* What was never resident cannot be given back. */
TEST(untouched_memory_is_not_given_back)
{
	m_begin();
	map(BASE, 10, S1);
	call(CALL_MUNMAP, BASE, 10 * PG, 0, 0, S1);
	check_int(last().kind, RECLAIM_KINDS_COUNT);
	call(CALL_MMAP, BASE, 1000 * PG, 0, 0, S1);
	call(CALL_MUNMAP, BASE, 1000 * PG, 0, 0, S1);
	check_int(last().kind, RECLAIM_KINDS_COUNT);
	check_int(row(S1).mapped_bytes, 0);
}

TEST(mapping_over_another)
{
	m_begin();
	map(BASE, 10, S1);
	touch_all(BASE, 10, S1);
	map(BASE + 2 * PG, 4, S2);
	check_int(row(S1).mapped_bytes, 6 * PG);
	check_int(row(S2).mapped_bytes, 4 * PG);
	check_int(row(S1).resident_bytes, 6 * PG);
	check_int(last().bytes, 4 * PG);
}

TEST(break_moves)
{
	m_begin();
	call(CALL_BRK, BASE, 0, 0, 0, S1);
	check_int(row(S1).mapped_bytes, 0);
	call(CALL_BRK, BASE + 10 * PG, 0, 0, 0, S1);
	check_int(row(S1).mapped_bytes, 10 * PG);
	touch_all(BASE, 10, S2);
	call(CALL_BRK, BASE + 3 * PG, 0, 0, 0, S3);
	check_int(row(S1).mapped_bytes, 3 * PG);
	check_int(row(S2).resident_bytes, 3 * PG);
	check_int(last().kind, RECLAIM_BRK);
	check_int(last().bytes, 7 * PG);
}

/* An arena is reserved and made usable bit by bit. */
TEST(reserved_becomes_accessible)
{
	m_begin();
	call(CALL_MMAP, BASE, 100 * PG, 0, 0, S1);
	check_int(row(S1).mapped_bytes, 0);
	call(CALL_MPROTECT, BASE, 30 * PG, ANON, 0, S2);
	call(CALL_MPROTECT, BASE, 30 * PG, ANON, 0, S3);
	check_int(row(S2).mapped_bytes, 30 * PG);
	check_int(row(S3).mapped_bytes, 0);
	call(CALL_MPROTECT, BASE + 10 * PG, 10 * PG, 0, 0, S3);
	check_int(row(S2).mapped_bytes, 20 * PG);
}

TEST(mremap_keeps_who_touched_and_mapped)
{
	m_begin();
	map(BASE, 4, S1);
	touch_all(BASE, 4, S1);
	call(CALL_MREMAP, 2 * BASE, 16 * PG, 4 * PG, BASE, S2);
	check_int(row(S1).mapped_bytes, 4 * PG);
	check_int(row(S2).mapped_bytes, 12 * PG);
	check_int(row(S1).resident_bytes, 4 * PG);
	call(CALL_MUNMAP, 2 * BASE, 2 * PG, 0, 0, S1);
	check_int(row(S1).resident_bytes, 2 * PG);
	call(CALL_MREMAP, 2 * BASE + 2 * PG, PG, 14 * PG, 2 * BASE + 2 * PG, S3);
	check_int(last().kind, RECLAIM_MREMAP);
	check_int(last().bytes, PG);
	check_int(row(S1).mapped_bytes, PG);
	check_int(row(S2).mapped_bytes, 0);
}

TEST(advice)
{
	m_begin();
	map(BASE, 10, S1);
	touch_all(BASE, 10, S1);
	call(CALL_MADVISE, BASE, 5 * PG, 8 /* free */, 0, S2);
	check_int(row(S1).resident_bytes, 10 * PG);
	check_int(last().kind, RECLAIM_FREE);
	check_int(last().bytes, 5 * PG);
	call(CALL_MADVISE, BASE, 5 * PG, 4 /* dontneed */, 0, S2);
	check_int(row(S1).resident_bytes, 5 * PG);
	check_int(row(S1).mapped_bytes, 10 * PG);
	check_int(last().kind, RECLAIM_DONTNEED);
	touch(BASE, 1, TOUCH_WRITE, S3);
	check_int(last().kind, RECLAIM_REFAULT);
	check_int(last().bytes, PG);
	check_str(last().detail, "madv_free");
	check_int(row(S3).resident_bytes, PG);
}

/* A sample stands for others until the truth is known. */
TEST(samples_give_way_to_the_truth)
{
	m_begin();
	map(BASE, 512, S1);
	touch(BASE, 8, TOUCH_WRITE, S1);
	touch(BASE + 8 * PG, 8, TOUCH_WRITE, S2);
	check_int(row(S1).resident_bytes, 8 * PG);
	check_pages(15, false);
	check_int(row(S1).resident_bytes, 8 * PG);
	check_int(row(S2).resident_bytes, 7 * PG);
	check_pages(4, false);
	check_int(row(S1).resident_bytes, 4 * PG);
	check_int(row(S2).resident_bytes, 0);
	/* What comes back belongs to who had it. */
	touch(BASE + 8 * PG, 1, TOUCH_WRITE, S3);
	check_int(row(S2).resident_bytes, PG);
	check_int(row(S3).resident_bytes, 0);
}

TEST(huge_page)
{
	m_begin();
	map(BASE, 512, S1);
	touch(BASE + 100 * PG, 1, TOUCH_WRITE, S1);
	check_pages(512, true);
	check_int(row(S1).resident_bytes, 512 * PG);
}

TEST(reading_makes_nothing_resident)
{
	m_begin();
	map(BASE, 10, S1);
	touch(BASE, 1, 0, S1);
	check_int(row(S1).resident_bytes, 0);
	call(CALL_MMAP, 2 * BASE, 10 * PG, ANON | MEMORY_FILE, 0, S2);
	touch(2 * BASE, 1, 0, S2);
	check_int(row(S2).resident_bytes, PG);
}

TEST(older_than_the_watch)
{
	const struct older_mapping older = { BASE, BASE + 512 * PG, .accessible = true };
	uint64_t resident[8] = { 0xff };

	m_begin();
	model_add_older(m, PID, &older);
	model_add_older_pages(m, PID, BASE, resident);
	touch(BASE, 1, TOUCH_WRITE, S1);
	check_int(row(S1).resident_bytes, 0);
	touch(BASE + 8 * PG, 1, TOUCH_WRITE, S1);
	check_pages(10, false);
	check_int(row(S1).resident_bytes, 2 * PG);
	/* A copy is new memory. */
	touch(BASE + PG, 1, TOUCH_WRITE | TOUCH_PRESENT, S2);
	check_int(row(S2).resident_bytes, PG);
	call(CALL_MUNMAP, BASE, 512 * PG, 0, 0, S3);
	check_int(last().bytes, 10 * PG);
	check_str(last().detail, "older than the watch");
}

TEST(child_copies)
{
	struct ev_process fork = { m_header(EV_FORK, T1), .child = PID + 1 };

	m_begin();
	map(BASE, 10, S1);
	touch_all(BASE, 10, S1);
	fork.h = m_header(EV_FORK, T1);
	model_feed(m, &fork, sizeof(fork));
	m_tgid = PID + 1;
	touch(BASE, 1, TOUCH_WRITE, S2);
	check_int(row(S2).resident_bytes, 0);
	touch(BASE, 1, TOUCH_WRITE | TOUCH_PRESENT, S2);
	check_int(row(S2).resident_bytes, PG);
	m_tgid = PID;
	check_int(row(S1).resident_bytes, 10 * PG);
}

/* What is told of its birth still waits, to be taken in by order of time. */
TEST(child_whose_huge_pages_are_set_at_once)
{
	struct ev_process fork = { m_header(EV_FORK, T1), .child = PID + 1 };
	const struct model_image *images;

	m_begin();
	fork.h = m_header(EV_FORK, T1);
	model_feed(m, &fork, sizeof(fork));
	model_set_huge_pages(m, PID + 1, HUGE_ALWAYS);
	check_int(model_images(m, &images), 2);
	check_int(images[1].tgid, PID + 1);
	check_int(images[1].generation, 0);
}

TEST(huge_pages_count_whole_at_their_first_touch)
{
	m_begin();
	map(BASE, 2 * PAGES_PER_BLOCK + 3, S1);
	model_set_huge_pages(m, PID, HUGE_ADVISED);
	touch(BASE, 1, TOUCH_WRITE, S2);
	check_int(row(S2).resident_bytes, PG);
	call(CALL_MADVISE, BASE, (2 * PAGES_PER_BLOCK + 3) * PG, 14 /* MADV_HUGEPAGE */, 0, S1);
	touch(BASE + (PAGES_PER_BLOCK + 7) * PG, 1, TOUCH_WRITE, S2);
	check_int(row(S2).resident_bytes, (1 + PAGES_PER_BLOCK) * PG);
	/* Of the third block too little is mapped. */
	touch(BASE + 2 * PAGES_PER_BLOCK * PG, 1, TOUCH_WRITE, S2);
	check_int(row(S2).resident_bytes, (2 + PAGES_PER_BLOCK) * PG);
	check_int(row(S1).mapped_bytes, (2 * PAGES_PER_BLOCK + 3) * PG);
}

/* The fault is told before it is served: one look is no proof that it was in vain. */
TEST(huge_page_on_its_way)
{
	m_begin();
	map(BASE, PAGES_PER_BLOCK, S1);
	model_set_huge_pages(m, PID, HUGE_ALWAYS);
	touch(BASE, 1, TOUCH_WRITE, S2);
	check_pages(0, false);
	check_int(row(S2).resident_bytes, PAGES_PER_BLOCK * PG);
	check_pages(3, false);
	check_int(row(S2).resident_bytes, 3 * PG);
}

TEST(nonsense_is_counted)
{
	struct model_totals totals;

	m_begin();
	call(CALL_MMAP, BASE + 1, PG, ANON, 0, S1);
	call(CALL_MUNMAP, UINT64_MAX & -PG, 2 * PG, 0, 0, S1);
	call(MEMORY_CALLS_COUNT, BASE, PG, 0, 0, S1);
	touch(BASE, 0, 0, S1);
	model_rows(m, m_now, 0, NULL, &totals);
	check_int(totals.malformed, 4);
	/* Ranges of half the address space end soon. */
	call(CALL_MUNMAP, 0, 1ull << 62, 0, 0, S1);
	call(CALL_MADVISE, 0, 1ull << 62, 4, 0, S1);
	call(CALL_MADVISE, 0, 1ull << 62, 8, 0, S1);
	check_int(row(S1).mapped_bytes, 0);
}
