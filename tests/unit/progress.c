// SPDX-License-Identifier: GPL-2.0-or-later
/* What a target gets done in windows, of stories in CPU time and sleeps. */
#include <math.h>
#include <unistd.h>

#include "tests/unit/test.h"
#include "capture/cost/progress.h"

#define MS 1000000.0
#define PERIOD (200 * MS)
#define OPEN (5 * MS)

/* Shares of a core and sleeps a second: outside of windows and in them. */
struct story { double cpu_out, cpu_in, probes, sleeps_out, sleeps_in; };

static double share_after(int windows, const struct story *story)
{
	struct progress progress = { 0 };
	double time = PERIOD, cpu = 0, sleeps = 0;

	for (int i = 0; i < windows; i++) {
		struct progress_mark open, shut;

		time += PERIOD - OPEN;
		cpu += story->cpu_out * (PERIOD - OPEN);
		sleeps += story->sleeps_out * (PERIOD - OPEN) / 1e9;
		open = (struct progress_mark){ (uint64_t)time, (uint64_t)cpu, (int64_t)sleeps };
		time += OPEN;
		cpu += story->cpu_in * OPEN;
		sleeps += story->sleeps_in * OPEN / 1e9;
		shut = (struct progress_mark){ (uint64_t)time, (uint64_t)cpu, (int64_t)sleeps };
		progress_note(&progress, &open, &shut, story->probes * OPEN, 0);
	}
	return progress_share(&progress);
}

static bool is_near(double a, double b)
{
	return fabs(a - b) < 0.05;
}

TEST(short_of_time_it_does_what_probes_leave)
{
	check(is_near(share_after(60, &(struct story){ 1, 1, 0.6, 0, 0 }), 0.4));
	check(is_near(share_after(60, &(struct story){ 0.5, 1, 0.8, 0, 0 }), 0.4));
	check(share_after(5, &(struct story){ 1, 1, 0.6, 0, 0 }) == 1);
}

/* It sleeps for as long after each piece of work: a window sees less pieces. */
TEST(who_rests_between_pieces_does_less_of_them)
{
	check(is_near(share_after(60, &(struct story){ 0.3, 0.8, 0.7, 1200, 360 }), 0.3));
}

/* It sleeps less for it has no time to, while all that comes in is done. */
TEST(who_has_no_time_to_sleep_loses_no_more_than_probes_took)
{
	check(is_near(share_after(60, &(struct story){ 0.7, 0.8, 0.1, 9000, 900 }), 0.9));
}

/* What probes took between windows is no work of its own. */
TEST(probes_outside_of_windows_are_no_work)
{
	struct progress progress = { 0 };
	const struct progress_mark marks[] = {
		{ 100, 0, -1 }, { 200, 50, -1 }, { 1200, 550, -1 }, { 1300, 600, -1 },
	};

	progress_note(&progress, &marks[0], &marks[1], 0, 0);
	progress_note(&progress, &marks[2], &marks[3], 0, 300);
	check(is_near(progress_cpu_share(&progress), 0.2));
}

TEST(who_catches_up_loses_nothing)
{
	check(share_after(60, &(struct story){ 0.3, 0.8, 0.5, 1200, 1200 }) == 1);
	check(share_after(60, &(struct story){ 0.3, 0.8, 0.5, 1200, 1150 }) == 1);
}

TEST(few_sleeps_say_nothing)
{
	check(share_after(60, &(struct story){ 0.3, 0.8, 0.7, 50, 5 }) == 1);
}

/* The same with @edge and @window calls a millisecond, before windows and in them. */
static double share_by_calls(int windows, double edge, double window)
{
	/* By its sleeps alone it would lose all the time that probes took. */
	struct progress progress = {
		.probes_ns = 0.6 * OPEN, .open_ns = OPEN,
		.sleeps_in = 400, .sleepy_in_ns = 1e9, .sleeps_out = 1000, .sleepy_out_ns = 1e9,
	};

	for (int i = 0; i < windows; i++)
		progress_note_edge(&progress, &(struct call_rate){ 10 * edge, 10 * MS },
				   &(struct call_rate){ 5 * window, 5 * MS });
	return progress_share(&progress);
}

TEST(calls_that_were_counted_before_windows_tell_what_is_done_in_them)
{
	check(is_near(share_by_calls(40, 80, 80), 1));
	check(is_near(share_by_calls(40, 80, 56), 0.7));
	/* It works off what has piled up: more than all is no reason to make less of it. */
	check(share_by_calls(40, 80, 120) == 1);
	check(is_near(share_by_calls(40, 80, 8), 0.4));
	/* Too few to be compared. */
	check(is_near(share_by_calls(1, 80, 80), 0.4));
}

/* A window of 5 ms of which probes took 4. */
static double done_ms(const struct progress *progress, double cpu_ms, size_t threads)
{
	const struct progress_mark open = { 0 };
	const struct progress_mark shut = { (uint64_t)OPEN, (uint64_t)(cpu_ms * MS), 0 };

	return progress_window_ns(progress, &open, &shut, 4 * MS, threads) / MS;
}

TEST(a_burst_is_slowed_down_though_the_rest_is_not)
{
	const struct progress none = { 0 };

	check(is_near(done_ms(&none, 5, 1), 1));
	check(is_near(done_ms(&none, 3, 1), 3));	/* 2 ms of rest make good for half */
	check(is_near(done_ms(&none, 10, 2), 3));	/* two threads lost 2 ms each */
}

TEST(who_rests_in_a_window_is_in_arrears_with_the_last_piece_only)
{
	const struct progress none = { 0 };
	const struct progress_mark open = { 0, 0, 10 };
	const struct progress_mark shut = { (uint64_t)OPEN, (uint64_t)OPEN, 13 };

	check(is_near(progress_window_ns(&none, &open, &shut, 4 * MS, 1) / MS, 4));
}

TEST(what_all_windows_lose_each_loses_in_part)
{
	const struct progress resting = {
		.sleeps_in = 300, .sleepy_in_ns = 1e9, .sleeps_out = 1000, .sleepy_out_ns = 1e9,
		.open_ns = 1e9, .probes_ns = 8e8,
	};

	check(is_near(done_ms(&resting, 4, 1), 5 - 0.7 * 5));
}

TEST(sleeps_of_a_thread_are_read)
{
	int fd = progress_open_thread((uint32_t)getpid(), (uint32_t)getpid());
	int64_t before = progress_read_sleeps(fd);

	check(before >= 0);
	for (int i = 0; i < 7; i++)
		usleep(1000);
	check(progress_read_sleeps(fd) >= before + 7);
	close(fd);
	check_int(progress_read_sleeps(-1), -1);
	check_int(progress_read_sleeps(progress_open_thread((uint32_t)getpid(), 1)), -1);
}
