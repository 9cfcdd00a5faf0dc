// SPDX-License-Identifier: GPL-2.0-or-later
/* What Go targets' runtimes know, as part of a session; see session_private.h. */
#include <inttypes.h>
#include <math.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/log.h"
#include "bpf/go.h"
#include "capture/session_private.h"
#include "heapsonde.skel.h"

static struct go_sampled *find_sampled(struct session *s, uint32_t pid)
{
	vec_for_each(sampled, &s->go_sampled)
		if (sampled->pid == pid)
			return sampled;
	return NULL;
}

/* --- attaching --- */

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

static uint64_t wanted_mean(const struct session *s, const struct go_live *live)
{
	return s->settings.sample_bytes ? s->settings.sample_bytes :
	       go_live_mean(live, &s->runtime.f);
}

static bool publish_target(const struct session *s, const struct go_runtime *go, uint64_t mean)
{
	const struct go_layout *l = go_runtime_layout(go);
	const struct go_range *crosscall = &go_runtime_binary(go)->points.crosscall;
	uint32_t pid = go_runtime_pid(go);
	struct go_target target = {
		.mean = mean,
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

	return target.arenas &&
	       !bpf_map_update_elem(bpf_map__fd(s->skel->maps.go_targets), &pid, &target, BPF_ANY);
}

/* Deaths are watched before births. */
static bool attach_points(struct session *s, const struct go_runtime *go)
{
	const struct go_points *points = &go_runtime_binary(go)->points;
	const struct object *object = go_runtime_object(go);
	uint32_t pid = go_runtime_pid(go);
	struct watched *w = session_watched(s, pid);
	const struct { uint64_t vaddr; struct bpf_program *program; } probes[] = {
		{ points->sweep, s->programs.go_sweep },
		{ points->large, s->programs.go_large },
		{ points->refill, s->programs.go_refill },
	};

	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		uint64_t offset;

		if (!probes[i].vaddr ||
		    !object_vaddr_to_offset(object, probes[i].vaddr, &offset) ||
		    !attach_point(&w->go, s->method, probes[i].program, object, offset, pid)) {
			attachment_deinit(&w->go);
			return false;
		}
	}
	return true;
}

/* Bytes a second since the program began. */
static double past_pace(const struct session *s, uint32_t pid)
{
	struct target_state state = { 0 };

	if (!target_state(pid, &state) || state.uptime_s <= 0)
		return 0;
	return (double)s->runtime.f.TotalAlloc / state.uptime_s;
}

static void drop_sampled(struct session *s, struct image *image)
{
	struct go_sampled *sampled = find_sampled(s, image->pid);

	image->sampled = false;
	pthread_mutex_lock(&s->lock);
	go_live_destroy(sampled->live);
	*sampled = s->go_sampled.data[--s->go_sampled.len];
	pthread_mutex_unlock(&s->lock);
}

/* Samples the allocations of a Go program that does not do so itself, if that can be. */
static void begin_sampling(struct session *s, struct image *image)
{
	struct go_sampled *sampled = find_sampled(s, image->pid);
	struct go_live *live = go_live_create(image->go, past_pace(s, image->pid),
					      s->settings.max_depth);

	image->sampled = true;
	go_live_pace(live, &s->runtime.f, session_watched_s(s));
	clear_samples(s, image->pid);
	pthread_mutex_lock(&s->lock);
	if (sampled)
		go_live_destroy(sampled->live);
	else
		sampled = go_sampled_vec_append(&s->go_sampled);
	*sampled = (struct go_sampled){ image->pid, live };
	pthread_mutex_unlock(&s->lock);
	if (publish_target(s, image->go, wanted_mean(s, live)) && attach_points(s, image->go)) {
		if (s->settings.exact)
			log_warn("process %" PRIu32 " (%s): what a Go runtime allocates can only "
				 "be sampled: its call paths have estimates", image->pid,
				 image->id.comm);
		return;
	}
	drop_sampled(s, image);
	log_warn("process %" PRIu32 " (%s): the allocator of its Go runtime (%s) cannot be "
		 "probed: its call paths are not seen", image->pid, image->id.comm,
		 go_runtime_version(image->go));
}

/* --- reading --- */

static void settle(struct session *s, uint32_t pid, enum go_settle which)
{
	struct go_sampled *sampled = find_sampled(s, pid);

	if (!sampled)
		return;
	session_drain(s);
	pthread_mutex_lock(&s->lock);
	go_live_settle(sampled->live, s->model, which);
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
	if (image->sampled) {
		struct go_sampled *sampled = find_sampled(s, image->pid);

		settle(s, image->pid, last ? GO_SETTLE_ALL : GO_SETTLE_DUE);
		if (sampled)
			go_live_pace(sampled->live, &s->runtime.f, session_watched_s(s));
		if (sampled && !last)
			publish_target(s, image->go, wanted_mean(s, sampled->live));
		return;
	}
	if (s->settings.growth || !go_profile_read(image->go, &image->profile))
		return;
	if (image->profile.rate)
		note_profile(s, &image->profile);
	else if (!image->heap_known && !last)
		begin_sampling(s, image);
	image->heap_known = true;
}

/* What is read is gone for good with a process, so the last figures stay. */
static void read_image_runtime(struct session *s, struct image *image, bool last)
{
	struct error *err = read_figures(s, image);

	if (!err && image->go)
		read_heap(s, image, last);
	if (err && err->code == ERROR_UNSUPPORTED) {
		log_warn("process %" PRIu32 " (%s): %s", image->pid, image->id.comm, err->message);
		go_runtime_close(image->go);
		image->go = NULL;
	}
	error_destroy(err);
}

void session_read_runtimes(struct session *s, bool last)
{
	vec_for_each(image, &s->images) {
		if (!image->ended)
			read_image_runtime(s, image, last);
		else if (image->sampled)
			settle(s, image->pid, GO_SETTLE_ENDED);
	}
}

void session_begin_go(struct session *s)
{
	vec_for_each(image, &s->images)
		if (!image->ended && (image->go || !image->looked_for_go) &&
		    !image->heap_known && !s->settings.growth)
			read_image_runtime(s, image, false);
}

void session_take_go_record(struct session *s, const struct ev_header *record, size_t size)
{
	struct go_sampled *sampled = find_sampled(s, record->tgid);
	struct ev_stack *stack;

	if (!sampled)
		return;
	go_live_take(sampled->live, record, size);
	while ((stack = go_live_next_stack(sampled->live, &size))) {
		model_feed(s->model, stack, size);
		session_keep_stack(s, stack, size);
		free(stack);
	}
}

bool session_samples_go(const struct session *s, int64_t *mean_ret)
{
	if (!s->go_sampled.len)
		return false;
	*mean_ret = (int64_t)wanted_mean(s, s->go_sampled.data[0].live);
	return true;
}

void session_add_go_cost(const struct session *s, struct snapshot_cost *cost)
{
	vec_for_each(sampled, &s->go_sampled) {
		const struct go_sweeps *sweeps = go_live_sweeps(sampled->live);

		cost->gc_looks += sweeps->count;
		cost->gc_look_ns += sweeps->took_ns;
		if (sweeps->longest_ns > cost->gc_look_max_ns)
			cost->gc_look_max_ns = sweeps->longest_ns;
	}
}

void session_free_go(struct session *s)
{
	vec_for_each(sampled, &s->go_sampled)
		go_live_destroy(sampled->live);
	go_sampled_vec_deinit(&s->go_sampled);
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
