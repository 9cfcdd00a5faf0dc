// SPDX-License-Identifier: GPL-2.0-or-later
/* Events that give memory back: folded, bounded, and never fewer bytes than were told. */
#include "model/reclaim.h"
#include "tests/unit/test.h"

#define SECOND 1000000000ull

static struct reclaim_log ev_log;

static void begin(void)
{
	reclaim_log_deinit(&ev_log);
	ev_log = (struct reclaim_log){ 0 };
}

static void tell(enum reclaim_kind kind, uint64_t time_ns, int64_t bytes, uint64_t stack,
		 const char *detail)
{
	reclaim_log_add(&ev_log, &(struct reclaim_event){
		.kind = kind, .tgid = 7, .time_ns = time_ns, .bytes = bytes, .stack_id = stack,
		.detail = detail,
	});
}

static uint64_t sum_of_counts(void)
{
	uint64_t sum = 0;

	vec_for_each(entry, &ev_log.entries)
		sum += entry->count;
	return sum;
}

static int64_t sum_of_bytes(void)
{
	int64_t sum = 0;

	vec_for_each(entry, &ev_log.entries)
		sum += entry->bytes;
	return sum;
}

TEST(same_source_within_a_second_is_one)
{
	begin();
	tell(RECLAIM_DONTNEED, SECOND, 100, 1, NULL);
	tell(RECLAIM_DONTNEED, SECOND + 5, 11, 1, NULL);
	tell(RECLAIM_DONTNEED, 2 * SECOND - 1, 1, 1, NULL);
	check_int(ev_log.entries.len, 1);
	check_int(ev_log.entries.data[0].count, 3);
	check_int(ev_log.entries.data[0].bytes, 112);
	check_int(ev_log.entries.data[0].first_ns, SECOND);
	check_int(ev_log.entries.data[0].last_ns, 2 * SECOND - 1);
	tell(RECLAIM_DONTNEED, 2 * SECOND, 1000, 1, NULL);
	check_int(ev_log.entries.len, 2);
	check_int(ev_log.entries.data[1].bytes, 1000);
}

TEST(other_sources_stay_apart)
{
	begin();
	tell(RECLAIM_DONTNEED, SECOND, 1, 1, NULL);
	tell(RECLAIM_DONTNEED, SECOND, 1, 2, NULL);
	tell(RECLAIM_FREE, SECOND, 1, 1, NULL);
	tell(RECLAIM_DONTNEED, SECOND, 1, 1, "forced");
	tell(RECLAIM_DONTNEED, SECOND, 1, 1, "asked for");
	tell(RECLAIM_DONTNEED, SECOND, 1, 1, "forced");
	check_int(ev_log.entries.len, 5);
	check_int(ev_log.entries.data[3].count, 2);
	check_str(ev_log.entries.data[3].detail, "forced");
}

TEST(unknown_bytes)
{
	begin();
	tell(RECLAIM_KSWAPD, SECOND, -1, 0, NULL);
	tell(RECLAIM_KSWAPD, SECOND, -1, 0, NULL);
	check_int(ev_log.entries.data[0].bytes, -1);
	tell(RECLAIM_KSWAPD, SECOND, 4096, 0, NULL);
	check_int(ev_log.entries.data[0].bytes, 4096);
	check_int(ev_log.entries.data[0].count, 3);
}

/* One stack, for a day. */
TEST(bounded_over_time)
{
	begin();
	for (uint64_t i = 0; i < 86400; i++)
		tell(RECLAIM_DONTNEED, i * SECOND, 3, 1, NULL);
	check(ev_log.entries.len <= RECLAIM_MAX);
	check(ev_log.entries.len > RECLAIM_MAX / 4);
	check_int(sum_of_counts(), 86400);
	check_int(sum_of_bytes(), 3 * 86400);
	check(!ev_log.entries.data[0].mixed);
	check_int(ev_log.entries.data[0].stack_id, 1);
}

/* So many stacks that who did it cannot be kept of all. */
TEST(bounded_over_stacks)
{
	begin();
	for (uint64_t i = 0; i < 100000; i++)
		tell(i & 1 ? RECLAIM_DONTNEED : RECLAIM_BRK, i * 1000, 5, i + 1, "of many");
	check(ev_log.entries.len <= RECLAIM_MAX);
	check_int(sum_of_counts(), 100000);
	check_int(sum_of_bytes(), 500000);
	check(ev_log.entries.data[0].mixed);
	check(!ev_log.entries.data[0].detail);
	for (size_t i = 1; i < ev_log.entries.len; i++)
		check(ev_log.entries.data[i].first_ns >= ev_log.entries.data[i - 1].first_ns);
}

TEST(names)
{
	check_str(reclaim_kind_name(RECLAIM_DONTNEED), "madv_dontneed");
	check_str(reclaim_kind_name(RECLAIM_KINDS_COUNT), "unknown");
}
