// SPDX-License-Identifier: GPL-2.0-or-later
/* The robust fit: what counts as growth, what does not, and how marks thin. */
#include <math.h>

#include "model/growth.h"
#include "tests/unit/model_records.h"

static uint64_t rng_state;

/* Uniform in [-1, 1). */
static double noise(void)
{
	rng_state = rng_state * 6364136223846793005u + 1442695040888963407u;
	return (double)(rng_state >> 11) / (1ull << 52) - 1;
}

static struct trend fit(int64_t (*value)(int i), size_t n)
{
	int64_t values[GROWTH_MARKS];
	double t_s[GROWTH_MARKS];

	rng_state = 42;
	for (size_t i = 0; i < n; i++) {
		t_s[i] = 2.0 * i;
		values[i] = value(i);
	}
	return trend_fit(t_s, values, n);
}

static int64_t line(int i) { return 1000 + 300 * i; }
static int64_t falling(int i) { return 100000 - 300 * i; }
static int64_t flat(int i) { return 5000 + 0 * i; }
static int64_t noisy_leak(int i) { return 100000 * i + 400000 * noise(); }
static int64_t only_noise(int i) { return 1000000 + 400000 * noise() + 0 * i; }
static int64_t saw(int i) { return 1000000 + 200000 * (i % 4); }
static int64_t plateau(int i) { return i < 3 ? 100000 * i : 300000; }
static int64_t outlier(int i) { return i == 7 ? 1000000000 : 1000 * i; }

TEST(line_is_found)
{
	check(fabs(fit(line, 24).per_s - 150) < 1e-9);
	check(fit(line, 24).confidence > 0.9999);
	check(fabs(fit(falling, 23).per_s + 150) < 1e-9);
	check(fit(falling, 23).confidence > 0.9999);
}

TEST(no_change_is_no_growth)
{
	check(fit(flat, 24).per_s == 0);
	check(fit(flat, 24).confidence == 0);
}

TEST(few_values_give_no_confidence)
{
	check(fit(line, 0).per_s == 0);
	check(fit(line, 1).per_s == 0);
	check(fabs(fit(line, 3).per_s - 150) < 1e-9);
	check(fit(line, 3).confidence == 0);
	/* S = 6, variance 4*3*13/18: Z = 5 / 2.944, p = 0.0894. */
	check(fabs(fit(line, 4).confidence - 0.9106) < 0.001);
}

TEST(ties_lower_the_variance)
{
	/* 1 1 2 3 3 4: S = 13, variance (6*5*17 - 2*(2*1*9)) / 18 = 26.33. */
	static const int64_t values[] = { 1, 1, 2, 3, 3, 4 };
	static const double t_s[] = { 0, 1, 2, 3, 4, 5 };
	double z = 12 / sqrt((510 - 36) / 18.0);

	check(fabs(trend_fit(t_s, values, 6).confidence - erf(z / sqrt(2))) < 1e-12);
	/* Slopes sorted: 0 0 .5 .5 .5 .5 .6 .67 .67 .67 .75 1 1 1 1: the middle one. */
	check(fabs(trend_fit(t_s, values, 6).per_s - 2 / 3.0) < 1e-9);
}

TEST(leak_under_noise)
{
	struct trend trend = fit(noisy_leak, 24);

	check(trend.per_s > 35000 && trend.per_s < 65000);
	check(trend.confidence > 0.99);
}

TEST(noise_is_no_leak)
{
	check(fit(only_noise, 24).confidence < 0.95);
}

TEST(saw_tooth_is_no_leak)
{
	check(fit(saw, 24).confidence < 0.9);
	check(fabs(fit(saw, 24).per_s) < 3000);
}

TEST(plateau_has_no_slope)
{
	check(fit(plateau, 24).per_s == 0);
}

TEST(outlier_moves_nothing)
{
	check(fabs(fit(outlier, 24).per_s - 500) < 30);
}

TEST(median_against_sorting)
{
	for (int round = 0; round < 2000; round++) {
		size_t n = 2 + round % 23, pairs = 0;
		double t_s[GROWTH_MARKS], slopes[300], want;
		int64_t values[GROWTH_MARKS];

		rng_state = round;
		for (size_t i = 0; i < n; i++) {
			t_s[i] = i + 0.3 * noise();
			values[i] = round % 3 ? 10 * noise() : 1e9 * noise();
		}
		for (size_t i = 0; i < n; i++) {
			for (size_t j = 0; j < i; j++)
				slopes[pairs++] = (values[i] - values[j]) / (t_s[i] - t_s[j]);
		}
		for (size_t i = 1; i < pairs; i++) {
			for (size_t j = i; j && slopes[j] < slopes[j - 1]; j--) {
				want = slopes[j];
				slopes[j] = slopes[j - 1];
				slopes[j - 1] = want;
			}
		}
		want = (slopes[pairs / 2] + slopes[(pairs - 1) / 2]) / 2;
		if (fabs(trend_fit(t_s, values, n).per_s - want) > 1e-9 * (1 + fabs(want)))
			test_fail("round %d", round);
	}
}

TEST(model_tells_leak_from_plateau)
{
	m_begin();
	for (int i = 0; i < 40; i++) {
		m_alloc(T1, 0x10000 + 64 * i, 1000, S1);
		m_alloc(T1, 0xa0000, 500, S2);
		m_free(T1, 0xa0000);
		if (i == 0)
			m_alloc(T1, 0xb0000, 12345, S3);
		model_mark_time(m, (10 + i) * SECOND);
	}
	check(fabs(m_heap(S1).growth_bytes_per_s - 1000) < 1e-6);
	check(m_heap(S1).growth_confidence > 0.9999);
	check(m_heap(S2).growth_bytes_per_s == 0);
	check(m_heap(S2).growth_confidence == 0);
	check(m_heap(S3).growth_confidence == 0);
	check(fabs(m_totals().m.growth_bytes_per_s - 1000) < 1e-6);
}

TEST(row_born_later_began_at_nothing)
{
	m_begin();
	m_alloc(T1, 0x10000, 10, S1);
	for (int i = 0; i < 10; i++) {
		if (i >= 5)
			m_alloc(T1, 0x20000 + 64 * i, 1000, S2);
		model_mark_time(m, (10 + i) * SECOND);
	}
	check(m_heap(S2).growth_bytes_per_s > 400);
	check(m_heap(S2).growth_confidence > 0.99);
}

TEST(marks_thin_evenly)
{
	struct growth growth = { 0 };
	struct agg agg;

	agg_init(&agg);
	agg_add_row(&agg, agg_add_path(&agg, 0, 0, 0), 0, 0);
	for (uint64_t i = 0; i < 10000; i++) {
		agg_alloc(&agg, 1, 10, 1);
		growth_mark(&growth, (100 + i) * SECOND, &agg);
		check(growth.len <= GROWTH_MARKS);
		check_int(growth.marks[0].time_ns, 100 * SECOND);
		check_int(growth.marks[growth.len - 1].time_ns, (100 + i) * SECOND);
		check_int(growth.marks[growth.len - 1].live[1], 10 * (i + 1));
		for (size_t k = 2; k + 1 < growth.len; k++)
			check_int(growth.marks[k].time_ns - growth.marks[k - 1].time_ns,
				  growth.marks[1].time_ns - growth.marks[0].time_ns);
		if (i > 24)
			check(growth.len > GROWTH_MARKS / 2);
	}
	check(fabs(growth_of_path(&growth, 1).per_s - 10) < 1e-9);
	/* Time that stands still or goes back leaves no mark. */
	growth_mark(&growth, 100 * SECOND, &agg);
	check_int(growth.marks[growth.len - 1].time_ns, (100 + 9999) * SECOND);
	growth_deinit(&growth);
	agg_deinit(&agg);
}
