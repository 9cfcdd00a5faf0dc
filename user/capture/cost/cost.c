// SPDX-License-Identifier: GPL-2.0-or-later
/* What the watching costs the targets; see cost.h. */
#include <math.h>
#include <signal.h>
#include <time.h>

#include "base/log.h"
#include "base/privileges.h"
#include "capture/cost/cost.h"

#define NS_PER_S 1000000000ull

static void *measure(void *arg)
{
	struct cost *cost = arg;
	struct error *err;

	privileges_reduce(0);
	err = price_measure(cost->method, &cost->price);

	/* Without it the share stays unknown, and is shown as such. */
	if (err)
		log_warn("the price of a probe hit could not be measured: %s", err->message);
	else
		cost->measured = true;
	error_destroy(err);
	return NULL;
}

void cost_init(struct cost *cost, enum attach_method method, const struct kernel_price *kernel)
{
	sigset_t all, before;

	*cost = (struct cost){
		.method = method, .kernel_measured = kernel,
		.ns_per_hit = -1, .plain_ns_per_hit = -1, .ns_per_large = -1,
		.ledger_ns_per_hit = -1, .share = -1,
	};
	if (kernel)
		cost->kernel = *kernel;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	cost->started = !pthread_create(&cost->measuring, NULL, measure, cost);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

uint64_t cost_process_cpu_ns(uint32_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
		return 0;
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

void cost_watch(struct cost *cost, uint32_t pid, bool from_start)
{
	uint64_t now = cost_process_cpu_ns(pid);

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
		uint64_t now = cost_process_cpu_ns(clock->pid);

		if (now > clock->now_ns)
			clock->now_ns = now;
		sum += clock->now_ns - clock->begun_ns;
	}
	return sum;
}

static bool probes_known(const struct cost *cost, const struct cost_counts *counts)
{
	return cost->measured && counts->hits && counts->timed_hits;
}

static bool ledger_known(const struct cost *cost, const struct cost_counts *counts)
{
	return cost->kernel_measured && counts->ledger_hits && counts->ledger_timed_hits;
}

static bool large_known(const struct cost *cost, const struct cost_counts *counts)
{
	return cost->measured && counts->large_timed_hits;
}

/* With the trap, which is at an emulated instruction. */
static double ns_per_large(const struct price *price, const struct cost_counts *counts)
{
	return price->emulated_ns + (double)counts->large_timed_ns / counts->large_timed_hits;
}

/* Of all hits but large requests'. */
static double spent_by_others(const struct price *price, const struct cost_counts *counts)
{
	double hits = counts->hits - counts->large;
	double entries = hits - counts->returns - counts->stepped;
	double traps_ns = entries * price->emulated_ns + counts->stepped * price->stepped_ns +
			  counts->returns * price->return_ns;

	return traps_ns + hits * (double)counts->timed_ns / counts->timed_hits;
}

static double ns_per_hit(const struct cost *cost, const struct cost_counts *counts)
{
	double large_ns = large_known(cost, counts) ? ns_per_large(&cost->price, counts)
						    : cost_large_ns(cost);

	return (spent_by_others(&cost->price, counts) + counts->large * large_ns) / counts->hits;
}

/* That a hit costs more where the instruction is single-stepped. */
static double step_ns(const struct cost *cost)
{
	return cost->measured ? fmax(cost->price.stepped_ns - cost->price.emulated_ns, 0) : 0;
}

static double ledger_ns_per_hit(const struct kernel_price *price, const struct cost_counts *counts)
{
	double program_ns = (double)counts->ledger_timed_ns / counts->ledger_timed_hits;

	/* Most of them are as short as the reading of a clock. */
	return price->tracepoint_ns + fmax(program_ns - price->clock_ns, 0);
}

/* What all of @counts took of the targets' time; < 0 while nothing of it is known. */
static double spent_ns(const struct cost *cost, const struct cost_counts *counts)
{
	double sum = 0;

	/* Where there are hits, they are nearly all of it: without them nothing is known. */
	if (counts->hits && !probes_known(cost, counts))
		return -1;
	if (!counts->hits && !ledger_known(cost, counts) && !counts->slowed_calls)
		return -1;
	if (counts->hits)
		sum += counts->hits * ns_per_hit(cost, counts);
	if (ledger_known(cost, counts))
		sum += counts->ledger_hits * ledger_ns_per_hit(&cost->kernel, counts);
	return sum + counts->slowed_calls * cost->kernel.call_ns;
}

static void estimate(struct cost *cost)
{
	const struct cost_counts *counts = &cost->counts;
	double spent = spent_ns(cost, counts);

	if (large_known(cost, counts))
		cost->ns_per_large = ns_per_large(&cost->price, counts);
	if (probes_known(cost, counts))
		cost->ns_per_hit = ns_per_hit(cost, counts);
	if (probes_known(cost, counts) && counts->hits > counts->large)
		cost->plain_ns_per_hit = fmax((spent_by_others(&cost->price, counts) -
					       step_ns(cost) * (double)counts->stepped) /
					      (double)(counts->hits - counts->large), 0);
	if (ledger_known(cost, counts))
		cost->ledger_ns_per_hit = ledger_ns_per_hit(&cost->kernel, counts);
	if (spent < 0 || !cost->cpu_ns)
		return;
	cost->share = spent / cost->cpu_ns;
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
#define SAYS_SOMETHING_HITS 200

static struct cost_counts counts_since(const struct cost *cost, const struct cost_mark *mark)
{
	return (struct cost_counts){
		.hits = cost->counts.hits - mark->counts.hits,
		.stepped = cost->counts.stepped - mark->counts.stepped,
		.returns = cost->counts.returns - mark->counts.returns,
		.timed_hits = cost->counts.timed_hits - mark->counts.timed_hits,
		.timed_ns = cost->counts.timed_ns - mark->counts.timed_ns,
		.large = cost->counts.large - mark->counts.large,
		.large_timed_hits = cost->counts.large_timed_hits - mark->counts.large_timed_hits,
		.large_timed_ns = cost->counts.large_timed_ns - mark->counts.large_timed_ns,
		.ledger_hits = cost->counts.ledger_hits - mark->counts.ledger_hits,
		.ledger_timed_hits =
			cost->counts.ledger_timed_hits - mark->counts.ledger_timed_hits,
		.ledger_timed_ns = cost->counts.ledger_timed_ns - mark->counts.ledger_timed_ns,
		.slowed_calls = cost->counts.slowed_calls - mark->counts.slowed_calls,
	};
}

double cost_share_since(const struct cost *cost, const struct cost_mark *mark)
{
	uint64_t cpu_ns = cost->cpu_ns - mark->cpu_ns;
	const struct cost_counts counts = counts_since(cost, mark);
	double spent = spent_ns(cost, &counts);

	return cpu_ns < SAYS_SOMETHING_NS || spent < 0 ? -1 : spent / (double)cpu_ns;
}

double cost_hit_ns_since(const struct cost *cost, const struct cost_mark *mark)
{
	const struct cost_counts counts = counts_since(cost, mark);

	if (counts.timed_hits < SAYS_SOMETHING_HITS || !probes_known(cost, &counts))
		return cost->ns_per_hit;
	return ns_per_hit(cost, &counts);
}

double cost_large_ns(const struct cost *cost)
{
	return cost->ns_per_large < 0 ? COST_LARGE_NS_UNKNOWN : cost->ns_per_large;
}

double cost_ns_of(const struct cost *cost, double hits, double stepped)
{
	double plain_ns = cost->plain_ns_per_hit;

	if (plain_ns < 0)
		plain_ns = COST_HIT_NS_UNKNOWN;
	return hits * plain_ns + stepped * step_ns(cost);
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
