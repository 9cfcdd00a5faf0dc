/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Post-stratification of what windows estimate: reading the program's heap says
 * how many bytes chunks of each size hold, of whatever stack, and the
 * estimates of blocks of that size are brought to add up to it (calibration;
 * Deville and Särndal, 1992). Pure functions.
 */
#ifndef HEAPSONDE_MODEL_WINDOW_STRATA_H
#define HEAPSONDE_MODEL_WINDOW_STRATA_H

#include <stddef.h>

/* Chunks of neighbouring size classes, all in bytes. */
struct stratum {
	double held;		/* in use, as read */
	double since;		/* born after that, less what has ended: by windows, ... */
	double since_variance;	/* ... which counts once, whatever else is known */
	double older;		/* of these, estimated to be from before the first window, */
	double exact;		/* ... and to be of blocks whose births are all told */
	double estimate;	/* by windows, of those since */
	double variance;	/* of that */
	double count;		/* blocks behind it */
};

/*
 * What the estimate is to be multiplied by: the mean of both figures by their
 * certainty. The variance of the product's value, but for that since it was read,
 * which both have in common, is in @variance_ret. With no
 * block behind it there is nothing to multiply, and all is unattributed; so is
 * what is too much for those that there are.
 */
double stratum_factor(const struct stratum *s, double *variance_ret);
/* Bytes that are held, are neither older nor exact, and that no block stands for. */
double stratum_unattributed(const struct stratum *s);

/*
 * Groups classes, ascending, so that each group has draws enough to say
 * something, or sizes too far apart: the number of the group of each class.
 * @count has the draws of a class, @bytes its chunk size. Returns how many.
 */
size_t strata_group(const double *count, const double *bytes, size_t classes,
		    unsigned short *group_ret);

#endif
