// SPDX-License-Identifier: GPL-2.0-or-later
/* Snapshots, their order, and metrics by name; see snapshot.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strpool.h"
#include "model/account_kinds.h"
#include "model/snapshot.h"

const char *memory_kind_name(enum memory_kind kind)
{
	static const char *const names[MEMORY_KINDS_COUNT] = {
		[MEMORY_HEAP] = "heap",
		[MEMORY_MMAP] = "mmap",
		[MEMORY_BRK] = "brk",
		[MEMORY_PROFILE] = "profile",
		[MEMORY_GROWTH] = "growth",
	};

	return kind < MEMORY_KINDS_COUNT ? names[kind] : "unknown";
}

struct snapshot *snapshot_create(void)
{
	struct snapshot *snap = xcalloc(1, sizeof(*snap));

	atomic_init(&snap->refs, 1);
	snap->strings = strpool_create();
	snap->version = snap->mode = snap->stack_mode = snapshot_string(snap, "");
	snap->sample_bytes = -1;
	snap->loss.complete = true;
	snap->memory = (struct snapshot_memory){
#define X(name) .name = -1,
		PROCESS_FIGURES(X)
#undef X
		.limit_bytes = -1, .limit_used_bytes = -1, .limit_kind = snap->version,
		.seconds_to_limit = -1,
	};
	snap->cost.probe_ns_per_hit = snap->cost.target_cpu_share = -1;
	snap->cost.ledger_ns_per_hit = snap->cost.ns_per_slowed_call = -1;
	return snap;
}

struct snapshot *snapshot_ref(struct snapshot *snap)
{
	if (snap)
		atomic_fetch_add(&snap->refs, 1);
	return snap;
}

void snapshot_destroy(struct snapshot *snap)
{
	if (!snap || atomic_fetch_sub(&snap->refs, 1) > 1)
		return;
	strpool_destroy(snap->strings);
	frame_store_destroy(snap->store);
	snapshot_destroy(snap->origin);
	snapshot_target_vec_deinit(&snap->targets);
	snapshot_stack_vec_deinit(&snap->stacks);
	frame_vec_deinit(&snap->frames);
	snapshot_share_vec_deinit(&snap->shares);
	snapshot_thread_vec_deinit(&snap->threads);
	snapshot_reclaim_vec_deinit(&snap->reclaim);
	snapshot_account_vec_deinit(&snap->account);
	snapshot_process_vec_deinit(&snap->processes);
	snapshot_account_vec_deinit(&snap->process_account);
	snapshot_cgroup_vec_deinit(&snap->cgroups);
	snapshot_census_vec_deinit(&snap->census);
	snapshot_census_class_vec_deinit(&snap->census_classes);
	snapshot_sample_vec_deinit(&snap->timeline);
	runtime_size_vec_deinit(&snap->sizes);
	snapshot_mark_vec_deinit(&snap->marks);
	snapshot_level_vec_deinit(&snap->levels);
	snapshot_focus_vec_deinit(&snap->focus);
	free(snap);
}

#define COPY_VEC(name, to, from)					\
	do {								\
		*(to) = (struct name){ 0 };				\
		vec_for_each(item, from)				\
			name##_push(to, *item);				\
	} while (0)

struct snapshot *snapshot_derive(struct snapshot *origin)
{
	struct snapshot *snap = xmalloc(sizeof(*snap));

	*snap = *origin;
	atomic_init(&snap->refs, 1);
	snap->strings = strpool_create();
	snap->store = frame_store_ref(origin->store);
	snap->origin = snapshot_ref(origin);
	snap->stacks = (struct snapshot_stack_vec){ 0 };
	snap->frames = (struct frame_vec){ 0 };
	snap->shares = (struct snapshot_share_vec){ 0 };
	snap->threads = (struct snapshot_thread_vec){ 0 };
	COPY_VEC(snapshot_target_vec, &snap->targets, &origin->targets);
	COPY_VEC(snapshot_reclaim_vec, &snap->reclaim, &origin->reclaim);
	COPY_VEC(snapshot_account_vec, &snap->account, &origin->account);
	COPY_VEC(snapshot_process_vec, &snap->processes, &origin->processes);
	COPY_VEC(snapshot_account_vec, &snap->process_account, &origin->process_account);
	COPY_VEC(snapshot_cgroup_vec, &snap->cgroups, &origin->cgroups);
	COPY_VEC(snapshot_census_vec, &snap->census, &origin->census);
	COPY_VEC(snapshot_census_class_vec, &snap->census_classes, &origin->census_classes);
	COPY_VEC(snapshot_sample_vec, &snap->timeline, &origin->timeline);
	COPY_VEC(runtime_size_vec, &snap->sizes, &origin->sizes);
	COPY_VEC(snapshot_mark_vec, &snap->marks, &origin->marks);
	COPY_VEC(snapshot_level_vec, &snap->levels, &origin->levels);
	COPY_VEC(snapshot_focus_vec, &snap->focus, &origin->focus);
	return snap;
}

bool snapshot_is_growth(const struct snapshot *snap)
{
	return !strcmp(snap->mode, "growth");
}

bool snapshot_in_focus(const struct snapshot *snap, const struct snapshot_stack *stack)
{
	char id[17];

	snprintf(id, sizeof(id), "%016" PRIx64, stack->id);
	vec_for_each(focus, &snap->focus)
		if (focus->until_s < 0 && !strcmp(focus->stack, id))
			return true;
	return false;
}

size_t snapshot_focused(const struct snapshot *snap)
{
	size_t count = 0;

	vec_for_each(focus, &snap->focus)
		count += focus->until_s < 0;
	return count;
}

const char *snapshot_metric(const struct snapshot *snap, const char *metric)
{
	if (snapshot_is_growth(snap) && !strcmp(metric, "live_bytes"))
		return "resident_bytes";
	return metric;
}

struct snapshot *snapshot_without_growth(const struct snapshot *snap)
{
	/* It takes a reference, which is no change that one sees. */
	struct snapshot *ret = snapshot_derive((struct snapshot *)snap);

	vec_for_each(stack, &snap->stacks) {
		struct snapshot_stack copy = *stack;

		if (stack->kind == MEMORY_GROWTH)
			continue;
		copy.shared_frames = snapshot_frames(snap, stack);
		snapshot_stack_vec_push(&ret->stacks, copy);
	}
	return ret;
}

const char *snapshot_string(struct snapshot *snap, const char *s)
{
	return s ? strpool_intern(snap->strings, s) : NULL;
}

struct sort_key {
	double value;
	size_t position;	/* before, so that equals keep their order */
};

static int compare_keys(const void *a, const void *b)
{
	const struct sort_key *x = a, *y = b;

	if (x->value != y->value)
		return x->value < y->value ? 1 : -1;
	return x->position < y->position ? -1 : 1;
}

void snapshot_sort(struct snapshot *snap, const char *metric)
{
	size_t len = snap->stacks.len;
	struct sort_key *keys __cleanup_free = xcalloc(len, sizeof(*keys));
	struct snapshot_stack *sorted;

	for (size_t i = 0; i < len; i++) {
		keys[i].position = i;
		if (!metrics_get(&snap->stacks.data[i].m, metric, &keys[i].value))
			return;
	}
	qsort(keys, len, sizeof(*keys), compare_keys);
	sorted = xcalloc(len, sizeof(*sorted));
	for (size_t i = 0; i < len; i++)
		sorted[i] = snap->stacks.data[keys[i].position];
	free(snap->stacks.data);
	snap->stacks.data = sorted;
	snap->stacks.cap = len;
}

bool metrics_get(const struct metrics *m, const char *name, double *ret)
{
#define X(metric, type, unit, header, help)	\
	if (!strcmp(name, #metric)) {		\
		*ret = (double)m->metric;	\
		return true;			\
	}
	METRICS(X)
#undef X
	return false;
}

const char *metrics_names(void)
{
#define X(metric, type, unit, header, help) ", " #metric
	return &METRICS(X)[2];
#undef X
}

/* Whether Go code asked for it. */
static bool is_of_go(const struct snapshot *snap, const struct snapshot_stack *stack)
{
	const struct frame *frames = snapshot_frames(snap, stack);
	const char *file = stack->frame_count ? frames[0].file : NULL;
	size_t len = file ? strlen(file) : 0;

	return len > 3 && !strcmp(file + len - 3, ".go");
}

static int64_t live_in_c(const struct snapshot *snap)
{
	int64_t sum = 0;

	vec_for_each(stack, &snap->stacks)
		if (stack->kind == MEMORY_HEAP && !is_of_go(snap, stack))
			sum += stack->m.live_bytes;
	return sum;
}

int64_t snapshot_c_heap_bytes(const struct snapshot *snap)
{
	/* All live blocks are on the first line, those of a runtime among them. */
	static const char *const kinds[] = {
#define X(symbol, name, heap) heap ? name : NULL,
		ACCOUNT_LINES(X)
#undef X
	};
	int64_t sum = 0, live = live_in_c(snap);

	vec_for_each(line, &snap->account) {
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
			if (!kinds[i] || strcmp(line->kind, kinds[i]))
				continue;
			sum += !i && live < line->bytes ? live : line->bytes;
		}
	}
	return sum;
}
