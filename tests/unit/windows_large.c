// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Large births, which are told without their addresses, and the chunks that walks meet:
 * stories told in records, by the clock of the test. See model/windows.h.
 */
#include "bpf/events.h"
#include "tests/unit/test.h"
#include "model/windows.h"

#define MS 1000000ull
#define ABOVE 1040
#define WEIGHT 10

enum { S1 = 0x5151, S2 = 0x5252, T1 = 1001, T2 = 1002 };

static struct windows *w;
static uint64_t now;
static struct window_row_vec rows;
static struct metrics total;
static struct window_quality quality;
static struct large_chunk_vec heap;

static void wait_ms(uint64_t ms)
{
	now += ms * MS;
}

/* What walks meet, until it is freed. */
static void hold(uint64_t block, uint64_t chunk_bytes)
{
	large_chunk_vec_push(&heap, (struct large_chunk){ block, chunk_bytes });
}

static void release(uint64_t block)
{
	size_t kept = 0;

	vec_for_each(chunk, &heap)
		if (chunk->block != block)
			heap.data[kept++] = *chunk;
	heap.len = kept;
}

static void walk(void)
{
	struct large_chunk_vec met = { 0 };
	struct heap_census census = { 0 };

	vec_for_each(chunk, &heap) {
		large_chunk_vec_push(&met, *chunk);
		census.bytes[window_class(chunk->bytes)] += (double)chunk->bytes;
	}
	wait_ms(100);
	windows_meet_large(w, &met, now, now + MS);
	windows_note_census(w, &census, now + MS);
	large_chunk_vec_deinit(&met);
	wait_ms(100);
}

static void begin(void)
{
	windows_destroy(w);
	heap.len = 0;
	w = windows_create(now = 1000 * MS);
	windows_tell_large(w, ABOVE);
}

static void end(void)
{
	window_row_vec_deinit(&rows);
	large_chunk_vec_deinit(&heap);
	windows_destroy(w);
	w = NULL;
}

static uint64_t chunk_of(uint64_t size)
{
	return window_chunk_bytes(size);
}

/* Told as the probe does. */
static void told(uint32_t tid, uint64_t size, uint64_t stack)
{
	windows_large(w, &(struct told_large){
		.stack_id = stack, .time_ns = now, .chunk_bytes = chunk_of(size), .tid = tid });
}

static void born(uint64_t block, uint64_t size, uint64_t stack)
{
	told(T1, size, stack);
	hold(block, chunk_of(size));
}

/* Seen in the open window. */
static void seen(uint64_t block, uint64_t size, uint64_t stack)
{
	struct ev_alloc ev = {
		.h = { .kind = EV_ALLOC, .tid = T1, .time_ns = now },
		.addr = block, .size = size, .stack_id = stack, .weight = size,
	};

	windows_feed(w, &ev, sizeof(ev));
}

static void freed(uint64_t block)
{
	struct ev_free ev = { { .kind = EV_FREE, .tid = T1, .time_ns = now }, block };

	windows_feed(w, &ev, sizeof(ev));
	release(block);
}

static void reallocated(uint64_t block, uint64_t size, uint64_t stack)
{
	struct ev_free begun = { { .kind = EV_REALLOC_BEGIN, .tid = T1, .time_ns = now }, block };
	struct ev_realloc done = {
		.a = { .h = { .kind = EV_REALLOC, .tid = T1, .time_ns = now },
		       .addr = block, .size = size, .stack_id = stack, .weight = size },
		.old_addr = block,
	};

	windows_feed(w, &begun, sizeof(begun));
	windows_feed(w, &done, sizeof(done));
}

static void shut(void)
{
	windows_shut(w, &(struct window_facts){ now, now + 10 * MS, WEIGHT, false });
	wait_ms(100);
}

static const struct metrics *of(uint64_t stack)
{
	static struct metrics sum;

	sum = total = (struct metrics){ 0 };
	rows.len = 0;
	windows_rows(w, now, &rows, &total, &quality);
	vec_for_each(row, &rows)
		if (row->stack_id == stack)
			metrics_combine(&sum, &row->m);
	return &sum;
}

TEST(what_a_walk_meets_anew_was_told)
{
	begin();
	hold(0x10000, 4112);
	windows_add_older(w, 0x10000, 4112, 1, now);
	walk();
	born(0x20000, 4000, S1);
	born(0x30000, 20000, S2);
	told(T1, 4000, S1);		/* and soon freed */
	walk();
	check_int(of(S1)->live_count, 1);
	check_int(of(S1)->live_bytes, chunk_of(4000) - 8);
	check_int(of(S1)->live_bytes_error, 0);
	check_int(of(S1)->alloc_count, 2);
	check_int(of(S1)->alloc_count_error, 0);
	check_int(of(S2)->live_bytes, chunk_of(20000) - 8);
	check_int(quality.told_above, ABOVE);
	walk();
	check_int(of(S1)->live_count, 1);
	end();
}

/* Those that the first walk meets may be older than what is told. */
TEST(nothing_is_new_to_the_first_walk)
{
	begin();
	born(0x20000, 4000, S1);
	walk();
	check_int(of(S1)->live_count, 0);
	check_int(of(S1)->alloc_count, 1);
	walk();
	check_int(of(S1)->live_count, 0);
	end();
}

/* Too small a rest for a chunk of its own stays in the last one. */
TEST(a_chunk_may_be_larger_than_was_looked_for)
{
	begin();
	walk();
	told(T1, 4000, S1);
	hold(0x20000, chunk_of(4000) + 16);
	walk();
	check_int(of(S1)->live_count, 1);
	end();
}

TEST(smaller_ones_are_the_windows)
{
	begin();
	walk();
	told(T1, 1000, S1);
	check_int(of(S1)->alloc_count, 0);
	windows_open(w);
	seen(0x20000, 1000, S1);
	shut();
	check_int(of(S1)->alloc_count, WEIGHT);
	end();
}

TEST(a_window_shows_where_it_is)
{
	begin();
	walk();
	windows_open(w);
	born(0x20000, 4001, S1);
	seen(0x20000, 4001, S1);
	shut();
	check_int(of(S1)->alloc_count, 1);
	check_int(of(S1)->alloc_bytes, 4001);
	check_int(of(S1)->live_bytes, 4001);
	walk();
	check_int(of(S1)->live_bytes, 4001);
	check_int(of(S1)->live_count, 1);
	windows_open(w);
	freed(0x20000);
	shut();
	check_int(of(S1)->live_count, 0);
	end();
}

/* Born and freed in it, as its thread's last: that is told by windows alone. */
TEST(short_ones_are_seen_in_windows)
{
	begin();
	walk();
	windows_open(w);
	born(0x20000, 4000, S1);
	seen(0x20000, 4000, S1);
	freed(0x20000);
	shut();
	check_int(of(S1)->alloc_count, 1);
	check_int(of(S1)->temporary_count, WEIGHT);
	end();
}

/* What asks malloc for more than it gives on, as aligned blocks do, has no birth told. */
TEST(a_birth_of_before_is_another_blocks)
{
	begin();
	walk();
	born(0x20000, 4000, S1);
	windows_open(w);
	seen(0x40000, 4000, S2);
	shut();
	check_int(of(S2)->alloc_count, WEIGHT);
	hold(0x40000, chunk_of(4000));
	walk();
	check_int(of(S1)->live_count, 1);
	end();
}

/* Births in a window that was open before are its own still. */
TEST(telling_begins_between_windows)
{
	begin();
	windows_tell_large(w, 0);
	windows_open(w);
	windows_tell_large(w, ABOVE);
	told(T1, 4000, S1);
	seen(0x20000, 4000, S1);
	shut();
	check_int(of(S1)->alloc_count, WEIGHT);
	told(T1, 4000, S1);
	check_int(of(S1)->alloc_count, WEIGHT + 1);
	end();
}

/* A hundred of one size, by two stacks in turn; those of the first stay. */
static void born_in_turn(void)
{
	for (uint64_t i = 0; i < 100; i++) {
		told(T1, 4000, i % 2 ? S1 : S2);
		if (i % 2)
			hold(0x100000 + i * 0x10000, chunk_of(4000));
	}
}

/* Of two stacks with the same size it is not known whose the chunk is. */
TEST(whose_it_is_may_be_in_doubt)
{
	int64_t first, second;

	begin();
	walk();
	born_in_turn();
	walk();
	first = of(S1)->live_count;
	second = of(S2)->live_count;
	check_int(first + second, 50);
	check(first > 10 && second > 10);
	check(of(S1)->live_count_error > 0 && of(S2)->live_count_error > 0);
	end();
}

/* What is known of the one's blocks by their sizes helps where sizes are the same. */
TEST(who_keeps_its_blocks_gets_more_of_them)
{
	begin();
	walk();
	for (uint64_t i = 0; i < 100; i++) {
		born(0x1000000 + i * 0x10000, 5000, S1);
		told(T1, 6000, S2);
	}
	walk();
	born_in_turn();
	walk();
	check(of(S1)->live_count >= 145);
	end();
}

TEST(its_address_may_be_used_again)
{
	begin();
	walk();
	born(0x20000, 4000, S1);
	walk();
	windows_open(w);
	freed(0x20000);
	shut();
	born(0x20000, 4000, S2);
	walk();
	check_int(of(S1)->live_count, 0);
	check_int(of(S2)->live_count, 1);
	end();
}

/* By another size, without anybody having seen it freed. */
TEST(another_chunk_is_another_block)
{
	begin();
	walk();
	born(0x20000, 4000, S1);
	walk();
	release(0x20000);
	born(0x20000, 8000, S2);
	walk();
	check_int(of(S1)->live_count, 0);
	check_int(of(S2)->live_count, 1);
	end();
}

TEST(what_is_mapped_by_itself_is_told_by_its_call)
{
	begin();
	walk();
	told(T2, 200000, S1);
	told(T1, 4000, S1);
	windows_large_mapped(w, T2, (200000 + 16 + 4095) & ~4095ull);
	check_int(of(S1)->alloc_count, 1);
	windows_large_mapped(w, T1, 1 << 20);
	check_int(of(S1)->alloc_count, 1);
	end();
}

TEST(a_call_in_focus_tells_the_same_birth)
{
	struct ev_alloc ev = {
		.h = { .kind = EV_FOCUS, .tid = T1 },
		.addr = 0x20000, .size = 4000, .stack_id = S1, .weight = 4000,
	};

	begin();
	walk();
	born(0x20000, 4000, S1);
	windows_feed(w, &ev, sizeof(ev));
	check_int(of(S1)->alloc_count, 1);
	check_int(of(S1)->alloc_bytes, 4000);
	walk();
	check_int(of(S1)->live_count, 1);
	end();
}

TEST(more_room_in_place_is_no_birth)
{
	begin();
	walk();
	born(0x20000, 4000, S1);
	walk();
	windows_open(w);
	reallocated(0x20000, 9000, S2);
	shut();
	check_int(of(S1)->live_bytes, 9000);
	check_int(of(S2)->alloc_count, 0);
	windows_open(w);
	reallocated(0x90000, 9000, S2);		/* nobody knows whose it is */
	shut();
	check_int(of(S2)->alloc_count, 0);
	end();
}

/* Between windows: that it has another chunk is all that is seen. */
TEST(more_room_may_be_seen_by_walks_alone)
{
	begin();
	walk();
	born(0x20000, 4000, S1);
	walk();
	release(0x20000);
	hold(0x20000, chunk_of(9000));
	walk();
	check_int(of(S1)->live_bytes, chunk_of(9000) - 8);
	check_int(of(S1)->live_count, 1);
	check_int(of(S1)->alloc_count, 1);
	end();
}

/* Since the last walk: as many live as did of those before, more or less. */
TEST(the_newest_are_as_the_others_were)
{
	begin();
	walk();
	for (uint64_t i = 0; i < 100; i++) {
		told(T1, 4000, S1);
		if (i % 2)
			hold(0x100000 + i * 0x10000, chunk_of(4000));
	}
	walk();
	check_int(of(S1)->live_count, 50);
	check_int(of(S1)->live_count_error, 0);
	for (int i = 0; i < 40; i++)
		told(T1, 4000, S1);
	check_int(of(S1)->live_count, 70);
	check(of(S1)->live_count_error > 0);
	check(total.live_bytes_error > 0);
	end();
}

/* When the probe goes to larger ones, what is known of the smaller stays. */
TEST(telling_of_fewer_forgets_none)
{
	begin();
	walk();
	born(0x20000, 4000, S1);
	born(0x40000, 30000, S1);
	walk();
	windows_tell_large(w, 10752);
	told(T1, 4000, S1);
	born(0x60000, 30000, S1);
	walk();
	check_int(of(S1)->live_count, 3);
	check_int(of(S1)->alloc_count, 3);
	end();
}

TEST(there_may_be_too_many)
{
	begin();
	walk();
	check(!windows_has_too_many(w));
	for (int i = 0; i < 70000; i++)
		told(T1, 4000, S1);
	check(windows_has_too_many(w));
	check_int(of(S1)->alloc_count, 70000);
	windows_tell_large(w, 3136);
	check(!windows_has_too_many(w));
	end();
}

/* Born when nothing was told yet, and seen in no window: somebody's among those that are told. */
TEST(what_was_not_told_is_in_the_interval)
{
	int64_t untold = chunk_of(4000) * 20;

	begin();
	for (uint64_t i = 0; i < 20; i++)
		hold(0x1000000 + i * 0x10000, chunk_of(4000));
	walk();
	check_int(of(S1)->live_bytes_error, 0);
	born(0x20000, 4000, S1);
	walk();
	check_int(of(S1)->live_count, 1);
	check(of(S1)->live_bytes_error > 0.98 * (double)untold);
	check(of(S1)->live_bytes_error <= (double)untold);
	for (uint64_t i = 0; i < 20; i++)
		release(0x1000000 + i * 0x10000);
	walk();
	check_int(of(S1)->live_bytes_error, 0);
	end();
}
