// SPDX-License-Identifier: GPL-2.0-or-later
/* What record, report -p and top share; see watch.h. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/privileges.h"
#include "base/progress.h"
#include "capture/cost/thrift.h"
#include "cmd/watch.h"

volatile sig_atomic_t watch_interrupted;
volatile sig_atomic_t watch_signal;

volatile sig_atomic_t watch_mark_signals;

void watch_wake(void)
{
	watch_interrupted = 1;
}

static void on_mark_signal(int sig)
{
	watch_mark_signals++;
	watch_wake();
}

static void on_signal(int sig)
{
	watch_signal = sig;
	watch_interrupted = 1;
}

void watch_catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = on_signal };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
	/* A reader of our output that went away is an error to report, not to die of. */
	signal(SIGPIPE, SIG_IGN);
}

void watch_catch_marks(void)
{
	struct sigaction action = { .sa_handler = on_mark_signal };

	sigaction(SIGUSR1, &action, NULL);
}

enum attach_method watch_method(const struct options *opts)
{
	switch (opts->target.attach) {
	case ATTACH_CHOICE_SESSION:
		return ATTACH_SESSION;
	case ATTACH_CHOICE_MULTI:
		return ATTACH_MULTI;
	case ATTACH_CHOICE_SINGLE:
		return ATTACH_SINGLE;
	default:
		return ATTACH_BEST;
	}
}

struct error *watch_create(const struct options *opts, struct session **ret)
{
	const struct target_options *target = &opts->target;
	const struct session_settings settings = {
		.pids = target->pids.data,
		.pids_count = target->pids.len,
		.command = target->command,
		.children = target->children,
		.interval_s = target->interval_s,
		.method = watch_method(opts),
		.allocators = &target->allocators,
		.frame_pointers = target->stack == STACK_FP,
		.no_table_cache = target->no_cache,
		.no_symbols = target->no_symbolize,
		.max_depth = target->max_depth,
		.sample_bytes = target->sample_bytes,
		.may_sample = opts->command == COMMAND_TOP,
		.auto_level = target->mode == MODE_AUTO,
		.windows = target->mode == MODE_WINDOWS,
		.focus = target->focus,
		.may_focus = opts->command == COMMAND_TOP,
		.max_share = target->max_overhead / 100,
		.max_own_cpu = target->max_own_cpu / 100,
		.growth = target->mode == MODE_GROWTH,
		.exact = target->mode == MODE_EXACT,
		.min_size = target->min_size,
		.max_size = target->max_size,
		.ring_bytes = target->ring_size,
		.memory_limit = target->small ? THRIFT_LIMIT_MIN : target->memory_limit,
	};

	return session_create(&settings, ret);
}

void watch_reduce(const struct options *opts, const char *path)
{
	unsigned int kill = opts->target.command ? PRIVILEGES_KILL : 0;

	privileges_reduce((path ? privileges_for_writing(path) : PRIVILEGES_FILES) | kill);
}

static void warn(const struct session *session)
{
	size_t omitted = session_omitted_tables(session);
	int64_t forks = session_forks(session);

	if (session_was_short(session))
		log_warn("memory is short for the target: call paths that were new have no names;"
			 " those of a recording are named by 'heapsonde symbolize'");
	if (omitted)
		log_warn("no room for the unwind tables of %zu objects loaded since: "
			 "stacks through them are guessed", omitted);
	if (forks)
		log_warn("%lld child process%s of the target %s not watched: attach to %s with -p",
			 (long long)forks, forks == 1 ? "" : "es", forks == 1 ? "was" : "were",
			 forks == 1 ? "it" : "them");
}

/* The signal that ended the watching is spent: another one ends the fetching. */
static void fetch_debug(struct session *session)
{
	PRIVILEGES_AWAKE;
	__cleanup_error struct error *err = NULL;

	watch_signal = 0;
	err = session_fetch_debug(session, &watch_signal);
	if (err)
		log_warn("--debuginfod: %s", err->message);
}

void watch_end(struct session *session, const struct options *opts)
{
	session_stop(session);
	warn(session);
	if (opts->target.debuginfod && !session_was_short(session))
		fetch_debug(session);
}

/*
 * After something wanted attention: whether the watching ends. @passed_on: the
 * command has had its signal.
 */
static struct error *attend(struct session *session, const struct watch_calls *calls,
			    bool *passed_on, bool *ends)
{
	int sig = watch_signal;

	*ends = sig && *passed_on;
	if (*ends)
		return NULL;
	watch_interrupted = 0;
	if (sig) {
		watch_signal = 0;
		session_signal(session, sig);
		*passed_on = true;
	}
	return calls->attention ? calls->attention(calls->arg) : NULL;
}

static double clock_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* When to look up next, and when the watching is over, in seconds of clock_s(). */
struct watch_times {
	double begin_s, tick_s, end_s;
};

/* A command's own words stand on the same terminal; an open end is nothing to wait for. */
static bool tells_progress(const struct options *opts)
{
	return !opts->target.command && opts->target.duration_s > 0;
}

static struct error *tick_if_due(const struct session *session, const struct watch_calls *calls,
				 const struct options *opts, struct watch_times *times)
{
	double interval_s = opts->target.interval_s * session_thinner(session);
	double now_s = clock_s();

	if (now_s < times->tick_s)
		return NULL;
	/* Intervals follow the clock, however long a tick takes. */
	times->tick_s += interval_s;
	if (times->tick_s < now_s)
		times->tick_s = now_s + interval_s;
	return calls->tick ? calls->tick(calls->arg) : NULL;
}

static struct error *run_until(struct session *session, const struct options *opts,
			       const struct watch_calls *calls, struct watch_times times,
			       struct progress *progress)
{
	bool passed_on = !opts->target.command, ends = false;
	struct error *err = NULL;

	if (calls->alarm)
		session_raise_alarms(session);
	while (!err && !ends) {
		double step_s = fmin(times.tick_s, times.end_s) - clock_s();
		enum session_state state;

		err = session_run(session, fmax(step_s, 0), &watch_interrupted, &state);
		if (err || state == SESSION_ENDED || state == SESSION_TOO_DEAR)
			return err;
		if (state == SESSION_ALARMED) {
			err = calls->alarm(calls->arg, session_alarm(session));
			continue;
		}
		if (state == SESSION_INTERRUPTED) {
			err = attend(session, calls, &passed_on, &ends);
			continue;
		}
		ends = clock_s() >= times.end_s;
		if (!ends && tells_progress(opts))
			progress_update(progress, (uint64_t)(clock_s() - times.begin_s),
					(uint64_t)ceil(times.end_s - times.begin_s));
		if (!ends)
			err = tick_if_due(session, calls, opts, &times);
	}
	return err;
}

struct error *watch_run_with(struct session *session, const struct options *opts,
			     const struct watch_calls *calls)
{
	const double begin_s = clock_s(), duration_s = opts->target.duration_s;
	struct progress progress;
	struct error *err;

	progress_begin(&progress, "seconds watched");
	err = run_until(session, opts, calls, (struct watch_times){
		.begin_s = begin_s,
		.tick_s = begin_s + opts->target.interval_s,
		.end_s = duration_s > 0 ? begin_s + duration_s : HUGE_VAL }, &progress);
	progress_end(&progress);
	return err;
}

struct error *watch_run(struct session *session, const struct options *opts,
			struct error *(*tick)(void *arg), void *arg)
{
	return watch_run_with(session, opts, &(struct watch_calls){ .tick = tick, .arg = arg });
}
