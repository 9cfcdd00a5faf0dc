// SPDX-License-Identifier: GPL-2.0-or-later
/* What record, report -p and top share; see watch.h. */
#include <string.h>

#include "base/log.h"
#include "cmd/watch.h"

volatile sig_atomic_t watch_interrupted;
volatile sig_atomic_t watch_signal;

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
		.interval_s = target->interval_s,
		.method = watch_method(opts),
		.frame_pointers = target->stack == STACK_FP,
		.no_table_cache = target->no_cache,
		.max_depth = target->max_depth,
		.min_size = target->min_size,
		.max_size = target->max_size,
		.ring_bytes = target->ring_size,
	};

	return session_create(&settings, ret);
}

void watch_warn(const struct session *session)
{
	size_t omitted = session_omitted_tables(session);
	int64_t forks = session_forks(session);

	if (omitted)
		log_warn("no room for the unwind tables of %zu objects loaded since: "
			 "stacks through them are guessed", omitted);
	if (forks)
		log_warn("%lld child process%s of the target %s not watched: attach to %s with -p",
			 (long long)forks, forks == 1 ? "" : "es", forks == 1 ? "was" : "were",
			 forks == 1 ? "it" : "them");
}

/* The seconds left of the duration, at most one interval. */
static double next_step(const struct options *opts, double watched_s)
{
	double step = opts->target.interval_s;
	double left = opts->target.duration_s - watched_s;

	if (opts->target.duration_s > 0 && left < step)
		return left > 0 ? left : 0;
	return step;
}

struct error *watch_run(struct session *session, const struct options *opts,
			struct error *(*tick)(void *arg), void *arg)
{
	bool passed_on = !opts->target.command;
	double watched_s = 0;

	for (;;) {
		double step = next_step(opts, watched_s);
		enum session_state state;
		struct error *err = session_run(session, step, &watch_interrupted, &state);

		if (err)
			return err;
		if (state == SESSION_ENDED)
			return NULL;
		if (state == SESSION_INTERRUPTED) {
			if (passed_on)
				return NULL;
			session_signal(session, watch_signal);
			watch_interrupted = 0;
			passed_on = true;
			continue;
		}
		watched_s += step;
		if (opts->target.duration_s > 0 && watched_s >= opts->target.duration_s - 1e-9)
			return NULL;
		if (tick) {
			err = tick(arg);
			if (err)
				return err;
		}
	}
}
