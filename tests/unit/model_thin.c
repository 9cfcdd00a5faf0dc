// SPDX-License-Identifier: GPL-2.0-or-later
/* From exact books to a sample of them: no bias, nothing left behind. */
#include <math.h>

#include "tests/unit/model_records.h"

#define BLOCKS 20000
#define MEAN 4096
#define BASE 0x7f0000001000ull

static uint64_t kept[2 * BLOCKS];
static size_t kept_count;

static void keep(void *arg, uint32_t tgid, uint64_t addr)
{
	check_int(tgid, PID);
	kept[kept_count++] = addr;
}

static uint64_t small(int i)
{
	return BASE + i * 256;
}

static uint64_t large(int i)
{
	return BASE + (1ull << 32) + i * (1ull << 17);
}

static void thin(uint64_t mean)
{
	kept_count = 0;
	model_thin(m, mean, keep, NULL);
}

/* Within five standard deviations; an error is 1.96 of them. */
static void check_near(double got, double error, double want)
{
	check(error > 0);
	check(fabs(got - want) <= 5 / 1.96 * error);
}

static void check_estimates(void)
{
	const struct metrics row = m_heap(S1);

	check_near(row.live_bytes, row.live_bytes_error, BLOCKS * 200);
	check_near(row.live_count, row.live_count_error, BLOCKS);
	check_near(row.alloc_bytes, row.alloc_bytes_error, BLOCKS * 200);
	check(row.live_bytes_error < BLOCKS * 200 / 10);
}

TEST(live_blocks_become_samples)
{
	m_begin();
	for (int i = 0; i < BLOCKS; i++)
		m_alloc(T1, small(i), 200, S1);
	for (int i = 0; i < 100; i++)
		m_alloc(T1, large(i), 1 << 20, S2);
	thin(MEAN);
	check_estimates();
	/* Of far more than the mean, every one is a sample, and told exactly. */
	check_int(m_heap(S2).live_bytes, 100 << 20);
	check_int(m_heap(S2).live_count, 100);
	check(m_heap(S2).live_bytes_error == 0);
	/* One in twenty of the small ones: 976, give or take five deviations. */
	check(kept_count > 100 + 976 - 160 && kept_count < 100 + 976 + 160);
}

/* Every block that is known still ends; those that are not have left nothing. */
TEST(samples_end_and_leave_nothing)
{
	m_begin();
	for (int i = 0; i < BLOCKS; i++)
		m_alloc(T1, small(i), 200, S1);
	thin(MEAN);
	for (size_t i = 0; i < kept_count; i++)
		m_free(T2, kept[i]);
	check_int(m_totals().unknown_free_count, 0);
	check_int(m_heap(S1).live_bytes, 0);
	check_int(m_heap(S1).live_count, 0);
	check_int(m_totals().m.live_bytes, 0);
	m_free(T2, kept[0]);
	check_int(m_totals().unknown_free_count, 1);
}

/* What is a sample already stays what it is, whatever the mean. */
TEST(samples_are_not_thinned_again)
{
	int64_t before;
	size_t count;

	m_begin();
	for (int i = 0; i < BLOCKS; i++)
		m_alloc(T1, small(i), 200, S1);
	thin(MEAN);
	before = m_heap(S1).live_bytes;
	count = kept_count;
	thin(100 * MEAN);
	check_int(m_heap(S1).live_bytes, before);
	check_int(kept_count, count);
}

/* Nothing is freed by it, so what was freed before is as exact as it was. */
TEST(what_was_freed_stays_exact)
{
	m_begin();
	for (int i = 0; i < BLOCKS; i++)
		m_alloc(T1, small(i), 200, S1);
	for (int i = 0; i < BLOCKS / 2; i++)
		m_free(T1, small(i));
	thin(MEAN);
	check_int(m_heap(S1).free_bytes, BLOCKS / 2 * 200);
	check_int(m_heap(S1).free_count, BLOCKS / 2);
	check_near(m_heap(S1).live_bytes, m_heap(S1).live_bytes_error, BLOCKS / 2 * 200);
}

TEST(blocks_of_no_bytes_have_the_chance_of_one)
{
	m_begin();
	for (int i = 0; i < BLOCKS; i++)
		m_alloc(T1, small(i), 0, S1);
	thin(8);
	check_int(m_heap(S1).live_bytes, 0);
	check_near(m_heap(S1).live_count, m_heap(S1).live_count_error, BLOCKS);
}

/* Where samples stand for themselves only, that some were missed is told by the caller. */
TEST(rows_of_single_blocks_may_lack_some)
{
	struct ev_alloc block = { .h = { .kind = EV_ALLOC, .tgid = PID }, .addr = large(0),
				  .size = 1 << 20, .stack_id = S2, .weight = 4 << 20 };

	m_begin();
	m_alloc(T1, large(0), 1 << 20, S2);
	check(m_heap(S2).live_bytes_error == 0);
	model_may_miss(m, &block);
	check(m_heap(S2).live_bytes == 1 << 20);
	check(m_heap(S2).live_bytes_error > 2 * (4 << 20));
	check(m_heap(S2).live_count_error > 2 * 4);
}
