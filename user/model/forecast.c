// SPDX-License-Identifier: GPL-2.0-or-later
/* The fit of the present regime; see forecast.h. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "model/forecast.h"
#include "model/snapshot.h"

#define WINDOW_MIN 8		/* points: less says nothing about growth having stopped */
#define HIGHS 50
#define PATIENCE 2
#define SURE_BEND 0.95
#define RISE_MIN_BYTES 65536.0

/* Every second point goes, and from then on only half as many come. */
static void thin(struct forecast *f)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->len; i += 2)
		f->points[kept++] = f->points[i];
	f->step_s = 0.9 * (f->points[1].t_s - f->points[0].t_s);
	f->len = kept;
}

void forecast_add(struct forecast *f, double t_s, int64_t value)
{
	double last = f->len ? f->points[f->len - 1].t_s : -1;

	if (f->len && (t_s <= last || t_s - last < f->step_s))
		return;
	if (f->len == FORECAST_POINTS)
		thin(f);
	f->points[f->len++] = (struct forecast_point){ t_s, value };
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Medians of equally many neighbours each, so that outliers are gone before the fit. */
static struct trend fit(const struct forecast_point *points, size_t len)
{
	size_t marks = len < GROWTH_MARKS ? len : GROWTH_MARKS;
	int64_t values[GROWTH_MARKS], bin[FORECAST_POINTS];
	double t_s[GROWTH_MARKS];

	for (size_t i = 0; i < marks; i++) {
		size_t from = i * len / marks, to = (i + 1) * len / marks;

		for (size_t k = from; k < to; k++)
			bin[k - from] = points[k].value;
		qsort(bin, to - from, sizeof(bin[0]), by_value);
		values[i] = bin[(to - from) / 2];
		t_s[i] = points[(from + to) / 2].t_s;
	}
	return trend_fit(t_s, values, marks);
}

static int64_t range_of(const struct forecast_point *points, size_t len)
{
	int64_t low = points[0].value, high = low;

	for (size_t i = 1; i < len; i++) {
		low = points[i].value < low ? points[i].value : low;
		high = points[i].value > high ? points[i].value : high;
	}
	return high - low;
}

/*
 * Where the last new high was reached, if the next has been outstanding for
 * too long; else 0, the begin.
 */
static size_t stopped_at(const struct forecast_point *points, size_t len)
{
	int64_t step = range_of(points, len) / HIGHS, high = points[0].value;
	double pause = 0, spacing = (points[len - 1].t_s - points[0].t_s) / (double)(len - 1);
	size_t at = 0;

	for (size_t i = 1; i < len; i++) {
		if (points[i].value <= high + step)
			continue;
		high = points[i].value;
		if (points[i].t_s - points[at].t_s > pause)
			pause = points[i].t_s - points[at].t_s;
		at = i;
	}
	if (pause < 2 * spacing)
		pause = 2 * spacing;
	return points[len - 1].t_s - points[at].t_s > PATIENCE * pause ? at : 0;
}

/* The later half of the points, but no fewer than tell something. */
static size_t window(size_t len)
{
	if (len / 2 >= WINDOW_MIN)
		return len - len / 2;
	return len > WINDOW_MIN ? WINDOW_MIN : len;
}

struct trend forecast_trend(const struct forecast *f)
{
	size_t len = window(f->len), at;
	const struct forecast_point *points = f->points + f->len - len;
	struct trend trend, late;

	if (len < 4)
		return (struct trend){ 0 };
	at = stopped_at(points, len);
	trend = fit(points + at, len - at);
	if (!at && len / 2 >= WINDOW_MIN) {
		late = fit(points + len / 2, len - len / 2);
		if (late.confidence >= SURE_BEND && late.per_s > 0 && late.per_s < trend.per_s)
			trend = late;
	}
	if (fabs(trend.per_s) * (points[len - 1].t_s - points[at].t_s) < RISE_MIN_BYTES)
		trend.confidence = 0;
	return trend;
}

double forecast_seconds(struct trend trend, int64_t room)
{
	if (trend.per_s < 1 || trend.confidence < GROWTH_SURE)
		return -1;
	return room > 0 ? (double)room / trend.per_s : 0;
}
