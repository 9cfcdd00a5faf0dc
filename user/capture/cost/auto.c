// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * --mode auto: every allocation is recorded as long as that keeps the budget. A
 * target that is busy when it is met is seen through a few short windows first,
 * which say what recording would cost. Where it costs too much, windows watch
 * (windows.h), and take over what was live.
 */
#include <math.h>
#include <stdlib.h>

#include "base/log.h"
#include "capture/session_private.h"
#include "heapsonde.skel.h"

#define BUDGET_DEFAULT 0.05
#define SAMPLING_SAVES 0.3	/* of what exact costs, at least */
#define FOLLOWED_MAX 500000	/* of the blocks that are live then; windows.c thins them */
#define HIT_NS_UNKNOWN 1500.0	/* on the safe side, until it has been measured */

#define BUSY 0.005		/* share of a core: then it is looked at before it is probed */
#define LOOK_WINDOWS 3		/* of which the first is but a millisecond */
#define LOOK_MAX_S 0.8
#define LOOK_PAUSE_NS 5000000
#define SURELY 4.0		/* times the budget: one window is enough to say so */
#define ROOM 1.25		/* that a forecast leaves below the budget */

/* What is known of the target before it has probes. */
bool session_may_move(const struct session *s)
{
	const struct session_settings *settings = &s->settings;

	return settings->auto_level && !settings->command && !settings->children &&
	       settings->pids_count == 1 && !settings->min_size &&
	       settings->max_size == UINT64_MAX && s->method != ATTACH_SINGLE;
}

/* What windows can watch: one process, and the C library's heap alone. */
static bool can_move(const struct session *s)
{
	if (!session_may_move(s) || s->auto_state.cannot_move || s->governor || s->sampled ||
	    s->foreign || s->watches_reports || !s->watches_functions)
		return false;
	vec_for_each(image, &s->images)
		if (image->go)
			return false;
	return s->watched.len == 1;
}

double session_budget(const struct session *s)
{
	return s->settings.max_share > 0 ? s->settings.max_share : BUDGET_DEFAULT;
}

double session_hit_ns(const struct session *s)
{
	return s->cost.ns_per_hit > 0 ? s->cost.ns_per_hit : HIT_NS_UNKNOWN;
}

bool session_sampling_would_do(const struct session *s)
{
	return s->settings.max_share > 0 && session_can_sample(s) &&
	       s->warden.share * (1 - SAMPLING_SAVES) < session_budget(s);
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

/* Back to where it was, if that can be; what passed meanwhile was not seen. */
static struct error *stay(struct session *s, struct error *why)
{
	struct error *err;

	governor_destroy(s->governor);
	s->governor = NULL;
	s->warden.cut = false;
	s->blind_times++;
	err = session_set_heap(s, s->watched.data[0].pid);
	if (!err)
		return why;
	err = error_wrap(err, "%s", why->message);
	error_destroy(why);
	return err;
}

/*
 * The dear probes go first. Until the first window blocks are born and end
 * unseen, as between all windows: it stands for that time too.
 */
static struct error *move(struct session *s)
{
	uint32_t pid = s->watched.data[0].pid;
	struct governor *governor = governor_create(s, session_budget(s));
	struct error *err = governor_start(governor);

	s->warden.armed = false;
	session_unset_heap(s, pid);
	s->governor = governor;
	if (!err)
		err = session_set_heap(s, pid);
	if (err)
		return stay(s, err);
	s->skel->bss->hold_births = false;
	session_settle(s);
	session_settle(s);
	hand_over(s, pid);
	s->windows_since_s = session_watched_s(s);
	governor_begin(governor, s->warden.cut_ns, s->warden.debt_ns);
	return NULL;
}

/* --- at the beginning --- */

void session_begin_auto(struct session *s)
{
	if (!s->settings.auto_level || s->settings.pids_count != 1)
		return;
	s->auto_state.first_ns = session_now_ns();
	s->auto_state.first_cpu_ns = cost_process_cpu_ns(s->settings.pids[0]);
}

bool session_begins_in_windows(struct session *s)
{
	const struct auto_state *state = &s->auto_state;
	uint64_t cpu_ns;

	if (!session_may_move(s))
		return false;
	cpu_ns = cost_process_cpu_ns(s->settings.pids[0]) - state->first_cpu_ns;
	return (double)cpu_ns > BUSY * (double)(session_now_ns() - state->first_ns) &&
	       session_suits_windows(s, s->settings.pids[0]);
}

/* Share of the CPU time that recording everything would take; < 0: not known yet. */
static double forecast(const struct session *s)
{
	struct window_pace pace = governor_pace(s->governor);
	double cost = pace.hits_per_s * session_hit_ns(s) / NS_PER_S, share;

	if (!pace.windows)
		return -1;
	share = pace.cpu_share > 0 ? fmin(cost / pace.cpu_share, 1) : cost > 0;
	return pace.windows < LOOK_WINDOWS && share < SURELY * session_budget(s) ? -1 : share;
}

/* What the windows have seen is forgotten: the watch begins here. */
static struct error *begin_exactly(struct session *s)
{
	uint32_t pid = s->watched.data[0].pid;
	struct governor *governor = s->governor;

	governor_stop(governor);
	pthread_mutex_lock(&s->lock);
	s->windowed = false;
	s->governor = NULL;
	pthread_mutex_unlock(&s->lock);
	governor_destroy(governor);
	s->skel->bss->window_nr = 0;
	session_unset_heap(s, pid);
	s->start_ns = session_now_ns();
	return session_set_heap(s, pid);
}

struct error *session_settle_level(struct session *s)
{
	const struct timespec pause = { 0, LOOK_PAUSE_NS };
	double budget = session_budget(s), share = -1;
	uint64_t until = session_now_ns() + (uint64_t)(LOOK_MAX_S * NS_PER_S);

	while (share < 0 && session_now_ns() < until) {
		nanosleep(&pause, NULL);
		session_update_cost(s);
		share = forecast(s);
	}
	if (share >= 0 && share * ROOM < budget)
		return begin_exactly(s);
	if (share >= 0)
		log_info("recording every allocation would take %.0f %% of the target's CPU time, "
			 "more than %g %%: watching in windows (--mode exact does without)",
			 100 * share, 100 * budget);
	return NULL;
}

/* --- later --- */

static void give_up(struct session *s, struct error *err)
{
	log_warn("windows cannot be had, and %s: %s", s->watched.data[0].heap.links.len ?
		 "every allocation is recorded on" : "no allocation is seen any more",
		 err->message);
	error_destroy(err);
	s->auto_state.cannot_move = true;
}

bool session_move_level(struct session *s)
{
	struct error *err;

	s->warden.armed = can_move(s);
	if (!s->warden.armed)
		return false;
	session_update_cost(s);
	if (!s->warden.cut)
		return !session_sampling_would_do(s);
	log_info("recording every allocation takes more than %g %% of the target's CPU time: "
		 "watching in windows from now on (--mode exact goes on)",
		 100 * session_budget(s));
	err = move(s);
	if (err)
		give_up(s, err);
	return true;
}
