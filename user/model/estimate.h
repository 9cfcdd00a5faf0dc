/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How far sums over sampled blocks may be from the truth.
 *
 * A block that was sampled with probability p stands for 1 / p blocks of its
 * kind (Horvitz and Thompson, 1952), and because blocks are sampled one by
 * one, (1 - p) / p^2 times its squared value is an unbiased estimate of what
 * it adds to the variance. Of few samples that sum says little by itself, most
 * of all when there is none: so the interval is that of a gamma distribution
 * that allows for one more sample as heavy as the heaviest seen (Fay and
 * Feuer, "Confidence intervals for directly standardized rates", 1997).
 */
#ifndef HEAPSONDE_MODEL_ESTIMATE_H
#define HEAPSONDE_MODEL_ESTIMATE_H

#include <stdbool.h>
#include <stdint.h>

/* What one sampled block adds to the variances; zeros: it is told exactly. */
struct variance { float bytes, count; };

struct variance sample_variance(uint64_t size, uint64_t weight);

/* Variances of a row's sums. All zero: they are exact. */
struct spread {
	double live_bytes, live_count, alloc_bytes, alloc_count, temporary_count;
	/* Standard deviations of the heaviest draw: of all, and of what has lived. */
	double heaviest_bytes, heaviest_count;
	double heaviest_live_bytes, heaviest_live_count;
};

void spread_alloc(struct spread *spread, struct variance v);
/* Undoes that: as if it had never been. */
void spread_take(struct spread *spread, struct variance v);
void spread_free(struct spread *spread, struct variance v, bool temporary);
/* Blocks may have been missed that would have added that. */
void spread_missed(struct spread *spread, struct variance v);
/* The spread of two rows' sum. */
void spread_add(struct spread *sum, const struct spread *spread);

/*
 * How far the 95 % interval around @estimate reaches, on the side where that is
 * further, since what is shown is one number; 0: exact.
 */
double estimate_error(double estimate, double variance, double heaviest);

/*
 * The range that a sum of such draws comes from if its mean is @estimate, to @z standard
 * deviations of the normal distribution: what lies in it may be chance.
 */
struct estimate_range { double low, high; };

struct estimate_range estimate_range(double estimate, double variance, double z);

#endif
