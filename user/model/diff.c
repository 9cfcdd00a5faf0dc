// SPDX-License-Identifier: GPL-2.0-or-later
/* What changed between two snapshots; see diff.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "model/diff.h"
#include "model/map64.h"

const char *diff_state_name(enum diff_state state)
{
	static const char *const names[] = {
#define X(symbol, name) name,
		DIFF_STATES(X)
#undef X
	};

	return names[state];
}

/* Keys: 64-bit hashes, as the stacks' own ids are. */

static uint64_t mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * 0x9e3779b97f4a7c15;
	return h ^ h >> 32;
}

static uint64_t mix_string(uint64_t h, const char *s)
{
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3;
	return mix(h, 0);
}

/* The build ids of the old snapshot; which of them the new one has as well counts. */
struct builds {
	struct map64 old, both;
	const char *last;	/* the one that was asked for last ... */
	uint64_t last_key;
	bool last_both;		/* ... and whether both snapshots have it */
};

static void builds_deinit(struct builds *b)
{
	map64_deinit(&b->old);
	map64_deinit(&b->both);
}

static uint64_t build_key(const struct frame *frame)
{
	return mix_string(1, frame->build_id);
}

/* Notes the build ids of @snap that @among (NULL: all) has. Equal ones mostly stand in a row. */
static void note_builds(struct map64 *ret, const struct map64 *among, const struct snapshot *snap)
{
	const char *last = NULL;

	vec_for_each(stack, &snap->stacks) {
		const struct frame *frames = snapshot_frames(snap, stack);

		for (uint32_t i = 0; i < stack->frame_count; i++) {
			if (frames[i].build_id != last && frames[i].build_id[0] &&
			    (!among || map64_get(among, build_key(&frames[i]))))
				map64_set(ret, build_key(&frames[i]), 1);
			last = frames[i].build_id;
		}
	}
}

static void builds_init(struct builds *b, const struct snapshot *old, const struct snapshot *new)
{
	*b = (struct builds){ 0 };
	note_builds(&b->old, NULL, old);
	note_builds(&b->both, &b->old, new);
}

/* Frames of one object mostly stand side by side. */
static bool is_in_both(struct builds *builds, const struct frame *frame)
{
	if (frame->build_id != builds->last) {
		builds->last = frame->build_id;
		builds->last_key = build_key(frame);
		builds->last_both = frame->build_id[0] &&
			map64_get(&builds->both, builds->last_key);
	}
	return builds->last_both;
}

static uint64_t mix_frame(uint64_t h, struct builds *builds, const struct frame *frame)
{
	if (is_in_both(builds, frame))
		return frame->inlined ? h : mix(mix(h, builds->last_key), frame->offset);
	h = mix_string(h, frame->module);
	return frame->function ? mix_string(h, frame->function) : mix(h, frame->offset);
}

static uint64_t stack_key(struct builds *builds, const struct snapshot *snap,
			  const struct snapshot_stack *stack, bool by_pid)
{
	const struct frame *frames = snapshot_frames(snap, stack);
	const struct snapshot_target *target = &snap->targets.data[stack->target];
	uint64_t h = by_pid ? mix(stack->kind + 1, target->pid) :
		mix_string(stack->kind + 1, target->comm);

	if (!stack->frame_count)
		return mix(h, stack->id);
	for (uint32_t i = 0; i < stack->frame_count; i++)
		h = mix_frame(h, builds, &frames[i]);
	return h;
}

/* Rows */

static int64_t sum_of(enum metric_unit unit, int64_t a, int64_t b)
{
	return a + b;
}

/* Of ages and confidences the larger one, as of one row. */
static double sum_of_double(enum metric_unit unit, double a, double b)
{
	return unit == UNIT_SECONDS || unit == UNIT_RATIO ? fmax(a, b) : a + b;
}

static void metrics_join(struct metrics *sum, const struct metrics *m)
{
#define X(name, type, unit, header, help)					\
	sum->name = _Generic((type)0, double: sum_of_double, int64_t: sum_of)	\
		(unit, sum->name, m->name);
	METRICS(X)
#undef X
#define X(name, unit) sum->name##_error = hypot(sum->name##_error, m->name##_error);
	ESTIMATED_METRICS(X)
#undef X
}

/* Of two recordings. Two moments of one share samples: then errors are too large. */
static void metrics_subtract(const struct metrics *new, const struct metrics *old,
			     struct metrics *ret)
{
#define X(name, type, unit, header, help) ret->name = new->name - old->name;
	METRICS(X)
#undef X
#define X(name, unit) ret->name##_error = hypot(new->name##_error, old->name##_error);
	ESTIMATED_METRICS(X)
#undef X
}

static void add_stacks(struct diff *diff, struct map64 *by_key, struct builds *builds,
		       const struct snapshot *snap, bool new, bool moments)
{
	vec_for_each(stack, &snap->stacks) {
		uint64_t key = stack_key(builds, snap, stack, moments);
		uint32_t nr = map64_get(by_key, key);
		struct diff_row *row;

		if (!nr) {
			diff_row_vec_push(&diff->rows, (struct diff_row){ .kind = stack->kind });
			nr = (uint32_t)diff->rows.len;
			map64_set(by_key, key, nr);
		}
		row = &diff->rows.data[nr - 1];
		if (row->of != snap) {
			row->of = snap;
			row->stack = stack;
		}
		metrics_join(new ? &row->new : &row->old, &stack->m);
		if (moments)
			row_number_vec_push(new ? &diff->new_rows : &diff->old_rows, nr - 1);
	}
}

static enum diff_state judge(double old, double new)
{
	if (old == new)
		return DIFF_SAME;
	if (old == 0)
		return DIFF_NEW;
	if (new == 0)
		return DIFF_GONE;
	return new > old ? DIFF_GREW : DIFF_SHRANK;
}

static void finish_row(struct diff *diff, struct diff_row *row)
{
	double old = 0, new = 0;

	metrics_subtract(&row->new, &row->old, &row->delta);
	metrics_get(&row->old, diff->metric, &old);
	metrics_get(&row->new, diff->metric, &new);
	row->state = judge(old, new);
	diff->counts[row->state]++;
}

/* Order */

static const char *leaf_name(const struct diff_row *row)
{
	const struct frame *frames = snapshot_frames(row->of, row->stack);

	return row->stack->frame_count && frames->function ? frames->function : "";
}

static int compare_rows(const void *a, const void *b, void *arg)
{
	const struct diff_row *x = a, *y = b;
	const struct metric *metric = arg;
	double dx = metric_value(metric, &x->delta), dy = metric_value(metric, &y->delta);

	if (fabs(dx) != fabs(dy))
		return fabs(dx) < fabs(dy) ? 1 : -1;
	if (dx != dy)
		return dx < dy ? 1 : -1;
	return strcmp(leaf_name(x), leaf_name(y));
}

static struct diff *create(const struct snapshot *old, const struct snapshot *new,
			   const char *metric, bool moments)
{
	struct diff *diff = xcalloc(1, sizeof(*diff));
	struct builds builds __cleanup(builds_deinit);
	struct map64 by_key __cleanup(map64_deinit) = { 0 };

	*diff = (struct diff){ .old = old, .new = new, .metric = metric };
	builds_init(&builds, old, new);
	add_stacks(diff, &by_key, &builds, old, false, moments);
	add_stacks(diff, &by_key, &builds, new, true, moments);
	vec_for_each(row, &diff->rows)
		finish_row(diff, row);
	if (diff->rows.len && !moments)
		qsort_r(diff->rows.data, diff->rows.len, sizeof(*diff->rows.data), compare_rows,
			(void *)metric_find(metric));
	metrics_subtract(&new->totals.m, &old->totals.m, &diff->delta);
	return diff;
}

struct diff *diff_create(const struct snapshot *old, const struct snapshot *new,
			 const char *metric)
{
	return create(old, new, metric, false);
}

struct diff *diff_create_moments(const struct snapshot *old, const struct snapshot *new,
				 const char *metric)
{
	return create(old, new, metric, true);
}

void diff_destroy(struct diff *diff)
{
	if (!diff)
		return;
	diff_row_vec_deinit(&diff->rows);
	row_number_vec_deinit(&diff->old_rows);
	row_number_vec_deinit(&diff->new_rows);
	free(diff);
}
