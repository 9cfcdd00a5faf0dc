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
#define SLEEPS_MIN 50		/* expected in the windows, before they are judged */
#define CALLS_MIN 1000		/* counted before windows, to be compared */
#define SURELY 2		/* standard deviations */
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

void progress_note(struct progress *p, const struct progress_mark *open,
		   const struct progress_mark *shut, double probes_ns, double outside_ns)
{
	if (p->last.time_ns && open->time_ns > p->last.time_ns)
		note_outside(p, open, outside_ns);
	p->cpu_in_ns = p->cpu_in_ns * KEEP + (double)(shut->cpu_ns - open->cpu_ns);
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

void progress_follow(struct progress *p, int64_t sleeps)
{
	p->last.sleeps = sleeps;
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
	return p->cpu_in_ns > SATURATED * fmax(cores, 1) * p->open_ns;
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
	return fmax(p->sleeps_in / expected, 1 - p->probes_ns / p->open_ns);
}

/* By what was counted, within what is possible: few windows say little. */
static double share_of_calls(const struct progress *p)
{
	double share = p->calls_in / p->edged_ns / (p->calls_edge / p->edge_ns);

	return fmax(share, 1 - p->probes_ns / p->open_ns);
}

double progress_share(const struct progress *p)
{
	double share = p->calls_edge >= CALLS_MIN ? share_of_calls(p) :
		       is_saturated(p) ? share_of_cpu(p) : share_of_sleeps(p);

	return fmin(fmax(share, SHARE_MIN), 1);
}

/*
 * Who rests has done what there was to do: in arrears is only what has been begun
 * since, of so many pieces one.
 */
static double pieces(const struct progress_mark *open, const struct progress_mark *shut)
{
	return open->sleeps >= 0 && shut->sleeps > open->sleeps
		? 1 + (double)(shut->sleeps - open->sleeps) : 1;
}

/*
 * What probes took is lost, but for what was made good while there was nothing else
 * to do; and where all windows together lose more, each has its share of that.
 */
double progress_window_ns(const struct progress *p, const struct progress_mark *open,
			  const struct progress_mark *shut, double probes_ns, size_t threads)
{
	double length = (double)(shut->time_ns - open->time_ns);
	double cores = fmin(fmax((double)threads, 1), (double)sysconf(_SC_NPROCESSORS_ONLN));
	double idle = fmax(cores * length - (double)(shut->cpu_ns - open->cpu_ns), 0);
	double lost = fmax(probes_ns - idle, 0) / cores / pieces(open, shut);

	if (p->probes_ns > 0)
		lost = fmax(lost, (1 - progress_share(p)) * p->open_ns * probes_ns / p->probes_ns);
	return fmax(length - fmin(lost, probes_ns), length * WINDOW_SHARE_MIN);
}

/* --- reading --- */

int progress_open_thread(uint32_t pid, uint32_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/task/%u/status", pid, tid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

int64_t progress_read_sleeps(int fd)
{
	static const char field[] = "\nvoluntary_ctxt_switches:";
	char text[STATUS_BYTES], *at;
	ssize_t len = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);

	if (len <= 0)
		return -1;
	text[len] = '\0';
	at = strstr(text, field);
	return at ? strtoll(at + sizeof(field) - 1, NULL, 10) : -1;
}
