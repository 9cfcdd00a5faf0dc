// SPDX-License-Identifier: GPL-2.0-or-later
/* Images: exec, exit, fork, process numbers used again, several targets. */
#include "tests/unit/model_records.h"

static const struct model_image *image(size_t i)
{
	const struct model_image *images;

	if (i >= model_images(m, &images))
		test_fail("there is no image %zu", i);
	return &images[i];
}

static size_t images(void)
{
	const struct model_image *ret;

	return model_images(m, &ret);
}

TEST(targets_share_nothing)
{
	m_begin();
	m_alloc(T1, 0xa000, 100, S1);
	m_tgid = 2000;
	m_alloc(T1, 0xa000, 7, S1);
	m_free(T1, 0xa000);
	check_int(images(), 2);
	check_int(image(1)->tgid, 2000);
	check_int(m_row_of(0, S1, MEMORY_HEAP).m.live_bytes, 100);
	check_int(m_row_of(1, S1, MEMORY_HEAP).m.live_bytes, 0);
	check_int(m_row_of(1, S1, MEMORY_HEAP).m.temporary_count, 1);
	check_int(m_totals().settled_by_reuse, 0);
}

TEST(exec_begins_a_new_image)
{
	m_begin();
	m_alloc(T1, 0xa000, 100, S1);
	m_begin_realloc(T1, 0xa000);
	m_process(EV_EXEC, "next", 0, 0);
	m_free(T1, 0xa000);
	m_alloc(T1, 0xa000, 30, S1);
	check_int(images(), 2);
	check(image(0)->ended && !image(0)->exited);
	check_int(image(0)->generation, 0);
	check_str(image(0)->comm, "");
	check(!image(1)->ended);
	check_int(image(1)->generation, 1);
	check_str(image(1)->comm, "next");
	check_int(m_row_of(0, S1, MEMORY_HEAP).m.live_bytes, 100);
	check_int(m_row_of(1, S1, MEMORY_HEAP).m.live_bytes, 30);
	check_int(m_totals().unknown_free_count, 1);
	check_int(m_totals().settled_by_reuse + m_totals().untracked_allocs, 0);
}

TEST(exec_as_first_record_is_generation_0)
{
	m_begin();
	m_process(EV_EXEC, "first", 0, 0);
	m_alloc(T1, 0xa000, 30, S1);
	check_int(images(), 1);
	check_int(image(0)->generation, 0);
	check_str(image(0)->comm, "first");
}

TEST(exit_keeps_what_is_live)
{
	m_begin();
	m_alloc(T1, 0xa000, 100, S1);
	m_map(0x10000, 5000, S2);
	m_now += 3 * SECOND;
	m_process(EV_EXIT, "", 0, 0x8b);
	check(image(0)->ended && image(0)->exited);
	check_int(image(0)->exit_code, 0x8b);
	check_int(m_heap(S1).live_bytes, 100);
	check_int(m_row_of(0, S2, MEMORY_MMAP).m.live_bytes, 5000);
	/* They aged until the exit. */
	m_now += 100 * SECOND;
	check(m_heap(S1).oldest_live_s > 2.9 && m_heap(S1).oldest_live_s < 3.1);
	check(m_row_of(0, S2, MEMORY_MMAP).m.oldest_live_s < 3.1);
	check_int(model_block_bytes(m), 0);
}

TEST(number_used_again_is_another_image)
{
	m_begin();
	m_alloc(T1, 0xa000, 100, S1);
	m_process(EV_EXIT, "", 0, 0);
	m_alloc(T1, 0xa000, 5, S1);
	check_int(images(), 2);
	check_int(image(1)->generation, 1);
	check_int(m_heap(S1).live_bytes, 100);
	check_int(m_row_of(1, S1, MEMORY_HEAP).m.live_bytes, 5);
}

TEST(fork_begins_the_childs_image)
{
	m_begin();
	m_alloc(T1, 0xa000, 100, S1);
	m_process(EV_FORK, "worker", 3000, 0);
	m_tgid = 3000;
	m_free(T1, 0xa000);
	m_alloc(T1, 0xa000, 1, S1);
	check_int(images(), 2);
	check_int(image(1)->tgid, 3000);
	check_str(image(1)->comm, "worker");
	check_int(m_heap(S1).live_bytes, 100);
	check_int(m_totals().unknown_free_count, 1);
	/* A second child of that number: the first one's exit was lost. */
	m_tgid = PID;
	m_process(EV_FORK, "worker", 3000, 0);
	check_int(images(), 3);
	check(image(1)->ended && !image(1)->exited);
	check_int(image(2)->generation, 1);
}

TEST(peak_is_of_all_that_run)
{
	m_begin();
	m_alloc(T1, 0xa000, 100, S1);
	m_tgid = 2000;
	m_alloc(T1, 0xa000, 50, S1);
	check_int(m_totals().m.peak_live_bytes, 150);
	m_process(EV_EXIT, "", 0, 0);
	m_tgid = PID;
	m_alloc(T1, 0xb000, 40, S2);
	/* 140 now, for the second is gone: the moment of 150 stands. */
	check_int(m_totals().m.peak_live_bytes, 150);
	check_int(m_row_of(1, S1, MEMORY_HEAP).m.peak_live_bytes, 50);
	check_int(m_heap(S2).peak_live_bytes, 0);
	m_alloc(T1, 0xc000, 20, S2);
	check_int(m_totals().m.peak_live_bytes, 160);
	check_int(m_heap(S1).peak_live_bytes, 100);
	check_int(m_heap(S2).peak_live_bytes, 60);
	check_int(m_row_of(1, S1, MEMORY_HEAP).m.peak_live_bytes, 0);
	check_int(m_row_of(1, S1, MEMORY_HEAP).m.live_bytes, 50);
}

TEST(thousands_of_children)
{
	m_begin();
	for (uint32_t pid = 5000; pid < 15000; pid++) {
		m_tgid = PID;
		m_process(EV_FORK, "sh", pid, 0);
		m_tgid = pid;
		m_process(EV_EXEC, "true", 0, 0);
		for (int i = 0; i < 20; i++)
			m_alloc(pid, 0xa000 + 16 * i, 10, S1 + i % 5);
		m_process(EV_EXIT, "", 0, 0);
	}
	check_int(images(), 20001);
	check_int(m_totals().m.live_bytes, 10000 * 200);
	check_int(m_totals().m.peak_live_bytes, 200);
	check(model_block_bytes(m) < 200);
}

TEST(renamed_stacks_are_one_row)
{
	const uint64_t late = 0x7777, later = 0x7779;
	uint64_t pcs[] = { 1, 2, 3 };

	m_begin();
	m_alloc(T1, 0xa000, 100, S1);
	m_alloc(T1, 0xb000, 20, late);
	m_alloc(T2, 0xc000, 3, later);
	m_free(T1, 0xb000);
	m_alloc(T1, 0xd000, 50, S2);
	m_stack(S1, UNWIND_COMPLETE, 3, pcs, 3);
	model_rename_stack(m, late, S1);
	model_rename_stack(m, later, S1);
	/* A second time, and in a circle: nothing happens. */
	model_rename_stack(m, later, S1);
	model_rename_stack(m, S1, late);
	check_int(m_heap(S1).alloc_count, 3);
	check_int(m_heap(S1).alloc_bytes, 123);
	check_int(m_heap(S1).live_bytes, 103);
	check_int(m_heap(S1).peak_live_bytes + m_heap(S2).peak_live_bytes, 153);
	check_int(m_heap(S2).alloc_count, 1);
	check_int(m_totals().m.alloc_bytes, 173);
}
