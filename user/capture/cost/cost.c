// SPDX-License-Identifier: GPL-2.0-or-later
/* What the watching costs the targets; see cost.h. */
#include <signal.h>
#include <time.h>

#include "base/log.h"
#include "capture/cost/cost.h"

#define NS_PER_S 1000000000ull

static void *measure(void *arg)
{
	struct cost *cost = arg;
	struct error *err = price_measure(cost->method, &cost->price);

	/* Without it the share stays unknown, and is shown as such. */
	if (err)
		log_warn("the price of a probe hit could not be measured: %s", err->message);
	else
		cost->measured = true;
	error_destroy(err);
	return NULL;
}

void cost_init(struct cost *cost, enum attach_method method)
{
	sigset_t all, before;

	*cost = (struct cost){ .method = method, .ns_per_hit = -1, .share = -1 };
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	cost->started = !pthread_create(&cost->measuring, NULL, measure, cost);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* 0 if the process is gone. */
static uint64_t cpu_time_ns(uint32_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
		return 0;
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

void cost_watch(struct cost *cost, uint32_t pid, bool from_start)
{
	uint64_t now = cpu_time_ns(pid);

	vec_for_each(clock, &cost->clocks)
		if (clock->pid == pid)
			return;
	cost_clock_vec_push(&cost->clocks, (struct cost_clock){ pid, from_start ? 0 : now, now });
}

void cost_end(struct cost *cost, uint32_t pid, uint64_t cpu_ns)
{
	vec_for_each(clock, &cost->clocks) {
		if (clock->pid != pid)
			continue;
		if (cpu_ns > clock->now_ns)
			clock->now_ns = cpu_ns;
		cost->ended_ns += clock->now_ns - clock->begun_ns;
		*clock = cost->clocks.data[--cost->clocks.len];
		return;
	}
}

static uint64_t watched_cpu_ns(struct cost *cost)
{
	uint64_t sum = cost->ended_ns;

	vec_for_each(clock, &cost->clocks) {
		uint64_t now = cpu_time_ns(clock->pid);

		if (now > clock->now_ns)
			clock->now_ns = now;
		sum += clock->now_ns - clock->begun_ns;
	}
	return sum;
}

static bool is_known(const struct cost *cost, const struct cost_counts *counts)
{
	return cost->measured && counts->hits && counts->timed_hits;
}

static double ns_per_hit(const struct price *price, const struct cost_counts *counts)
{
	double entries = counts->hits - counts->returns - counts->stepped;
	double traps_ns = entries * price->emulated_ns + counts->stepped * price->stepped_ns +
			  counts->returns * price->return_ns;

	return traps_ns / counts->hits + (double)counts->timed_ns / counts->timed_hits;
}

static void estimate(struct cost *cost)
{
	const struct cost_counts *counts = &cost->counts;

	if (!is_known(cost, counts) || !cost->cpu_ns)
		return;
	cost->ns_per_hit = ns_per_hit(&cost->price, counts);
	cost->share = counts->hits * cost->ns_per_hit / cost->cpu_ns;
	/* It cannot be more than all: short runs, and clocks that tick coarsely. */
	if (cost->share > 1)
		cost->share = 1;
}

void cost_update(struct cost *cost, const struct cost_counts *counts)
{
	cost->counts = *counts;
	cost->cpu_ns = watched_cpu_ns(cost);
	estimate(cost);
}

struct cost_mark cost_mark(const struct cost *cost)
{
	return (struct cost_mark){ cost->counts, cost->cpu_ns };
}

#define SAYS_SOMETHING_NS 20000000	/* of CPU time */

double cost_share_since(const struct cost *cost, const struct cost_mark *mark)
{
	uint64_t cpu_ns = cost->cpu_ns - mark->cpu_ns;
	const struct cost_counts counts = {
		.hits = cost->counts.hits - mark->counts.hits,
		.stepped = cost->counts.stepped - mark->counts.stepped,
		.returns = cost->counts.returns - mark->counts.returns,
		.timed_hits = cost->counts.timed_hits - mark->counts.timed_hits,
		.timed_ns = cost->counts.timed_ns - mark->counts.timed_ns,
	};

	if (cpu_ns < SAYS_SOMETHING_NS || !is_known(cost, &counts))
		return -1;
	return (double)counts.hits * ns_per_hit(&cost->price, &counts) / (double)cpu_ns;
}

void cost_settle(struct cost *cost)
{
	if (cost->started)
		pthread_join(cost->measuring, NULL);
	cost->started = false;
	estimate(cost);
}

void cost_deinit(struct cost *cost)
{
	cost_settle(cost);
	cost_clock_vec_deinit(&cost->clocks);
}
