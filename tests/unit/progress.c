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
struct story { double cpu_out, cpu_in, probes, sleeps_out, sleeps_in, waited_in; };

static double share_after(int windows, const struct story *story)
{
	struct progress progress = { 0 };
	double time = PERIOD, cpu = 0, sleeps = 0, waited = 0;

	for (int i = 0; i < windows; i++) {
		struct progress_mark open, shut;

		time += PERIOD - OPEN;
		cpu += story->cpu_out * (PERIOD - OPEN);
		sleeps += story->sleeps_out * (PERIOD - OPEN) / 1e9;
		open = (struct progress_mark){ (uint64_t)time, (uint64_t)cpu, (int64_t)sleeps,
					       (int64_t)waited };
		time += OPEN;
		cpu += story->cpu_in * OPEN;
		sleeps += story->sleeps_in * OPEN / 1e9;
		waited += story->waited_in * OPEN;
		shut = (struct progress_mark){ (uint64_t)time, (uint64_t)cpu, (int64_t)sleeps,
					       (int64_t)waited };
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
	check(is_near(share_after(60, &(struct story){ 1, 1, 0.6, 0, 0, 0 }), 0.4));
	check(is_near(share_after(60, &(struct story){ 0.5, 1, 0.8, 0, 0, 0 }), 0.4));
	check(share_after(5, &(struct story){ 1, 1, 0.6, 0, 0, 0 }) == 1);
}

/* Others take the processor from it; what it gets of it, probes leave less of. */
TEST(short_of_a_processor_it_does_what_probes_leave)
{
	check(is_near(share_after(60, &(struct story){ 0.4, 0.4, 0.2, 0, 0, 0.6 }), 0.5));
	check(share_after(60, &(struct story){ 0.4, 0.4, 0.2, 0, 0, 0 }) == 1);
}

/* It sleeps for as long after each piece of work: a window sees less pieces. */
TEST(who_rests_between_pieces_does_less_of_them)
{
	check(is_near(share_after(60, &(struct story){ 0.3, 0.8, 0.7, 1200, 360, 0 }), 0.3));
}

/* It sleeps less for it has no time to, while all that comes in is done. */
TEST(who_has_no_time_to_sleep_loses_no_more_than_probes_took)
{
	check(is_near(share_after(60, &(struct story){ 0.7, 0.8, 0.1, 9000, 900, 0 }), 0.9));
}

/* What probes took between windows is no work of its own. */
TEST(probes_outside_of_windows_are_no_work)
{
	struct progress progress = { 0 };
	const struct progress_mark marks[] = {
		{ 100, 0, -1, -1 }, { 200, 50, -1, -1 },
		{ 1200, 550, -1, -1 }, { 1300, 600, -1, -1 },
	};

	progress_note(&progress, &marks[0], &marks[1], 0, 0);
	progress_note(&progress, &marks[2], &marks[3], 0, 300);
	check(is_near(progress_cpu_share(&progress), 0.2));
}

TEST(who_catches_up_loses_nothing)
{
	check(share_after(60, &(struct story){ 0.3, 0.8, 0.5, 1200, 1200, 0 }) == 1);
	check(share_after(60, &(struct story){ 0.3, 0.8, 0.5, 1200, 1150, 0 }) == 1);
}

TEST(few_sleeps_say_nothing)
{
	check(share_after(60, &(struct story){ 0.3, 0.8, 0.7, 50, 5, 0 }) == 1);
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

/* A window of 5 ms, with calls from its beginning on. */
static struct progress_window busy_window(double cpu_ms, double probes_ms, size_t threads)
{
	return (struct progress_window){
		.shut = { .time_ns = (uint64_t)OPEN, .cpu_ns = (uint64_t)(cpu_ms * MS) },
		.length_ns = (uint64_t)OPEN,
		.calls = 1000,
		.probes_ns = probes_ms * MS,
		.threads = threads,
	};
}

static double seen_ms(const struct progress *progress, const struct progress_window *window)
{
	return progress_seen_ns(progress, window) / MS;
}

/* Of which probes took 4. */
static double done_ms(const struct progress *progress, double cpu_ms, size_t threads)
{
	const struct progress_window window = busy_window(cpu_ms, 4, threads);

	return seen_ms(progress, &window);
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
	struct progress_window window = busy_window(5, 4, 1);

	window.open.sleeps = 10;
	window.shut.sleeps = 13;
	check(is_near(seen_ms(&none, &window), 4));
}

/* What probes took of its CPU time, it waited three times as long for. */
TEST(who_waits_for_a_processor_does_not_rest)
{
	const struct progress waiting = { .cpu_in_ns = 1e9, .waited_in_ns = 3e9 };
	struct progress_window window = busy_window(2, 1, 1);

	check(is_near(seen_ms(&waiting, &window), 5 - (4 - 3)));	/* as if 3 ms of rest */
	window.shut.waited_ns = (int64_t)(3 * MS);
	check(is_near(seen_ms(&waiting, &window), 1));
}

/* It began 3 ms after the window, which might have begun up to 2 ms later, or 3 earlier. */
TEST(a_burst_that_begins_in_a_window_is_seen_for_all_of_its_length)
{
	const struct progress none = { 0 };
	struct progress_window window = busy_window(5, 2, 1);

	check(is_near(seen_ms(&none, &window), 3));
	window.first_ns = (uint64_t)(3 * MS);
	check(is_near(seen_ms(&none, &window), 4));
	/* Of few calls the first may come late by chance. */
	window.calls = 2;
	check(is_near(seen_ms(&none, &window), 3));
}

/* It was shut after 1 ms, for there were so many; or after 2, of which 1 was quiet. */
TEST(a_burst_that_fills_a_window_is_not_all_that_there_is)
{
	const struct progress none = { 0 };
	struct progress_window window = busy_window(1, 0.8, 1);

	window.shut.time_ns = (uint64_t)MS;
	check(is_near(seen_ms(&none, &window), 0.2));
	window.shut.time_ns = (uint64_t)(2 * MS);
	window.shut.cpu_ns = (uint64_t)(2 * MS);
	window.first_ns = (uint64_t)MS;
	check(is_near(seen_ms(&none, &window), 5 - 0.4));
}

TEST(what_all_windows_lose_each_loses_in_part)
{
	const struct progress resting = {
		.sleeps_in = 300, .sleepy_in_ns = 1e9, .sleeps_out = 1000, .sleepy_out_ns = 1e9,
		.open_ns = 1e9, .probes_ns = 8e8,
	};

	check(is_near(done_ms(&resting, 4, 1), 5 - 0.7 * 5));
}

static struct progress_mark look(uint32_t pid, uint32_t tid)
{
	struct progress_thread thread = progress_open_thread(pid, tid);
	struct progress_mark mark;

	progress_read_thread(&thread, &mark);
	progress_close_thread(&thread);
	return mark;
}

TEST(a_thread_is_read)
{
	struct progress_mark before = look((uint32_t)getpid(), (uint32_t)getpid()), after, none;

	check(before.sleeps >= 0);
	for (int i = 0; i < 7; i++)
		usleep(1000);
	after = look((uint32_t)getpid(), (uint32_t)getpid());
	check(after.sleeps >= before.sleeps + 7);
	check(before.waited_ns >= 0 && after.waited_ns >= before.waited_ns);
	none = look((uint32_t)getpid(), 1);
	check_int(none.sleeps, -1);
	check_int(none.waited_ns, -1);
}
