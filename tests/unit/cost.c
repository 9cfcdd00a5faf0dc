// SPDX-License-Identifier: GPL-2.0-or-later
/* What hits cost, where some of them cost ten times what others do. */
#include <math.h>

#include "tests/unit/test.h"
#include "capture/cost/cost.h"

static bool is_near(double a, double b)
{
	return fabs(a - b) < 0.01 * b;
}

/* Of all hits a half was single-stepped; each program took 300 ns. */
static void fill(struct cost *cost)
{
	*cost = (struct cost){
		.price = { .emulated_ns = 700, .stepped_ns = 9700 },
		.measured = true, .ns_per_hit = -1, .plain_ns_per_hit = -1, .share = -1,
	};
	cost_update(cost, &(struct cost_counts){
		.hits = 1000, .stepped = 500, .timed_hits = 100, .timed_ns = 30000,
	});
}

TEST(stepped_hits_have_a_price_of_their_own)
{
	struct cost cost;

	fill(&cost);
	check(is_near(cost.ns_per_hit, 5500));
	check(is_near(cost_ns_of(&cost, 1000, 500), 1000 * cost.ns_per_hit));
	check(is_near(cost_ns_of(&cost, 300, 0), 300 * 1000.0));
	check(is_near(cost_ns_of(&cost, 300, 100), 300 * 1000.0 + 100 * 9000.0));
	check(cost_ns_of(&cost, 0, 0) == 0);
}

TEST(what_is_not_known_yet_is_guessed_too_high)
{
	struct cost cost = { .ns_per_hit = -1, .plain_ns_per_hit = -1 };

	check(is_near(cost_ns_of(&cost, 100, 0), 100 * 1500.0));
	check(is_near(cost_ns_of(&cost, 100, 50), 100 * 1500.0));
	/* The machine's own prices are there sooner than what the programs take. */
	cost.price.stepped_ns = 9700;
	cost.price.emulated_ns = 700;
	cost.measured = true;
	check(is_near(cost_ns_of(&cost, 100, 50), 100 * 1500.0 + 50 * 9000.0));
}
