// SPDX-License-Identifier: GPL-2.0-or-later
/* What threads and size classes have of each stack. */
#include "base/alloc.h"
#include "tests/unit/model_records.h"

static struct model_row_vec rows;
static struct model_share_vec shares;

static void look(void)
{
	rows.len = shares.len = 0;
	model_rows_and_shares(m, 1000000, MODEL_OLDEST, &rows, &shares, NULL);
}

/* The only share of that thread and class under a stack. */
static const struct snapshot_share *share_of(uint64_t stack, uint32_t tid, uint32_t class)
{
	const struct model_thread_vec *threads = model_threads(m);
	const struct snapshot_share *found = NULL;

	vec_for_each(share, &shares)
		if (rows.data[share->row].stack_id == stack &&
		    threads->data[share->share.thread].tid == tid &&
		    share->share.size_class == class) {
			check(!found);
			found = &share->share;
		}
	return found;
}

/* Whatever happened: shares add up to their rows. */
static void check_sums(void)
{
	struct metrics *sums = xcalloc(rows.len, sizeof(*sums));

	vec_for_each(s, &shares) {
		struct metrics *sum = &sums[s->row];

		sum->live_bytes += s->share.live_bytes;
		sum->live_count += s->share.live_count;
		sum->alloc_bytes += s->share.alloc_bytes;
		sum->alloc_count += s->share.alloc_count;
		sum->temporary_count += s->share.temporary_count;
		sum->peak_live_bytes += s->share.peak_live_bytes;
	}
	for (size_t i = 0; i < rows.len; i++) {
		check_int(sums[i].live_bytes, rows.data[i].m.live_bytes);
		check_int(sums[i].live_count, rows.data[i].m.live_count);
		check_int(sums[i].alloc_bytes, rows.data[i].m.alloc_bytes);
		check_int(sums[i].alloc_count, rows.data[i].m.alloc_count);
		check_int(sums[i].temporary_count, rows.data[i].m.temporary_count);
		check_int(sums[i].peak_live_bytes, rows.data[i].m.peak_live_bytes);
	}
	free(sums);
}

static void end(void)
{
	check_sums();
	model_row_vec_deinit(&rows);
	model_share_vec_deinit(&shares);
}

TEST(classes_are_powers_of_two)
{
	check_int(size_class(0), 0);
	check_int(size_class(1), 0);
	check_int(size_class(2), 1);
	check_int(size_class(3), 2);
	check_int(size_class(64), 6);
	check_int(size_class(65), 7);
	check_int(size_class(1ull << 63), 63);
}

TEST(a_block_is_of_who_allocated_it_whoever_frees_it)
{
	m_begin();
	m_alloc(T1, 0x1000, 64, S1);
	m_alloc(T1, 0x2000, 65, S1);
	m_alloc(T2, 0x3000, 64, S1);
	m_alloc(T2, 0x4000, 64, S2);
	m_free(T2, 0x1000);
	look();
	check_int(rows.len, 2);
	check_int(shares.len, 4);
	check_int(share_of(S1, T1, 6)->live_bytes, 0);
	check_int(share_of(S1, T1, 6)->alloc_bytes, 64);
	check_int(share_of(S1, T1, 7)->live_bytes, 65);
	check_int(share_of(S1, T2, 6)->live_bytes, 64);
	check_int(share_of(S2, T2, 6)->live_count, 1);
	end();
}

TEST(threads_beyond_the_bound_are_one)
{
	m_begin();
	for (uint32_t i = 0; i < MODEL_THREADS_MAX + 100; i++) {
		m_alloc(T1 + i, 0x100000 + i * 4096, 64, S1);
		m_alloc(T1 + i, 0x10000000 + i * 4096, 64, S1);
	}
	look();
	check_int(model_threads(m)->len, MODEL_THREADS_MAX + 1);
	check_int(shares.len, MODEL_THREADS_MAX + 1);
	check_int(share_of(S1, 0, 6)->live_count, 200);
	check_int(share_of(S1, T1, 6)->live_count, 2);
	check_int(rows.data[0].m.live_count, 2 * (MODEL_THREADS_MAX + 100));
	end();
}

TEST(rows_beyond_the_bound_are_of_whole_paths)
{
	uint32_t stacks = 1 << 18;

	m_begin();
	check(!model_rows_are_coarse(m));
	for (uint32_t i = 0; i < stacks; i++)
		for (uint32_t k = 0; k < 3; k++)
			m_alloc(T1 + k, 0x100000 + (3ull * i + k) * 64, 40,
				1000000 + i * 0x9e3779b97f4a7c15u);
	look();
	check_int(rows.len, stacks);
	check(shares.len > 1 << 19 && shares.len < 3u * stacks);
	check(model_rows_are_coarse(m));
	check_int(share_of(1000000 + (stacks - 1) * 0x9e3779b97f4a7c15u, 0,
			   SIZE_CLASS_ANY)->live_count, 3);
	end();
}
