// SPDX-License-Identifier: GPL-2.0-or-later
/* What Go targets' runtimes know, as part of a session; see session_private.h. */
#include <inttypes.h>
#include <math.h>
#include <time.h>

#include "base/log.h"
#include "capture/session_private.h"

static void settle(struct session *s, uint32_t pid, enum go_settle which)
{
	struct go_heap *heap = session_go_heap(s, pid);

	if (!heap)
		return;
	session_drain(s);
	pthread_mutex_lock(&s->lock);
	go_live_settle(heap->live, s->model, which);
	pthread_mutex_unlock(&s->lock);
}

static void take_event(void *ctx, const struct reclaim_event *event)
{
	model_reclaim(ctx, event);
}

static struct error *read_figures(struct session *s, struct image *image)
{
	struct error *err = session_find_runtime(image);
	struct runtime_figures figures;

	if (!err && image->go)
		err = go_runtime_read(image->go, &figures);
	if (err || !image->go)
		return err;
	s->runtime = (struct snapshot_runtime){
		"go", go_runtime_version(image->go), figures, -1, -1,
	};
	go_runtime_sizes(image->go, s->sizes);
	pthread_mutex_lock(&s->lock);
	go_events_tell(image->go, &figures, &image->pulse, take_event, s->model);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void note_profile(struct session *s, const struct go_profile *profile)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	s->runtime.MemProfileRate = profile->rate;
	if (profile->as_of_ns)
		s->runtime.profile_age_s = (double)now.tv_sec + (double)now.tv_nsec / 1e9 -
					   (double)profile->as_of_ns / 1e9;
}

static void read_heap(struct session *s, struct image *image, bool last)
{
	if (image->heap_watched) {
		session_drain(s);
		session_pace_go(s, image, last);
		settle(s, image->pid, last ? GO_SETTLE_ALL : GO_SETTLE_DUE);
		return;
	}
	if (s->settings.growth)
		return;
	if (!image->heap_known && !last && s->settings.exact && session_track_go(s, image)) {
		image->heap_known = true;
		return;
	}
	if (!go_profile_read(image->go, &image->profile))
		return;
	if (image->profile.rate)
		note_profile(s, &image->profile);
	else if (!image->heap_known && !last)
		session_sample_go(s, image);
	image->heap_known = true;
}

/*
 * What is read is gone for good with a process, so the last figures stay. An error
 * is that it cannot be read at all.
 */
static struct error *read_image_runtime(struct session *s, struct image *image, bool last)
{
	struct error *err = read_figures(s, image);

	if (!err && image->go)
		read_heap(s, image, last);
	if (err && err->code != ERROR_UNSUPPORTED) {
		error_destroy(err);
		return NULL;
	}
	if (err)
		go_runtime_close(steal_ptr(image->go));
	return err;
}

static void warn_of_runtime(const struct image *image, struct error *err)
{
	if (err)
		log_warn("process %" PRIu32 " (%s): it is %s", image->pid, image->id.comm,
			 err->message);
	error_destroy(err);
}

void session_read_runtimes(struct session *s, bool last)
{
	vec_for_each(image, &s->images) {
		if (!image->ended)
			warn_of_runtime(image, read_image_runtime(s, image, last));
		else if (image->heap_watched)
			settle(s, image->pid, GO_SETTLE_ENDED);
	}
}

struct error *session_begin_runtime(struct session *s, struct image *image)
{
	if (image->ended || (!image->go && image->looked_for_go) || image->heap_known ||
	    s->settings.growth)
		return NULL;
	return read_image_runtime(s, image, false);
}

void session_begin_go(struct session *s)
{
	vec_for_each(image, &s->images)
		warn_of_runtime(image, session_begin_runtime(s, image));
}

void session_take_go_record(struct session *s, const struct ev_header *record, size_t size)
{
	struct go_heap *heap = session_go_heap(s, record->tgid);
	struct ev_stack *stack;

	if (!heap)
		return;
	go_live_take(heap->live, s->model, record, size);
	while ((stack = go_live_next_stack(heap->live, &size))) {
		model_feed(s->model, stack, size);
		session_keep_stack(s, stack, size);
		free(stack);
	}
}

void session_add_go_cost(const struct session *s, struct snapshot_cost *cost)
{
	vec_for_each(heap, &s->go_heaps) {
		const struct go_sweeps *sweeps = go_live_sweeps(heap->live);

		cost->gc_looks += sweeps->count;
		cost->gc_look_ns += sweeps->took_ns;
		if (sweeps->longest_ns > cost->gc_look_max_ns)
			cost->gc_look_max_ns = sweeps->longest_ns;
	}
}

void session_free_go(struct session *s)
{
	vec_for_each(heap, &s->go_heaps)
		go_live_destroy(heap->live);
	go_heap_vec_deinit(&s->go_heaps);
}

bool session_has_profile(const struct session *s, int64_t *rate_ret)
{
	vec_for_each(image, &s->images) {
		if (!image->profile.rate || !image->profile.rows.len)
			continue;
		if (rate_ret)
			*rate_ret = image->profile.rate;
		return true;
	}
	return false;
}

/* Sums of independent estimates: their errors add up in squares. */
static void add_metrics(struct metrics *sum, const struct metrics *m)
{
#define ADD(name) sum->name += m->name
	ADD(live_bytes);
	ADD(live_count);
	ADD(alloc_bytes);
	ADD(alloc_count);
	ADD(free_bytes);
	ADD(free_count);
	ADD(peak_live_bytes);
#undef ADD
#define X(name, unit) sum->name##_error = hypot(sum->name##_error, m->name##_error);
	ESTIMATED_METRICS(X)
#undef X
}

void session_add_profile_totals(const struct session *s, struct metrics *total)
{
	vec_for_each(image, &s->images)
		if (image->profile.rate)
			add_metrics(total, &image->profile.total);
}
