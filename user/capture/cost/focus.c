// SPDX-License-Identifier: GPL-2.0-or-later
/* Which calls are traced beside windows, and for how long; see focus.h. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/log.h"
#include "capture/session_private.h"
#include "capture/cost/focus.h"
#include "capture/discovery/call_site.h"
#include "heapsonde.skel.h"

#define WINDOWS_MIN 10		/* before that suspects are anybody */
#define PICK_PAUSE_S 1.0
#define COLD_PICKS 5		/* in a row, before a call has to yield to another ... */
#define COLD_TIMES 2		/* ... that grows so many times faster */
#define CREDIT_S 0.25		/* of the budget, that may be spent in advance */
#define HITS_A_BIRTH 2
#define STEPPED_NS 10000	/* as long as nothing is measured */
#define MEMORY_OF_COST 0.8	/* of what a site has cost, from look to look */

void focus_note(struct focus *focus, const struct ev_alloc *birth)
{
	focus->hits += HITS_A_BIRTH;
	vec_for_each(site, &focus->sites)
		if (site->returns_to == birth->weight && !site->until_s) {
			site->births++;
			return;
		}
}

static size_t sites_now(const struct focus *focus)
{
	size_t now = 0;

	vec_for_each(site, &focus->sites)
		now += !site->until_s;
	return now;
}

static struct focus_site *site_at(struct focus *focus, uint64_t returns_to)
{
	vec_for_each(site, &focus->sites)
		if (site->returns_to == returns_to && !site->until_s)
			return site;
	return NULL;
}

/* --- what it is called --- */

struct place {
	const struct mapping *mapping;
	uint64_t vaddr;		/* where the call returns to, in the object */
};

static bool find_place(const struct image *image, uint64_t pc, struct place *ret)
{
	ret->mapping = address_space_find(image->names, pc - 1);
	ret->vaddr = ret->mapping ? pc - ret->mapping->bias : 0;
	return ret->mapping;
}

static const char *name_of(const struct place *place)
{
	const struct object_symbol *symbol = object_find_symbol(place->mapping->object,
								place->vaddr - 1);

	return symbol ? object_demangle(place->mapping->object, symbol) : "code without a name";
}

/* --- a call's probes --- */

static void remove_probes(struct session *s, struct focus_site *site, const char *why)
{
	uint64_t key = site->returns_to;

	attachment_move(&s->retired, &site->probes);
	bpf_map_delete_elem(bpf_map__fd(s->skel->maps.focus_inners), &key);
	pthread_mutex_lock(&s->lock);
	site->until_s = session_watched_s(s);
	site->why = why;
	pthread_mutex_unlock(&s->lock);
}

static union probe_cookie cookie_of(const struct call_site *call, uint32_t pid, bool end,
				    bool inner)
{
	union probe_cookie cookie = { 0 };

	cookie.tgid = pid;
	cookie.func = call->func;
	cookie.kind = end ? PROBE_FOCUS_END : PROBE_FOCUS;
	cookie.size_arg = call->function->size_arg;
	cookie.count_arg = call->function->count_arg;
	cookie.ptr_arg = cookie.pool_arg = PROBE_NO_ARG;
	cookie.awaited = inner;
	cookie.stepped = end ? call->end_stepped : call->call_stepped;
	cookie.object = call->call_bytes;
	return cookie;
}

/* What is behind the call comes first: or a birth could begin whose end is not seen. */
static bool set_probes(struct session *s, const struct object *object, uint32_t pid,
		       const struct call_site *call, bool inner, struct attachment *ret)
{
	const struct attach_place end = {
		call->end_offset, cookie_of(call, pid, true, inner).value };
	const struct attach_place begin = {
		call->call_offset, cookie_of(call, pid, false, inner).value };

	struct bpf_program *behind = programs_behind_calls(s->skel, s->features.preempt_guard);

	return attach_places(ret, s->method, behind, object, pid, &end, 1) &&
	       attach_places(ret, s->method, s->programs.entry, object, pid, &begin, 1);
}

/* --- suspects --- */

/* A call path that grows, and the call of it that would have the probes. */
struct suspect {
	uint64_t returns_to, stack_id;
	struct focus_inner inner;
	uint32_t inner_count;
	double growth;		/* bytes a second: of all paths through the call */
	double births_per_s;	/* the same */
};

DEFINE_VEC(suspect_vec, struct suspect);

/* The innermost call that is not made by an allocator. False if there is none. */
static bool find_call(const struct image *image, const struct model_row *stack,
		      struct suspect *ret)
{
	struct place place;

	for (uint32_t i = 0; i < stack->pc_count && i <= FOCUS_INNER_MAX; i++) {
		if (!find_place(image, stack->pcs[i], &place))
			return false;
		if (!call_site_is_allocators(place.mapping->object, place.vaddr - 1)) {
			ret->returns_to = stack->pcs[i];
			ret->inner_count = i;
			memcpy(ret->inner.pcs, stack->pcs, i * sizeof(stack->pcs[0]));
			return true;
		}
	}
	return false;
}

static struct suspect *suspect_at(const struct suspect_vec *all, uint64_t returns_to)
{
	vec_for_each(suspect, all)
		if (suspect->returns_to == returns_to)
			return suspect;
	return NULL;
}

static void describe(struct session *s, uint64_t stack_id, struct model_row *ret)
{
	*ret = (struct model_row){ 0 };
	pthread_mutex_lock(&s->lock);
	model_describe_stack(s->model, stack_id, ret);
	pthread_mutex_unlock(&s->lock);
}

/* Those that grow, by call. */
static void list_suspects(struct session *s, const struct image *image,
			  const struct window_estimate *estimate, struct suspect_vec *ret)
{
	vec_for_each(row, &estimate->rows) {
		struct suspect suspect = { .stack_id = row->stack_id }, *known;
		struct model_row stack;

		if (row->m.growth_bytes_per_s <= 0 || !row->stack_id)
			continue;
		describe(s, row->stack_id, &stack);
		if (!find_call(image, &stack, &suspect))
			continue;
		known = suspect_at(ret, suspect.returns_to);
		if (!known) {
			suspect_vec_push(ret, suspect);
			known = &ret->data[ret->len - 1];
		}
		known->growth += row->m.growth_bytes_per_s;
	}
}

/* Also of what does not grow: the probes are hit by all that goes through the call. */
static void count_births(struct session *s, const struct window_estimate *estimate,
			 const struct suspect_vec *suspects)
{
	double watched_s = session_watched_s(s) - s->windows_since_s;

	vec_for_each(row, &estimate->rows) {
		struct model_row stack;

		double births = (double)(row->m.alloc_count - row->told_count);

		if (!row->stack_id || births <= 0)
			continue;
		describe(s, row->stack_id, &stack);
		vec_for_each(suspect, suspects)
			if (suspect->inner_count < stack.pc_count &&
			    stack.pcs[suspect->inner_count] == suspect->returns_to)
				suspect->births_per_s += births / watched_s;
	}
}

static int by_growth(const void *a, const void *b)
{
	const struct suspect *x = a, *y = b;

	return (x->growth < y->growth) - (x->growth > y->growth);
}

/* --- the price --- */

/* On the safe side as long as it is not measured. */
static double birth_ns(const struct session *s, const struct call_site *call)
{
	double stepped = s->cost.measured ? s->cost.price.stepped_ns : STEPPED_NS;
	double hit = s->cost.ns_per_hit > 0 ? s->cost.ns_per_hit : session_hit_ns(s);

	return (call->call_stepped ? stepped : 0) + (call->end_stepped ? stepped : 0) +
	       HITS_A_BIRTH * hit;
}

/* Of a core, that all calls may take. */
static double room(const struct session *s)
{
	const struct window_pace pace = governor_pace(s->governor);
	const struct budget budget = session_budget(s);

	return FOCUS_BUDGET * budget_of_core(&budget, pace.cpu_share);
}

/* --- picking --- */

static void give_up_on(struct session *s, const struct suspect *suspect,
		       const struct place *place, const char *why)
{
	map64_set(&s->focus.hopeless, suspect->returns_to, 1);
	log_info("focus: the allocation in %s cannot be traced by itself: %s", name_of(place),
		 why);
}

static void add_site(struct session *s, const struct suspect *suspect,
		     const struct place *place, const struct call_site *call,
		     struct attachment *probes)
{
	struct focus_site site = {
		.returns_to = suspect->returns_to,
		.stack_id = suspect->stack_id,
		.birth_ns = birth_ns(s, call),
	};

	attachment_move(&site.probes, probes);
	pthread_mutex_lock(&s->lock);
	site.since_s = session_watched_s(s);
	focus_site_vec_push(&s->focus.sites, site);
	pthread_mutex_unlock(&s->lock);
	log_info("focus: each allocation by %s in %s is traced from now on",
		 call->function->symbol, name_of(place));
}

/* Before another has to make room for it. */
static bool can_focus_on(struct session *s, const struct image *image,
			 const struct suspect *suspect, struct place *place,
			 struct call_site *call)
{
	const char *why;

	if (map64_get(&s->focus.hopeless, suspect->returns_to) ||
	    !find_place(image, suspect->returns_to, place))
		return false;
	why = call_site_find(place->mapping->object, place->vaddr, call);
	if (!why && suspect->births_per_s * birth_ns(s, call) / NS_PER_S > room(s))
		why = "it is made too often for half of the budget";
	if (why)
		give_up_on(s, suspect, place, why);
	return !why;
}

static void focus_on(struct session *s, const struct image *image,
		     const struct suspect *suspect, const struct place *place,
		     const struct call_site *call)
{
	__cleanup(attachment_deinit) struct attachment probes = { 0 };
	const char *why = NULL;

	if (suspect->inner_count &&
	    bpf_map_update_elem(bpf_map__fd(s->skel->maps.focus_inners), &suspect->returns_to,
				&suspect->inner, BPF_ANY))
		why = "there is no room for more in the kernel";
	/*
	 * Windows need not wait for it. What was born before had the same chance as ever to
	 * be in one, and what is born after is in none.
	 */
	if (!why && !set_probes(s, place->mapping->object, image->pid, call,
				suspect->inner_count, &probes))
		why = "the kernel refuses the probes";
	if (why)
		give_up_on(s, suspect, place, why);
	else
		add_site(s, suspect, place, call, &probes);
}

/* The coldest of all that are in focus, by @suspects; NULL if there is none. */
static struct focus_site *coldest(struct focus *focus, const struct suspect_vec *suspects,
				  double *growth_ret)
{
	struct focus_site *found = NULL;

	vec_for_each(site, &focus->sites) {
		const struct suspect *suspect = suspect_at(suspects, site->returns_to);
		double growth = suspect ? suspect->growth : 0;

		if (site->until_s || (found && growth >= *growth_ret))
			continue;
		found = site;
		*growth_ret = growth;
	}
	return found;
}

/* Calmly: what grows less than another for some time makes room for it. */
static void yield_to(struct session *s, const struct suspect_vec *suspects,
		     const struct suspect *other)
{
	double growth = 0;
	struct focus_site *site = coldest(&s->focus, suspects, &growth);

	if (!site)
		return;
	if (other->growth <= COLD_TIMES * growth) {
		site->cold = 0;
		return;
	}
	if (++site->cold >= COLD_PICKS)
		remove_probes(s, site, "another call path grows faster");
}

static void pick(struct session *s, const struct image *image)
{
	const struct window_estimate *estimate =
		governor_estimate(s->governor, session_now_ns(), false);
	__cleanup(suspect_vec_deinit) struct suspect_vec suspects = { 0 };

	if (estimate->quality.windows < WINDOWS_MIN)
		return;
	list_suspects(s, image, estimate, &suspects);
	if (!suspects.len)
		return;
	count_births(s, estimate, &suspects);
	qsort(suspects.data, suspects.len, sizeof(suspects.data[0]), by_growth);
	vec_for_each(suspect, &suspects) {
		struct call_site call;
		struct place place;

		if (site_at(&s->focus, suspect->returns_to) ||
		    !can_focus_on(s, image, suspect, &place, &call))
			continue;
		if (sites_now(&s->focus) >= s->focus.wanted) {
			yield_to(s, &suspects, suspect);
			return;
		}
		focus_on(s, image, suspect, &place, &call);
	}
}

/* --- the budget --- */

static struct focus_site *dearest(struct focus *focus)
{
	struct focus_site *found = NULL;

	vec_for_each(site, &focus->sites)
		if (!site->until_s && (!found || site->paid_ns > found->paid_ns))
			found = site;
	return found;
}

/* What the sites have cost since the last look. */
static double pay(struct session *s)
{
	double sum = 0;

	pthread_mutex_lock(&s->lock);
	vec_for_each(site, &s->focus.sites) {
		double cost = (double)(site->births - site->settled) * site->birth_ns;

		site->settled = site->births;
		site->paid_ns = MEMORY_OF_COST * site->paid_ns + cost;
		sum += cost;
	}
	pthread_mutex_unlock(&s->lock);
	return sum;
}

/* CPU time that sites may have cost since the last look. */
static double earn(struct session *s, uint32_t pid)
{
	const struct budget budget = session_budget(s);
	struct focus *focus = &s->focus;
	uint64_t cpu_ns = cost_process_cpu_ns(pid), now_ns = session_now_ns();
	double earned = 0;

	if (focus->looked_ns && cpu_ns >= focus->cpu_ns)
		earned = budget_earned_ns(&budget, (double)(cpu_ns - focus->cpu_ns),
					  (double)(now_ns - focus->looked_ns));
	focus->cpu_ns = cpu_ns;
	focus->looked_ns = now_ns;
	return FOCUS_BUDGET * earned;
}

static void keep_share(struct session *s, uint32_t pid)
{
	const struct budget budget = session_budget(s);
	struct focus *focus = &s->focus;
	struct focus_site *site;

	focus->debt_ns = fmax(focus->debt_ns + pay(s) - earn(s, pid), 0);
	if (focus->debt_ns <= CREDIT_S * FOCUS_BUDGET * budget_of_core(&budget, 1) * NS_PER_S)
		return;
	site = dearest(focus);
	if (!site)
		return;
	map64_set(&focus->hopeless, site->returns_to, 1);
	remove_probes(s, site, "it took more than half of the budget");
	log_warn("focus: a call of an allocator at %#" PRIx64 " is made too often for half of "
		 "--max-overhead: it is seen in windows alone again", site->returns_to);
	focus->debt_ns = 0;
}

/* --- for the session --- */

static bool may_focus(const struct session *s)
{
	return s->settings.focus || s->settings.may_focus;
}

static void end_all(struct session *s, const char *why)
{
	vec_for_each(site, &s->focus.sites)
		if (!site->until_s)
			remove_probes(s, site, why);
	if (s->governor)
		governor_share_budget(s->governor, 1);
}

void session_suspend_focus(struct session *s)
{
	vec_for_each(site, &s->focus.sites)
		attachment_move(&s->retired, &site->probes);
	session_finish_removal(s);
}

void session_set_focus(struct session *s, uint64_t calls)
{
	s->focus.wanted = calls;
	s->focus.next_pick_s = 0;
	if (!calls)
		end_all(s, "focus was ended");
}

uint64_t session_focus(const struct session *s)
{
	return s->focus.wanted;
}

void session_keep_focus(struct session *s, double now_s)
{
	struct focus *focus = &s->focus;
	struct image *image;

	if (!s->governor)
		end_all(s, "every allocation is recorded");
	if (!focus->wanted || !s->governor || !may_focus(s))
		return;
	image = session_image(s, governor_pid(s->governor));
	if (!image || image->ended)
		return;
	if (focus->generation != image->generation) {
		end_all(s, "the process runs another program");
		map64_deinit(&focus->hopeless);
		focus->hopeless = (struct map64){ 0 };
		focus->generation = image->generation;
	}
	if (image->go)
		return;
	keep_share(s, image->pid);
	if (now_s >= focus->next_pick_s) {
		focus->next_pick_s = now_s + PICK_PAUSE_S;
		pick(s, image);
		governor_share_budget(s->governor, sites_now(focus) ? 1 - FOCUS_BUDGET : 1);
	}
}

void session_free_focus(struct session *s)
{
	vec_for_each(site, &s->focus.sites)
		attachment_deinit(&site->probes);
	focus_site_vec_deinit(&s->focus.sites);
	map64_deinit(&s->focus.hopeless);
}

/* --- what is told --- */

/* Whether the stack is one of those that go through the call. */
static bool goes_through(const struct model_row *stack, uint64_t returns_to)
{
	for (uint32_t i = 0; i < stack->pc_count && i <= FOCUS_INNER_MAX; i++)
		if (stack->pcs[i] == returns_to)
			return true;
	return false;
}

/* Of several times that the call was in focus, the last. */
static const struct focus_site *last_site_of(const struct focus *focus,
					     const struct model_row *stack)
{
	const struct focus_site *found = NULL;

	vec_for_each(site, &focus->sites)
		if (goes_through(stack, site->returns_to))
			found = site;
	return found;
}

static void tell(struct snapshot *snap, const struct focus_site *site, uint32_t pid,
		 uint64_t stack_id, const struct window_row *row)
{
	char id[17];

	snprintf(id, sizeof(id), "%016" PRIx64, stack_id);
	snapshot_focus_vec_push(&snap->focus, (struct snapshot_focus){
		.stack = snapshot_string(snap, id),
		.pid = pid,
		.since_s = site->since_s,
		.until_s = site->until_s ? site->until_s : -1,
		.why = site->why,
		.alloc_count = row ? row->told_count : 0,
		.alloc_bytes = row ? row->told_bytes : 0,
	});
}

static bool is_told(const struct snapshot *snap, uint64_t stack_id)
{
	char id[17];

	snprintf(id, sizeof(id), "%016" PRIx64, stack_id);
	vec_for_each(focus, &snap->focus)
		if (!strcmp(focus->stack, id))
			return true;
	return false;
}

/* Those with births; then what was chosen, and has had none since. */
void session_add_focus(struct session *s, const struct window_estimate *estimate,
		       struct snapshot *snap)
{
	uint32_t pid = s->governor ? governor_pid(s->governor) : 0;

	for (size_t i = 0; estimate && i < estimate->rows.len; i++) {
		const struct window_row *row = &estimate->rows.data[i];
		const struct focus_site *site;
		struct model_row stack;

		if (!row->exact)
			continue;
		describe(s, row->stack_id, &stack);
		site = last_site_of(&s->focus, &stack);
		if (site)
			tell(snap, site, pid, stack.stack_id, row);
	}
	vec_for_each(site, &s->focus.sites)
		if (!is_told(snap, site->stack_id))
			tell(snap, site, pid, site->stack_id, NULL);
}
