/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much of its work the target gets done while a window is open, by what it
 * gets done without: probes slow it down, and what a window shows stands for more.
 *
 * Whoever is short of CPU time, all of which it takes or has to wait for, gets done
 * what the probes leave of it. Whoever has time left either catches up, and gets all
 * done, or rests between pieces of work, and gets less pieces done: the thread that
 * allocates most then goes to sleep less often. Where calls can be counted with little
 * effort before they are recorded with much, there is nothing to be concluded: they are
 * compared.
 */
#ifndef HEAPSONDE_CAPTURE_COST_PROGRESS_H
#define HEAPSONDE_CAPTURE_COST_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

/* The target at one moment. */
struct progress_mark {
	uint64_t time_ns, cpu_ns;
	/* Of one thread until then; < 0: not known. */
	int64_t sleeps;		/* how often it went to sleep */
	int64_t waited_ns;	/* for a processor */
};

/* Running sums, of which the oldest are forgotten. Zeroed at the beginning. */
struct progress {
	double cpu_in_ns, waited_in_ns, open_ns, probes_ns;
	double cpu_out_ns, out_ns;
	double sleeps_in, sleepy_in_ns;		/* where they are known */
	double sleeps_out, sleepy_out_ns;
	double busy_ns, took_ns;	/* from call to call, and what of that probes took */
	double rested, called;		/* windows with calls: how many saw a rest, and all */
	double calls_in, edged_ns;		/* of windows that have edges */
	double calls_edge, edge_ns;
	uint32_t windows;
	struct progress_mark last;	/* at the end of the last window; time 0: none */
};

/*
 * A window was open from @open to @shut. Probes took @probes_ns of the CPU time then, and
 * @outside_ns since the last one.
 */
void progress_note(struct progress *progress, const struct progress_mark *open,
		   const struct progress_mark *shut, double probes_ns, double outside_ns);
/* Calls of allocators, and how long they were counted. */
struct call_rate { double calls, ns; };

/*
 * Before that window calls were counted by probes that cost next to nothing, beside
 * what a call costs in the window: how much less is done there is seen by that.
 */
void progress_note_edge(struct progress *progress, const struct call_rate *edge,
			const struct call_rate *window);
/* Another thread is followed from here on; only what @mark says of that counts. */
void progress_follow(struct progress *progress, const struct progress_mark *mark);
/* Share of a core that the target uses when it is left alone. */
double progress_cpu_share(const struct progress *progress);
/* Of what it does without a window, in all of them; at most 1. */
double progress_share(const struct progress *progress);
/*
 * The part of what a window would show without probes that it has to show in all of its
 * length: a thread that rests in most windows is seen to come from one of its doings to the
 * next, however slow; others would be seen to begin them, and little else.
 */
double progress_pace(const struct progress *progress);

/* One window, to be weighed. */
struct progress_window {
	struct progress_mark open, shut;
	uint64_t length_ns;		/* that it was to be open for; calls may have shut it */
	uint64_t calls, first_ns;	/* in it, and when the first one came */
	double probes_ns;
	size_t threads;			/* that made them */
};

/* How much slower the target is while it makes calls: each window is to be told first. */
void progress_note_busy(struct progress *progress, const struct progress_window *window);
/*
 * For how much of the target's time a window has seen what it saw: its calls would have
 * been seen as well had it begun earlier or later by so much.
 */
double progress_seen_ns(const struct progress *progress, const struct progress_window *window);

/* A thread's files in /proc; -1: there is none. */
struct progress_thread { int status_fd, schedstat_fd; };

#define PROGRESS_NO_THREAD ((struct progress_thread){ -1, -1 })

struct progress_thread progress_open_thread(uint32_t pid, uint32_t tid);
void progress_close_thread(struct progress_thread *thread);
/* Notes in @ret what is the thread's. Takes no memory. */
void progress_read_thread(const struct progress_thread *thread, struct progress_mark *ret);

#endif
