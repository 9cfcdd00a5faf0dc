// SPDX-License-Identifier: GPL-2.0-or-later
/* Which allocations are recorded, changed while targets run; see session.h. */
#include <math.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/log.h"
#include "capture/session_private.h"
#include "heapsonde.skel.h"

/* struct sample_key of bpf/sampling.bpf.h */
struct sample_key {
	uint64_t addr;
	uint32_t tgid, pad;
};

/* filter_of() of bpf/sampling.bpf.h */
static uint32_t *filter_of(const struct session *s, uint64_t addr)
{
	uint32_t *filter = s->skel->bss->sample_filter;
	size_t len = sizeof(s->skel->bss->sample_filter) / sizeof(*filter);

	return &filter[(addr & UINT64_MAX >> 8) * 0x9e3779b97f4a7c15 >> (64 - __builtin_ctzl(len))];
}

/*
 * From now on the kernel tells of this block's end. One whose end it has told
 * in this moment stays there for nothing, until another has its address.
 */
static void tell_end(void *arg, uint32_t tgid, uint64_t addr)
{
	struct session *s = arg;
	struct sample_key key = { .addr = addr, .tgid = tgid };
	uint8_t value = 1;
	int err;

	/* Counted first, or a free in between would miss it. */
	__atomic_fetch_add(filter_of(s, addr), 1, __ATOMIC_SEQ_CST);
	err = bpf_map_update_elem(bpf_map__fd(s->skel->maps.live_samples), &key, &value,
				  BPF_NOEXIST);
	if (!err)
		return;
	__atomic_fetch_sub(filter_of(s, addr), 1, __ATOMIC_SEQ_CST);
	if (err != -EEXIST)
		s->untold_ends++;
}

/*
 * No block is missed: new ones are sampled at once, while the ends of all are
 * told until what was known before has been thinned.
 */
static void begin_sampling(struct session *s, uint64_t mean)
{
	s->skel->bss->sampling_begins = true;
	s->skel->bss->sample_bytes = mean;
	/* Twice: a call that began before may just have put its birth aside. */
	session_settle(s);
	session_settle(s);
	pthread_mutex_lock(&s->lock);
	model_thin(s->model, mean, tell_end, s);
	pthread_mutex_unlock(&s->lock);
	s->skel->bss->sampling_begins = false;
}

/* Whoever has begun a call while samples were told of is done with it. */
static void forget_samples(struct session *s)
{
	int map = bpf_map__fd(s->skel->maps.live_samples);
	struct sample_key key;

	session_settle(s);
	session_settle(s);
	while (!bpf_map_get_next_key(map, NULL, &key))
		if (bpf_map_delete_elem(map, &key))
			break;
	memset(s->skel->bss->sample_filter, 0, sizeof(s->skel->bss->sample_filter));
}

bool session_can_sample(const struct session *s)
{
	return !s->governor && bpf_map__max_entries(s->skel->maps.live_samples) > 1;
}

bool session_probes_allocations(const struct session *s)
{
	return s->watches_functions && session_has_probes(s);
}

void session_set_sampling(struct session *s, uint64_t mean)
{
	uint64_t before = s->sample_bytes;

	const char *level = session_level(s);

	if (mean == before || (mean && !session_can_sample(s)))
		return;
	s->sample_bytes = mean;
	s->sampled |= mean != 0;
	if (mean && !before)
		begin_sampling(s, mean);
	else
		s->skel->bss->sample_bytes = mean;
	if (!mean)
		forget_samples(s);
	session_note_level(s, level);
}

/* --- the budget ----------------------------------------------------------- */

#define BUDGET_LOOK_S 0.2

/* The programs are timed anew for each look: what a hit costs changes with the level. */
static void begin_look(struct session *s)
{
	s->budget_from = cost_mark(&s->cost);
	session_time_programs(s);
	s->next_budget_s = session_watched_s(s) + BUDGET_LOOK_S;
}

/* How long ago the last one was. */
static double look_s(const struct session *s)
{
	return session_watched_s(s) - s->next_budget_s + BUDGET_LOOK_S;
}

/* One level lower, and what that is; false if there is none. */
static bool lower_level(struct session *s, double share, double max)
{
	bool all_of_c = !s->sample_bytes && session_probes_allocations(s);
	bool all_of_go = session_tracks_go(s);

	if (all_of_c || all_of_go) {
		log_warn("recording every allocation takes %.1f %% of the target's CPU time, more "
			 "than %g (--max-overhead): sampling from now on", 100 * share, 100 * max);
		if (all_of_c)
			session_set_sampling(s, SESSION_SAMPLE_BYTES);
		session_end_go_tracking(s);
		return true;
	}
	if (session_save_go_samples(s)) {
		if (!s->told_of_saving)
			log_warn("sampling takes %.1f %% of the target's CPU time, more than "
				 "--max-overhead %g: fewer samples of its Go heap from now on",
				 100 * share, 100 * max);
		s->told_of_saving = true;
		return true;
	}
	log_warn("even %s takes %.1f %% of the target's CPU time, more than --max-overhead "
		 "%g: the watching ends here",
		 s->settings.growth ? "the kernel's ledger" : "sampling", 100 * share, 100 * max);
	return false;
}

#define ROOM_TO_SPARE 0.5	/* of the budget that is used when more samples are taken again */
#define CREDIT_NS 1e9		/* of CPU time, where nobody has named a budget */

/* Where auto has a budget of its own: C's allocators of processes that are attached to. */
static bool has_own_budget(const struct session *s)
{
	if (!s->settings.auto_level || s->settings.command || !session_can_sample(s))
		return false;
	vec_for_each(image, &s->images)
		if (image->go)
			return false;
	return session_probes_allocations(s);
}

/*
 * Since the last look @share was taken of the CPU time. A budget that was given is
 * kept at each look; of auto's own so much may be overspent, and where sampling is
 * too dear as well, that is told and goes on.
 */
static bool is_too_dear(struct session *s, double share)
{
	double cpu_ns = (double)(s->cost.cpu_ns - s->budget_from.cpu_ns);
	const struct budget budget = session_budget(s);

	if (s->settings.max_share > 0)
		return share > budget.share;
	s->overspent_ns = fmax(s->overspent_ns + share * cpu_ns -
			       budget_earned_ns(&budget, cpu_ns, look_s(s) * NS_PER_S), 0);
	if (s->overspent_ns < CREDIT_NS)
		return false;
	s->overspent_ns = 0;
	if (s->sample_bytes && !s->told_of_saving)
		log_warn("even sampling takes %.1f %% of the target's CPU time: --max-overhead "
			 "bounds it", 100 * share);
	s->told_of_saving |= s->sample_bytes != 0;
	return !s->sample_bytes;
}

/* All is recorded again where that has fitted into the budget for long enough. */
static void come_back(struct session *s, double share)
{
	double cpu_s = (double)(s->cost.cpu_ns - s->budget_from.cpu_ns) / NS_PER_S;

	if (!s->auto_state.chosen_sampling || !s->sample_bytes ||
	    !session_has_fitted(s, session_sampling_leaves_room(s, share, cpu_s / look_s(s))))
		return;
	session_tell_of_return(s);
	session_set_sampling(s, 0);
	s->auto_state.chosen_sampling = false;
	s->auto_state.risen_s = session_watched_s(s);
}

static bool lower(struct session *s, double share)
{
	bool sampled = s->sample_bytes;

	if (!lower_level(s, share, session_budget_share(s)))
		return false;
	s->auto_state.chosen_sampling |= s->settings.auto_level && !sampled && s->sample_bytes;
	session_note_fall(s);
	return true;
}

bool session_keep_budget(struct session *s)
{
	double max = s->settings.max_share, share;

	if (s->governor || session_watched_s(s) < s->next_budget_s ||
	    (max <= 0 && !has_own_budget(s)))
		return true;
	session_update_cost(s);
	share = cost_share_since(&s->cost, &s->budget_from);
	if (share < 0)
		return true;
	if (!is_too_dear(s, share))
		come_back(s, share);
	else if (!lower(s, share))
		return false;
	if (share < ROOM_TO_SPARE * max)
		session_spend_go_samples(s);
	session_update_cost(s);
	begin_look(s);
	return true;
}
