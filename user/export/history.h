/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the metrics of every stack went over time, for exports that show more
 * than one moment. Snapshots are added as they are taken or read back; none of
 * them is kept. Only changes are stored, and when they or the moments become
 * too many every other moment is forgotten: what changed there shows at the
 * next one. So memory is bounded, and values at a moment that is left are exact.
 */
#ifndef HEAPSONDE_EXPORT_HISTORY_H
#define HEAPSONDE_EXPORT_HISTORY_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/intern.h"
#include "base/vec.h"
#include "model/snapshot.h"

#define HISTORY_MOMENTS 480		/* kept at most */
#define HISTORY_CHANGES 300000		/* of all stacks, beyond which moments go */

/* The metrics that count: those of METRICS that are int64_t. */
enum history_metric {
#define HISTORY_int64_t(name) HISTORY_##name,
#define HISTORY_double(name)
#define X(name, type, unit, header, help) HISTORY_##type(name)
	METRICS(X)
#undef X
#undef HISTORY_int64_t
#undef HISTORY_double
	HISTORY_METRICS_COUNT
};

/* The values from this moment on until the next change. */
struct history_change {
	uint32_t moment;
	int64_t values[HISTORY_METRICS_COUNT];
};

DEFINE_VEC(history_change_vec, struct history_change);

/* One stack; before its first change all its values are 0. */
struct history_series {
	struct history_change_vec changes;
	uint32_t seen;			/* moment at which it was last there */
};

DEFINE_VEC(history_series_vec, struct history_series);
DEFINE_VEC(history_time_vec, double);

struct history {
	struct history_time_vec times;	/* of the moments, s; the first is 0: attach */
	struct intern keys;		/* target, id and kind to number of the series */
	struct history_series_vec series;
	size_t changes;
};

struct history *history_create(void);
void history_destroy(struct history *history);
DEFINE_CLEANUP(struct history *, history_destroy);

/* One moment more; ignored unless it is later than the last one. */
void history_add(struct history *history, const struct snapshot *snap);

/* NULL if no snapshot that was added had this stack. */
const struct history_series *history_find(struct history *history,
					  const struct snapshot_stack *stack);

#endif
