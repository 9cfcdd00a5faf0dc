// SPDX-License-Identifier: GPL-2.0-or-later
/* What the target gets done in windows; see progress.h. */
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/cost/progress.h"

#define KEEP (1 - 1 / 64.0)	/* of the sums, from one window to the next */
#define WINDOWS_MIN 20		/* before CPU time is judged */
#define SATURATED 0.9
#define CPU_SHARE_MIN 0.01
#define SHARE_MIN 0.1
#define WINDOW_SHARE_MIN 0.05	/* below, it is all the price of a hit that decides */
#define SLEEPS_MIN 20		/* expected in the windows, before they are judged */
#define EDGE_CALLS_MIN 1000	/* counted before windows, to be compared */
#define SURELY 2		/* standard deviations */
#define MOSTLY 0.5
#define STRETCH_MAX 10.0
#define SURELY_QUIET 10		/* times what one call takes */
#define STATUS_BYTES 4096

static void note_outside(struct progress *p, const struct progress_mark *open, double probes_ns)
{
	const struct progress_mark *last = &p->last;
	double cpu_ns = (double)(open->cpu_ns - last->cpu_ns);

	p->cpu_out_ns = p->cpu_out_ns * KEEP + fmax(cpu_ns - probes_ns, 0);
	p->out_ns = p->out_ns * KEEP + (double)(open->time_ns - last->time_ns);
	if (last->sleeps < 0 || open->sleeps < last->sleeps)
		return;
	p->sleeps_out = p->sleeps_out * KEEP + (double)(open->sleeps - last->sleeps);
	p->sleepy_out_ns = p->sleepy_out_ns * KEEP + (double)(open->time_ns - last->time_ns);
}

static double waited_ns(const struct progress_mark *open, const struct progress_mark *shut)
{
	return open->waited_ns >= 0 && shut->waited_ns > open->waited_ns
		? (double)(shut->waited_ns - open->waited_ns) : 0;
}

void progress_note(struct progress *p, const struct progress_mark *open,
		   const struct progress_mark *shut, double probes_ns, double outside_ns)
{
	if (p->last.time_ns && open->time_ns > p->last.time_ns)
		note_outside(p, open, outside_ns);
	p->cpu_in_ns = p->cpu_in_ns * KEEP + (double)(shut->cpu_ns - open->cpu_ns);
	p->waited_in_ns = p->waited_in_ns * KEEP + waited_ns(open, shut);
	p->open_ns = p->open_ns * KEEP + (double)(shut->time_ns - open->time_ns);
	p->probes_ns = p->probes_ns * KEEP + probes_ns;
	if (open->sleeps >= 0 && shut->sleeps >= open->sleeps) {
		p->sleeps_in = p->sleeps_in * KEEP + (double)(shut->sleeps - open->sleeps);
		p->sleepy_in_ns = p->sleepy_in_ns * KEEP + (double)(shut->time_ns - open->time_ns);
	}
	p->last = *shut;
	p->windows++;
}

void progress_note_edge(struct progress *p, const struct call_rate *edge,
			const struct call_rate *window)
{
	p->calls_edge = p->calls_edge * KEEP + edge->calls;
	p->edge_ns = p->edge_ns * KEEP + edge->ns;
	p->calls_in = p->calls_in * KEEP + window->calls;
	p->edged_ns = p->edged_ns * KEEP + window->ns;
}

void progress_follow(struct progress *p, const struct progress_mark *mark)
{
	p->last.sleeps = mark->sleeps;
	p->last.waited_ns = mark->waited_ns;
}

double progress_cpu_share(const struct progress *p)
{
	double share = p->out_ns > 0 ? p->cpu_out_ns / p->out_ns : 1;

	return fmax(share, CPU_SHARE_MIN);
}

/* Whether the processors that it uses have no time left in windows. */
static bool is_saturated(const struct progress *p)
{
	double cores;

	if (p->windows < WINDOWS_MIN || p->open_ns <= 0 || p->out_ns <= 0 || p->cpu_out_ns <= 0)
		return false;
	cores = ceil(p->cpu_out_ns / p->out_ns);
	return p->cpu_in_ns + p->waited_in_ns > SATURATED * fmax(cores, 1) * p->open_ns;
}

/* So much time passes for each bit of CPU time: others use the processors too. */
static double stretch(const struct progress *p)
{
	return p->cpu_in_ns > 0 ? fmin(1 + p->waited_in_ns / p->cpu_in_ns, STRETCH_MAX) : 1;
}

/* By CPU time, less that of the probes. */
static double share_of_cpu(const struct progress *p)
{
	double inside = (p->cpu_in_ns - p->probes_ns) / p->open_ns;

	return inside / (p->cpu_out_ns / p->out_ns);
}

/*
 * By how often it rests, where that is rarer than chance may have it. Whoever works
 * off what has piled up meanwhile does not rest at all, and gets it done: no more
 * is lost than the time that probes took.
 */
static double share_of_sleeps(const struct progress *p)
{
	double expected;

	if (p->sleepy_out_ns <= 0 || p->sleepy_in_ns <= 0)
		return 1;
	expected = p->sleeps_out / p->sleepy_out_ns * p->sleepy_in_ns;
	if (expected < SLEEPS_MIN || p->sleeps_in > expected - SURELY * sqrt(expected))
		return 1;
	return fmax(p->sleeps_in / expected, 1 - stretch(p) * p->probes_ns / p->open_ns);
}

/* By what was counted, within what is possible: few windows say little. */
static double share_of_calls(const struct progress *p)
{
	double share = p->calls_in / p->edged_ns / (p->calls_edge / p->edge_ns);

	return fmax(share, 1 - stretch(p) * p->probes_ns / p->open_ns);
}

double progress_share(const struct progress *p)
{
	double share = p->calls_edge >= EDGE_CALLS_MIN ? share_of_calls(p) :
		       is_saturated(p) ? share_of_cpu(p) : share_of_sleeps(p);

	return fmin(fmax(share, SHARE_MIN), 1);
}

static double open_ns(const struct progress_window *w)
{
	return (double)(w->shut.time_ns - w->open.time_ns);
}

static bool has_slept(const struct progress_window *w)
{
	return w->open.sleeps < 0 || w->shut.sleeps > w->open.sleeps;
}

static void note_rest(struct progress *p, const struct progress_window *w)
{
	if (!w->calls)
		return;
	p->called = p->called * KEEP + 1;
	p->rested = p->rested * KEEP + (w->threads <= 1 && w->open.sleeps >= 0 && has_slept(w));
}

double progress_pace(const struct progress *p)
{
	return p->rested > MOSTLY * p->called ? 1 : progress_share(p);
}

/* One that did not sleep once it had made its first call has made others ever since. */
void progress_note_busy(struct progress *p, const struct progress_window *w)
{
	uint64_t first_ns = w->first_ns > w->open.time_ns ? w->first_ns : w->open.time_ns;

	note_rest(p, w);
	if (!w->calls || w->threads > 1 || has_slept(w) || first_ns >= w->shut.time_ns)
		return;
	p->busy_ns = p->busy_ns * KEEP + (double)(w->shut.time_ns - first_ns);
	p->took_ns = p->took_ns * KEEP + w->probes_ns;
}

/* How many times as long everything takes while one call follows another. */
static double slowdown(const struct progress *p)
{
	double left = p->busy_ns - stretch(p) * p->took_ns;

	return p->busy_ns > 0 ? p->busy_ns / fmax(left, p->busy_ns * WINDOW_SHARE_MIN) : 1;
}

/* The first call came no later than it would have amidst others. */
static bool began_amidst_calls(const struct progress_window *w)
{
	double quiet_ns = (double)w->first_ns - (double)w->open.time_ns;

	return w->calls && quiet_ns < SURELY_QUIET * w->probes_ns / (double)w->calls;
}

/*
 * Pieces of work, each between two rests. Who catches up is in arrears with the first one
 * alone; who does less of them, and who never rests, with all.
 */
static double pieces_in_time(const struct progress *p, const struct progress_window *w)
{
	return w->open.sleeps >= 0 && has_slept(w) && share_of_sleeps(p) >= 1 ?
		(double)(w->shut.sleeps - w->open.sleeps) : 0;
}

/* What all windows lose, each loses as much of as probes took in it. */
static double seen_by_share(const struct progress *p, const struct progress_window *w)
{
	double lost = p->probes_ns > 0 ? (1 - progress_share(p)) * p->open_ns *
					 w->probes_ns / p->probes_ns : 0;

	return fmax(open_ns(w) - lost, open_ns(w) * WINDOW_SHARE_MIN);
}

/*
 * A call is seen by all windows of length W that open less than W before it, by the time
 * that the target takes with them: in a rest as long as without, but amidst calls s times
 * as long. Of the moments before the call those of rests are passed at that pace, and s
 * times as many of the others are needed: if windows that open in a rest stand for 1 / W, and
 * those that open amidst calls for s / W, all that see a call stand for one.
 */
double progress_seen_ns(const struct progress *p, const struct progress_window *w)
{
	double slow, more;

	/* Of several threads it is not known what each of them did when the window opened. */
	if (p->calls_edge >= EDGE_CALLS_MIN || w->threads > 1)
		return seen_by_share(p, w);
	/* Also where calls became too many for it: the rest is told by others. */
	if (!began_amidst_calls(w))
		return fmax(open_ns(w), (double)w->length_ns);
	slow = slowdown(p);
	more = pieces_in_time(p, w);
	return open_ns(w) * (1 + more) / (slow + more);
}

/* --- reading --- */

static int open_file(uint32_t pid, uint32_t tid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/task/%u/%s", pid, tid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

struct progress_thread progress_open_thread(uint32_t pid, uint32_t tid)
{
	return (struct progress_thread){ open_file(pid, tid, "status"),
					 open_file(pid, tid, "schedstat") };
}

void progress_close_thread(struct progress_thread *thread)
{
	if (thread->status_fd >= 0)
		close(thread->status_fd);
	if (thread->schedstat_fd >= 0)
		close(thread->schedstat_fd);
	*thread = PROGRESS_NO_THREAD;
}

/* The number behind @before; -1 if there is none. */
static int64_t number_behind(int fd, const char *before)
{
	char text[STATUS_BYTES], *at;
	ssize_t len = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);

	if (len <= 0)
		return -1;
	text[len] = '\0';
	at = strstr(text, before);
	return at ? strtoll(at + strlen(before), NULL, 10) : -1;
}

void progress_read_thread(const struct progress_thread *thread, struct progress_mark *ret)
{
	ret->sleeps = number_behind(thread->status_fd, "\nvoluntary_ctxt_switches:");
	/* Time that it ran, time that it waited, how often it ran. */
	ret->waited_ns = number_behind(thread->schedstat_fd, " ");
}
