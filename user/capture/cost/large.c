// SPDX-License-Identifier: GPL-2.0-or-later
/* The probe that tells of large requests between windows; see large.h. */
#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/procfs.h"
#include "base/strbuf.h"
#include "capture/session_private.h"
#include "capture/cost/large.h"
#include "capture/cost/large_trial.h"

#define WINDOWS_MIN 3		/* before that nobody knows how many there are */
#define LOOK_PAUSE_S 0.5
#define LOWER_PAUSE_S 2.0	/* before the probe goes to where more pass ... */
#define LOWER_ROOM 0.8		/* ... if they take no more than that of its budget */
#define OVERSPENT_PAUSE_S 10.0	/* the same after it had to go up, or away */
#define CREDIT_S 0.5		/* of the budget, that may be spent in advance */
#define CACHED_MAX 1040		/* bytes of a chunk: these come from a thread's cache as well */

bool large_may_be_told(const struct session *s)
{
	const struct session_settings *settings = &s->settings;

	return s->features.uprobe_multi && s->method != ATTACH_SINGLE &&
	       (settings->windows || (settings->auto_level && !settings->command)) &&
	       !settings->frame_pointers;
}

static bool is_set(const struct large_requests *large)
{
	return large->probe.links.len;
}

static uint64_t above(const struct large_requests *large, size_t step)
{
	uint64_t bytes = large->path.steps[step].above;

	return bytes > CACHED_MAX ? bytes : CACHED_MAX;
}

static double budget_ns_per_s(const struct session *s)
{
	return governor_pace(s->governor).budget_share * NS_PER_S;
}

/* --- where it may stand --- */

/*
 * A thread's cache that takes larger blocks gives them without a look for a chunk. Why
 * it cannot be ruled out; NULL: it can.
 */
static const char *may_cache_larger(uint32_t pid)
{
	static const char tunable[] = "glibc.malloc.tcache_max";
	struct strbuf environment __cleanup_strbuf = { 0 };

	if (procfs_read(pid, "environ", &environment))
		return "its environment, where threads' caches are set, cannot be read";
	if (memmem(environment.data, environment.len, tunable, sizeof(tunable) - 1))
		return "glibc.malloc.tcache_max is set: threads' caches may take them";
	return NULL;
}

/* The C library's malloc of the process, where that is what gives it memory; or NULL. */
static struct object *find_libc(const struct session *s, const struct image *image)
{
	uint64_t pc = governor_malloc_pc(s->governor);
	const struct mapping *mapping = pc ? address_space_find(image->names, pc) : NULL;

	return mapping ? mapping->object : NULL;
}

static void try_path(struct session *s, const struct image *image, struct object *libc)
{
	struct large_requests *large = &s->large;
	const char *why = may_cache_larger(image->pid);

	large->tried = true;
	large->proven = !why && large_path_prove(libc, &large->path, &why);
	if (!large->proven)
		log_info("process %u: large blocks are seen in windows alone: %s", image->pid, why);
}

/* Nanoseconds in a second, if all of them were told. */
static double cost_of(const struct session *s, uint64_t above)
{
	double births = windows_births_above(governor_windows(s->governor), above);
	double watched_s = session_watched_s(s) - s->windows_since_s;

	return watched_s > 0 ? births / watched_s * cost_large_ns(&s->cost) : 0;
}

static bool is_heap_read(struct session *s)
{
	bool is_read;

	pthread_mutex_lock(&s->lock);
	is_read = windows_has_census(governor_windows(s->governor), session_now_ns());
	pthread_mutex_unlock(&s->lock);
	return is_read;
}

/* The lowest of which so much of the budget would pay for all requests; LARGE_STEPS: none. */
static size_t affordable(struct session *s, double part)
{
	double room_ns = part * LARGE_BUDGET * budget_ns_per_s(s);
	size_t step = 0;

	pthread_mutex_lock(&s->lock);
	while (step < LARGE_STEPS && cost_of(s, above(&s->large, step)) > room_ns)
		step++;
	pthread_mutex_unlock(&s->lock);
	return step;
}

/* --- the probe --- */

static void tell_windows(struct session *s, uint64_t above)
{
	pthread_mutex_lock(&s->lock);
	windows_tell_large(governor_windows(s->governor), above);
	pthread_mutex_unlock(&s->lock);
}

static void remove_probe(struct session *s)
{
	if (is_set(&s->large))
		attachment_move(&s->retired, &s->large.probe);
}

static uint64_t cookie_of(uint32_t pid, uint16_t reg)
{
	union probe_cookie cookie = { .tgid = pid, .kind = PROBE_LARGE };

	cookie.site = reg;
	return cookie.value;
}

/* Births are told until the old probe goes, and from when the new one is there. */
static void set_probe(struct session *s, const struct image *image, const struct object *libc,
		      size_t step)
{
	struct bpf_program *program = programs_large(s->skel, s->features.preempt_guard);
	struct large_requests *large = &s->large;
	const struct attach_place place = {
		large->path.steps[step].file_offset, cookie_of(image->pid, large->path.reg) };

	tell_windows(s, 0);
	remove_probe(s);
	if (!attach_places(&large->probe, s->method, program, libc, image->pid, &place, 1)) {
		large->proven = false;
		log_info("process %u: large blocks are seen in windows alone: the kernel refuses "
			 "the probe", image->pid);
		return;
	}
	large->step = step;
	tell_windows(s, above(large, step));
	log_info("process %u: each allocation of more than %zu bytes is told from now on",
		 image->pid, (size_t)above(large, step) - CHUNK_HEAD);
}

static void let_go(struct session *s)
{
	if (is_set(&s->large))
		tell_windows(s, 0);
	remove_probe(s);
}

/* --- its budget --- */

static double spent_ns(struct session *s)
{
	struct large_requests *large = &s->large;
	int64_t hits;

	pthread_mutex_lock(&s->lock);
	hits = large->hits;
	pthread_mutex_unlock(&s->lock);
	hits -= large->paid;
	large->paid += hits;
	return (double)hits * cost_large_ns(&s->cost);
}

static double earned_ns(struct session *s)
{
	struct large_requests *large = &s->large;
	uint64_t now_ns = session_now_ns();
	double passed_s = large->looked_ns ? (double)(now_ns - large->looked_ns) / NS_PER_S : 0;

	large->looked_ns = now_ns;
	return LARGE_MOST * budget_ns_per_s(s) * passed_s;
}

static bool is_overspent(struct session *s)
{
	struct large_requests *large = &s->large;

	large->debt_ns = fmax(large->debt_ns + spent_ns(s) - earned_ns(s), 0);
	if (large->debt_ns <= CREDIT_S * LARGE_MOST * budget_ns_per_s(s))
		return false;
	large->debt_ns = 0;
	return true;
}

static bool has_too_many(struct session *s)
{
	bool too_many;

	pthread_mutex_lock(&s->lock);
	too_many = windows_has_too_many(governor_windows(s->governor));
	pthread_mutex_unlock(&s->lock);
	return too_many;
}

/* --- for the session --- */

static void keep_probe(struct session *s, const struct image *image, const struct object *libc,
		       double now_s)
{
	struct large_requests *large = &s->large;
	bool set = is_set(large), overspent = is_overspent(s);
	size_t step;

	if (set && (overspent || has_too_many(s))) {
		large->not_before_s = now_s + OVERSPENT_PAUSE_S;
		if (large->step + 1 < LARGE_STEPS)
			set_probe(s, image, libc, large->step + 1);
		else
			let_go(s);
		return;
	}
	if (now_s < large->not_before_s)
		return;
	step = affordable(s, large->not_before_s ? LOWER_ROOM : 1);
	if (step == LARGE_STEPS || (set && step >= large->step))
		return;
	set_probe(s, image, libc, step);
	large->not_before_s = now_s + LOWER_PAUSE_S;
}

void session_keep_large(struct session *s, double now_s)
{
	struct large_requests *large = &s->large;
	struct object *libc;
	struct image *image;

	if (!s->governor || !large_may_be_told(s) || now_s < large->next_look_s)
		return;
	large->next_look_s = now_s + LOOK_PAUSE_S;
	image = session_image(s, governor_pid(s->governor));
	if (!image || image->ended)
		return;
	if (large->generation != image->generation) {
		remove_probe(s);
		*large = (struct large_requests){
			.generation = image->generation, .hits = large->hits, .paid = large->hits,
		};
	}
	libc = find_libc(s, image);
	if (!libc || !is_heap_read(s) ||
	    governor_pace(s->governor).windows < WINDOWS_MIN)
		return;
	if (!large->tried)
		try_path(s, image, libc);
	if (large->proven)
		keep_probe(s, image, libc, now_s);
}

void session_suspend_large(struct session *s)
{
	let_go(s);
	session_finish_removal(s);
}

void session_free_large(struct session *s)
{
	attachment_deinit(&s->large.probe);
}
