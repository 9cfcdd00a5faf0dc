// SPDX-License-Identifier: GPL-2.0-or-later
/* What the model makes of allocations, frees and reallocations, whole and lost. */
#include "tests/unit/model_records.h"

TEST(alloc_and_free)
{
	m_begin();
	m_alloc(T1, 0xa000, 100, S1);
	m_alloc(T1, 0xb000, 50, S1);
	m_alloc(T1, 0xc000, 7, S2);
	m_free(T2, 0xa000);
	check_int(m_heap(S1).live_bytes, 50);
	check_int(m_heap(S1).live_count, 1);
	check_int(m_heap(S1).alloc_bytes, 150);
	check_int(m_heap(S1).alloc_count, 2);
	check_int(m_heap(S1).free_bytes, 100);
	check_int(m_heap(S1).free_count, 1);
	check_int(m_heap(S2).live_bytes, 7);
	check_int(m_totals().m.live_bytes, 57);
	check_int(m_totals().m.alloc_count, 3);
}

TEST(failed_alloc_is_counted_only)
{
	m_begin();
	m_alloc(T1, 0, 1 << 30, S1);
	check_int(m_totals().failed_alloc_count, 1);
	check_int(m_totals().m.alloc_count, 0);
}

TEST(block_of_no_bytes_is_live)
{
	m_begin();
	m_alloc(T1, 0xa000, 0, S1);
	check_int(m_heap(S1).live_count, 1);
	check_int(m_heap(S1).live_bytes, 0);
	m_free(T1, 0xa000);
	check_int(m_heap(S1).live_count, 0);
	check_int(m_totals().unknown_free_count, 0);
}

TEST(huge_blocks_keep_their_size)
{
	static const uint64_t sizes[] = { UINT32_MAX - 1, UINT32_MAX, 1ull << 32, 5ull << 40 };
	uint64_t sum = 0;

	m_begin();
	for (int i = 0; i < 4; i++) {
		m_alloc(T1, 0xa000 + 16 * i, sizes[i], S1);
		sum += sizes[i];
	}
	check_int(m_heap(S1).live_bytes, sum);
	for (int i = 0; i < 4; i++) {
		m_free(T2, 0xa000 + 16 * i);
		sum -= sizes[i];
		check_int(m_heap(S1).live_bytes, sum);
	}
}

TEST(unknown_free_is_counted)
{
	m_begin();
	m_free(T1, 0xa000);
	m_alloc(T1, 0xa000, 10, S1);
	m_free(T1, 0xa000);
	m_free(T2, 0xa000);
	m_free(T1, 0);
	check_int(m_totals().unknown_free_count, 2);
	check_int(m_totals().m.free_count, 1);
}

static void m_pool(enum event_kind kind, uint64_t pool, uint64_t addr)
{
	struct ev_pool ev = { m_header(kind, T1), pool, addr };

	model_feed(m, &ev, sizeof(ev));
}

/* What was put in ends with the pool, unless it ended or moved away before. */
TEST(pool_is_cleared)
{
	m_begin();
	for (uint64_t i = 0; i < 300; i++) {
		m_alloc(T1, 0x10000 + 16 * i, 10, S1);
		m_pool(EV_POOL_ADD, 0x99, 0x10000 + 16 * i);
		if (i % 3)
			m_free(T1, 0x10000 + 16 * i);
	}
	check_int(m_heap(S1).live_count, 100);
	m_alloc(T1, 0x10010, 7, S2);		/* where one of the pool's was */
	m_pool(EV_POOL_CLEAR, 0x98, 0);
	check_int(m_heap(S1).live_count, 100);
	m_pool(EV_POOL_CLEAR, 0x99, 0);
	check_int(m_heap(S1).live_count, 0);
	check_int(m_heap(S2).live_count, 1);
	check_int(m_heap(S1).free_count, 300);
	m_pool(EV_POOL_CLEAR, 0x99, 0);
	check_int(m_totals().unknown_free_count, 0);
}

/* operator delete and the free that it calls, both probed. */
TEST(free_that_is_passed_on_counts_once)
{
	m_begin();
	m_free(T1, 0xa000);
	m_free(T1, 0xa000);
	check_int(m_totals().unknown_free_count, 1);
	m_alloc(T1, 0xb000, 10, S1);
	m_free(T1, 0xb000);
	m_free(T1, 0xb000);
	check_int(m_totals().unknown_free_count, 1);
	check_int(m_totals().m.free_count, 1);
	/* Given to another thread in between, it is another block. */
	m_alloc(T2, 0xb000, 10, S1);
	m_free(T1, 0xb000);
	check_int(m_totals().m.free_count, 2);
	m_free(T1, 0xc000);
	check_int(m_totals().unknown_free_count, 2);
}

TEST(lost_free_is_settled_by_reuse)
{
	m_begin();
	m_alloc(T1, 0xa000, 100, S1);
	m_alloc(T2, 0xa000, 30, S2);
	check_int(m_heap(S1).live_bytes, 0);
	check_int(m_heap(S1).free_count, 1);
	check_int(m_heap(S1).temporary_count, 0);
	check_int(m_heap(S2).live_bytes, 30);
	check_int(m_totals().settled_by_reuse, 1);
	m_free(T2, 0xa000);
	check_int(m_totals().m.live_count, 0);
}

TEST(tagged_pointers_name_the_same_block)
{
	m_begin();
	m_alloc(T1, 0x0b00ffff0000a000, 100, S1);
	m_free(T1, 0x0700ffff0000a000);
	check_int(m_totals().m.live_count, 0);
	check_int(m_totals().m.temporary_count, 1);
	m_alloc(T1, 0x00ff00000000a000, 100, S1);
	m_alloc(T1, 0x000000000000a000, 100, S1);
	check_int(m_totals().m.live_count, 2);
	m_alloc(T1, 0x0b00000000000000, 100, S1);
	check_int(m_totals().failed_alloc_count, 1);
}

TEST(temporary_needs_same_thread_and_nothing_between)
{
	m_begin();
	m_alloc(T1, 0xa000, 8, S1);
	m_free(T1, 0xa000);
	check_int(m_heap(S1).temporary_count, 1);
	m_alloc(T1, 0xa000, 8, S1);
	m_free(T2, 0xa000);
	check_int(m_heap(S1).temporary_count, 1);
	m_alloc(T1, 0xa000, 8, S1);
	m_alloc(T1, 0xb000, 8, S1);
	m_free(T1, 0xa000);
	check_int(m_heap(S1).temporary_count, 1);
	m_free(T1, 0xb000);
	check_int(m_heap(S1).temporary_count, 2);
}

TEST(temporary_ignores_others_and_failures_between)
{
	m_begin();
	m_alloc(T1, 0xa000, 8, S1);
	m_alloc(T2, 0xb000, 8, S2);
	m_free(T2, 0xb000);
	m_alloc(T1, 0, 8, S1);
	m_free(T1, 0xa000);
	check_int(m_heap(S1).temporary_count, 1);
}

TEST(temporary_is_of_a_block_not_an_address)
{
	m_begin();
	m_alloc(T1, 0xa000, 8, S1);
	m_free(T2, 0xa000);
	m_alloc(T2, 0xa000, 8, S1);
	m_free(T1, 0xa000);
	check_int(m_heap(S1).temporary_count, 0);
}

TEST(a_loss_makes_nothing_temporary)
{
	m_begin();
	m_alloc(T1, 0xa000, 8, S1);
	model_note_loss(m, 1);
	m_free(T1, 0xa000);
	check_int(m_heap(S1).temporary_count, 0);
	m_alloc(T1, 0xa000, 8, S1);
	m_free(T1, 0xa000);
	check_int(m_heap(S1).temporary_count, 1);
}

TEST(realloc_frees_and_allocates)
{
	m_begin();
	m_alloc(T1, 0xa000, 100, S1);
	m_realloc(T1, 0xa000, 0xb000, 300, S2);
	check_int(m_heap(S1).live_bytes, 0);
	check_int(m_heap(S1).free_bytes, 100);
	check_int(m_heap(S1).temporary_count, 1);
	check_int(m_heap(S2).live_bytes, 300);
	check_int(m_heap(S2).alloc_count, 1);
	m_realloc(T2, 0xb000, 0xb000, 50, S2);
	check_int(m_heap(S2).live_bytes, 50);
	check_int(m_heap(S2).temporary_count, 0);
	m_free(T2, 0xb000);
	check_int(m_heap(S2).temporary_count, 1);
	check_int(m_totals().settled_by_reuse + m_totals().unknown_free_count, 0);
}

TEST(realloc_of_nothing_allocates)
{
	m_begin();
	m_end_realloc(T1, 0, 0xa000, 10, S1);
	m_realloc(T1, 0, 0xb000, 10, S1);
	m_end_realloc(T1, 0, 0, 0, S1);
	check_int(m_heap(S1).live_count, 2);
	check_int(m_totals().unknown_free_count + m_totals().failed_alloc_count, 0);
	m_end_realloc(T1, 0, 0, 10, S1);
	check_int(m_totals().failed_alloc_count, 1);
}

TEST(pending_realloc_is_still_live)
{
	m_begin();
	m_alloc(T1, 0xa000, 100, S1);
	m_begin_realloc(T1, 0xa000);
	check_int(m_heap(S1).live_bytes, 100);
	check_int(m_heap(S1).live_count, 1);
	m_now += SECOND;
	check(m_heap(S1).oldest_live_s > 1.0);
}

TEST(failed_realloc_leaves_the_old_block)
{
	m_begin();
	m_alloc(T1, 0xa000, 100, S1);
	m_realloc(T1, 0xa000, 0, 1 << 30, S2);
	check_int(m_totals().failed_alloc_count, 1);
	check_int(m_heap(S1).live_bytes, 100);
	check_int(m_heap(S1).alloc_count, 1);
	m_free(T1, 0xa000);
	check_int(m_heap(S1).temporary_count, 1);
	check_int(m_totals().m.live_count, 0);
}

TEST(realloc_to_nothing_frees)
{
	m_begin();
	m_alloc(T1, 0xa000, 100, S1);
	m_realloc(T1, 0xa000, 0, 0, S1);
	check_int(m_totals().m.live_count, 0);
	check_int(m_totals().failed_alloc_count, 0);
	m_realloc(T1, 0xdead0, 0, 0, S1);
	check_int(m_totals().unknown_free_count, 1);
}

TEST(realloc_of_unknown_block)
{
	m_begin();
	m_realloc(T1, 0xa000, 0xb000, 100, S1);
	check_int(m_totals().unknown_free_count, 1);
	check_int(m_heap(S1).live_bytes, 100);
	m_realloc(T1, 0xa000, 0, 100, S1);
	check_int(m_totals().unknown_free_count, 1);
	check_int(m_totals().failed_alloc_count, 1);
}

TEST(realloc_lost_begin)
{
	m_begin();
	m_alloc(T1, 0xa000, 100, S1);
	m_end_realloc(T1, 0xa000, 0xb000, 200, S1);
	check_int(m_heap(S1).live_bytes, 200);
	check_int(m_heap(S1).temporary_count, 1);
	m_end_realloc(T1, 0xb000, 0, 300, S1);
	check_int(m_heap(S1).live_bytes, 200);
	check_int(m_totals().unknown_free_count, 0);
	m_free(T1, 0xb000);
	check_int(m_totals().m.live_count, 0);
}

TEST(realloc_lost_end)
{
	m_begin();
	m_alloc(T1, 0xa000, 100, S1);
	m_begin_realloc(T1, 0xa000);
	m_alloc(T1, 0xb000, 7, S2);
	check_int(m_heap(S1).live_bytes, 0);
	check_int(m_heap(S1).temporary_count, 0);
	check_int(m_totals().untracked_allocs, 1);
	m_begin_realloc(T1, 0xb000);
	m_begin_realloc(T1, 0xc000);
	check_int(m_heap(S2).live_bytes, 0);
	check_int(m_totals().untracked_allocs, 2);
	m_free(T1, 0xd000);
	check_int(m_totals().untracked_allocs, 3);
	check_int(m_totals().unknown_free_count, 1);
}

TEST(realloc_that_frees_by_itself)
{
	m_begin();
	m_alloc(T1, 0xa000, 100, S1);
	m_begin_realloc(T1, 0xa000);
	m_free(T1, 0xa000);
	check_int(m_heap(S1).live_bytes, 100);
	m_end_realloc(T1, 0xa000, 0, 0, S1);
	check_int(m_heap(S1).live_bytes, 0);
	check_int(m_heap(S1).free_count, 1);
	check_int(m_totals().unknown_free_count + m_totals().untracked_allocs, 0);
}

TEST(realloc_announced_twice)
{
	m_begin();
	m_alloc(T1, 0xa000, 100, S1);
	m_begin_realloc(T1, 0xa000);
	m_realloc(T1, 0xa000, 0xb000, 50, S1);
	check_int(m_heap(S1).live_bytes, 50);
	check_int(m_heap(S1).free_count, 1);
	check_int(m_totals().unknown_free_count + m_totals().untracked_allocs, 0);
}

TEST(realloc_out_of_the_size_limits)
{
	m_begin();
	m_alloc(T1, 0xa000, 100, S1);
	m_realloc(T1, 0xa000, 0xb000, 1, 0);
	check_int(m_totals().m.live_count, 0);
	check_int(m_totals().m.alloc_count, 1);
	check_int(m_totals().untracked_allocs, 0);
}

TEST(realloc_lost_end_and_begin)
{
	m_begin();
	m_alloc(T1, 0xa000, 100, S1);
	m_alloc(T1, 0xb000, 10, S2);
	m_begin_realloc(T1, 0xa000);
	m_end_realloc(T1, 0xb000, 0xc000, 20, S3);
	check_int(m_heap(S1).live_bytes, 0);
	check_int(m_heap(S2).live_bytes, 0);
	check_int(m_heap(S3).live_bytes, 20);
	check_int(m_totals().untracked_allocs, 1);
}

TEST(realloc_while_other_gets_old_address)
{
	m_begin();
	m_alloc(T1, 0xa000, 100, S1);
	m_begin_realloc(T1, 0xa000);
	m_alloc(T2, 0xa000, 8, S2);
	m_end_realloc(T1, 0xa000, 0xb000, 200, S1);
	check_int(m_heap(S1).live_bytes, 200);
	check_int(m_heap(S1).temporary_count, 1);
	check_int(m_heap(S2).live_bytes, 8);
	check_int(m_totals().settled_by_reuse, 0);
	m_free(T2, 0xa000);
	check_int(m_heap(S2).temporary_count, 1);
	check_int(m_totals().unknown_free_count, 0);
}

TEST(realloc_of_unknown_while_other_gets_old_address)
{
	m_begin();
	m_begin_realloc(T1, 0xa000);
	m_alloc(T2, 0xa000, 8, S2);
	m_end_realloc(T1, 0xa000, 0xb000, 200, S1);
	check_int(m_heap(S2).live_bytes, 8);
	check_int(m_totals().unknown_free_count, 1);
}

TEST(failed_realloc_of_a_place_given_away)
{
	m_begin();
	m_alloc(T1, 0xa000, 100, S1);
	m_begin_realloc(T1, 0xa000);
	m_alloc(T2, 0xa000, 8, S2);
	m_end_realloc(T1, 0xa000, 0, 200, S1);
	check_int(m_heap(S1).live_bytes, 0);
	check_int(m_heap(S2).live_bytes, 8);
	check_int(m_totals().settled_by_reuse, 1);
}

TEST(reallocs_of_two_threads_swap_places)
{
	m_begin();
	m_alloc(T1, 0xa000, 100, S1);
	m_alloc(T2, 0xb000, 200, S2);
	m_begin_realloc(T1, 0xa000);
	m_begin_realloc(T2, 0xb000);
	m_end_realloc(T2, 0xb000, 0xa000, 20, S2);
	m_end_realloc(T1, 0xa000, 0xb000, 10, S1);
	check_int(m_heap(S1).live_bytes, 10);
	check_int(m_heap(S2).live_bytes, 20);
	m_free(T1, 0xb000);
	m_free(T2, 0xa000);
	check_int(m_totals().m.live_count, 0);
	check_int(m_totals().settled_by_reuse + m_totals().unknown_free_count, 0);
}

TEST(thread_states_do_not_gather)
{
	m_begin();
	m_alloc(7, 0xa000, 100, S1);
	m_begin_realloc(7, 0xa000);
	for (uint32_t tid = 100000; tid < 300000; tid++) {
		m_alloc(tid, 0xb000, 8, S2);
		m_free(tid, 0xb000);
	}
	check_int(m_heap(S2).temporary_count, 200000);
	/* The first thread's realloc never ended: given up with its state. */
	check_int(m_heap(S1).live_bytes, 0);
	check_int(m_totals().untracked_allocs, 1);
}

TEST(samples_stand_for_their_weight)
{
	m_begin();
	for (int i = 0; i < 1000; i++)
		m_sample(T1, 0xa000 + 64 * i, 100, S1, 250);
	check_int(m_heap(S1).live_bytes, 250000);
	/* 2.5 allocations each: rounded up as often as down. */
	check(m_heap(S1).live_count > 2350 && m_heap(S1).live_count < 2650);
	for (int i = 0; i < 1000; i++)
		m_free(T2, 0xa000 + 64 * i);
	check_int(m_heap(S1).live_bytes, 0);
	check_int(m_heap(S1).live_count, 0);
	check_int(m_heap(S1).free_bytes, 250000);
}

TEST(peak_shares_add_up)
{
	m_begin();
	m_alloc(T1, 0xa000, 100, S1);
	m_alloc(T1, 0xb000, 50, S2);
	m_free(T1, 0xa000);
	m_alloc(T1, 0xc000, 40, S3);
	check_int(m_totals().m.peak_live_bytes, 150);
	check_int(m_heap(S1).peak_live_bytes, 100);
	check_int(m_heap(S2).peak_live_bytes, 50);
	check_int(m_heap(S3).peak_live_bytes, 0);
	m_alloc(T1, 0xd000, 70, S1);
	check_int(m_totals().m.peak_live_bytes, 160);
	check_int(m_heap(S1).peak_live_bytes, 70);
	check_int(m_heap(S2).peak_live_bytes, 50);
	check_int(m_heap(S3).peak_live_bytes, 40);
	m_realloc(T1, 0xd000, 0xe000, 60, S1);
	check_int(m_totals().m.peak_live_bytes, 160);
}

TEST(oldest_is_of_the_living)
{
	m_begin();
	m_alloc(T1, 0xa000, 1, S1);
	m_now += 10 * SECOND;
	m_alloc(T1, 0xb000, 1, S1);
	m_now += 2 * SECOND;
	check(m_heap(S1).oldest_live_s > 11.99 && m_heap(S1).oldest_live_s < 12.02);
	m_free(T1, 0xa000);
	check(m_heap(S1).oldest_live_s > 1.99 && m_heap(S1).oldest_live_s < 2.02);
	m_free(T1, 0xb000);
	check(m_heap(S1).oldest_live_s == 0);
}

TEST(ages_over_days_stay_right)
{
	m_begin();
	for (int day = 0; day < 10; day++) {
		m_alloc(T1, 0xa000 + 16 * day, 1, S1 + day);
		m_now += 86400 * SECOND;
	}
	for (int day = 0; day < 10; day++) {
		double age = m_heap(S1 + day).oldest_live_s, want = 86400.0 * (10 - day);

		/* One epoch, a 32768th of all the time at most. */
		check(age > want - 1 && age < want + 864000.0 / 32768 + 1);
	}
}

TEST(a_pending_block_ages_with_the_epochs)
{
	m_begin();
	m_alloc(T1, 0xa000, 1, S1);
	m_now += 1000 * SECOND;
	m_alloc(T2, 0xb000, 1, S1);
	m_begin_realloc(T2, 0xb000);
	m_now += 100000 * SECOND;
	m_alloc(T1, 0xc000, 1, S2);
	m_free(T1, 0xa000);
	check(m_heap(S1).oldest_live_s > 99990 && m_heap(S1).oldest_live_s < 100010);
}

TEST(stack_frames_come_once_or_never)
{
	uint64_t pcs[] = { 11, 22, 33 };
	struct model_row row;

	m_begin();
	m_alloc(T1, 0xa000, 1, S1);
	check_int(m_row_of(0, S1, MEMORY_HEAP).status, UNWIND_LOST);
	check_int(m_row_of(0, S1, MEMORY_HEAP).pc_count, 0);
	m_stack(S1, UNWIND_GUESSED, 3, pcs, 3);
	row = m_row_of(0, S1, MEMORY_HEAP);
	check_int(row.status, UNWIND_GUESSED);
	check_int(row.pc_count, 3);
	check_int(row.pcs[2], 33);
	pcs[2] = 44;
	m_stack(S1, UNWIND_COMPLETE, 3, pcs, 3);
	check_int(m_row_of(0, S1, MEMORY_HEAP).pcs[2], 33);
	check(m_row_of(0, S1, MEMORY_HEAP).pcs == row.pcs);
	check_int(m_totals().malformed, 0);
}

TEST(many_long_stacks_keep_their_frames)
{
	uint64_t pcs[MAX_DEPTH];
	struct model_row_vec rows = { 0 };

	m_begin();
	for (uint64_t id = 1; id <= 3000; id++) {
		uint32_t count = 1 + id % MAX_DEPTH;

		for (uint32_t i = 0; i < count; i++)
			pcs[i] = id << 16 | i;
		m_stack(id, UNWIND_COMPLETE, count, pcs, count);
		m_alloc(T1, 16 * id, 1, id);
	}
	model_rows(m, m_now, 0, &rows, NULL);
	check_int(rows.len, 3000);
	vec_for_each(row, &rows) {
		check_int(row->pc_count, 1 + row->stack_id % MAX_DEPTH);
		check_int(row->pcs[0], row->stack_id << 16);
		check_int(row->pcs[row->pc_count - 1], row->stack_id << 16 | (row->pc_count - 1));
	}
	model_row_vec_deinit(&rows);
}

TEST(malformed_records_are_counted)
{
	uint64_t pcs[MAX_DEPTH + 1] = { 0 };
	struct ev_alloc a;
	int wrong = 0;

	m_begin();
	a = (struct ev_alloc){ m_header(EV_ALLOC, T1), 0xa000, 1, S1, 1 };
	model_feed(m, &a, 0), wrong++;
	model_feed(m, &a, 1), wrong++;
	model_feed(m, &a, sizeof(a) - 1), wrong++;
	a.h.kind = EVENT_KINDS_COUNT;
	model_feed(m, &a, sizeof(a)), wrong++;
	a.h.kind = 0xffff;
	model_feed(m, &a, sizeof(a)), wrong++;
	m_stack(1, UNWIND_COMPLETE, 2, pcs, 1), wrong++;
	m_stack(1, UNWIND_COMPLETE, MAX_DEPTH + 1, pcs, MAX_DEPTH + 1), wrong++;
	m_stack(1, UNWIND_COMPLETE, 0, pcs, 0), wrong++;
	m_stack(1, UNWIND_STATUSES_COUNT, 2, pcs, 2), wrong++;
	m_alloc(T1, 0xa000, 1ull << 60, S1), wrong++;
	check_int(m_totals().malformed, wrong);
	check_int(m_totals().m.alloc_count, 0);
	m_stack(1, UNWIND_LOST, 0, pcs, 0);
	check_int(m_totals().malformed, wrong);
}

TEST(records_may_lie_anywhere)
{
	struct ev_alloc ev;
	char bytes[sizeof(ev) + 1];

	m_begin();
	ev = (struct ev_alloc){ m_header(EV_ALLOC, T1), 0xa000, 5, S1, 5 };
	memcpy(bytes + 1, &ev, sizeof(ev));
	model_feed(m, bytes + 1, sizeof(ev));
	check_int(m_heap(S1).live_bytes, 5);
}

TEST(too_many_stacks_are_untracked)
{
	m_begin();
	for (uint64_t i = 1; i <= (1 << 20) + 10; i++)
		m_alloc(T1, 0xa000 + 16 * i, 1, i);
	check_int(m_totals().m.live_count, 1 << 20);
	check_int(m_totals().untracked_allocs, 10);
	m_alloc(T1, 0xa000, 1, 5);
	check_int(m_totals().m.live_count, (1 << 20) + 1);
}

/* One address, one moment: what a thread that churns is given within a clock tick. */
TEST(counts_of_samples_are_rounded_one_by_one)
{
	int64_t count;

	m_begin();
	for (int i = 0; i < 4000; i++) {
		m_now = 5 * SECOND;
		m_sample(T1, 0xa000, 100, S1, 150);
		m_free(T1, 0xa000);
	}
	count = m_heap(S1).alloc_count;
	/* 1 or 2 each: a standard deviation is 32. */
	check(count > 6000 - 160 && count < 6000 + 160);
}

/* --- what the kernel side has held back (bpf/held.bpf.h) --- */

TEST(pairs_count_and_leave_nothing)
{
	m_begin();
	m_alloc(T1, 0xa000, 1000, S2);
	m_pairs(T1, 100, S1, 7, 5);
	check_int(m_heap(S1).alloc_count, 7);
	check_int(m_heap(S1).alloc_bytes, 700);
	check_int(m_heap(S1).free_count, 7);
	check_int(m_heap(S1).free_bytes, 700);
	check_int(m_heap(S1).temporary_count, 5);
	check_int(m_heap(S1).live_count, 0);
	check_int(m_totals().m.live_bytes, 1000);
}

TEST(no_pairs_make_no_sense)
{
	m_begin();
	m_alloc(T1, 0xa000, 1000, S2);
	m_pairs(T1, 100, S1, 0, 0);
	check_int(m_totals().malformed, 1);
	check_int(m_totals().m.alloc_count, 1);
}

/* One of them was live at some moment; that more were is not known. */
TEST(pairs_raise_the_peak_by_one)
{
	m_begin();
	m_alloc(T1, 0xa000, 1000, S2);
	m_pairs(T1, 100, S1, 7, 0);
	check_int(m_totals().m.peak_live_bytes, 1100);
	check_int(m_heap(S1).peak_live_bytes, 100);
}

/* They are told when they are: what their thread does is not ended by it. */
TEST(pairs_and_held_births_fall_into_a_realloc)
{
	m_begin();
	m_alloc(T1, 0xa000, 10, S1);
	m_begin_realloc(T1, 0xa000);
	m_pairs(T1, 100, S2, 3, 3);
	m_held(T1, 0xc000, 5, S3, false);
	m_end_realloc(T1, 0xa000, 0xb000, 20, S1);
	check_int(m_heap(S1).live_bytes, 20);
	check_int(m_heap(S3).live_bytes, 5);
	check_int(m_totals().untracked_allocs, 0);
	check_int(m_totals().unknown_free_count, 0);
}

/* Births are told in any order; frees say whether they end a thread's last block. */
TEST(temporary_of_held_births)
{
	m_begin();
	m_held(T1, 0xb000, 10, S1, true);
	m_held(T1, 0xa000, 10, S1, false);
	m_free_as(EV_FREE, T1, 0xb000);
	check_int(m_heap(S1).temporary_count, 1);
	m_free_as(EV_FREE_LATER, T1, 0xa000);
	check_int(m_heap(S1).temporary_count, 1);
	check_int(m_heap(S1).live_count, 0);
}

/* The address was the thread's newest, and is another thread's block now. */
TEST(held_birth_at_anothers_address)
{
	m_begin();
	m_held(T1, 0xa000, 10, S1, true);
	m_free_as(EV_FREE_LATER, T2, 0xa000);
	m_held(T2, 0xa000, 10, S2, false);
	m_free_as(EV_FREE, T1, 0xa000);
	check_int(m_totals().m.temporary_count, 0);
	check_int(m_totals().m.live_count, 0);
}

/* One call told twice, of which the first was settled with its birth. */
TEST(free_again)
{
	m_begin();
	m_pairs(T1, 100, S1, 1, 1);
	m_free_as(EV_FREE_AGAIN, T1, 0xa000);
	check_int(m_totals().unknown_free_count, 0);
	m_alloc(T2, 0xa000, 10, S2);
	m_free_as(EV_FREE_AGAIN, T1, 0xa000);
	check_int(m_heap(S2).live_count, 0);
	m_free_as(EV_FREE_LATER, T1, 0xd000);
	check_int(m_totals().unknown_free_count, 1);
}

/* --- blocks that are given away --- */

static struct given_block given[4];
static unsigned int given_count;
static int64_t given_peak;

static void take_given(void *arg, const struct given_block *block)
{
	given[given_count++ % 4] = *block;
}

static void take_given_peak(void *arg, uint64_t stack_id, int64_t bytes)
{
	given_peak += stack_id == S1 ? bytes : 0;
}

TEST(handed_over_as_if_never_born)
{
	const struct model_heir heir = { take_given, take_given_peak, NULL };

	given_count = 0;
	given_peak = 0;
	m_begin();
	m_alloc(T1, 0xa000, 100, S1);
	m_alloc(T1, 0xb000, 30, S1);
	m_free(T1, 0xb000);
	check_int(model_live_count(m, PID), 1);
	model_hand_over(m, PID, &heir);
	check_int(given_count, 1);
	check_int(given[0].addr, 0xa000);
	check_int(given[0].bytes, 100);
	check_int(given[0].stack_id, S1);
	check_int(given_peak, 130);
	check_int(model_live_count(m, PID), 0);
	check_int(m_heap(S1).alloc_bytes, 30);
	check_int(m_heap(S1).free_bytes, 30);
	check_int(m_heap(S1).live_count, 0);
	check_int(m_heap(S1).temporary_count, 1);
	check_int(m_totals().m.peak_live_bytes, 0);
	/* Its free is somebody else's affair now. */
	m_free(T1, 0xa000);
	check_int(m_heap(S1).free_count, 1);
}

/* Ten blocks of 50 bytes by one that is followed, beside twenty that came and went. */
TEST(taken_back_as_estimates)
{
	const struct given_row row = {
		.stack_id = S1, .alloc_bytes = 1500, .alloc_count = 30, .temporary_count = 4,
		.peak_bytes = 900,
		.spread = { .alloc_bytes = 40000, .alloc_count = 16, .heaviest_bytes = 100,
			    .heaviest_count = 2, .heaviest_live_bytes = 50,
			    .heaviest_live_count = 1 },
	};
	const struct given_block block = {
		.addr = 0xa000, .bytes = 500, .count = 10, .stack_id = S1,
		.variance = { 22500, 9 },
	};
	const struct model_heir heir = { take_given, take_given_peak, NULL };

	m_begin();
	m_alloc(T1, 0xb000, 20, S2);
	m_free(T1, 0xb000);
	model_begin_taking(m);
	model_take_row(m, PID, &row);
	model_take_block(m, PID, &block);
	model_end_taking(m, 900);
	check_int(m_heap(S1).alloc_bytes, 1500);
	check_int(m_heap(S1).live_bytes, 500);
	check_int(m_heap(S1).free_count, 20);
	check_int(m_heap(S1).temporary_count, 4);
	check_int(m_heap(S1).peak_live_bytes, 900);
	check_int(m_totals().m.peak_live_bytes, 900);
	check(m_heap(S1).live_bytes_error > 0);
	check(m_heap(S1).alloc_bytes_error > m_heap(S1).live_bytes_error);
	check(m_heap(S2).live_bytes_error == 0);
	/* What is allocated now is exact, and may be more than ever. */
	m_alloc(T1, 0xc000, 500, S2);
	check_int(m_totals().m.peak_live_bytes, 1000);
	/* Given away again, it keeps its weight. */
	given_count = 0;
	model_hand_over(m, PID, &heir);
	check_int(given_count, 2);
	check_int(given[0].count + given[1].count, 11);
	check_int(m_heap(S1).alloc_count, 20);
	check_int(m_heap(S1).live_count, 0);
}

TEST(ends_what_was_taken_back)
{
	const struct given_row row = { .stack_id = S1, .alloc_bytes = 50, .alloc_count = 1 };
	const struct given_block few = {
		.addr = 0xa000, .bytes = 100, .count = 2, .stack_id = S1, .variance = { 5000, 2 },
	};

	m_begin();
	model_begin_taking(m);
	model_take_row(m, PID, &row);
	model_take_block(m, PID, &few);
	model_end_taking(m, 0);
	/* More may live than was seen to be born. */
	check_int(m_heap(S1).alloc_count, 2);
	check_int(m_heap(S1).live_bytes, 100);
	check_int(m_totals().m.peak_live_bytes, 100);
	m_free(T1, 0xa000);
	check_int(m_heap(S1).live_count, 0);
	check_int(m_heap(S1).free_count, 2);
	check_int(m_totals().unknown_free_count, 0);
	/* A ghost, at whose address another block lives, ends with that one's birth. */
	model_begin_taking(m);
	model_take_row(m, PID, &row);
	model_take_block(m, PID, &few);
	model_end_taking(m, 0);
	m_alloc(T1, 0xa000, 7, S2);
	check_int(m_heap(S1).live_count, 0);
	check_int(m_heap(S2).live_bytes, 7);
}
