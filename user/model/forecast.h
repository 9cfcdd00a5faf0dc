/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a quantity is going: how fast it grows now, and whether that is more
 * than chance. It is fed with the quantity over time, of which it keeps a
 * bounded number of points, evenly spaced however long one watches.
 *
 * A plateau is not a leak, so what counts is the present regime: the later
 * half of the time, or less if growth stopped within it. Growth has stopped
 * when the next new high has been outstanding for twice as long as any before
 * it took (a new high is one fiftieth of the half's range above the last). Over
 * the regime the slope is Theil's and Sen's, the confidence Mann's and Kendall's
 * (growth.h); where the last quarter rises more slowly than the half, the
 * quarter's slope is taken, so that what bends towards a plateau is not
 * extrapolated along its steep beginning. A rise of a few pages within the
 * regime is what any program has now and then, and no growth: its confidence
 * is 0.
 */
#ifndef HEAPSONDE_MODEL_FORECAST_H
#define HEAPSONDE_MODEL_FORECAST_H

#include <stddef.h>
#include <stdint.h>

#include "model/growth.h"

#define FORECAST_POINTS 256

struct forecast_point { double t_s; int64_t value; };

/* A zeroed struct knows nothing. */
struct forecast {
	struct forecast_point points[FORECAST_POINTS];
	size_t len;
	double step_s;		/* between points; 0: keep each */
};

/* Times that do not advance are passed over. */
void forecast_add(struct forecast *forecast, double t_s, int64_t value);

/* Slope and confidence of the present regime; zeros with less than four points. */
struct trend forecast_trend(const struct forecast *forecast);

/*
 * Seconds until @room more is used up; -1 where that cannot be foreseen: no
 * growth, or none that is sure (GROWTH_SURE).
 */
double forecast_seconds(struct trend trend, int64_t room);

#endif
