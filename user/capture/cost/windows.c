// SPDX-License-Identifier: GPL-2.0-or-later
/* The governor of windows; see windows.h. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/privileges.h"
#include "capture/aside.h"
#include "capture/session_private.h"
#include "capture/cost/progress.h"
#include "capture/cost/window_calls.h"
#include "capture/cost/window_heaps.h"
#include "capture/cost/windows.h"
#include "heapsonde.skel.h"

#define WINDOW_S 0.010
#define WINDOW_BUSY_S 0.005	/* when so many hits fall into WINDOW_S */
#define HITS_BUSY 20000
#define WINDOW_MAX_S 0.100	/* ... and when there are fewer than so many */
#define HITS_IDLE 50
#define WINDOW_FIRST_S 0.001	/* until it is known how many hits there are */
#define LONGER_AT_ONCE 4	/* times the one before, which may have met few by chance */
#define WINDOW_MIN_S 0.002	/* shorter ones, when there would be few of them */
#define PERIOD_WANTED_S 0.2
#define PERIOD_MIN_S 0.060	/* setting and removing probes takes some ten milliseconds */
#define PERIOD_MAX_S 2.0	/* what was learnt of the target lasts no longer, but ... */
#define DEBT_MAX_S 30.0		/* ... the budget is kept where one window is much of it */
#define WINDOWS_KNOWN 8
#define MARGIN 1.2		/* of the budget, for what is not foreseen */
#define LEDGER_PART 0.5		/* of the budget, at most: without windows nothing is known */
#define LARGE_PART 0.9		/* the same of what tells of large requests, of what is left */
#define SAVED_LASTS_S 5.0	/* what was not spent of it, at least */
#define CALLS_TOO_MANY 4	/* times what was expected: then a window shuts early */
#define CALLS_MIN 500
#define SHORTEST_PART 64	/* of its length that a window counts as open for, at least */
#define MEMORY_OF_WINDOWS 8.0	/* windows that the running means remember, about */
#define MEMORY_OF_PACE 3.0	/* the same of what other levels would cost */
#define STEPPED_MUCH 0.1	/* of hits: then they are what a window costs */
#define EDGES 2.0		/* windows that calls are counted for before one */
#define LEAD_S 0.050		/* that a window's process is there before it begins */
#define LOOK_S 0.001		/* how often a window looks whether it is full */
#define LAST_WORDS_S 0.0005	/* after it, for what is being told */

#define POLL_MIN_S 0.020
#define POLL_SHARE 0.02		/* of one core, for looking at all that is followed, at most ... */
#define POLL_YOUNG_SHARE 0.04	/* ... and at what has begun to be so just now */
#define POLL_YOUNG_MIN_S 0.002
#define YOUNG_S 0.3
#define CENSUS_MIN_S 1.0
#define CENSUS_SHARE 0.025

/* What the kernel side looks at. */
struct window_switch {
	volatile uint32_t *nr;
	volatile unsigned long long *calls, *calls_max, *first_ns, *full_ns, *stepped;
	volatile unsigned long long *edge_calls, *edge_stepped;
};

/* One window, from before its probes to after them; in memory of aside_alloc(). */
struct window_run {
	struct window_probes *probes;
	int switch_fd;			/* of the map that the switch lies in */
	struct window_switch on;
	clockid_t cpu_clock;
	uint64_t start_ns, length_ns, calls_max;
	uint64_t edge_ns;		/* that calls are counted for before it opens; 0: not */
	uint64_t calls, stepped, edge_calls, edge_stepped;
	struct progress_thread thread;	/* whose progress is watched */
	uint64_t begun_ns;
	struct progress_mark open, shut;
	bool full;			/* there were too many calls */
	uint64_t first_ns;		/* when the first one came; of no meaning without */
	int shut_fd;			/* an eventfd: to be told when it has shut */
	int errnum;
};

struct governor {
	struct session *s;
	uint32_t pid;
	struct budget budget;
	_Atomic double share;		/* of it, for windows */
	struct windows *windows;	/* under the session's lock */
	struct window_calls calls;	/* so is this */
	struct poll_evidence evidence;

	pthread_mutex_t probes_lock;	/* held while a window is open */
	struct window_probes *probes;

	pthread_mutex_t lock;
	pthread_cond_t wake;
	/* Under the lock. */
	bool stop, begun, probed;
	bool look;			/* there is something that was never polled */
	enum poll_allocator allocator;	/* whose functions are probed */
	atomic_bool fresh;		/* the target's program is one we know nothing of */

	pthread_t windows_thread, polls_thread;
	bool windows_started, polls_started;
	uint64_t random;

	/* The windows thread's own. */
	uint64_t since_ns;		/* nothing was seen; 0: when the heap is first read */
	double hits_per_s;		/* while a window is open; < 0: not known */
	double probes_share;		/* of that time, what they took; the same */
	double outside_ns;		/* of each: before, after, or of no use */
	double stepped_share;		/* of hits in windows; the same */
	bool edge_dear;			/* before windows there are such as well */
	int64_t all_hits, all_stepped;	/* until now */
	int64_t all_large;		/* large requests that were told */
	int64_t all_outside;		/* of those, at windows' probes while none was open */
	double spent_ns;		/* CPU time that probes have cost the target ... */
	double standing_ns;		/* ... those that stand between windows as well ... */
	double large_ns;		/* ... what tells of large requests ... */
	double ledger_ns;		/* ... and the kernel's ledger ... */
	double ledger_from_ns;		/* (all of that before counts for nothing) */
	struct progress_mark begun_at;	/* ... of all that it had since then; time 0: not known */
	double attach_s;
	double period_s, window_s;
	struct progress progress;
	struct window_pace pace;
	uint32_t thread_id;		/* whose progress is watched; 0: nobody's */
	struct progress_thread thread;

	struct window_estimate estimate;
	uint64_t estimated_ns, estimate_took_ns;
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		return 0;
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* --- one window; aside --- */

static void sleep_ns(uint64_t ns)
{
	struct timespec ts = { 0, (long)ns };

	clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
}

static void sleep_until(uint64_t time_ns)
{
	struct timespec ts = { (time_t)(time_ns / NS_PER_S), (long)(time_ns % NS_PER_S) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

/* Open until its time is over or the kernel side has shut it. */
static void hold_open(struct window_run *run)
{
	struct progress_mark *open = &run->open, *shut = &run->shut;
	uint32_t nr = *run->on.nr + 1;	/* odd */
	uint64_t until;

	*run->on.calls = *run->on.stepped = 0;
	*run->on.calls_max = run->calls_max;
	progress_read_thread(&run->thread, open);
	open->cpu_ns = clock_ns(run->cpu_clock);
	open->time_ns = clock_ns(CLOCK_MONOTONIC);
	until = open->time_ns + run->length_ns;
	*run->on.nr = nr;
	while (*run->on.nr == nr) {
		uint64_t now = clock_ns(CLOCK_MONOTONIC), left = until - now;

		if (now >= until)
			break;
		sleep_ns(left < (uint64_t)(LOOK_S * NS_PER_S) ? left
							      : (uint64_t)(LOOK_S * NS_PER_S));
	}
	run->full = *run->on.nr != nr;
	*run->on.nr = nr + 1;
	run->calls = *run->on.calls;
	run->stepped = *run->on.stepped;
	run->first_ns = *run->on.first_ns;
	shut->time_ns = run->full ? *run->on.full_ns : clock_ns(CLOCK_MONOTONIC);
	shut->cpu_ns = clock_ns(run->cpu_clock);
	progress_read_thread(&run->thread, shut);
}

/* The skeleton's memory, which the kernel shares with whoever has the map. */
static bool find_switch(struct window_run *run)
{
	struct heapsonde_bpf__bss *bss = mmap(NULL, sizeof(*bss), PROT_READ | PROT_WRITE,
					      MAP_SHARED, run->switch_fd, 0);

	if (bss == MAP_FAILED)
		return false;
	run->on = (struct window_switch){ &bss->window_nr, &bss->window_calls,
					  &bss->window_calls_max, &bss->window_first_ns,
					  &bss->window_full_ns, &bss->window_stepped,
					  &bss->edge_calls, &bss->edge_stepped };
	return true;
}

/* How many calls there are while they cost little: return instructions have no probes yet. */
static void count_calls(struct window_run *run)
{
	uint64_t calls = *run->on.edge_calls, stepped = *run->on.edge_stepped;
	uint64_t begun_ns = clock_ns(CLOCK_MONOTONIC);

	if (!run->edge_ns)
		return;
	sleep_ns(run->edge_ns);
	run->edge_calls = *run->on.edge_calls - calls;
	run->edge_stepped = *run->on.edge_stepped - stepped;
	run->edge_ns = clock_ns(CLOCK_MONOTONIC) - begun_ns;
}

/*
 * All of it in a process of its own, which nobody stops and which is not kept
 * from running by the load: whoever is held up while probes are set makes the
 * target pay for it. Takes no memory and no locks.
 */
static void run_window(void *arg)
{
	const struct sched_param priority = { .sched_priority = 1 };
	struct window_run *run = arg;

	if (!find_switch(run)) {
		run->errnum = errno;
		return;
	}
	sched_setscheduler(0, SCHED_FIFO, &priority);
	sleep_until(run->start_ns);
	run->begun_ns = clock_ns(CLOCK_MONOTONIC);
	run->errnum = window_probes_set(run->probes);
	if (run->errnum)
		return;
	count_calls(run);
	run->errnum = window_probes_set_stepped(run->probes);
	if (run->errnum)
		return;
	hold_open(run);
	eventfd_write(run->shut_fd, 1);
	window_probes_remove(run->probes);
}

/* --- the plan --- */

/* All but those of others that have their own part of the budget. */
static int64_t hits_of_windows(const struct session *s)
{
	return session_hits(s) - (int64_t)s->focus.hits - s->large.hits;
}

static double mean(double before, double value)
{
	return before < 0 ? value : before + (value - before) / MEMORY_OF_WINDOWS;
}

/* What the budget has given since the first window, until the last one. */
static double earned_ns(const struct governor *g)
{
	const struct progress_mark *last = &g->progress.last, *begun = &g->begun_at;

	if (!begun->time_ns)
		return 0;
	return g->share * budget_earned_ns(&g->budget, (double)(last->cpu_ns - begun->cpu_ns),
					   (double)(last->time_ns - begun->time_ns));
}

/* What of that the ledger leaves: of a program that grows fast, it has much to see. */
static double part_left(const struct governor *g)
{
	double earned = earned_ns(g), others = g->share * (g->ledger_ns + g->standing_ns);

	return earned > 0 ? 1 - fmin(others / earned, LEDGER_PART) : 1;
}

/* What of that is the windows'. */
static double part_of_windows(const struct governor *g)
{
	double left = part_left(g), left_ns = left * earned_ns(g);

	return left_ns > 0 ? left * (1 - fmin(g->share * g->large_ns / left_ns, LARGE_PART)) : left;
}

/* By how much probes have cost more than the budget, until the last window. */
static double debt_ns(const struct governor *g)
{
	return g->begun_at.time_ns ?
		fmax(g->spent_ns - part_of_windows(g) * earned_ns(g), 0) : 0;
}

/* That part of what there is in a second; as a share of one core. */
static double budget_of_part(const struct governor *g, double part)
{
	return part * g->share * budget_of_core(&g->budget, progress_cpu_share(&g->progress));
}

/* By how much they have cost less, the same. */
static double saved_ns(const struct governor *g)
{
	return fmax(part_of_windows(g) * earned_ns(g) - g->spent_ns, 0);
}

/* What was saved is spent by and by, for windows are what is known of the target. */
static double budget_of_windows(const struct governor *g)
{
	double budget = budget_of_part(g, part_of_windows(g));

	return budget + fmin(saved_ns(g) / NS_PER_S / SAVED_LASTS_S, budget);
}

/* What it depends on lies in the past, or moments with many calls would weigh too little. */
static double period_length_s(const struct governor *g, double window_s)
{
	double cost_s = fmax(g->probes_share, 0) * window_s + fmax(g->outside_ns, 0) / NS_PER_S;
	double budget = budget_of_windows(g);
	double period = MARGIN * cost_s / budget;

	period = fmin(fmax(period, PERIOD_MIN_S + window_s), PERIOD_MAX_S);
	/* What was overspent must be earned first; a few windows are there all the same. */
	return fmax(period, fmin(debt_ns(g) / NS_PER_S / budget,
				 g->progress.windows < WINDOWS_KNOWN ? PERIOD_MAX_S : DEBT_MAX_S));
}

/*
 * Where windows cannot be closer to each other: as long as the budget allows. With
 * period_length_s(), this is where PERIOD_MIN_S + length pays for just what they cost.
 */
static double long_window_s(const struct governor *g)
{
	double budget = budget_of_windows(g);
	double rest = budget * PERIOD_MIN_S - MARGIN * fmax(g->outside_ns, 0) / NS_PER_S;
	double share = MARGIN * fmax(g->probes_share, 0);

	if (rest >= (share - budget) * WINDOW_MAX_S)
		return WINDOW_MAX_S;
	return fmax(rest / (share - budget), WINDOW_S);
}

/*
 * Many short windows say more than few long ones, as long as they are not all
 * edges; and as long as the target gets far enough in them to come from one of its
 * doings to the next: or they would show what it does after resting, and little else.
 */
static double window_length_s(const struct governor *g)
{
	double hits = g->hits_per_s * WINDOW_S, period = period_length_s(g, WINDOW_S);

	if (g->hits_per_s < 0)
		return WINDOW_FIRST_S;
	if (hits > HITS_BUSY)
		return WINDOW_BUSY_S;
	if (hits < HITS_IDLE)
		return fmin(WINDOW_S * HITS_IDLE / fmax(hits, 1), WINDOW_MAX_S);
	if (period <= PERIOD_MIN_S + WINDOW_S)
		return long_window_s(g);
	return fmin(fmax(WINDOW_S * PERIOD_WANTED_S / period, WINDOW_MIN_S) /
		    progress_pace(&g->progress), WINDOW_S);
}

static double draw(struct governor *g)
{
	g->random = g->random * 6364136223846793005u + 1442695040888963407u;
	return (double)(g->random >> 11) / (double)(1ull << 53);
}

static void note_pace(struct window_pace *pace, const struct window_run *run, uint64_t hits)
{
	const struct progress_mark *open = &run->open, *shut = &run->shut;
	double open_ns = fmax((double)(shut->time_ns - open->time_ns), 1);
	double hits_per_s = (double)hits * NS_PER_S / open_ns;
	double cpu_share = (double)(shut->cpu_ns - open->cpu_ns) / open_ns;
	double part = fmax(1 / MEMORY_OF_PACE, 1 / (pace->windows + 1.0));

	pace->hits_per_s += (hits_per_s - pace->hits_per_s) * part;
	pace->cpu_share += (cpu_share - pace->cpu_share) * part;
	pace->windows++;
}

/* --- the windows' thread --- */

/* Until @until_ns, the end, or *@also; with the lock held. */
static void wait_until(struct governor *g, uint64_t until_ns, const bool *also)
{
	struct timespec ts = { (time_t)(until_ns / NS_PER_S), (long)(until_ns % NS_PER_S) };

	while (!g->stop && !(also && *also) && session_now_ns() < until_ns)
		if (pthread_cond_timedwait(&g->wake, &g->lock, &ts) == ETIMEDOUT)
			break;
}

static struct progress_window progress_of(const struct governor *g, const struct window_run *run,
					  double probes_ns)
{
	return (struct progress_window){
		.open = run->open, .shut = run->shut, .length_ns = run->length_ns,
		.calls = run->calls, .first_ns = run->first_ns,
		.probes_ns = probes_ns, .threads = windows_threads(g->windows),
	};
}

/*
 * The time that it stands for: its period, and what was late. One that was shut
 * at once would weigh more than so little can bear.
 */
static double weight(const struct governor *g, const struct progress_window *window,
		     uint64_t period_ns)
{
	double late_s = (double)(session_now_ns() - period_ns) / NS_PER_S;

	return fmax(g->period_s, late_s) * NS_PER_S /
	       fmax(progress_seen_ns(&g->progress, window),
		    (double)window->length_ns / SHORTEST_PART);
}

/* Whichever allocated most in the last window. */
static void watch_thread(struct governor *g, uint32_t tid)
{
	struct progress_mark mark;

	if (!tid || tid == g->thread_id)
		return;
	progress_close_thread(&g->thread);
	g->thread_id = tid;
	g->thread = progress_open_thread(g->pid, tid);
	progress_read_thread(&g->thread, &mark);
	progress_follow(&g->progress, &mark);
}

/* What probes have cost since the last window, which this one's are some of. */
static double spent_since_ns(struct governor *g)
{
	int64_t hits = hits_of_windows(g->s), stepped = session_count(g->s, COUNT_STEPPED_HITS);
	double ns = cost_ns_of(&g->s->cost, (double)(hits - g->all_hits),
			       (double)(stepped - g->all_stepped));

	g->all_hits = hits;
	g->all_stepped = stepped;
	return ns;
}

/*
 * What of that was at probes that are no window's: of mmap(), brk() and their kin, which
 * stand all the time. They hit as time goes by, however many windows there are.
 */
static double standing_ns(struct governor *g, const struct window_run *run, int64_t hits_before,
			  double spent_ns)
{
	int64_t outside = session_count(g->s, COUNT_OUTSIDE_HITS);
	int64_t all = g->all_hits - hits_before;
	/* At most: of a call its entry and its return. */
	int64_t windows = 2 * ((int64_t)run->calls + outside - g->all_outside);

	g->all_outside = outside;
	return all > windows ? spent_ns * (double)(all - windows) / (double)all : 0;
}

/* Of a target whose calls are dear before windows too, nothing is learnt by counting them. */
static void note_edge(struct governor *g, const struct window_run *run)
{
	const struct call_rate edge = { (double)run->edge_calls, (double)run->edge_ns };
	const struct call_rate window = {
		(double)run->calls, (double)(run->shut.time_ns - run->open.time_ns),
	};

	if (!run->edge_ns)
		return;
	g->edge_dear |= (double)run->edge_stepped > STEPPED_MUCH * (double)run->edge_calls;
	if (!g->edge_dear)
		progress_note_edge(&g->progress, &edge, &window);
}

/* It counts from the first window on, as the target's CPU time does. With the lock held. */
static void note_ledger(struct governor *g, const struct window_run *run)
{
	double ns = session_ledger_ns(g->s);

	if (!g->begun_at.time_ns) {
		g->begun_at = run->open;
		g->ledger_from_ns = ns;
	}
	g->ledger_ns = ns - g->ledger_from_ns;
}

/* With the lock held. */
static void note_large(struct governor *g)
{
	g->large_ns += (double)(g->s->large.hits - g->all_large) * cost_large_ns(&g->s->cost);
	g->all_large = g->s->large.hits;
}

static void settle(struct governor *g, const struct window_run *run, uint64_t period_ns)
{
	double open_ns = fmax((double)(run->shut.time_ns - run->open.time_ns), 1);
	struct window_facts facts = { run->open.time_ns, run->shut.time_ns, 0, run->full };
	struct progress_window window;
	uint64_t hits;
	uint32_t busiest;
	double probes_ns, outside_ns, spent_ns, standing;
	int64_t hits_before = g->all_hits;

	pthread_mutex_lock(&g->s->lock);
	hits = windows_hits(g->windows);
	probes_ns = cost_ns_of(&g->s->cost, (double)hits, (double)run->stepped);
	spent_ns = spent_since_ns(g);
	standing = standing_ns(g, run, hits_before, spent_ns);
	outside_ns = fmax(spent_ns - probes_ns, 0);
	progress_note(&g->progress, &run->open, &run->shut, probes_ns, outside_ns);
	note_edge(g, run);
	note_pace(&g->pace, run, hits);
	window = progress_of(g, run, probes_ns);
	progress_note_busy(&g->progress, &window);
	facts.weight = weight(g, &window, period_ns);
	windows_shut(g->windows, &facts);
	busiest = windows_busiest_thread(g->windows);
	note_ledger(g, run);
	note_large(g);
	pthread_mutex_unlock(&g->s->lock);
	watch_thread(g, busiest);
	g->hits_per_s = mean(g->hits_per_s, (double)hits * NS_PER_S / open_ns);
	g->probes_share = mean(g->probes_share, probes_ns / open_ns);
	g->outside_ns = mean(g->outside_ns, fmax(outside_ns - standing, 0));
	if (hits)
		g->stepped_share = mean(g->stepped_share, (double)run->stepped / (double)hits);
	g->spent_ns += spent_ns - standing;
	g->standing_ns += standing;
	g->attach_s = mean(g->attach_s, (double)(run->open.time_ns - run->begun_ns) / NS_PER_S);
}

/* What is done about a window as soon as it has shut. */
struct shut_window {
	struct governor *g;
	const struct window_run *run;
	uint64_t period_ns;
	bool settled;
};

/*
 * While its probes are removed, which takes some ten milliseconds: what was freed just
 * after it is seen to be free for a moment only. Nothing more of it can come, but from
 * threads that are kept from telling it.
 */
static void on_shut(void *arg)
{
	struct shut_window *shut = arg;
	struct governor *g = shut->g;

	sleep_ns((uint64_t)(LAST_WORDS_S * NS_PER_S));
	session_drain(g->s);
	settle(g, shut->run, shut->period_ns);
	shut->settled = true;
	pthread_mutex_lock(&g->lock);
	g->look = true;
	pthread_cond_broadcast(&g->wake);
	pthread_mutex_unlock(&g->lock);
}

static void plan_window(const struct governor *g, uint64_t start_ns, struct window_run *run)
{
	run->probes = g->probes;
	run->switch_fd = bpf_map__fd(g->s->skel->maps.bss);
	run->thread = g->thread;
	run->start_ns = start_ns;
	run->length_ns = (uint64_t)(g->window_s * NS_PER_S);
	if (g->stepped_share > STEPPED_MUCH && !g->edge_dear)
		run->edge_ns = (uint64_t)(EDGES * g->window_s * NS_PER_S);
	run->calls_max = CALLS_MIN + (uint64_t)(CALLS_TOO_MANY * g->window_s *
						fmax(g->hits_per_s, 0));
}

/* With the probes' lock held. False if there is nothing to be seen any more. */
static bool one_window(struct governor *g, uint64_t period_ns, uint64_t start_ns)
{
	struct window_run *run __cleanup_aside = aside_alloc(1, sizeof(*run));
	struct shut_window shut = { .g = g, .run = run, .period_ns = period_ns };

	plan_window(g, start_ns, run);
	if (clock_getcpuclockid((pid_t)g->pid, &run->cpu_clock))
		return false;
	pthread_mutex_lock(&g->s->lock);
	windows_open(g->windows);
	pthread_mutex_unlock(&g->s->lock);
	run->shut_fd = eventfd(0, EFD_CLOEXEC);
	run_aside_hearing(run_window, run, (struct aside_word){ run->shut_fd, on_shut, &shut });
	if (run->shut_fd >= 0)
		close(run->shut_fd);
	if (run->errnum) {
		if (run->errnum != ESRCH && run->errnum != ENOENT)
			log_warn("process %u: no window could be opened: %s", g->pid,
				 strerror(run->errnum));
		return false;
	}
	if (!shut.settled)
		on_shut(&shut);
	return true;
}

static void note_census(struct governor *g, bool first)
{
	struct heap_census *census __cleanup_free = xcalloc(1, sizeof(*census));
	__cleanup(large_chunk_vec_deinit) struct large_chunk_vec large = { 0 };
	uint64_t begun_ns = session_now_ns();

	if (!polls_read_heap(g->pid, g->windows, &g->s->lock, &g->evidence, first, census,
			     &large))
		return;
	g->evidence.heap = true;
	/* Births of what was met are to be known. */
	session_drain(g->s);
	pthread_mutex_lock(&g->s->lock);
	windows_meet_large(g->windows, &large, begun_ns, session_now_ns());
	windows_note_census(g->windows, census, session_now_ns());
	pthread_mutex_unlock(&g->s->lock);
}

/* What a program has when it is first seen is older than all else. */
static void meet_program(struct governor *g)
{
	g->fresh = false;
	g->evidence = (struct poll_evidence){ .allocator = g->allocator };
	note_census(g, true);
}

/* There is no heap to be read. */
static void follow_contents(struct governor *g)
{
	g->evidence.allocator = POLL_ANY;
	pthread_mutex_lock(&g->s->lock);
	windows_follow_contents(g->windows);
	pthread_mutex_unlock(&g->s->lock);
}

/*
 * A heap need not be there before its first blocks are. After a window with some of
 * them it is, or else it is that of a release which is another one.
 */
static void look_for_heap(struct governor *g)
{
	bool seen;

	if (g->evidence.allocator == POLL_GLIBC || g->evidence.allocator == POLL_ANY ||
	    g->evidence.heap)
		return;
	pthread_mutex_lock(&g->s->lock);
	seen = windows_hits(g->windows);
	pthread_mutex_unlock(&g->s->lock);
	if (!seen)
		return;
	note_census(g, true);
	if (!g->evidence.heap)
		follow_contents(g);
}

/*
 * Draws a moment of the period and waits until shortly before. The rest is waited
 * for aside: who has to wait for a processor while the target is busy would
 * open its windows when it is not.
 */
static uint64_t await_window(struct governor *g, uint64_t period_ns)
{
	double start_s;
	uint64_t start_ns;

	g->window_s = fmin(window_length_s(g),
			   fmax(LONGER_AT_ONCE * g->window_s, WINDOW_FIRST_S));
	g->period_s = period_length_s(g, g->window_s);
	start_s = fmax(draw(g) * g->period_s - fmax(g->attach_s, 0), 0);
	start_ns = period_ns + (uint64_t)(start_s * NS_PER_S);
	wait_until(g, start_ns - (uint64_t)(LEAD_S * NS_PER_S), NULL);
	return start_ns;
}

static void await_probes(struct governor *g)
{
	while (!(g->probed && g->begun) && !g->stop)
		pthread_cond_wait(&g->wake, &g->lock);
}

static bool see_program(struct governor *g, uint64_t period_ns, uint64_t start_ns)
{
	bool goes_on;

	pthread_mutex_lock(&g->probes_lock);
	if (g->fresh)
		meet_program(g);
	goes_on = one_window(g, period_ns, start_ns);
	look_for_heap(g);
	pthread_mutex_unlock(&g->probes_lock);
	return goes_on;
}

/*
 * When the first period begins. What is there when the heap is first read is older; what
 * came before that is no window's affair, or the first would weigh as much as many.
 */
static uint64_t begin_periods(struct governor *g)
{
	pthread_mutex_unlock(&g->lock);
	pthread_mutex_lock(&g->probes_lock);
	meet_program(g);
	pthread_mutex_unlock(&g->probes_lock);
	pthread_mutex_lock(&g->lock);
	g->pace.since_ns = g->since_ns ? g->since_ns : session_now_ns();
	return g->pace.since_ns;
}

static void *windows_main(void *arg)
{
	struct governor *g = arg;
	uint64_t period_ns;
	bool goes_on = true;

	privileges_reduce(0);
	pthread_mutex_lock(&g->lock);
	await_probes(g);
	period_ns = g->stop ? 0 : begin_periods(g);
	while (goes_on && !g->stop) {
		uint64_t start_ns = await_window(g, period_ns);

		if (g->stop)
			break;
		pthread_mutex_unlock(&g->lock);
		goes_on = see_program(g, period_ns, start_ns);
		pthread_mutex_lock(&g->lock);
		period_ns += (uint64_t)(g->period_s * NS_PER_S);
		g->pace.stands_until_ns = period_ns;
		/* Whoever comes late begins anew: two windows in a row would not be random. */
		if (period_ns < session_now_ns())
			period_ns = session_now_ns();
	}
	pthread_mutex_unlock(&g->lock);
	return NULL;
}

/* --- the poller's thread --- */

static uint64_t max_ns(double least_s, uint64_t cpu_ns, double share)
{
	return (uint64_t)fmax(least_s * NS_PER_S, (double)cpu_ns / share);
}

/* Returns the CPU time that it took. */
static uint64_t do_polls(struct governor *g, uint64_t since_ns, bool only_new)
{
	uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	if (g->evidence.heap || g->evidence.allocator == POLL_ANY)
		polls_look(g->pid, g->windows, &g->s->lock, &g->evidence, since_ns, only_new);
	if (!since_ns)
		polls_look_at_mapped(g->pid, g->windows, &g->s->lock);
	return clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
}

/* When what is to be polled is next; and when the last window had shut. */
struct poll_times { uint64_t all_ns, young_ns, shut_ns; };

static void poll_all(struct governor *g, struct poll_times *next)
{
	uint64_t now = session_now_ns();

	next->all_ns = now + max_ns(POLL_MIN_S, do_polls(g, 0, false), POLL_SHARE);
}

/*
 * What was allocated for a moment is freed in the next one, and its place is taken by
 * what stays: that it was free is to be seen for a short while only. So the last window's
 * are looked at again when they are twice as old.
 */
static void poll_young(struct governor *g, struct poll_times *next, bool first)
{
	uint64_t since_ns = next->shut_ns - (uint64_t)(WINDOW_MAX_S * NS_PER_S);
	uint64_t now = session_now_ns();
	double age_s = (double)(now - next->shut_ns) / NS_PER_S;

	next->young_ns = now + max_ns(fmax(age_s, POLL_YOUNG_MIN_S),
				      do_polls(g, since_ns, first), POLL_YOUNG_SHARE);
	if (age_s > YOUNG_S)
		next->young_ns = UINT64_MAX;
}

static void poll_due(struct governor *g, struct poll_times *next, bool look)
{
	uint64_t now = session_now_ns();

	if (look)
		next->shut_ns = now;
	if (look || now >= next->young_ns)
		poll_young(g, next, look);
	else if (now >= next->all_ns)
		poll_all(g, next);
}

static uint64_t do_census(struct governor *g)
{
	uint64_t now = session_now_ns(), cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	if (!g->fresh)
		note_census(g, false);
	return now + max_ns(CENSUS_MIN_S, clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu, CENSUS_SHARE);
}

static void *polls_main(void *arg)
{
	struct governor *g = arg;
	struct poll_times next = { .young_ns = UINT64_MAX };
	uint64_t next_census = 0;

	privileges_reduce(0);
	pthread_mutex_lock(&g->lock);
	await_probes(g);
	while (!g->stop) {
		bool look = g->look;

		g->look = false;
		pthread_mutex_unlock(&g->lock);
		poll_due(g, &next, look);
		if (session_now_ns() >= next_census)
			next_census = do_census(g);
		pthread_mutex_lock(&g->lock);
		wait_until(g, next.young_ns < next.all_ns ? next.young_ns : next.all_ns, &g->look);
	}
	pthread_mutex_unlock(&g->lock);
	return NULL;
}

/* --- for the session --- */

struct governor *governor_create(struct session *session, struct budget budget)
{
	struct governor *g = xcalloc(1, sizeof(*g));
	pthread_condattr_t attr;

	g->s = session;
	g->budget = budget;
	g->share = 1;
	g->probes = window_probes_create();
	g->windows = windows_create(session_now_ns());
	g->fresh = true;
	g->thread = PROGRESS_NO_THREAD;
	g->hits_per_s = g->probes_share = g->outside_ns = g->attach_s = -1;
	g->stepped_share = -1;
	if (getrandom(&g->random, sizeof(g->random), 0) < 0)
		g->random = session_now_ns();
	pthread_mutex_init(&g->lock, NULL);
	pthread_mutex_init(&g->probes_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&g->wake, &attr);
	pthread_condattr_destroy(&attr);
	return g;
}

struct error *governor_start(struct governor *g)
{
	sigset_t all, before;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	ret = pthread_create(&g->windows_thread, NULL, windows_main, g);
	g->windows_started = !ret;
	if (!ret)
		ret = pthread_create(&g->polls_thread, NULL, polls_main, g);
	g->polls_started = !ret;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return ret ? error_errno(ret, "starting a thread") : NULL;
}

void governor_begin(struct governor *g, uint64_t since_ns, double debt_ns)
{
	/* What another level has cost until now is not the windows'. */
	g->all_hits = hits_of_windows(g->s);
	g->all_outside = session_count(g->s, COUNT_OUTSIDE_HITS);
	g->all_stepped = session_count(g->s, COUNT_STEPPED_HITS);
	g->all_large = g->s->large.hits;
	g->spent_ns = debt_ns;
	g->since_ns = since_ns;
	/* Shut until the first one opens. */
	g->s->skel->bss->window_nr = 2;
	pthread_mutex_lock(&g->lock);
	g->begun = true;
	pthread_cond_broadcast(&g->wake);
	pthread_mutex_unlock(&g->lock);
}

static void meet_allocator(struct governor *g, const struct object_plan *object)
{
	const struct window_heap *heap = window_heap_of(object);

	if (heap->allocator <= g->allocator)
		return;
	g->allocator = heap->allocator;
	g->fresh = true;
	pthread_mutex_lock(&g->s->lock);
	windows_set_sizing(g->windows, heap->chunk_bytes);
	if (heap->allocator != POLL_MUSL)
		windows_follow_contents(g->windows);
	pthread_mutex_unlock(&g->s->lock);
}

void governor_add_probes(struct governor *g, const struct attach_job *job)
{
	bool added;

	pthread_mutex_lock(&g->probes_lock);
	added = window_probes_add(g->probes, &g->s->programs, job);
	pthread_mutex_unlock(&g->probes_lock);
	if (!added)
		return;
	pthread_mutex_lock(&g->lock);
	g->pid = job->pid;
	g->probed = true;
	meet_allocator(g, job->object);
	pthread_cond_broadcast(&g->wake);
	pthread_mutex_unlock(&g->lock);
}

void governor_stop(struct governor *g)
{
	if (!g)
		return;
	session_suspend_focus(g->s);
	session_suspend_large(g->s);
	pthread_mutex_lock(&g->lock);
	g->stop = true;
	pthread_cond_broadcast(&g->wake);
	pthread_mutex_unlock(&g->lock);
	if (g->windows_started)
		pthread_join(g->windows_thread, NULL);
	if (g->polls_started)
		pthread_join(g->polls_thread, NULL);
	if (g->windows_started && g->begun) {
		do_polls(g, 0, false);
		do_census(g);
	}
	g->windows_started = g->polls_started = false;
}

void governor_destroy(struct governor *g)
{
	if (!g)
		return;
	governor_stop(g);
	progress_close_thread(&g->thread);
	window_probes_destroy(g->probes);
	window_calls_deinit(&g->calls);
	windows_destroy(g->windows);
	window_row_vec_deinit(&g->estimate.rows);
	pthread_cond_destroy(&g->wake);
	pthread_mutex_destroy(&g->lock);
	pthread_mutex_destroy(&g->probes_lock);
	free(g);
}

void governor_share_budget(struct governor *g, double share)
{
	g->share = share;
}

struct windows *governor_windows(const struct governor *g)
{
	return g->windows;
}

uint32_t governor_pid(const struct governor *g)
{
	return g->pid;
}

void governor_feed(struct governor *g, const void *record, size_t size)
{
	windows_feed(g->windows, record, size);
}

void governor_feed_call(struct governor *g, const void *record, size_t size)
{
	if (size >= sizeof(struct ev_memory))
		window_calls_feed(&g->calls, g->s, g->windows, record);
}

void governor_feed_large(struct governor *g, const void *record, size_t size)
{
	if (size >= sizeof(struct ev_alloc))
		window_calls_feed_large(&g->calls, g->s, g->windows, record);
}

uint64_t governor_malloc_pc(const struct governor *g)
{
	return g->calls.text.all.start;
}

void governor_note_allocator(struct governor *g, uint32_t pid, const struct object_plan *object)
{
	const struct allocator_text text = allocator_text_of(object);

	if (g->s->foreign)
		return;
	pthread_mutex_lock(&g->s->lock);
	window_calls_begin(&g->calls, pid, &text);
	pthread_mutex_unlock(&g->s->lock);
}

void governor_forget(struct governor *g)
{
	window_calls_forget(&g->calls);
	windows_clear(g->windows, session_now_ns());
	g->fresh = true;
}

bool governor_has_probes(struct governor *g)
{
	bool probed;

	pthread_mutex_lock(&g->lock);
	probed = g->probed;
	pthread_mutex_unlock(&g->lock);
	return probed;
}

struct window_pace governor_pace(const struct governor *g)
{
	struct window_pace pace = g->pace;

	pace.debt_ns = debt_ns(g);
	pace.budget_share = budget_of_part(g, part_left(g));
	return pace;
}

#define ESTIMATE_SHARE 0.02	/* of a core */
#define ESTIMATE_AGE_S 0.2

const struct window_estimate *governor_estimate(struct governor *g, uint64_t now_ns, bool fresh)
{
	struct window_estimate *e = &g->estimate;
	uint64_t begun = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	uint64_t next = g->estimated_ns + (uint64_t)(ESTIMATE_AGE_S * NS_PER_S) +
			(uint64_t)((double)g->estimate_took_ns / ESTIMATE_SHARE);

	if (g->estimated_ns && now_ns < next && !fresh)
		return e;
	e->rows.len = 0;
	pthread_mutex_lock(&g->s->lock);
	windows_rows(g->windows, now_ns, &e->rows, &e->total, &e->quality);
	pthread_mutex_unlock(&g->s->lock);
	e->period_s = g->period_s;
	e->window_s = g->window_s;
	e->outside = session_count(g->s, COUNT_OUTSIDE_HITS) + (int64_t)e->quality.told_late;
	g->estimated_ns = now_ns;
	g->estimate_took_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - begun;
	return e;
}
