/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Growth: how live bytes move over the watched time. Marks are moments at
 * which the live bytes of all paths are noted, one column of values each. There
 * are at most GROWTH_MARKS: when they are full, every second goes and from
 * then on only every second call leaves a lasting one, so memory is bounded
 * and the marks stay even however long one watches. The last mark is always
 * the latest call.
 *
 * The slope is Theil's and Sen's: the median of the slopes between all pairs,
 * which a few outliers do not move. The confidence is 1 - p of the two-sided
 * Mann-Kendall test, its variance corrected for ties (Gilbert, Statistical
 * Methods for Environmental Pollution Monitoring, 1987, chapter 16).
 */
#ifndef HEAPSONDE_MODEL_GROWTH_H
#define HEAPSONDE_MODEL_GROWTH_H

#include <stddef.h>
#include <stdint.h>

#include "model/aggregate.h"

#define GROWTH_MARKS 24

struct trend {
	double per_s;
	double confidence;	/* 0 to 1; 0 with fewer than 4 values or no change */
};

/* Of @n <= GROWTH_MARKS values at strictly increasing times. */
struct trend trend_fit(const double *t_s, const int64_t *values, size_t n);

struct growth_mark {
	uint64_t time_ns;
	int64_t *live;		/* by path */
	uint32_t paths;		/* later paths had no live bytes yet */
};

/* A zeroed struct has no marks. */
struct growth {
	struct growth_mark marks[GROWTH_MARKS];
	size_t len;
	uint64_t calls, stride;	/* every stride-th call leaves a lasting mark */
};

void growth_deinit(struct growth *growth);
/* Ignored if time has not moved on since the last. */
void growth_mark(struct growth *growth, uint64_t time_ns, const struct agg *agg);
/* Path 0 is the total. */
struct trend growth_of_path(const struct growth *growth, uint32_t path);

#endif
