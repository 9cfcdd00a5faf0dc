// SPDX-License-Identifier: GPL-2.0-or-later
/* Post-stratification: what is read of the heap corrects what windows say. */
#include <math.h>

#include "tests/unit/test.h"
#include "model/window_strata.h"

static double corrected(const struct stratum *s)
{
	double variance;

	return s->estimate * stratum_factor(s, &variance) + stratum_unattributed(s);
}

TEST(sums_are_brought_to_what_is_held)
{
	const struct stratum vague = { .held = 1e6, .estimate = 5e5, .variance = 1e11 };
	const struct stratum too_high = { .held = 1e6, .estimate = 4e6, .variance = 4e12 };

	check(fabs(corrected(&vague) - 1e6) < 3e4);
	check(fabs(corrected(&too_high) - 1e6) < 3e4);
}

TEST(few_blocks_do_not_outweigh_the_walk)
{
	/* One block of little weight says that it is sure; what is held says it is not. */
	const struct stratum one = { .held = 3e6, .estimate = 1000, .variance = 1e6 };

	check(fabs(corrected(&one) - 3e6) < 9e4);
	check(stratum_unattributed(&one) > 2.9e6);
}

TEST(what_is_older_is_not_ours)
{
	const struct stratum s = { .held = 1e6, .older = 9e5, .estimate = 1e5, .variance = 1e10 };
	double variance;

	check(fabs(s.estimate * stratum_factor(&s, &variance) - 1e5) < 2e4);
	check(sqrt(variance) < 1.2e5);
}

/* A heap that was read when there was little else than is older. */
TEST(what_came_since_it_was_read_is_as_sure_as_windows_are)
{
	const struct stratum s = {
		.held = 1e6, .older = 1e6, .since = 9e6, .since_variance = 1e12,
		.estimate = 9e6, .variance = 1e12,
	};
	const struct stratum shrunk = { .held = 1e6, .since = -4e5 };
	double variance;

	check(fabs(s.estimate * stratum_factor(&s, &variance) - 9e6) < 1e5);
	check(stratum_unattributed(&shrunk) == 6e5);
}

TEST(without_blocks_all_is_unattributed)
{
	const struct stratum s = { .held = 5e5, .older = 1e5 };

	check(stratum_unattributed(&s) == 4e5);
}

TEST(groups_have_blocks_enough_or_sizes_alike)
{
	const double bytes[] = { 32, 48, 64, 80, 1000, 1010, 1020 };
	const double count[] = { 9, 1, 1, 9, 1, 1, 9 };
	unsigned short group[7];
	size_t groups = strata_group(count, bytes, 7, group);

	check(group[0] != group[1]);		/* enough by itself */
	check(group[3] != group[4]);		/* sizes too far apart */
	check(group[4] == group[5] && group[5] == group[6]);
	check_int(groups, group[6] + 1);
}
