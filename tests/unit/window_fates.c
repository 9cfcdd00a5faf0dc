// SPDX-License-Identifier: GPL-2.0-or-later
/* Fates of blocks against a simulation in which the truth is known. */
#include <math.h>
#include <string.h>

#include "tests/unit/test.h"
#include "model/window_fates.h"

static uint64_t seed;

static double draw(void)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return ((double)(seed >> 11) + 0.5) / (double)(1ull << 53);
}

static double exponential(double mean)
{
	return -log(draw()) * mean;
}

TEST(bins_lie_end_to_end)
{
	check_int(fate_bin(0), 0);
	for (int i = 1; i < FATE_BINS - 1; i++) {
		check_int(fate_bin(fate_bin_low_s(i) * 1.0001), i);
		check_int(fate_bin(fate_bin_low_s(i + 1) * 0.9999), i);
		check(fate_bin_middle_s(i) > fate_bin_low_s(i));
	}
	check_int(fate_bin(1e12), FATE_BINS - 1);
}

/* How long an end stays unnoticed; a share of them does for ever. */
struct noticing { double delay_s, never; };

static double draw_delay(struct noticing noticing)
{
	return draw() < noticing.never ? HUGE_VAL : exponential(noticing.delay_s);
}

/* Controls, watched for @watched_s. */
static void simulate_controls(int count, struct noticing noticing, double watched_s,
			      struct fate_counts *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (int i = 0; i < count; i++) {
		double age = draw() * watched_s, delay = draw_delay(noticing);

		if (delay < age)
			ret->noticed[fate_bin(delay)]++;
		else
			ret->waiting[LOOKS_UNKNOWN][fate_bin(age)]++;
	}
}

TEST(delays_are_found_though_some_still_wait)
{
	struct fate_counts controls;
	struct delay_curve curve;

	seed = 1;
	simulate_controls(20000, (struct noticing){ 2, 0 }, 10, &controls);
	delay_fit(&controls, &curve);
	for (double t = 0.1; t < 6; t *= 1.5)
		check(fabs(delay_at(&curve, t) - exp(-t / 2)) < 0.03);
	check(fabs(delay_mean_s(&curve) - 2) < 0.3);
}

/* What a watch of blocks shows, and how many of those unnoticed are alive, by bin. */
struct simulated {
	struct fate_counts seen;
	double alive[FATE_BINS];
};

static void simulate_blocks(int count, double immortal, double life_s, struct noticing noticing,
			    double watched_s, struct simulated *ret)
{
	for (int i = 0; i < count; i++) {
		double age = draw() * watched_s;
		double life = draw() < immortal ? HUGE_VAL : exponential(life_s);
		double noticed = life + draw_delay(noticing);

		if (noticed < age) {
			ret->seen.noticed[fate_bin(noticed)]++;
			continue;
		}
		ret->seen.waiting[LOOKS_UNKNOWN][fate_bin(age)]++;
		ret->alive[fate_bin(age)] += life > age;
	}
}

static double estimated_alive(const struct simulated *sim, const struct fate_kernel *kernel)
{
	const struct fate_evidence evidence = fate_evidence(kernel, NULL);
	struct fate fate;
	double sum = 0;

	fate_init(&fate);
	fate_fit(&fate, &sim->seen, &evidence, NULL, 0, 150);
	for (int i = 0; i < FATE_BINS; i++)
		sum += sim->seen.waiting[LOOKS_UNKNOWN][i] *
		       fate_alive(&fate, &evidence, i, LOOKS_UNKNOWN);
	return sum;
}

static void check_alive(double immortal, double life_s, struct noticing noticing,
			double tolerance)
{
	static struct fate_kernel kernel;
	struct simulated sim = { 0 };
	struct fate_counts controls;
	struct delays delays;
	double truth = 0, unnoticed = 0, estimate;

	simulate_controls(20000, noticing, 60, &controls);
	delay_fit(&controls, &delays.early);
	delays.late = delays.early;
	fate_kernel_init(&kernel, &delays);
	simulate_blocks(20000, immortal, life_s, noticing, 60, &sim);
	for (int i = 0; i < FATE_BINS; i++) {
		truth += sim.alive[i];
		unnoticed += sim.seen.waiting[LOOKS_UNKNOWN][i];
	}
	estimate = estimated_alive(&sim, &kernel);
	if (fabs(estimate - truth) > tolerance * truth)
		test_fail("%g of %g unnoticed live, said are %g (immortal %g, life %g, delay %g, "
			  "never %g)", truth, unnoticed, estimate, immortal, life_s,
			  noticing.delay_s, noticing.never);
}

TEST(ghosts_are_told_from_the_living)
{
	seed = 2;
	/* A leak among what dies at once. */
	check_alive(0.05, 0.1, (struct noticing){ 2, 0 }, 0.10);
	check_alive(0.5, 3, (struct noticing){ 5, 0 }, 0.10);
	/* Deaths are noticed at once. */
	check_alive(0.02, 0.02, (struct noticing){ 0.001, 0 }, 0.10);
	check_alive(0.2, 10, (struct noticing){ 4, 0 }, 0.12);
}

/* Their places are taken by blocks of the same size that stay. */
TEST(ghosts_that_nobody_will_ever_notice_are_told_too)
{
	seed = 3;
	check_alive(0.1, 0.1, (struct noticing){ 0.05, 0.4 }, 0.15);
	check_alive(0.3, 2, (struct noticing){ 0.5, 0.6 }, 0.15);
}

TEST(nothing_seen_says_nothing)
{
	static struct fate_kernel kernel;
	struct fate_counts none = { 0 };
	struct fate_evidence evidence;
	struct delays delays;
	struct fate fate;
	double alive;

	delay_fit(&none, &delays.early);
	check(delay_at(&delays.early, 100) == 1);
	delays.late = delays.early;
	fate_kernel_init(&kernel, &delays);
	fate_init(&fate);
	evidence = fate_evidence(&kernel, NULL);
	fate_fit(&fate, &none, &evidence, NULL, 0, 10);
	alive = fate_alive(&fate, &evidence, 10, LOOKS_UNKNOWN);
	check(alive > 0 && alive <= 1);
}

TEST(the_prior_speaks_where_there_is_little)
{
	static struct fate_kernel kernel;
	struct fate_counts few = { 0 };
	struct fate pool = { .lives = 1 }, fate;
	struct delays delays = { 0 };
	struct fate_evidence evidence;

	delays.early.unnoticed[0] = delays.late.unnoticed[0] = 1;
	fate_kernel_init(&kernel, &delays);
	few.noticed[5] = 1;
	fate_init(&fate);
	evidence = fate_evidence(&kernel, NULL);
	fate_fit(&fate, &few, &evidence, &pool, 1, 50);
	check(fabs(fate.lives - 0.5) < 0.05);
}

/* Ends are noticed so late that at no age anybody can be sure: but those that were, are. */
TEST(what_was_noticed_has_died_however_late_that_is_noticed)
{
	static struct fate_kernel kernel;
	struct fate_counts controls, seen = { 0 };
	struct fate_evidence evidence;
	struct delays delays;
	struct fate fate;

	seed = 4;
	simulate_controls(20000, (struct noticing){ 20, 0 }, 60, &controls);
	delay_fit(&controls, &delays.early);
	delays.late = delays.early;
	fate_kernel_init(&kernel, &delays);
	evidence = fate_evidence(&kernel, NULL);
	seen.noticed[25] = 30;
	seen.noticed[28] = 20;
	fate_init(&fate);
	fate_fit(&fate, &seen, &evidence, NULL, 0, 60);
	check(fate.lives < 0.01);
	check(fate_life(&fate, 60).mean_s < fate_bin_low_s(29));
}
