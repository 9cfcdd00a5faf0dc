// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * --mode auto: every allocation is recorded as long as that keeps the budget. A
 * target that is busy when it is met is seen through a few short windows first,
 * which say what recording would cost. Where it costs too much, windows watch
 * (windows.h), and take over what was live; where it no longer would, all is
 * recorded again, and the windows' estimates go into the model.
 *
 *	exact, sampled -- warden.h: overspent --> windows
 *	windows -- they say that it would keep the budget --> exact, sampled
 *	exact <-- the same --> sampled, where the budget was given
 */
#include <math.h>
#include <stdlib.h>

#include "base/log.h"
#include "capture/cost/choice.h"
#include "capture/session_private.h"
#include "heapsonde.skel.h"

#define SAMPLING_SAVES 0.3	/* of what exact costs, at least */
#define SAMPLING_AT 0.25	/* of the credit: it costs nothing to begin with that */
#define SAMPLES_MAX 32768	/* when sampling begins; half of what has room (session.c) */
#define FOLLOWED_MAX 500000	/* of the blocks that are live then; windows.c thins them */

#define LOOK_WINDOWS 3		/* of which the first is but a millisecond */
#define LOOK_MAX_S 0.8
#define LOOK_LEAST 2		/* have to do where there are no more, on a busy machine */
#define LOOK_PAUSE_NS 5000000
#define SURELY 4.0		/* times the budget: one window is enough to say so */
#define ROOM 1.25		/* that a forecast leaves below the budget */
#define HOLD_MAX_S 60.0		/* where that was believed in vain before */
#define IN_VAIN_S 30.0
#define LAST_S 60.0		/* what fits on credit must do so for so long */
#define HOLD_S 2.0		/* that recording all must have kept the budget */

static bool describes(const struct session_settings *settings)
{
	return settings->allocators && settings->allocators->described.len;
}

/* What is known of the target before it has probes. */
bool session_may_move(const struct session *s)
{
	const struct session_settings *settings = &s->settings;

	return settings->auto_level && !settings->command && !settings->children &&
	       settings->pids_count == 1 && !settings->min_size && !describes(settings) &&
	       settings->max_size == UINT64_MAX && s->method != ATTACH_SINGLE;
}

/* What windows can watch: one process, and a heap by malloc and its kin. */
static bool can_move(const struct session *s)
{
	if (!session_may_move(s) || s->auto_state.cannot_move || s->governor ||
	    s->watches_reports || !s->watches_functions)
		return false;
	vec_for_each(image, &s->images)
		if (image->go)
			return false;
	return s->watched.len == 1;
}

struct budget session_budget(const struct session *s)
{
	return budget_of(s->settings.max_share);
}

double session_budget_share(const struct session *s)
{
	return session_budget(s).share;
}

double session_hit_ns(const struct session *s)
{
	return s->auto_state.hit_ns > 0 ? s->auto_state.hit_ns : COST_HIT_NS_UNKNOWN;
}

bool session_sampling_would_do(const struct session *s)
{
	return s->settings.max_share > 0 && session_can_sample(s) && !s->sample_bytes &&
	       s->warden.share > 0 &&
	       s->warden.share * (1 - SAMPLING_SAVES) < session_budget_share(s);
}

static void update_price(struct session *s)
{
	session_update_cost(s);
	s->auto_state.hit_ns = cost_hit_ns_since(&s->cost, &s->auto_state.from);
}

/* The level is another one now, and owes what the one before has left. */
static void begin_level(struct session *s, const char *before, double debt_ns)
{
	warden_begin_level(&s->warden, debt_ns);
	session_update_cost(s);
	s->auto_state.from = cost_mark(&s->cost);
	s->auto_state.fits_since_s = 0;
	session_time_programs(s);
	session_note_level(s, before);
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
	windows_add_known(in->windows, given,
			  (in->random >> 33) % in->stride ? 0 : in->stride, in->now_ns);
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
	const char *before = session_level(s);

	s->warden.armed = false;
	session_unset_heap(s, pid);
	s->governor = governor;
	if (!err)
		err = session_set_heap(s, pid);
	if (err)
		return stay(s, err);
	s->auto_state.holds = s->skel->bss->hold_births;
	s->skel->bss->hold_births = false;
	session_set_sampling(s, 0);
	session_settle(s);
	session_settle(s);
	hand_over(s, pid);
	s->windows_since_s = session_watched_s(s);
	s->auto_state.windows_ns = s->warden.cut_ns;
	governor_begin(governor, s->warden.cut_ns, s->warden.debt_ns);
	begin_level(s, before, 0);
	return NULL;
}

static void give_up(struct session *s, const char *what, struct error *err)
{
	log_warn("%s, and %s: %s", what, s->watched.data[0].heap.links.len ?
		 "every allocation is recorded on" : "no allocation is seen any more",
		 err->message);
	error_destroy(err);
	s->auto_state.cannot_move = true;
}

/* --- at the beginning --- */

void session_begin_auto(struct session *s)
{
	s->auto_state.hold_s = HOLD_S;
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
	return (double)cpu_ns > CHOICE_BUSY * (double)(session_now_ns() - state->first_ns) &&
	       session_suits_windows(s, s->settings.pids[0]);
}

/*
 * Whether so much of what recording everything costs would keep the budget, or
 * overspend it too slowly to matter.
 */
static bool would_fit(const struct session *s, const struct window_pace *pace, double part)
{
	double cost_ns = part * pace->hits_per_s * session_hit_ns(s) * ROOM;
	const struct budget budget = session_budget(s);
	double earned_ns = budget_of_core(&budget, pace->cpu_share) * NS_PER_S;

	return cost_ns - earned_ns < warden_credit_ns(s) / LAST_S;
}

/* Share of the CPU time that recording everything would take. */
static double forecast(const struct session *s, const struct window_pace *pace)
{
	double cost = pace->hits_per_s * session_hit_ns(s) / NS_PER_S;

	return pace->cpu_share > 0 ? fmin(cost / pace->cpu_share, 1) : cost > 0;
}

/* A window is enough to see what is much too dear. */
static bool says_enough(const struct session *s, const struct window_pace *pace)
{
	return pace->windows >= LOOK_WINDOWS ||
	       (pace->windows && forecast(s, pace) > SURELY * session_budget_share(s) &&
		!would_fit(s, pace, 1));
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

/* The watch begins where windows do: none stands for what was before, rates would be too low. */
static void begin_in_windows(struct session *s)
{
	uint64_t since_ns = governor_pace(s->governor).since_ns;

	if (since_ns)
		s->start_ns = s->auto_state.windows_ns = since_ns;
}

struct error *session_settle_level(struct session *s)
{
	const struct timespec pause = { 0, LOOK_PAUSE_NS };
	uint64_t until = session_now_ns() + (uint64_t)(LOOK_MAX_S * NS_PER_S);
	struct window_pace pace = { 0 };

	s->auto_state.holds = s->skel->bss->hold_births;
	s->auto_state.windows_ns = s->start_ns;
	while (!says_enough(s, &pace) && session_now_ns() < until) {
		nanosleep(&pause, NULL);
		update_price(s);
		pace = governor_pace(s->governor);
	}
	if (pace.windows >= LOOK_LEAST && would_fit(s, &pace, 1))
		return begin_exactly(s);
	if (pace.windows && !would_fit(s, &pace, 1))
		log_info("recording every allocation would take %.0f %% of the target's CPU time, "
			 "more than %g %%: watching in windows (--mode exact does without)",
			 100 * forecast(s, &pace), 100 * session_budget_share(s));
	begin_in_windows(s);
	return NULL;
}

void session_await_windows(struct session *s)
{
	const struct timespec pause = { 0, LOOK_PAUSE_NS };
	uint64_t until = session_now_ns() + (uint64_t)(LOOK_MAX_S * NS_PER_S);

	/* A command has yet to load what windows would see. */
	while (governor_has_probes(s->governor) && !governor_pace(s->governor).since_ns &&
	       session_now_ns() < until)
		nanosleep(&pause, NULL);
	begin_in_windows(s);
}

/* --- later: up --- */


/* As windows would say it. */
static struct window_pace sampled_pace(const struct session *s)
{
	return (struct window_pace){
		.windows = LOOK_WINDOWS,
		.hits_per_s = s->warden.share * NS_PER_S / session_hit_ns(s) /
			      (1 - SAMPLING_SAVES),
		.cpu_share = s->warden.share > 0 ? 1 : 0,
	};
}

bool session_has_fitted(struct session *s, bool fits)
{
	struct auto_state *state = &s->auto_state;
	double now_s = session_watched_s(s);

	if (!fits) {
		state->fits_since_s = 0;
		return false;
	}
	if (!state->fits_since_s)
		state->fits_since_s = now_s;
	return now_s - state->fits_since_s >= state->hold_s;
}

static bool has_fitted(struct session *s, const struct window_pace *pace, double part)
{
	return session_has_fitted(s, pace->windows >= LOOK_WINDOWS && pace->debt_ns <= 0 &&
				  would_fit(s, pace, part));
}

bool session_sampling_leaves_room(const struct session *s, double share, double cpu_share)
{
	const struct budget budget = session_budget(s);
	double cost = share / (1 - SAMPLING_SAVES) * ROOM * cpu_share;

	return (cost - budget_of_core(&budget, cpu_share)) * NS_PER_S <
	       warden_credit_ns(s) / LAST_S;
}

void session_tell_of_return(const struct session *s)
{
	log_info("recording every allocation would keep the budget of %g %% of the target's CPU "
		 "time, and begins", 100 * session_budget_share(s));
}

void session_note_fall(struct session *s)
{
	struct auto_state *state = &s->auto_state;
	bool in_vain = state->risen_s > 0 && session_watched_s(s) - state->risen_s < IN_VAIN_S;

	state->hold_s = in_vain ? fmin(2 * state->hold_s, HOLD_MAX_S) : HOLD_S;
	state->fits_since_s = 0;
}

static void sample(struct session *s)
{
	s->auto_state.chosen_sampling = true;
	session_set_sampling(s, SESSION_SAMPLE_BYTES);
	begin_level(s, "sampled", s->warden.debt_ns);
}

struct taking { struct model *model; uint32_t pid; };

static void take_row(void *arg, const struct given_row *row)
{
	struct taking *taking = arg;

	model_take_row(taking->model, taking->pid, row);
}

static void take_back_block(void *arg, const struct given_block *block)
{
	struct taking *taking = arg;

	model_take_block(taking->model, taking->pid, block);
}

/*
 * Records that come from here on wait until the model knows what windows have seen.
 * Windows stood for the time until their last period's end; what passed since, or was
 * still to come of it, is taken for as busy.
 */
static void take_back(struct session *s, const struct window_pace *pace)
{
	struct windows *windows = governor_windows(s->governor);
	struct taking taking = { s->model, governor_pid(s->governor) };
	const struct windows_heir heir = { take_row, take_back_block, &taking };
	uint64_t now = session_now_ns(), begun = s->auto_state.windows_ns;
	double stretch = pace->stands_until_ns > begun ?
		(double)(now - begun) / (double)(pace->stands_until_ns - begun) : 1;
	double peak;

	model_begin_taking(s->model);
	peak = windows_give(windows, now, stretch, &heir);
	model_end_taking(s->model, peak);
}

static struct error *rise(struct session *s)
{
	struct governor *governor = s->governor;
	uint32_t pid = governor_pid(governor);
	struct window_pace pace;
	struct error *err;

	governor_stop(governor);
	pace = governor_pace(governor);
	s->warden.cut = false;
	s->auto_state.rising = true;
	session_unset_heap(s, pid);
	err = session_set_heap(s, pid);
	s->auto_state.rising = false;
	session_settle(s);
	pthread_mutex_lock(&s->lock);
	s->skel->bss->window_nr = 0;
	take_back(s, &pace);
	s->windowed = false;
	s->governor = NULL;
	pthread_mutex_unlock(&s->lock);
	governor_destroy(governor);
	s->skel->bss->hold_births = s->auto_state.holds;
	s->sampled = true;
	s->auto_state.risen_s = session_watched_s(s);
	begin_level(s, "windows", 0);
	return err;
}

/* There is room in the kernel for the ends of so many. */
static bool has_room_for_samples(struct session *s)
{
	bool room;

	pthread_mutex_lock(&s->lock);
	room = model_live_count(s->model, s->warden.pid) < SAMPLES_MAX;
	pthread_mutex_unlock(&s->lock);
	return room;
}

/* From windows, which say what all else would cost. */
static void look_up(struct session *s)
{
	const double sampled = 1 - SAMPLING_SAVES;
	struct window_pace pace = governor_pace(s->governor);
	bool can_sample = s->settings.max_share > 0, exactly;
	struct error *err;

	update_price(s);
	if (!has_fitted(s, &pace, can_sample ? sampled : 1))
		return;
	exactly = would_fit(s, &pace, 1);
	log_info("%s would keep the budget of %g %% of the target's CPU time, and begins",
		 exactly ? "recording every allocation" : "sampling",
		 100 * session_budget_share(s));
	err = rise(s);
	if (err)
		give_up(s, "the probes cannot be set", err);
	else if (!exactly && has_room_for_samples(s))
		sample(s);
}

/* --- later: down, and between what is probed all the time --- */

static void go_down(struct session *s)
{
	struct error *err;

	log_info("%s takes more than %g %% of the target's CPU time: watching in windows from "
		 "now on (--mode exact goes on)",
		 s->sample_bytes ? "sampling" : "recording every allocation",
		 100 * session_budget_share(s));
	session_note_fall(s);
	err = move(s);
	if (err)
		give_up(s, "windows cannot be had", err);
}

static void look_sideways(struct session *s)
{
	const struct window_pace pace = sampled_pace(s);

	if (!s->sample_bytes) {
		if (warden_owes(s) > SAMPLING_AT * warden_credit_ns(s) &&
		    session_sampling_would_do(s) && has_room_for_samples(s)) {
			log_info("recording every allocation takes %.1f %% of the target's CPU "
				 "time, more than --max-overhead %g: sampling from now on",
				 100 * s->warden.share, 100 * session_budget_share(s));
			sample(s);
		}
		return;
	}
	if (!s->auto_state.chosen_sampling || !has_fitted(s, &pace, 1))
		return;
	session_tell_of_return(s);
	session_set_sampling(s, 0);
	s->auto_state.chosen_sampling = false;
	s->auto_state.risen_s = session_watched_s(s);
	begin_level(s, "sampled", s->warden.debt_ns);
}

bool session_move_level(struct session *s)
{
	if (s->governor && session_may_move(s)) {
		look_up(s);
		return true;
	}
	s->warden.armed = can_move(s);
	if (!s->warden.armed)
		return session_may_move(s) && session_all_ended(s);
	update_price(s);
	s->budget_from = cost_mark(&s->cost);
	if (s->warden.cut)
		go_down(s);
	else
		look_sideways(s);
	return true;
}
