// SPDX-License-Identifier: GPL-2.0-or-later
/* Series of metrics over time; see history.h. */
#include <string.h>

#include "base/alloc.h"
#include "export/history.h"

struct key { uint64_t id, target_and_kind; };

struct history *history_create(void)
{
	struct history *history = xcalloc(1, sizeof(*history));

	intern_init(&history->keys, sizeof(struct key));
	history_time_vec_push(&history->times, 0);
	return history;
}

void history_destroy(struct history *history)
{
	if (!history)
		return;
	vec_for_each(series, &history->series)
		history_change_vec_deinit(&series->changes);
	history_series_vec_deinit(&history->series);
	history_time_vec_deinit(&history->times);
	intern_deinit(&history->keys);
	free(history);
}

/* The series of @stack, empty if there was none. */
static struct history_series *series_of(struct history *history,
					const struct snapshot_stack *stack)
{
	const struct key key = { stack->id, (uint64_t)stack->target << 32 | stack->kind };
	size_t i = intern_put(&history->keys, &key, NULL);

	if (i == history->series.len)
		history_series_vec_push(&history->series, (struct history_series){ 0 });
	return &history->series.data[i];
}

const struct history_series *history_find(struct history *history,
					  const struct snapshot_stack *stack)
{
	const struct history_series *series = series_of(history, stack);

	return series->changes.len ? series : NULL;
}

static void values_of(const struct metrics *m, int64_t *ret)
{
#define HISTORY_int64_t(name) ret[HISTORY_##name] = m->name;
#define HISTORY_double(name)
#define X(name, type, unit, header, help) HISTORY_##type(name)
	METRICS(X)
#undef X
#undef HISTORY_int64_t
#undef HISTORY_double
}

static void append(struct history *history, struct history_series *series, uint32_t moment,
		   const int64_t *values)
{
	static const int64_t nothing[HISTORY_METRICS_COUNT];
	const size_t size = sizeof(nothing);
	const struct history_change_vec *changes = &series->changes;
	const int64_t *last = changes->len ? changes->data[changes->len - 1].values : nothing;
	struct history_change *change;

	if (!memcmp(last, values, size))
		return;
	change = history_change_vec_append(&series->changes);
	change->moment = moment;
	memcpy(change->values, values, size);
	history->changes++;
}

/* Moves every change to the even moment at or after it, of several to the last one. */
static void halve_series(struct history_series *series)
{
	struct history_change_vec *changes = &series->changes;
	size_t kept = 0;

	for (size_t i = 0; i < changes->len; i++) {
		struct history_change change = changes->data[i];

		change.moment = (change.moment + 1) / 2;
		if (kept && changes->data[kept - 1].moment == change.moment)
			kept--;
		changes->data[kept++] = change;
	}
	changes->len = kept;
	series->seen = (series->seen + 1) / 2;
}

/* The last moment must be an even one, to have somewhere to go. */
static void halve(struct history *history)
{
	history->changes = 0;
	vec_for_each(series, &history->series) {
		halve_series(series);
		history->changes += series->changes.len;
	}
	for (size_t i = 0; i < history->times.len; i += 2)
		history->times.data[i / 2] = history->times.data[i];
	history->times.len = history->times.len / 2 + 1;
}

void history_add(struct history *history, const struct snapshot *snap)
{
	const int64_t nothing[HISTORY_METRICS_COUNT] = { 0 };
	struct history_time_vec *times = &history->times;
	int64_t values[HISTORY_METRICS_COUNT];
	uint32_t moment;

	if (snap->duration_s <= times->data[times->len - 1])
		return;
	if (times->len % 2 && times->len > 2 &&
	    (times->len >= HISTORY_MOMENTS || history->changes > HISTORY_CHANGES))
		halve(history);
	moment = (uint32_t)times->len;
	history_time_vec_push(times, snap->duration_s);
	vec_for_each(stack, &snap->stacks) {
		struct history_series *series = series_of(history, stack);

		values_of(&stack->m, values);
		append(history, series, moment, values);
		series->seen = moment;
	}
	vec_for_each(series, &history->series) {
		if (series->seen != moment)
			append(history, series, moment, nothing);
	}
}
