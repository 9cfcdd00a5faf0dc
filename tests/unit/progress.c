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

/* What windows show of a thread that calls once in 200 ns and rests for 10 ms after each burst. */
#define EVERY_US 10500
#define BURST_US 500
#define CALL_US 0.2
#define LENGTH_US 2000

/* One that opens @at us after a burst has begun; each call takes @slow times as long in it. */
static struct progress_window window_of_bursts(double at, double slow)
{
	double quiet_us = at < BURST_US ? 0 : EVERY_US - at, done_us = at < BURST_US ? at : 0;
	double most = fmax(LENGTH_US - quiet_us, 0) / CALL_US / slow;
	double calls = floor(fmin((BURST_US - done_us) / CALL_US, most));

	return (struct progress_window){
		.shut = { .time_ns = (uint64_t)(LENGTH_US * 1e3),
			  .sleeps = calls < floor(most) },
		.length_ns = (uint64_t)(LENGTH_US * 1e3),
		.calls = (uint64_t)calls, .first_ns = (uint64_t)(quiet_us * 1e3),
		.probes_ns = calls * CALL_US * (slow - 1) * 1e3, .threads = 1,
	};
}

/* How many calls of a burst windows that begin at any time stand for, by those that there are. */
static double part_of_a_burst(double slow)
{
	struct progress progress = { 0 };
	double sum = 0;

	for (int at = 0; at < EVERY_US; at += 5) {
		struct progress_window window = window_of_bursts(at, slow);

		progress_note_busy(&progress, &window);
	}
	for (int at = 0; at < EVERY_US; at++) {
		struct progress_window window = window_of_bursts(at, slow);

		sum += (double)window.calls / (progress_seen_ns(&progress, &window) / 1e3);
	}
	return sum / (BURST_US / CALL_US);
}

TEST(all_windows_together_see_a_burst_as_it_is)
{
	const double slow[] = { 1.1, 2, 3, 5, 10 };

	for (size_t i = 0; i < sizeof(slow) / sizeof(slow[0]); i++)
		if (fabs(part_of_a_burst(slow[i]) - 1) > 0.2)
			test_fail("%g times as slow: %g of the calls", slow[i],
				  part_of_a_burst(slow[i]));
}

static double seen_ms(const struct progress *progress, const struct progress_window *window)
{
	return progress_seen_ns(progress, window) / MS;
}

/* It makes calls all the time, which take @slow times as long in a window of 5 ms. */
static struct progress_window busy_window(double slow, size_t threads)
{
	return (struct progress_window){
		.open = { .sleeps = 7 },
		.shut = { .time_ns = (uint64_t)OPEN, .sleeps = 7 },
		.length_ns = (uint64_t)OPEN,
		.calls = 1000,
		.probes_ns = OPEN * (1 - 1 / slow),
		.threads = threads,
	};
}

static struct progress progress_of(const struct progress_window *window)
{
	struct progress progress = { 0 };

	progress_note_busy(&progress, window);
	return progress;
}

TEST(who_never_rests_does_what_probes_leave)
{
	struct progress_window window = busy_window(5, 1);
	const struct progress progress = progress_of(&window);

	check(is_near(seen_ms(&progress, &window), 1));
	/* Its calls were too many after 1 ms: it was open for no longer. */
	window.shut.time_ns = (uint64_t)MS;
	check(is_near(seen_ms(&progress, &window), 0.2));
}

/* Of four pieces of work the first one only was begun before the window. */
TEST(who_catches_up_is_in_arrears_with_one_piece)
{
	struct progress_window window = busy_window(5, 1);
	struct progress progress = progress_of(&window);

	window.shut.sleeps += 3;
	check(is_near(seen_ms(&progress, &window), 5 * 4 / 8.0));
	/* Who does less pieces is in arrears with all. */
	progress.sleeps_in = 300;
	progress.sleeps_out = 1000;
	progress.sleepy_in_ns = progress.sleepy_out_ns = progress.open_ns = 1e9;
	progress.probes_ns = 8e8;
	check(is_near(seen_ms(&progress, &window), 1));
}

/* What probes took of its CPU time, it waited three times as long for. */
TEST(who_waits_for_a_processor_loses_more_time)
{
	struct progress_window window = busy_window(1.2, 1);
	struct progress waiting = progress_of(&window);

	waiting.cpu_in_ns = 1e9;
	waiting.waited_in_ns = 3e9;
	check(is_near(seen_ms(&waiting, &window), 5 - 4 * 5 / 6.0));
}

/* It began 3 ms after the window; or so it was seen, with few calls. */
TEST(a_burst_that_begins_in_a_window_is_seen_for_all_of_its_length)
{
	struct progress_window window = busy_window(5, 1);
	const struct progress progress = progress_of(&window);

	window.first_ns = (uint64_t)(3 * MS);
	check(is_near(seen_ms(&progress, &window), 5));
	/* There were too many: the rest is told by windows that begin amidst them. */
	window.shut.time_ns = (uint64_t)(4 * MS);
	check(is_near(seen_ms(&progress, &window), 5));
}

/* It does less of its pieces, but windows see most of them end. */
TEST(who_rests_in_most_windows_needs_no_longer_ones)
{
	struct progress progress = {
		.sleeps_in = 300, .sleeps_out = 1000, .sleepy_in_ns = 1e9, .sleepy_out_ns = 1e9,
		.open_ns = 1e9, .probes_ns = 8e8,
	};
	struct progress_window window = busy_window(5, 1);

	for (int i = 0; i < 10; i++)
		progress_note_busy(&progress, &window);
	check(is_near(progress_pace(&progress), 0.3));
	window.shut.sleeps++;
	for (int i = 0; i < 20; i++)
		progress_note_busy(&progress, &window);
	check(progress_pace(&progress) == 1);
	window.threads = 2;
	for (int i = 0; i < 60; i++)
		progress_note_busy(&progress, &window);
	check(is_near(progress_pace(&progress), 0.3));
}

TEST(what_all_windows_lose_by_their_calls_each_loses_in_part)
{
	struct progress_window window = busy_window(5, 1);
	struct progress progress = progress_of(&window);

	progress.calls_in = 3000;
	progress.calls_edge = 10000;
	progress.edged_ns = progress.edge_ns = progress.open_ns = 1e9;
	progress.probes_ns = 8e8;
	check(is_near(seen_ms(&progress, &window), 5 - 0.7 * 5));
	/* Of several threads by what is known of them. */
	progress.calls_edge = 0;
	window.threads = 2;
	check(is_near(seen_ms(&progress, &window), 5));
	progress.windows = 20;
	progress.out_ns = 1e9;
	progress.cpu_out_ns = progress.cpu_in_ns = 2e9;
	check(is_near(seen_ms(&progress, &window), 5 - 0.4 * 5));
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
