// SPDX-License-Identifier: GPL-2.0-or-later
/* Intervals of estimates; see estimate.h. */
#include <math.h>

#include "model/estimate.h"

#define Z975 1.959963985	/* of the normal distribution */

struct variance sample_variance(uint64_t size, uint64_t weight)
{
	double s = size ? (double)size : 1, w = (double)weight;
	double count = w / s, rest = count - floor(count);

	if (weight <= size)
		return (struct variance){ 0 };
	/* The count is a whole number, rounded by a draw of its own. */
	return (struct variance){
		.bytes = size ? (float)(w * (w - s)) : 0,
		.count = (float)(count * (count - 1) + rest * (1 - rest)),
	};
}

void spread_alloc(struct spread *spread, struct variance v)
{
	spread->alloc_bytes += v.bytes;
	spread->alloc_count += v.count;
	spread->live_bytes += v.bytes;
	spread->live_count += v.count;
	spread_missed(spread, v);
}

void spread_missed(struct spread *spread, struct variance v)
{
	spread->heaviest_bytes = fmax(spread->heaviest_bytes, sqrt(v.bytes));
	spread->heaviest_count = fmax(spread->heaviest_count, sqrt(v.count));
	spread->heaviest_live_bytes = fmax(spread->heaviest_live_bytes, sqrt(v.bytes));
	spread->heaviest_live_count = fmax(spread->heaviest_live_count, sqrt(v.count));
}

void spread_take(struct spread *spread, struct variance v)
{
	spread->alloc_bytes -= v.bytes;
	spread->alloc_count -= v.count;
	spread->live_bytes -= v.bytes;
	spread->live_count -= v.count;
}

void spread_free(struct spread *spread, struct variance v, bool temporary)
{
	spread->live_bytes -= v.bytes;
	spread->live_count -= v.count;
	spread->temporary_count += temporary ? v.count : 0;
}

void spread_add(struct spread *sum, const struct spread *spread)
{
	sum->alloc_bytes += spread->alloc_bytes;
	sum->alloc_count += spread->alloc_count;
	sum->live_bytes += spread->live_bytes;
	sum->live_count += spread->live_count;
	sum->temporary_count += spread->temporary_count;
	sum->heaviest_bytes = fmax(sum->heaviest_bytes, spread->heaviest_bytes);
	sum->heaviest_count = fmax(sum->heaviest_count, spread->heaviest_count);
	sum->heaviest_live_bytes = fmax(sum->heaviest_live_bytes, spread->heaviest_live_bytes);
	sum->heaviest_live_count = fmax(sum->heaviest_live_count, spread->heaviest_live_count);
}

/*
 * The quantile at normal deviate @z of a gamma distribution of that mean and
 * variance, by Wilson and Hilferty's cube root (1931).
 */
static double gamma_quantile(double mean, double variance, double z)
{
	double ninth = variance / (9 * mean * mean);	/* 2 / (9 degrees of freedom) */
	double root = 1 - ninth + z * sqrt(ninth);

	return root > 0 ? mean * root * root * root : 0;
}

double estimate_error(double estimate, double variance, double heaviest)
{
	double high;

	if (heaviest <= 0)
		return 0;
	/* Sums of what was added and taken again in another order may miss zero. */
	if (estimate <= 0 || variance < 0)
		variance = 0;
	/* It is skewed: its upper end is never the nearer one. */
	high = gamma_quantile(fmax(estimate, 0) + heaviest, variance + heaviest * heaviest, Z975);
	return high - fmax(estimate, 0);
}

struct estimate_range estimate_range(double estimate, double variance, double z)
{
	if (estimate <= 0)
		return (struct estimate_range){ 0 };
	return (struct estimate_range){ gamma_quantile(estimate, variance, -z),
					gamma_quantile(estimate, variance, z) };
}
