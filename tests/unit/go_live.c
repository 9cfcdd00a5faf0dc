// SPDX-License-Identifier: GPL-2.0-or-later
/* Samples of a Go heap, held against what its runtime's books say of each size class. */
#include "capture/go/runtime.h"

#define go_runtime_allocated told_allocated	/* no runtime is read here */
static void told_allocated(const struct go_runtime *go, uint64_t ret[GO_SIZE_CLASSES]);
#include "capture/go/live.c"

#include "tests/unit/model_records.h"
#include "tests/unit/test.h"

#define SIZE 48
#define ONE_SAMPLE (100 * SIZE)

static uint64_t allocated;	/* blocks of SIZE bytes */

static void told_allocated(const struct go_runtime *go, uint64_t ret[GO_SIZE_CLASSES])
{
	memset(ret, 0, GO_SIZE_CLASSES * sizeof(*ret));
	ret[class_of(SIZE)] = allocated * SIZE;
}

static struct go_live *begin(void)
{
	m_begin();
	allocated = 1000;	/* before */
	return go_live_create(NULL, 0, MAX_DEPTH);
}

/* A sample that stands for ONE_SAMPLE, all of which was used. */
static void sampled(struct go_live *live, uint64_t addr, uint64_t stack)
{
	const struct ev_go_alloc ev = {
		.h = m_header(EV_GO_ALLOC, T1), .addr = addr, .size = SIZE,
		.stack_id = stack, .weight = ONE_SAMPLE,
	};
	const struct ev_go_look look = {
		.h = m_header(EV_GO_LOOK, T1), .addr = addr, .weight = ONE_SAMPLE,
	};

	go_live_take(live, m, &ev.h, sizeof(ev));
	go_live_take(live, m, &look.h, sizeof(look));
}

/* Three samples by S1, one by S2, and the books say twice of what they stand for. */
static void settle_four(struct go_live *live)
{
	for (uint64_t i = 0; i < 4; i++)
		sampled(live, 0xa000 + i * 0x1000, i ? S1 : S2);
	allocated += 800;
	go_live_settle(live, m, GO_SETTLE_DUE);
	check_int(m_heap(S1).alloc_count, 600);
	check_int(m_heap(S2).alloc_count, 200);
}

TEST(what_no_sample_stands_for_is_divided_in_the_end)
{
	__cleanup(go_live_destroyp) struct go_live *live = begin();

	settle_four(live);
	allocated += 1000;
	go_live_settle(live, m, GO_SETTLE_DUE);
	check_int(m_heap(S1).alloc_count, 600);
	go_live_settle(live, m, GO_SETTLE_ALL);
	check_int(m_heap(S1).alloc_count, 600 + 750);
	check_int(m_heap(S2).alloc_count, 200 + 250);
	check_int(m_heap(S1).alloc_bytes, 1350 * SIZE);
	check_int(m_heap(S1).live_count, 600);
	check_int(m_heap(S2).live_count, 200);
}

TEST(it_may_all_be_of_one_path)
{
	__cleanup(go_live_destroyp) struct go_live *live = begin();

	settle_four(live);
	allocated += 100000;
	go_live_settle(live, m, GO_SETTLE_ALL);
	check(m_heap(S1).alloc_count_error > 0.75 * 100000);
	check(m_heap(S2).alloc_count_error > 0.75 * 100000);
}

TEST(samples_that_wait_stand_for_all_of_it)
{
	__cleanup(go_live_destroyp) struct go_live *live = begin();

	settle_four(live);
	sampled(live, 0xf000, S2);
	allocated += 1000;
	go_live_settle(live, m, GO_SETTLE_ALL);
	check_int(m_heap(S1).alloc_count, 600);
	check_int(m_heap(S2).alloc_count, 200 + 1000);
	check_int(m_heap(S2).live_count, 200 + 1000);
}

TEST(of_a_process_that_ended_nothing_more_is_known)
{
	__cleanup(go_live_destroyp) struct go_live *live = begin();

	settle_four(live);
	allocated += 1000;
	go_live_settle(live, m, GO_SETTLE_ENDED);
	check_int(m_heap(S1).alloc_count + m_heap(S2).alloc_count, 800);
}
