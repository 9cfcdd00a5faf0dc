// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How the heap of a Go target is watched: each block, or samples, and how many;
 * part of a session, see session_private.h.
 */
#include <inttypes.h>
#include <math.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/log.h"
#include "bpf/go.h"
#include "capture/session_private.h"
#include "heapsonde.skel.h"

struct go_heap *session_go_heap(struct session *s, uint32_t pid)
{
	vec_for_each(heap, &s->go_heaps)
		if (heap->pid == pid)
			return heap;
	return NULL;
}

/* --- probes --- */

/* What was watched under that number, before an exec, is no more. */
static void clear_samples(struct session *s, uint32_t pid)
{
	int fd = bpf_map__fd(s->skel->maps.go_samples);
	const struct go_sample none = { 0 };

	for (uint32_t i = 0; i < GO_SAMPLES; i++) {
		struct go_sample sample;

		if (bpf_map_lookup_elem(fd, &i, &sample) || sample.owner != pid)
			continue;
		bpf_map_update_elem(fd, &i, &none, BPF_ANY);
		__atomic_fetch_sub(&s->skel->bss->go_samples_used, 1, __ATOMIC_SEQ_CST);
	}
}

static uint64_t wanted_mean(const struct session *s, const struct go_heap *heap)
{
	uint64_t mean = s->settings.sample_bytes ? s->settings.sample_bytes :
			go_live_mean(heap->live, &s->runtime.f);

	return mean < GO_MEAN_MAX / heap->thrift ? mean * heap->thrift : GO_MEAN_MAX;
}

static bool publish_target(const struct session *s, const struct go_runtime *go,
			const struct go_heap *heap)
{
	const struct go_layout *l = go_runtime_layout(go);
	const struct go_range *crosscall = &go_runtime_binary(go)->points.crosscall;
	uint32_t pid = go_runtime_pid(go);
	struct go_target target = {
		.mean = wanted_mean(s, heap),
		.refill_mean = fmax((double)wanted_mean(s, heap) * heap->turns.share, 1),
		.crosscall = crosscall->start + go_runtime_bias(go),
		.crosscall_bytes = crosscall->end - crosscall->start,
		.arenas = go_runtime_arenas(go),
		.arena_inline_marks = l->arena_inline_marks > 0 ? l->arena_inline_marks : 0,
		.span_start = l->span_start,
		.span_nelems = l->span_nelems,
		.span_free_index = l->span_free_index,
		.span_alloc_count = l->span_alloc_count,
		.span_elemsize = l->span_elemsize,
		.span_alloc_cache = l->span_alloc_cache,
		.span_alloc_bits = l->span_alloc_bits,
		.span_mark_bits = l->span_mark_bits,
		.wide = go_layout_nelems_size(l) == 8,
	};

	go_live_note_mean(heap->live, target.mean);
	go_live_set_share(heap->live, heap->turns.share);
	return target.arenas &&
	       !bpf_map_update_elem(bpf_map__fd(s->skel->maps.go_targets), &pid, &target, BPF_ANY);
}

bool session_attach_go(struct session *s, const struct go_runtime *go, struct attachment *att,
		       uint64_t vaddr, struct bpf_program *program)
{
	const struct object *object = go_runtime_object(go);
	uint32_t pid = go_runtime_pid(go);
	struct attach_place place = { .cookie = pid };

	return vaddr && object_vaddr_to_offset(object, vaddr, &place.offset) &&
	       attach_places(att, s->method, program, object, pid, &place, 1);
}

static double uptime_s(uint32_t pid)
{
	struct target_state state = { 0 };

	return target_state(pid, &state) && state.uptime_s > 0 ? state.uptime_s : 0;
}

/* Deaths are watched before births. */
static bool attach_sampling(struct session *s, const struct image *image, struct go_heap *heap)
{
	const struct go_points *points = &go_runtime_binary(image->go)->points;
	struct watched *w = session_watched(s, image->pid);

	return points->refill && publish_target(s, image->go, heap) &&
	       session_attach_go(s, image->go, &w->go, points->sweep, s->programs.go_sweep) &&
	       session_attach_go(s, image->go, &w->go, points->large, s->programs.go_large) &&
	       session_begin_go_turns(s, image, heap, uptime_s(image->pid)) &&
	       publish_target(s, image->go, heap);
}

static bool attach_births(struct session *s, const struct go_runtime *go)
{
	const struct go_birth_vec *births = &go_runtime_binary(go)->points.births;
	const struct object *object = go_runtime_object(go);
	uint32_t pid = go_runtime_pid(go);
	__cleanup_free struct attach_place *places = xcalloc(births->len + 1, sizeof(*places));

	for (size_t i = 0; i < births->len; i++) {
		const union go_birth_cookie cookie = {
			.tgid = pid, .slot = births->data[i].slot,
		};

		places[i].cookie = cookie.value;
		if (!object_vaddr_to_offset(object, births->data[i].vaddr, &places[i].offset))
			return false;
	}
	return births->len && attach_places(&session_watched(s, pid)->go_births, s->method,
					    s->programs.go_birth, object, pid, places,
					    births->len);
}

static bool attach_tracking(struct session *s, const struct go_runtime *go)
{
	const struct go_points *points = &go_runtime_binary(go)->points;

	return session_attach_go(s, go, &session_watched(s, go_runtime_pid(go))->go,
				 points->swept, s->programs.go_swept) &&
	       attach_births(s, go);
}

/* --- beginning --- */

/* In place of what an earlier image of the process had. */
static struct go_heap *add_heap(struct session *s, struct image *image)
{
	struct watched *w = session_watched(s, image->pid);
	struct go_heap *heap = session_go_heap(s, image->pid);
	double up_s = uptime_s(image->pid);
	struct go_live *live = go_live_create(image->go, up_s > 0 ?
					      (double)s->runtime.f.TotalAlloc / up_s : 0,
					      s->settings.max_depth);

	image->heap_watched = true;
	go_live_pace(live, &s->runtime.f, session_watched_s(s));
	attachment_deinit(&w->go_births);
	attachment_deinit(&w->go_refill);
	attachment_deinit(&w->go);
	clear_samples(s, image->pid);
	pthread_mutex_lock(&s->lock);
	if (heap)
		go_live_destroy(heap->live);
	else
		heap = go_heap_vec_append(&s->go_heaps);
	*heap = (struct go_heap){ .pid = image->pid, .live = live, .thrift = 1,
				  .turns = { .share = 1 } };
	pthread_mutex_unlock(&s->lock);
	return heap;
}

static void drop_heap(struct session *s, struct image *image)
{
	struct watched *w = session_watched(s, image->pid);
	struct go_heap *heap = session_go_heap(s, image->pid);

	attachment_deinit(&w->go_births);
	attachment_deinit(&w->go_refill);
	attachment_deinit(&w->go);
	image->heap_watched = false;
	pthread_mutex_lock(&s->lock);
	go_live_destroy(heap->live);
	*heap = s->go_heaps.data[--s->go_heaps.len];
	pthread_mutex_unlock(&s->lock);
}

/* Of what it was when the watch began, the programs for Go were of no use. */
static void warn_became_go(const struct image *image)
{
	log_warn("process %" PRIu32 " (%s) has become a Go program (%s): its call paths are not "
		 "seen; watch it anew", image->pid, image->id.comm,
		 go_runtime_version(image->go));
}

static void warn_unseen(const struct image *image)
{
	log_warn("process %" PRIu32 " (%s): the allocator of its Go runtime (%s) cannot be "
		 "probed: its call paths are not seen", image->pid, image->id.comm,
		 go_runtime_version(image->go));
}

void session_sample_go(struct session *s, struct image *image)
{
	struct go_heap *heap;

	if (!s->programs.go_refill) {
		warn_became_go(image);
		return;
	}
	heap = add_heap(s, image);
	if (attach_sampling(s, image, heap))
		return;
	drop_heap(s, image);
	warn_unseen(image);
}

/* The collector's doings are not blocks of the program's. */
static void warn_of_pace(const struct image *image, double per_s)
{
	log_warn("process %" PRIu32 " (%s) allocates %.0f Go objects a second, more than the %d "
		 "for which each is recorded: sampling from now on, its call paths have "
		 "estimates", image->pid, image->id.comm, per_s, GO_EXACT_PER_S);
}

bool session_track_go(struct session *s, struct image *image)
{
	double up_s = uptime_s(image->pid);
	double per_s = up_s > 1 ? (double)s->runtime.f.Mallocs / up_s : 0;
	struct go_heap *heap;

	if (!s->programs.go_birth)
		return false;
	if (per_s > GO_EXACT_PER_S) {
		warn_of_pace(image, per_s);
		return false;
	}
	heap = add_heap(s, image);
	heap->exact = true;
	heap->paced_s = session_watched_s(s);
	if (publish_target(s, image->go, heap) && attach_tracking(s, image->go))
		return true;
	drop_heap(s, image);
	log_warn("process %" PRIu32 " (%s): what its Go runtime (%s) allocates can only be "
		 "sampled: its call paths have estimates", image->pid, image->id.comm,
		 go_runtime_version(image->go));
	return false;
}

/* --- pace and budget --- */

/* Blocks that are known go on being followed to their end; new ones are samples. */
static void begin_sampling(struct session *s, struct image *image, struct go_heap *heap)
{
	attachment_deinit(&session_watched(s, image->pid)->go_births);
	session_drain(s);
	heap->exact = false;
	if (!attach_sampling(s, image, heap)) {
		drop_heap(s, image);
		warn_unseen(image);
	}
}

static void keep_pace(struct session *s, struct image *image, struct go_heap *heap)
{
	double now_s = session_watched_s(s), span_s = now_s - heap->paced_s, per_s;
	int64_t births;

	if (span_s < GO_EXACT_LOOK_S)
		return;
	pthread_mutex_lock(&s->lock);
	births = go_live_births(heap->live);
	pthread_mutex_unlock(&s->lock);
	per_s = (double)(births - heap->paced_births) / span_s;
	heap->paced_s = now_s;
	heap->paced_births = births;
	if (per_s <= GO_EXACT_PER_S)
		return;
	warn_of_pace(image, per_s);
	begin_sampling(s, image, heap);
}

void session_keep_go_pace(struct session *s)
{
	vec_for_each(image, &s->images) {
		struct go_heap *heap = session_go_heap(s, image->pid);

		if (!image->ended && image->heap_watched && heap && heap->exact)
			keep_pace(s, image, heap);
	}
}

void session_end_go_tracking(struct session *s)
{
	vec_for_each(image, &s->images) {
		struct go_heap *heap = session_go_heap(s, image->pid);

		if (!image->ended && image->heap_watched && heap && heap->exact)
			begin_sampling(s, image, heap);
	}
}

#define THRIFT_STEP 4
#define THRIFT_MAX 64	/* more saves nothing: what is left are the traps */

/* The mean of each sampled heap times or (@step < 0) divided by that, within bounds. */
static bool change_thrift(struct session *s, int step)
{
	bool changed = false;

	vec_for_each(image, &s->images) {
		struct go_heap *heap = session_go_heap(s, image->pid);
		uint32_t before;

		if (image->ended || !image->heap_watched || !heap || heap->exact)
			continue;
		before = heap->thrift;
		heap->thrift = step > 0 ? before * (uint32_t)step : before / (uint32_t)-step;
		if (heap->thrift < 1 || heap->thrift > THRIFT_MAX)
			heap->thrift = before;
		if (heap->thrift == before)
			continue;
		publish_target(s, image->go, heap);
		changed = true;
	}
	return changed;
}

bool session_save_go_samples(struct session *s)
{
	return change_thrift(s, THRIFT_STEP);
}

void session_spend_go_samples(struct session *s)
{
	change_thrift(s, -THRIFT_STEP / 2);
}

void session_pace_go(struct session *s, struct image *image, bool last)
{
	struct go_heap *heap = session_go_heap(s, image->pid);

	if (!heap)
		return;
	go_live_pace(heap->live, &s->runtime.f, session_watched_s(s));
	session_pace_go_turns(s, image, heap);
	if (!last)
		publish_target(s, image->go, heap);
}

bool session_samples_go(const struct session *s, int64_t *mean_ret)
{
	vec_for_each(heap, &s->go_heaps) {
		if (heap->exact)
			continue;
		if (mean_ret)
			*mean_ret = (int64_t)wanted_mean(s, heap);
		return true;
	}
	return false;
}

bool session_tracks_go(const struct session *s)
{
	vec_for_each(heap, &s->go_heaps)
		if (heap->exact)
			return true;
	return false;
}
