// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Estimates out of windows, of stories told in records: a window is open for 10 of
 * each 100 ms, so that everything in it stands for ten like it.
 */
#include <math.h>

#include "bpf/events.h"
#include "tests/unit/test.h"
#include "model/windows.h"

#define MS 1000000ull
#define STEP (100 * MS)
#define OPEN (10 * MS)
#define WEIGHT 10
#define T1 1001

enum { S1 = 0x5151, S2 = 0x5252 };

static struct windows *w;
static uint64_t now, next_addr;
static struct window_row_vec rows;
static struct metrics total;
static struct window_quality quality;

static void begin(void)
{
	windows_destroy(w);
	w = windows_create(now = 1000 * MS);
	next_addr = 0x10000;
}

static void end(void)
{
	window_row_vec_deinit(&rows);
	windows_destroy(w);
	w = NULL;
}

static uint64_t born_at(uint16_t kind, uint64_t addr, uint64_t size, uint64_t stack)
{
	struct ev_alloc ev = {
		.h = { .kind = kind, .tid = T1, .time_ns = now },
		.addr = addr, .size = size, .stack_id = stack, .weight = size,
	};

	windows_feed(w, &ev, sizeof(ev));
	return addr;
}

static uint64_t born(uint64_t size, uint64_t stack)
{
	return born_at(EV_ALLOC, next_addr += 0x10000, size, stack);
}

/* The same of a call that is focused on. */
static uint64_t born_in_focus(uint64_t size, uint64_t stack)
{
	return born_at(EV_FOCUS, next_addr += 0x10000, size, stack);
}

static void freed(uint64_t addr)
{
	struct ev_free ev = { { .kind = EV_FREE, .tid = T1, .time_ns = now }, addr };

	windows_feed(w, &ev, sizeof(ev));
}

static void shut(void)
{
	windows_shut(w, &(struct window_facts){ now, now + OPEN, WEIGHT, false });
	now += STEP;
}

/* Who reads the memory finds chunks of @bytes at all that is followed. */
static void read_all(uint64_t bytes)
{
	struct followed_vec all = { 0 };

	windows_followed(w, &all);
	vec_for_each(f, &all)
		if (!f->head) {
			struct followed first = *f;

			first.head = bytes | 1;
			windows_note_first(w, &first);
		}
	followed_vec_deinit(&all);
}

/* A walk through the heap that does not meet @missed (0: meets all). */
static void walk(uint64_t missed)
{
	struct followed_vec all = { 0 };

	windows_followed(w, &all);
	vec_for_each(f, &all)
		windows_note_walk(w, f, f->addr != missed, now);
	followed_vec_deinit(&all);
}

static void hold(uint64_t chunk_bytes, double bytes)
{
	struct heap_census census = { 0 };

	census.bytes[window_class(chunk_bytes)] = bytes;
	windows_note_census(w, &census, now);
}

static const struct window_row *row(uint64_t stack)
{
	rows.len = 0;
	total = (struct metrics){ 0 };
	windows_rows(w, now, &rows, &total, &quality);
	vec_for_each(r, &rows)
		if (r->stack_id == stack)
			return r;
	return NULL;
}

/* Windows of which each shows @kept blocks that nobody frees. */
static void keep(int windows, int kept, uint64_t size, uint64_t stack, uint64_t chunk_bytes)
{
	for (int i = 0; i < windows; i++) {
		windows_open(w);
		for (int k = 0; k < kept; k++)
			born(size, stack);
		shut();
		read_all(chunk_bytes);
	}
}

TEST(what_is_kept_is_scaled_and_brought_to_what_is_held)
{
	begin();
	keep(50, 4, 100, S1, 112);
	check(fabs((double)row(S1)->m.live_count - 50 * 4 * WEIGHT) < 50);
	hold(112, 1800 * 112);
	check(fabs((double)row(S1)->m.live_count - 1800) < 50);
	check_int(quality.unattributed, 0);
	end();
}

/* 16 bytes more than needed are no chunk: malloc leaves them where they are. */
TEST(a_chunk_larger_than_asked_for_is_of_its_own_class)
{
	begin();
	keep(50, 4, 100, S1, 128);
	hold(128, 2000 * 128);
	check(fabs((double)row(S1)->m.live_bytes - 2000 * 100) < 5000);
	check_int(quality.unattributed, 0);
	end();
}

/* Of them a heap walk meets @bytes, when nothing has been seen yet. */
static void begin_with_older(uint64_t bytes)
{
	begin();
	for (uint64_t at = 0; at < 100; at++)
		windows_add_older(w, next_addr += 0x10000, bytes / 100, 1, now);
	hold(bytes / 100, (double)bytes);
	now += STEP;
}

/* A heap that was read before its leak began has nothing to say of that. */
TEST(what_was_born_after_the_heap_was_read_is_not_measured_by_it)
{
	const int64_t kept = 10 * 40 * WEIGHT * 10000ll;

	begin_with_older(10 << 20);
	keep(10, 40, 10000, S1, 10016);
	check(llabs(row(S1)->m.live_bytes - kept) < kept / 100);
	check(llabs(total.live_bytes - kept) < total.live_bytes_error);
	check(total.live_bytes_error > kept / 3);
	hold(10016, kept / 10000 * 10016.0 + (10 << 20));
	check_int(row(S1)->m.live_bytes > 0, 1);
	check(total.live_bytes_error < kept / 10);
	end();
}

/* Who leaks has leaked on, whether or not a window saw it. */
TEST(an_interval_widens_while_nothing_is_seen)
{
	const double kept = 40 * 4 * WEIGHT * 10000.0, per_step = kept / 40;
	double error;

	begin();
	keep(40, 4, 10000, S1, 10016);
	hold(10016, kept / 10000 * 10016);
	row(S1);
	error = total.live_bytes_error;
	now += 8 * STEP;
	row(S1);
	check(total.live_bytes_error > 6 * per_step);
	check(error < total.live_bytes_error - 4 * per_step);
	end();
}

/* As many end as are born: what was held once is held still. */
TEST(a_heap_at_rest_holds_what_it_held_when_it_was_read)
{
	struct followed_vec all = { 0 };

	begin();
	keep(50, 10, 100, S1, 112);
	hold(112, 4500 * 112);
	windows_followed(w, &all);
	for (int i = 0; i < 20; i++) {
		for (int k = 0; k < 10; k++)
			windows_note_end(w, &all.data[(i * 10 + k) * 2], now);
		keep(1, 10, 100, S1, 112);
	}
	followed_vec_deinit(&all);
	check(fabs((double)row(S1)->m.live_count - 4500) < 250);
	check(total.live_bytes_error > 4500 * 100 * 0.05);
	end();
}

static uint64_t twice(uint64_t size)
{
	return 2 * size;
}

/* Before its chunk was read a block is in the class that its allocator has for it. */
TEST(another_allocator_has_other_chunks)
{
	begin();
	windows_set_sizing(w, twice);
	for (int i = 0; i < 50; i++) {
		windows_open(w);
		for (int k = 0; k < 4; k++)
			born(160, S1);
		shut();
	}
	hold(320, 1800 * 320);
	check(fabs((double)row(S1)->m.live_count - 1800) < 50);
	check_int(quality.unattributed, 0);
	end();
}

TEST(what_no_stack_can_be_given_is_told_in_bytes_asked_for)
{
	begin();
	keep(50, 4, 100, S1, 112);
	hold(32, 64000);
	row(S1);
	check(quality.unattributed > 0.4 * 64000 && quality.unattributed < 0.6 * 64000);
	check(row(0) && row(0)->m.live_bytes == llround(quality.unattributed));
	end();
}

/* Half of them asked for 10 bytes, half for 24: which half is a matter of the draw. */
TEST(a_sum_of_known_chunks_is_as_sure_as_what_was_asked_for)
{
	double alike, mixed;

	begin();
	keep(40, 4, 24, S1, 32);
	hold(32, 1600 * 32);
	row(S1);
	alike = total.live_bytes_error;
	begin();
	keep(20, 4, 10, S1, 32);
	keep(20, 4, 24, S2, 32);
	hold(32, 1600 * 32);
	row(S1);
	mixed = total.live_bytes_error;
	check(fabs((double)total.live_bytes - 800 * (10 + 24)) < mixed);
	check(mixed > 1.5 * alike && mixed < total.live_bytes);
	end();
}

TEST(what_two_walks_do_not_meet_has_ended)
{
	uint64_t lost;

	begin();
	windows_open(w);
	lost = born(100, S1);
	born(100, S1);
	shut();
	read_all(112);
	walk(lost);
	check_int(row(S1)->samples, 2);		/* it may be the walk that was wrong */
	walk(0);
	walk(lost);
	check_int(row(S1)->samples, 2);
	walk(lost);
	check_int(row(S1)->samples, 1);
	end();
}

TEST(what_dies_in_its_window_is_no_sample)
{
	begin();
	windows_open(w);
	freed(born(100, S1));
	shut();
	check_int(row(S1)->m.alloc_count, WEIGHT);
	check_int(row(S1)->m.live_count, 0);
	check_int(row(S1)->m.temporary_count, WEIGHT);
	end();
}

/* Frees of blocks that nobody saw born, whose chunks turn out to be of @bytes. */
static void free_strangers(int count, uint64_t bytes)
{
	windows_open(w);
	for (int i = 0; i < count; i++)
		freed(next_addr += 0x10000);
	shut();
	read_all(bytes);
}

/* Whoever reads the memory notices the end of one in @every that are followed in vain. */
static void notice(bool controls, int every)
{
	struct followed_vec all = { 0 };
	int i = 0;

	windows_followed(w, &all);
	vec_for_each(f, &all)
		if (f->control == controls && i++ % every == 0)
			windows_note_end(w, f, now);
	followed_vec_deinit(&all);
}

/*
 * Ends of large blocks are noticed at once, of small ones seldom: few controls say so,
 * but they are of that size. Of 30 small blocks that have all ended ten were noticed, as many
 * as there should be: the others are not taken for alive.
 */
TEST(ends_that_are_noticed_seldom_in_one_class_are_so_whatever_the_others_say)
{
	begin();
	for (int i = 0; i < 10; i++)
		free_strangers(40, 512);
	notice(true, 1);
	free_strangers(90, 32);
	notice(true, 3);
	keep(1, 30, 20, S1, 32);
	notice(false, 3);
	now += 20 * STEP;
	row(S1);
	check(row(S1)->m.live_count < 12 * WEIGHT);
	end();
}

TEST(what_is_followed_lately_is_told_alone_and_newest_first)
{
	struct followed_vec all = { 0 };
	uint64_t first, second;

	begin();
	windows_open(w);
	born(100, S1);
	shut();
	windows_open(w);
	first = born(100, S1);
	second = born(100, S1);
	shut();
	windows_open(w);
	born(100, S1);				/* not settled */
	windows_followed_since(w, now - STEP, &all);
	check_int(all.len, 2);
	check(all.data[0].addr == second && all.data[1].addr == first);
	all.len = 0;
	windows_followed(w, &all);
	check_int(all.len, 3);
	followed_vec_deinit(&all);
	shut();
	end();
}

/*
 * Of controls about half: how soon the others are noticed is to be as it is of blocks that
 * die later. In the open window they are not settled either.
 */
TEST(half_of_the_controls_are_looked_at_with_all_others_alone)
{
	struct followed_vec all = { 0 };

	begin();
	windows_open(w);
	for (int i = 0; i < 100; i++)
		freed(next_addr += 0x10000);
	shut();
	/* At first all are read. */
	windows_followed_since(w, now - STEP, &all);
	check_int(all.len, 100);
	all.len = 0;
	read_all(512);
	windows_followed_since(w, now - STEP, &all);
	check(all.len > 30 && all.len < 70);
	all.len = 0;
	windows_open(w);
	freed(next_addr += 0x10000);
	windows_followed(w, &all);
	check_int(all.len, 100);
	followed_vec_deinit(&all);
	shut();
	end();
}

/* --- blocks with mappings of their own --- */

#define PAGE 4096ull
#define MAPPING (64 * PAGE)
#define ROOM (MAPPING - 16)

static void mapped(uint64_t start, uint64_t stack)
{
	windows_map(w, &(struct mapped_block){ start, start + MAPPING, now, true }, stack);
}

static void unmapped(uint64_t start)
{
	windows_unmap(w, start, start + MAPPING, now);
}

/* What is read at all of them. */
static void read_mapped(enum mapped_look look)
{
	struct mapped_block_vec all = { 0 };

	windows_mapped(w, &all);
	vec_for_each(block, &all)
		windows_note_mapped(w, block, look);
	mapped_block_vec_deinit(&all);
}

static void check_exact(uint64_t stack, int64_t live, int64_t allocated)
{
	const struct window_row *r = row(stack);

	check(r != NULL);
	if (!r)
		return;
	check_int(r->m.live_count, live);
	check_int(r->m.live_bytes, live * (int64_t)ROOM);
	check_int(r->m.alloc_count, allocated);
	check_int(r->m.alloc_bytes, allocated * (int64_t)ROOM);
	check_int(r->m.free_count, allocated - live);
	check(r->m.live_bytes_error == 0 && r->m.live_count_error == 0);
	check(r->m.alloc_bytes_error == 0 && r->m.free_bytes_error == 0);
}

TEST(mapped_blocks_are_known_between_windows)
{
	begin();
	keep(20, 4, 100, S2, 112);
	for (uint64_t i = 0; i < 7; i++)
		mapped((1 << 20) * (i + 1), S1);
	unmapped(1 << 20);
	unmapped(5 << 20);
	unmapped(9 << 20);
	check_exact(S1, 5, 7);
	check(row(S2)->m.live_bytes_error > 0);
	check(total.live_count > 5 && quality.has_mapped);
	end();
}

TEST(a_mapped_block_that_a_window_shows_counts_once)
{
	struct ev_alloc ev = {
		.h = { .kind = EV_ALLOC, .tid = T1 },
		.addr = (1 << 20) + 16, .size = ROOM - 100, .stack_id = S1,
	};

	begin();
	windows_open(w);
	mapped(1 << 20, S1);
	windows_feed(w, &ev, sizeof(ev));
	shut();
	check_exact(S1, 1, 1);
	windows_open(w);
	freed(ev.addr);
	unmapped(1 << 20);
	shut();
	check_exact(S1, 0, 1);
	check_int(row(S1)->m.temporary_count, 0);
	end();
}

/* realloc() found room enough: no call has told of it, but a window. */
TEST(a_mapped_block_goes_to_who_reallocates_it)
{
	struct ev_realloc ev = {
		.a = { .h = { .kind = EV_REALLOC, .tid = T1 },
		       .addr = (1 << 20) + 16, .size = ROOM, .stack_id = S2 },
		.old_addr = (1 << 20) + 16,
	};

	begin();
	mapped(1 << 20, S1);
	windows_open(w);
	windows_feed(w, &ev, sizeof(ev));
	shut();
	check_exact(S1, 0, 1);
	check_exact(S2, 1, 1);
	end();
}

/* Two threads: the one's munmap() is told after the other has got the addresses. */
TEST(an_end_that_is_told_late_ends_nothing_else)
{
	begin();
	mapped(1 << 20, S1);
	mapped(1 << 20, S2);
	unmapped(1 << 20);
	check_exact(S1, 0, 1);
	check_exact(S2, 1, 1);
	unmapped(1 << 20);
	check_exact(S2, 0, 1);
	end();
}

TEST(a_mapping_without_a_chunk_is_no_block)
{
	begin();
	mapped(1 << 20, S1);
	mapped(2 << 20, S2);
	read_mapped(MAPPED_IS_EMPTY);
	check_exact(S1, 1, 1);
	read_mapped(MAPPED_IS_OTHER);
	check_exact(S1, 1, 1);
	read_mapped(MAPPED_IS_OTHER);
	check_exact(S1, 0, 0);
	end();
}

TEST(a_mapped_block_whose_end_was_lost_ends)
{
	begin();
	mapped(1 << 20, S1);
	read_mapped(MAPPED_IS_CHUNK);
	read_mapped(MAPPED_IS_GONE);
	read_mapped(MAPPED_IS_CHUNK);
	read_mapped(MAPPED_IS_GONE);
	check_exact(S1, 1, 1);
	read_mapped(MAPPED_IS_GONE);
	check_exact(S1, 0, 1);
	end();
}

/* What a walk meets is attributed by its call, or else by estimates. */
TEST(mapped_chunks_are_not_held_twice)
{
	begin();
	mapped(1 << 20, S1);
	check(!windows_counts_mapped(w, (1 << 20) + 16));
	check(!windows_counts_mapped(w, (2 << 20) + 16));
	hold(112, 0);
	check(!windows_counts_mapped(w, (1 << 20) + 16));
	check(windows_counts_mapped(w, (2 << 20) + 16));
	windows_add_older(w, (3 << 20) + 16, MAPPING, 1, now);
	check(windows_counts_mapped(w, (3 << 20) + 16));
	end();
}

TEST(mapped_blocks_that_pile_up_are_growth)
{
	begin();
	for (uint64_t i = 0; i < 40; i++) {
		mapped((1 << 20) * (i + 1), S1);
		now += STEP;
		hold(112, 1000000);
	}
	check(row(S1)->m.growth_bytes_per_s > 0.9 * ROOM * 10);
	check(row(S1)->m.growth_confidence > 0.9);
	end();
}

/* Windows, each with a small block that stays. */
static void leak_a_little(int windows)
{
	for (int i = 0; i < windows; i++) {
		now += STEP;
		windows_open(w);
		born(100, S2);
		shut();
	}
}

/* What holds nearly all was seen too seldom: what grows besides it is not all. */
TEST(growth_of_the_whole_is_as_sure_as_most_of_it)
{
	begin();
	leak_a_little(40);
	check(row(S2)->m.growth_confidence > 0.9);
	check(total.growth_confidence > 0.9);
	for (int i = 0; i < 2; i++) {
		now += STEP;
		windows_open(w);
		born(1 << 20, S1);
		shut();
	}
	check(row(S2)->m.growth_confidence > 0.9);
	check(total.growth_confidence < 0.1);
	end();
}

struct given { struct given_block block; int blocks; double allocated; };

static void give_row(void *arg, const struct given_row *given)
{
	((struct given *)arg)->allocated += given->alloc_count;
}

static void give_block(void *arg, const struct given_block *block)
{
	struct given *to = arg;

	to->block = *block;
	to->blocks++;
}

/* Of an aligned block nobody knows the address, and so its end would not be seen. */
TEST(mapped_blocks_are_handed_over_exactly)
{
	struct given given = { .blocks = 0 };

	begin();
	mapped(1 << 20, S1);
	windows_map(w, &(struct mapped_block){ 2 << 20, (2 << 20) + MAPPING, now, false }, S1);
	windows_give(w, now, 3, &(struct windows_heir){ give_row, give_block, &given });
	check_int(given.blocks, 1);
	check_int(given.block.addr, (1 << 20) + 16);
	check_int(given.block.bytes, ROOM);
	check_int(given.block.count, 1);
	check(given.block.variance.bytes == 0 && given.block.variance.count == 0);
	check_int((int)given.allocated, 2);
	end();
}

TEST(births_in_focus_stand_for_themselves)
{
	begin();
	born_in_focus(100, S1);
	windows_open(w);
	born_in_focus(101, S1);
	born(200, S2);
	shut();
	born_in_focus(103, S1);
	check(row(S1)->exact);
	check_int(row(S1)->m.alloc_count, 3);
	check_int(row(S1)->m.alloc_bytes, 100 + 101 + 103);
	check(row(S1)->m.alloc_bytes_error == 0);
	check(!row(S2)->exact);
	check_int(row(S2)->m.alloc_count, WEIGHT);
	check_int(total.alloc_bytes, 100 + 101 + 103 + WEIGHT * 200);
	end();
}

/* Freed in a later window, in that of their birth, and by another's birth at their address. */
TEST(blocks_in_focus_end_as_all_others)
{
	uint64_t early, late, reused;

	begin();
	early = born_in_focus(100, S1);
	windows_open(w);
	freed(early);
	late = born_in_focus(100, S1);
	freed(late);
	shut();
	check_int(row(S1)->samples, 0);
	check_int(quality.controls, 1);		/* of its window's births none is one */
	reused = born_in_focus(100, S1);
	check_int(row(S1)->samples, 1);
	born_at(EV_FOCUS, reused, 64, S2);
	check_int(row(S1)->samples, 0);
	check_int(row(S2)->samples, 1);
	check_int(row(S1)->m.alloc_count, 3);
	end();
}

/* What the heap holds is theirs first, and no window's block is made to stand for it. */
TEST(bytes_in_focus_are_no_others)
{
	begin();
	for (int i = 0; i < 50; i++)
		born_in_focus(100, S2);
	keep(40, 4, 100, S1, 112);
	hold(112, (50 + 1600) * 112);
	check(fabs((double)row(S1)->m.live_count - 1600) < 160);
	check_int(row(S2)->m.live_count, 50);
	end();
}

/* What no stack can be given is so many blocks, and was some of what was live at the peak. */
TEST(what_is_nobodys_has_a_count_and_a_peak)
{
	const struct window_row *nobodys;
	int64_t peak = 0;

	begin();
	keep(40, 4, 100, S1, 112);
	hold(4112, 50 * 4112);
	nobodys = row(0);
	check(nobodys && nobodys->m.live_count == 50);
	check(fabs(nobodys->m.live_count_error - 50) < 1);
	check(nobodys->m.peak_live_bytes == nobodys->m.live_bytes);
	vec_for_each(r, &rows)
		peak += r->m.peak_live_bytes;
	check_int(total.peak_live_bytes, peak);
	end();
}

/* --- what goes on as it did --- */

#define LIFE (500 * MS)
#define A_BURST 4		/* blocks, in one window of four: of a second that is 10, by ten */
#define LIVE (A_BURST / 4.0 * WEIGHT * (double)LIFE / (double)STEP)

struct mortal { uint64_t addr, dies_ns; };

static struct mortal mortals[4096];
static size_t mortals_len;
static uint64_t dice;

static bool one_in_four(void)
{
	dice = dice * 6364136223846793005u + 1442695040888963407u;
	return dice >> 62 == 0;
}

/* Whoever reads the memory notices at once who has died. */
static void notice_deaths(void)
{
	struct followed_vec all = { 0 };

	windows_followed(w, &all);
	vec_for_each(f, &all)
		for (size_t i = 0; i < mortals_len; i++)
			if (mortals[i].addr == f->addr && mortals[i].dies_ns <= now)
				windows_note_end(w, f, now);
	followed_vec_deinit(&all);
}

/* Windows of a stack that allocates all the time, as chance shows it. */
static void go_on(int windows, bool allocates)
{
	for (int i = 0; i < windows; i++) {
		windows_open(w);
		if (one_in_four() && allocates)
			for (int k = 0; k < A_BURST; k++)
				mortals[mortals_len++] = (struct mortal){
					born(100, S1), now + OPEN + LIFE };
		shut();
		read_all(112);
		notice_deaths();
	}
}

static void begin_mortal(void)
{
	begin();
	mortals_len = 0;
	dice = 7;
	/* Ends are noticed, as controls show. */
	free_strangers(40, 112);
	notice(true, 1);
}

/*
 * Of 50 blocks that are alive at any moment, those of one window in four have been seen:
 * none of them, or three times as many. All windows together know better.
 */
TEST(a_steady_stack_is_told_by_all_its_windows)
{
	double off = 0, sum = 0;

	begin_mortal();
	go_on(120, true);
	for (int i = 0; i < 20; i++) {
		go_on(5, true);
		off = fabs((double)row(S1)->m.live_count - LIVE);
		check(off < row(S1)->m.live_count_error);
		sum += off;
	}
	check(sum / 20 < 0.35 * LIVE);
	end();
}

TEST(a_stack_that_has_stopped_is_not_expected_to_go_on)
{
	begin_mortal();
	go_on(200, true);
	check((double)row(S1)->m.live_count > 0.5 * LIVE);
	go_on(100, false);
	check((double)row(S1)->m.live_count < 0.25 * LIVE);
	end();
}

/* What is handed over is what is followed: of what is expected there are no addresses. */
static void count_given(void *arg, const struct given_block *block)
{
	*(uint64_t *)arg += block->count;
}

static void ignore_row(void *arg __attribute__((unused)),
		       const struct given_row *given __attribute__((unused)))
{
}

TEST(what_is_expected_is_not_handed_over)
{
	uint64_t given = 0, followed = 0;
	struct followed_vec all = { 0 };

	begin_mortal();
	go_on(120, true);
	windows_followed(w, &all);
	vec_for_each(f, &all)
		followed += !f->control;
	followed_vec_deinit(&all);
	windows_give(w, now, 1, &(struct windows_heir){ ignore_row, count_given, &given });
	check(given <= followed * WEIGHT);
	end();
}

/* --- contents --- */

/* First they are read; later those of one in @changes are others. */
static void read_contents(int changes)
{
	struct followed_vec all = { 0 };
	int i = 0;

	windows_followed(w, &all);
	vec_for_each(f, &all) {
		struct followed now_f = *f;

		if (f->control)
			continue;
		now_f.head = 113;
		now_f.print = f->addr * 0x9e3779b97f4a7c15u;
		now_f.look = LOOKS_SAME;
		windows_note_first(w, &now_f);
		now_f.look = LOOKS_OTHER;
		if (changes && i++ % changes == 0)
			windows_note_look(w, &now_f);
	}
	followed_vec_deinit(&all);
}

/* Of controls of the last window half, for good. */
static void notice_half(void)
{
	struct followed_vec all = { 0 };
	int i = 0;

	windows_followed(w, &all);
	vec_for_each(f, &all)
		if (f->control && f->since_ns >= now - STEP && i++ % 2)
			windows_note_end(w, f, now);
	followed_vec_deinit(&all);
}

/* Half of the ends are never noticed; of 40 blocks, 20 are. What of the rest is alive? */
static double live_of_unnoticed(int changes)
{
	begin();
	for (int i = 0; i < 10; i++) {
		free_strangers(40, 112);
		notice_half();
	}
	keep(1, 40, 100, S1, 112);
	notice(false, 2);
	now += 20 * STEP;
	read_contents(changes);
	for (int i = 0; i < 10; i++)
		row(S1);
	return (double)row(S1)->m.live_count / WEIGHT;
}

TEST(contents_tell_ghosts_from_the_living)
{
	double all_same = live_of_unnoticed(0), half = live_of_unnoticed(2),
	       none = live_of_unnoticed(1);

	check(all_same > 15);
	check(half > 6 && half < 14);
	check(none < 6);
	end();
}

/* --- what is told late, and what nobody has --- */

TEST(what_is_told_when_no_window_is_open_is_left_out)
{
	begin();
	keep(1, 1, 100, S1, 112);
	born(100, S1);
	windows_open(w);
	shut();
	check_int(row(S1)->m.alloc_count, WEIGHT);
	check_int(quality.told_late, 1);
	end();
}

TEST(what_is_unattributed_may_be_of_who_was_seen)
{
	begin();
	keep(8, 0, 0, 0, 0);
	keep(1, 1, 100, S1, 112);
	keep(8, 0, 0, 0, 0);
	hold(112, 100 * WEIGHT * 112.0);
	check(row(S1)->m.live_bytes < 10000);
	check(quality.unattributed > 50000);
	check(row(S1)->m.live_bytes_error > 50000);
	end();
}
