// SPDX-License-Identifier: GPL-2.0-or-later
/* Post-stratification; see window_strata.h. */
#include <math.h>
#include <stdbool.h>

#include "model/window_strata.h"

#define DRAWS_ENOUGH 5
#define RATIO_MAX 1.3
#define SMALL 1040		/* up to here there are many of each, and a few samples ... */
#define SMALL_RATIO_MAX 2	/* ... may speak for their neighbours */
#define READ_ERROR 0.02		/* of a heap that changes while it is read */
#define OLDER_ERROR 0.1		/* of the estimate of what is older */
#define CHUNK 16
#define FACTOR_MAX 5		/* times what a block weighs that it can stand for */

static double target_of(const struct stratum *s)
{
	return fmax(s->held + s->since - s->older - s->exact, 0);
}

double stratum_factor(const struct stratum *s, double *variance_ret)
{
	double target = target_of(s), off = s->estimate - target;
	/* Few blocks say little of how uncertain they are: what is read is a witness. */
	double v1 = fmax(fmax(s->variance, off * off), 1);
	double read = pow(OLDER_ERROR * s->older + READ_ERROR * s->held + CHUNK, 2);
	double v2 = read + s->since_variance;

	*variance_ret = 0;
	if (s->estimate <= 0)
		return 1;
	*variance_ret = 1 / (1 / v1 + 1 / read);
	return fmin((s->estimate / v1 + target / v2) / (1 / v1 + 1 / v2) / s->estimate,
		    FACTOR_MAX);
}

double stratum_unattributed(const struct stratum *s)
{
	double variance, factor = stratum_factor(s, &variance);

	if (s->estimate > 0 && factor < FACTOR_MAX)
		return 0;
	return fmax(target_of(s) - factor * s->estimate, 0);
}

static bool are_far(double first, double bytes)
{
	return bytes > (bytes > SMALL ? RATIO_MAX : SMALL_RATIO_MAX) * first;
}

size_t strata_group(const double *count, const double *bytes, size_t classes,
		    unsigned short *group_ret)
{
	size_t groups = 0, first = 0;
	double sum = 0;

	for (size_t i = 0; i < classes; i++) {
		if (i && (sum >= DRAWS_ENOUGH || are_far(bytes[first], bytes[i]))) {
			groups++;
			first = i;
			sum = 0;
		}
		group_ret[i] = (unsigned short)groups;
		sum += count[i];
	}
	return groups + 1;
}
