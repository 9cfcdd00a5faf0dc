// SPDX-License-Identifier: GPL-2.0-or-later
/* What probes may cost a target. */
#include <math.h>

#include "tests/unit/test.h"
#include "capture/cost/budget.h"

#define SECOND 1e9

static bool near(double a, double b)
{
	return fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b));
}

TEST(what_was_named_is_kept_exactly_however_little_the_target_uses)
{
	struct budget budget = budget_of(0.02);

	check(near(budget_earned_ns(&budget, 0.5 * SECOND, SECOND), 0.01 * SECOND));
	check(near(budget_earned_ns(&budget, 1e-4 * SECOND, SECOND), 2e-6 * SECOND));
	check(budget_earned_ns(&budget, 0, SECOND) == 0);
	check(budget_of_core(&budget, 0) == 0);
}

TEST(where_none_was_named_some_of_a_core_is_always_there)
{
	struct budget budget = budget_of(0);

	check(near(budget_earned_ns(&budget, SECOND, SECOND), 0.05 * SECOND));
	check(near(budget_earned_ns(&budget, 0, SECOND), 0.005 * SECOND));
	/* From a tenth of a core on the share is more. */
	check(near(budget_of_core(&budget, 0.1), 0.005));
	check(near(budget_of_core(&budget, 0.2), 0.01));
	check(near(budget_of_core(&budget, 4), 0.2));
}
