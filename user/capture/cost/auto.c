// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * --mode auto: every allocation is recorded until that has cost the target too
 * much. Then the probes go, and windows take over what was live (windows.h).
 */
#include <stdlib.h>

#include "base/log.h"
#include "capture/session_private.h"
#include "heapsonde.skel.h"

#define BUDGET_DEFAULT 0.05
/*
 * CPU time that may be spent beyond the budget before: a program that starts, or
 * answers a burst, is seen exactly.
 */
#define CREDIT_S 1.0
#define CREDIT_GIVEN_S 0.1	/* where the budget was given */
#define SAMPLING_SAVES 0.3	/* of what exact costs, at least */
#define FOLLOWED_MAX 500000	/* of the blocks that are live then; windows.c thins them */

/* What windows can watch: one process, and the C library's heap alone. */
static bool can_move(const struct session *s)
{
	const struct session_settings *settings = &s->settings;

	if (s->cannot_move || s->governor || s->sampled || settings->command ||
	    settings->children || settings->pids_count != 1 || settings->min_size ||
	    settings->max_size != UINT64_MAX || s->foreign || s->watches_reports ||
	    !s->watches_functions || s->method == ATTACH_SINGLE)
		return false;
	vec_for_each(image, &s->images)
		if (image->go)
			return false;
	return s->watched.len == 1;
}

/* Of blocks that are given away, one in @stride is followed. */
struct inheritance {
	struct windows *windows;
	uint64_t stride, random, now_ns;
};

static void take_block(void *arg, const struct given_block *given)
{
	struct inheritance *in = arg;

	in->random = in->random * 6364136223846793005u + 1442695040888963407u;
	windows_add_known(in->windows, &(struct known_block){
		.addr = given->addr, .size = given->bytes, .stack_id = given->stack_id,
		.birth_ns = given->birth_ns,
		.followed = (in->random >> 33) % in->stride == 0,
		.weight = (double)in->stride,
	}, in->now_ns);
}

static void take_peak(void *arg, uint64_t stack_id, int64_t bytes)
{
	struct inheritance *in = arg;

	windows_note_peak(in->windows, stack_id, (double)bytes);
}

/* From here on, what the ring tells of allocators is the windows'. */
static void hand_over(struct session *s, uint32_t pid)
{
	struct inheritance in = {
		.windows = governor_windows(s->governor),
		.now_ns = session_now_ns(),
		.random = session_now_ns(),
	};
	const struct model_heir heir = { take_block, take_peak, &in };

	pthread_mutex_lock(&s->lock);
	in.stride = 1 + model_live_count(s->model, pid) / FOLLOWED_MAX;
	model_hand_over(s->model, pid, &heir);
	s->windowed = true;
	pthread_mutex_unlock(&s->lock);
}

/*
 * The windows' probes are prepared first, so that nothing is lost where that
 * cannot be. Between the last record and the first window blocks may end unseen,
 * as between all windows.
 */
static struct error *move(struct session *s, double budget)
{
	__cleanup(attachment_deinit) struct attachment before = { 0 };
	uint32_t pid = s->watched.data[0].pid;
	struct error *err;

	s->governor = governor_create(s, budget);
	err = session_swap_probes(s, pid, &before);
	if (err) {
		governor_destroy(s->governor);
		s->governor = NULL;
		return err;
	}
	s->skel->bss->hold_births = false;
	attachment_deinit(&before);
	session_settle(s);
	session_settle(s);
	hand_over(s, pid);
	s->windows_since_s = session_watched_s(s);
	return governor_start(s->governor);
}

/* What is spent beyond the budget, less what was saved of it meanwhile. */
static double overspent_s(struct session *s, double budget)
{
	struct cost_mark now = cost_mark(&s->cost);
	double cpu_ns = (double)(now.cpu_ns - s->auto_from.cpu_ns);
	double hits = (double)(now.counts.hits - s->auto_from.counts.hits);

	if (s->cost.ns_per_hit > 0)
		s->auto_debt_ns += hits * s->cost.ns_per_hit - budget * cpu_ns;
	if (s->auto_debt_ns < 0)
		s->auto_debt_ns = 0;
	s->auto_from = now;
	return s->auto_debt_ns / NS_PER_S;
}

bool session_move_level(struct session *s)
{
	double given = s->settings.max_share, budget = given > 0 ? given : BUDGET_DEFAULT;
	struct error *err;

	if (!s->settings.auto_level || !can_move(s))
		return false;
	session_update_cost(s);
	if (overspent_s(s, budget) < (given > 0 ? CREDIT_GIVEN_S : CREDIT_S))
		return true;
	/* Sampling says more than windows do: where it is cheap enough, that is level.c's. */
	if (given > 0 && s->cost.share * (1 - SAMPLING_SAVES) < budget)
		return false;
	log_info("recording every allocation takes more than %g %% of the target's CPU time: "
		 "watching in windows from now on (--mode exact goes on)", 100 * budget);
	err = move(s, budget);
	if (err) {
		log_warn("windows cannot be had, and every allocation is recorded on: %s",
			 err->message);
		error_destroy(err);
		s->cannot_move = true;
	}
	return true;
}
