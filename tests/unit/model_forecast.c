// SPDX-License-Identifier: GPL-2.0-or-later
/* Forecasts of series whose course is known: leaks, plateaus, noise. */
#include <math.h>

#include "model/forecast.h"
#include "model/snapshot.h"
#include "tests/unit/test.h"

#define MIB 1048576.0
#define ROOM ((int64_t)(1000 * MIB))

static uint32_t seed;

/* -0.5 to 0.5 */
static double noise(void)
{
	seed = seed * 1103515245 + 12345;
	return (double)(seed >> 8 & 0xffff) / 65536 - 0.5;
}

static double leak(double t) { return 10 * MIB + MIB * t; }
static double flat(double t) { return 10 * MIB; }
static double grows_then_flat(double t) { return leak(t < 60 ? t : 60); }
static double flat_then_grows(double t) { return leak(t < 60 ? 60 : t); }
static double saturates(double t) { return 10 * MIB + 60 * MIB * (1 - exp(-t / 15)); }
static double staircase(double t) { return leak(5 * floor(t / 5)); }
static double noisy_leak(double t) { return leak(t) + 20 * MIB * noise(); }
static double noisy_flat(double t) { return flat(t) + 5 * MIB * noise(); }
static double noisy_plateau(double t) { return grows_then_flat(t) + 2 * MIB * noise(); }
/* A collector's: up for ten seconds, then down again, ... */
static double sawtooth(double t) { return flat(t) + 2 * MIB * fmod(t, 10); }
/* ... and what it leaves grows. */
static double leaky_sawtooth(double t) { return leak(t) + 2 * MIB * fmod(t, 10); }
static double shrinks(double t) { return 200 * MIB - MIB * t; }
/* A page now and then, long after the growth. */
static double trickle(double t) { return grows_then_flat(t) + 4096 * floor(t / 30); }
static double outliers(double t) { return leak(t) + (fmod(t, 17) < 0.3 ? 300 * MIB : 0); }

static struct trend trend_at(double (*course)(double), double seconds, double step)
{
	static struct forecast f;

	f = (struct forecast){ 0 };
	seed = 7;
	for (double t = 0; t <= seconds; t += step)
		forecast_add(&f, t, llround(course(t)));
	check(f.len <= FORECAST_POINTS);
	return forecast_trend(&f);
}

static void check_leak(double (*course)(double), double seconds, double step, double within)
{
	struct trend trend = trend_at(course, seconds, step);
	double left = forecast_seconds(trend, ROOM);

	check(fabs(trend.per_s - MIB) <= within * MIB);
	check(trend.confidence >= GROWTH_SURE);
	check(fabs(left - 1000) <= 1000 * within / (1 - within));
}

static void check_none(double (*course)(double), double seconds, double step)
{
	check(forecast_seconds(trend_at(course, seconds, step), ROOM) < 0);
}

TEST(leaks_reach_the_limit)
{
	check_leak(leak, 2, 0.2, 0.001);
	check_leak(leak, 120, 0.25, 0.001);
	check_leak(leak, 36000, 1, 0.001);
	check_leak(staircase, 120, 0.25, 0.05);
	check_leak(noisy_leak, 120, 0.25, 0.2);
	check_leak(leaky_sawtooth, 120, 0.25, 0.25);
	check_leak(flat_then_grows, 120, 0.25, 0.001);
	check_leak(outliers, 120, 0.25, 0.02);
}

TEST(a_plateau_is_no_leak)
{
	check_none(flat, 120, 0.25);
	check_none(shrinks, 120, 0.25);
	check_none(noisy_flat, 120, 0.25);
	check_none(sawtooth, 120, 0.25);
	check_none(sawtooth, 97, 0.25);
	/* A little after the end of growth, and long after it. */
	for (double t = 66; t < 600; t += 3) {
		check_none(grows_then_flat, t, 0.25);
		check_none(trickle, t, 0.25);
	}
	check_int(llround(trend_at(grows_then_flat, 80, 0.25).per_s), 0);
}

/* Pure chance passes for growth once in a hundred times: that is what the confidence means. */
TEST(noise_seldom_looks_like_growth)
{
	int wrong = 0, all = 0;

	for (double t = 90; t < 600; t += 7, all++)
		wrong += forecast_seconds(trend_at(noisy_plateau, t, 0.25), ROOM) >= 0;
	check(wrong <= all / 30);
}

/* Its steep beginning is not taken for what goes on. */
TEST(what_bends_is_not_extrapolated)
{
	double left = forecast_seconds(trend_at(saturates, 60, 0.25), ROOM);

	/* By the slope at the end, 75 KiB/s, 13,600 s; the beginning would say 250. */
	check(left < 0 || left > 5000);
}

TEST(too_little_to_tell)
{
	check_none(leak, 0.5, 0.25);
	check(forecast_seconds((struct trend){ 0 }, ROOM) < 0);
	check(forecast_seconds((struct trend){ 100, 0.5 }, ROOM) < 0);
	check(forecast_seconds((struct trend){ 100, 1 }, -5) == 0);
}

TEST(time_that_stands_still)
{
	struct forecast f = { 0 };

	for (int i = 0; i < 10; i++)
		forecast_add(&f, 1, i);
	check_int(f.len, 1);
}
