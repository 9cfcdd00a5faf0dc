// SPDX-License-Identifier: GPL-2.0-or-later
/* Mappings and the break: whole, cut, replaced. */
#include "tests/unit/model_records.h"

#define PG 4096ull

static struct metrics mapped(uint64_t stack)
{
	return m_row_of(0, stack, MEMORY_MMAP).m;
}

TEST(map_and_unmap)
{
	m_begin();
	m_map(0x100000, 4 * PG, S1);
	check_int(mapped(S1).live_bytes, 4 * PG);
	check_int(mapped(S1).live_count, 1);
	check_int(m_heap(S1).alloc_count, 0);
	m_unmap(0x100000, 4 * PG);
	check_int(mapped(S1).live_bytes, 0);
	check_int(mapped(S1).free_count, 1);
	check_int(mapped(S1).temporary_count, 0);
}

TEST(unmap_takes_whole_pages)
{
	m_begin();
	m_map(0x100000, 5000, S1);
	check_int(mapped(S1).live_bytes, 5000);
	m_unmap(0x100000, 1);
	check_int(mapped(S1).live_bytes, 5000 - PG);
	check_int(mapped(S1).live_count, 1);
	m_unmap(0x101000, 904);
	check_int(mapped(S1).live_bytes, 0);
	check_int(mapped(S1).live_count, 0);
}

TEST(unmap_cuts_head_tail_and_middle)
{
	m_begin();
	m_map(0x100000, 10 * PG, S1);
	m_unmap(0x100000, 2 * PG);
	m_unmap(0x109000, PG);
	m_unmap(0x104000, 2 * PG);
	check_int(mapped(S1).live_bytes, 5 * PG);
	check_int(mapped(S1).free_bytes, 5 * PG);
	check_int(mapped(S1).live_count, 1);
	m_unmap(0x102000, 2 * PG);
	check_int(mapped(S1).live_count, 1);
	m_unmap(0x106000, 3 * PG);
	check_int(mapped(S1).live_count, 0);
	check_int(mapped(S1).live_bytes, 0);
	check_int(mapped(S1).free_count, 1);
}

TEST(unmap_over_several)
{
	m_begin();
	for (uint64_t i = 0; i < 6; i++)
		m_map(0x100000 + 2 * i * PG, PG, i % 2 ? S1 : S2);
	m_unmap(0x100000 + PG, 8 * PG);
	check_int(mapped(S2).live_count, 1);
	check_int(mapped(S1).live_count, 1);
	check_int(m_totals().m.live_bytes, 2 * PG);
	check_int(m_totals().m.free_count, 4);
}

TEST(unmap_of_nothing_is_silent)
{
	m_begin();
	m_unmap(0x100000, PG);
	m_map(0x100000, PG, S1);
	m_unmap(0x101000, PG);
	m_unmap(0xff000, PG);
	m_unmap(0x100000, 0);
	check_int(mapped(S1).live_bytes, PG);
	check_int(m_totals().unknown_free_count, 0);
	check_int(m_totals().malformed, 0);
}

TEST(map_over_a_mapping_replaces_it)
{
	m_begin();
	m_map(0x100000, 4 * PG, S1);
	m_map(0x101000, 100, S2);
	check_int(mapped(S1).live_bytes, 3 * PG);
	check_int(mapped(S1).live_count, 1);
	check_int(mapped(S2).live_bytes, 100);
	m_map(0x100000, 4 * PG, S3);
	check_int(mapped(S1).live_count, 0);
	check_int(mapped(S2).live_count, 0);
	check_int(mapped(S3).live_bytes, 4 * PG);
	check_int(m_totals().settled_by_reuse, 0);
}

TEST(mremap_is_unmap_and_map)
{
	m_begin();
	m_map(0x100000, 2 * PG, S1);
	m_unmap(0x100000, 2 * PG);
	m_map(0x100000, 8 * PG, S2);
	check_int(mapped(S1).live_bytes, 0);
	check_int(mapped(S2).live_bytes, 8 * PG);
	m_unmap(0x100000, 8 * PG);
	m_map(0x700000, 16 * PG, S2);
	check_int(mapped(S2).live_bytes, 16 * PG);
	check_int(mapped(S2).live_count, 1);
}

TEST(break_goes_up_and_down)
{
	m_begin();
	m_region(EV_MAP, 0x500000, 33 * PG, S1, true);
	m_region(EV_MAP, 0x500000 + 33 * PG, 1000, S2, true);
	check_int(m_row_of(0, S1, MEMORY_BRK).m.live_bytes, 33 * PG);
	check_int(mapped(S1).alloc_count, 0);
	/* Down into the first raise, from an end that lies within a page. */
	m_region(EV_UNMAP, 0x500000 + 30 * PG + 10, 3 * PG + 990, 0, true);
	check_int(m_row_of(0, S2, MEMORY_BRK).m.live_bytes, 0);
	check_int(m_row_of(0, S2, MEMORY_BRK).m.live_count, 0);
	check_int(m_row_of(0, S1, MEMORY_BRK).m.live_bytes, 30 * PG + 10);
	check_int(m_row_of(0, S1, MEMORY_BRK).m.live_count, 1);
}

TEST(regions_have_ages_and_peaks)
{
	m_begin();
	m_map(0x100000, 2 * PG, S1);
	m_now += 5 * SECOND;
	m_map(0x200000, PG, S1);
	m_alloc(T1, 0xa000, 10, S1);
	check(mapped(S1).oldest_live_s > 5);
	m_unmap(0x100000, 2 * PG);
	check(mapped(S1).oldest_live_s < 1);
	check_int(mapped(S1).peak_live_bytes, 3 * PG);
	check_int(m_heap(S1).peak_live_bytes, 10);
	check_int(m_totals().m.peak_live_bytes, 3 * PG + 10);
}

TEST(impossible_ranges_are_malformed)
{
	m_begin();
	m_map(0x100000, 0, S1);
	m_map(UINT64_MAX - 10, 100, S1);
	m_map(PG, UINT64_MAX - PG, S1);
	m_unmap(UINT64_MAX - 10, 100);
	check_int(m_totals().malformed, 4);
	check_int(m_totals().m.alloc_count, 0);
}
