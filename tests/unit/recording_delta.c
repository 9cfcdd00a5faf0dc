// SPDX-License-Identifier: GPL-2.0-or-later
/* Packed moments: what is packed comes back, joined changes are changes in turn. */
#include <math.h>

#include "recording/delta.h"
#include "tests/unit/fixture.h"
#include "tests/unit/test.h"

static uint64_t seed = 88172645463325252;

static struct metrics random_metrics(double now_s)
{
	uint64_t scale = 1ull << fixture_random(&seed, 60);
	struct metrics m = {
		.alloc_bytes = (int64_t)fixture_random(&seed, scale),
		.alloc_count = (int64_t)fixture_random(&seed, scale),
		.free_bytes = (int64_t)fixture_random(&seed, scale),
		.temporary_count = (int64_t)fixture_random(&seed, scale),
		.live_count = (int64_t)fixture_random(&seed, 3),
		.growth_bytes_per_s = (double)fixture_random(&seed, 1000000) - 500000,
		.growth_confidence = (double)fixture_random(&seed, 1000) / 1000,
	};

	m.live_bytes = m.alloc_bytes - m.free_bytes;
	if (m.live_count)
		m.oldest_live_s = now_s * (double)fixture_random(&seed, 1000) / 1000;
	return m;
}

static void check_near(const struct delta_state *state, const struct metrics *m, double now_s)
{
	struct metrics got = state->m;

	check(state->present);
	if (got.live_count && got.oldest_live_s > 0)
		got.oldest_live_s += now_s - state->at_s;
	check(fabs(got.growth_bytes_per_s - m->growth_bytes_per_s) <=
	      1 + fabs(m->growth_bytes_per_s) / 99);
	check(fabs(got.growth_confidence - m->growth_confidence) < 0.0205);
	if (fabs(got.oldest_live_s - m->oldest_live_s) > 0.0021)
		test_fail("oldest is %g, not %g", got.oldest_live_s, m->oldest_live_s);
	check_int(got.live_bytes, m->live_bytes);
	check_int(got.live_count, m->live_count);
	check_int(got.alloc_bytes, m->alloc_bytes);
	check_int(got.alloc_count, m->alloc_count);
	check_int(got.free_bytes, m->free_bytes);
	check_int(got.free_count, m->free_count);
	check_int(got.temporary_count, m->temporary_count);
	check_int(got.peak_live_bytes, m->peak_live_bytes);
}

static bool keep(void *arg, const struct delta_change *change)
{
	delta_push(arg, *change);
	return true;
}

static void pack_and_unpack(const struct delta *in, struct delta *ret)
{
	struct strbuf packed __cleanup_strbuf = { 0 };

	delta_pack(in, &packed);
	check(delta_unpack(strbuf_str(&packed), packed.len, keep, ret));
	check_int(ret->len, in->len);
}

TEST(changes_come_back)
{
	struct delta in __cleanup(delta_deinit) = { 0 }, out __cleanup(delta_deinit) = { 0 };

	pack_and_unpack(&in, &out);
	for (int i = 0; i < 1000; i++) {
		struct delta_change change = { .stack = 1 + 77 * i, .flags = i % 3 };

		for (int k = 0; k < DELTA_FIELDS_COUNT; k++)
			change.d[k] = (int64_t)(fixture_random(&seed, UINT64_MAX) <<
						fixture_random(&seed, 64));
		delta_push(&in, change);
	}
	pack_and_unpack(&in, &out);
	for (size_t i = 0; i < in.len; i++) {
		check_int(out.data[i].stack, in.data[i].stack);
		check_int(out.data[i].flags, in.data[i].flags);
		check(!memcmp(out.data[i].d, in.data[i].d, sizeof(in.data[i].d)));
	}
}

TEST(state_follows_metrics)
{
	for (int run = 0; run < 200; run++) {
		struct delta_state state = { 0 };

		for (double now_s = 1; now_s < 40; now_s += 1.25) {
			struct metrics m = random_metrics(now_s);
			struct delta_change change = delta_between(&state, &m, now_s, true);

			delta_apply(&state, &change, now_s);
			check_near(&state, &m, now_s);
			check(delta_state_tells(&state, &m, now_s, true, false));
			change = delta_between(&state, &m, now_s, true);
			check(delta_change_is_empty(&change));
		}
	}
}

/* Two moments in one: the state after the second is the same. */
TEST(joined_changes_are_the_same)
{
	for (int run = 0; run < 500; run++) {
		struct metrics base = random_metrics(1);
		struct delta_state start = { .m = base, .at_s = 1, .present = run % 4 };
		struct delta_state one_by_one, at_once;
		struct delta_change first, second;
		struct metrics m = random_metrics(5);

		if (!start.present)
			start.m = (struct metrics){ 0 };
		at_once = one_by_one = start;
		first = delta_between(&one_by_one, &m, 5, true);
		if (run % 7 == 0)
			first = (struct delta_change){ .flags = DELTA_GONE };
		delta_apply(&one_by_one, &first, 5);
		m = random_metrics(9);
		second = delta_between(&one_by_one, &m, 9, true);
		delta_join_change(&first, &second);
		delta_apply(&at_once, &first, 9);
		check_near(&at_once, &m, 9);
	}
}

/* An ended target's blocks age no more. */
TEST(ages_stand_still_after_the_end)
{
	struct metrics m = { .live_count = 1, .live_bytes = 8, .oldest_live_s = 3 };
	struct delta_state state = { .m = m, .at_s = 10, .present = true };
	struct delta_change change;

	m.oldest_live_s = 4.5;
	change = delta_between(&state, &m, 12, false);
	delta_apply(&state, &change, 12);
	check(fabs(state.m.oldest_live_s - 4.5) < 0.002);
	change = delta_between(&state, &m, 50, false);
	check(delta_change_is_empty(&change));
}

TEST(unnoticed_slopes_are_not_written)
{
	struct metrics m = { .growth_bytes_per_s = 1e6, .growth_confidence = 0.5 };
	struct delta_state state = { .m = m, .at_s = 10, .present = true };
	struct delta_change change;

	m.growth_bytes_per_s += 9000;
	m.growth_confidence += 0.01;
	change = delta_between(&state, &m, 11, true);
	check(delta_change_is_empty(&change));
	check(delta_state_tells(&state, &m, 11, true, false));
	check(!delta_state_tells(&state, &m, 11, true, true));
	m.growth_bytes_per_s += 9000;
	change = delta_between(&state, &m, 11, true);
	check(!delta_change_is_empty(&change));
}

TEST(nonsense_is_refused)
{
	struct delta out __cleanup(delta_deinit) = { 0 };

	check(!delta_unpack("", 0, keep, &out));
	check(!delta_unpack("\x01", 1, keep, &out));
	check(!delta_unpack("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11, keep, &out));
	check(!delta_unpack("\x05hello", 6, keep, &out));
}

TEST(damage_is_no_harm)
{
	struct delta in __cleanup(delta_deinit) = { 0 };
	struct strbuf packed __cleanup_strbuf = { 0 };

	for (int i = 1; i < 100; i++)
		delta_push(&in, (struct delta_change){ .stack = i, .d = { i, -i, i * 1000 } });
	delta_pack(&in, &packed);
	for (int i = 0; i < 20000; i++) {
		struct delta out __cleanup(delta_deinit) = { 0 };
		__cleanup_free char *copy = xmalloc(packed.len);
		size_t len = i % 2 ? packed.len : fixture_random(&seed, packed.len);

		memcpy(copy, packed.data, packed.len);
		copy[fixture_random(&seed, packed.len)] ^= (char)(1 << fixture_random(&seed, 8));
		delta_unpack(copy, len, keep, &out);
		vec_for_each(change, &out) {
			struct delta_state state = { 0 };

			delta_apply(&state, change, 1);
		}
	}
}
