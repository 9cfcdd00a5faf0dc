// SPDX-License-Identifier: GPL-2.0-or-later
/* What probes may cost; see budget.h. */
#include <math.h>

#include "capture/cost/budget.h"

#define SHARE_DEFAULT 0.05
/* Some 500 to 1500 pairs of malloc and free a second, at 3 to 10 us a pair. */
#define FLOOR_DEFAULT 0.005

struct budget budget_of(double named)
{
	if (named > 0)
		return (struct budget){ .share = named };
	return (struct budget){ SHARE_DEFAULT, FLOOR_DEFAULT };
}

double budget_earned_ns(const struct budget *budget, double cpu_ns, double wall_ns)
{
	return fmax(budget->share * cpu_ns, budget->floor * wall_ns);
}

double budget_of_core(const struct budget *budget, double cpu_share)
{
	return budget_earned_ns(budget, cpu_share, 1);
}
