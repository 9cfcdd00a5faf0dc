// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The arithmetic of sampling against floating point: intervals, weights, and
 * what is estimated from them. Random numbers come from a fixed seed.
 */
#include <math.h>

#include "bpf/sample.h"
#include "model/estimate.h"
#include "tests/unit/test.h"

static uint64_t seed = 0x5eed;

/* xorshift64*, Vigna 2014. */
static uint32_t random32(void)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (seed * 0x2545f4914f6cdd1d) >> 32;
}

static bool is_near(double got, double want, double relative)
{
	return fabs(got - want) <= relative * fabs(want);
}

TEST(leading_zeros)
{
	check_int(sample_leading_zeros(0), 32);
	for (int i = 0; i < 32; i++) {
		check_int(sample_leading_zeros(1u << i), 31 - i);
		check_int(sample_leading_zeros((1u << i) | ((1u << i) - 1)), 31 - i);
	}
}

TEST(logarithm_within_its_bounds)
{
	double sum = 0, worst = 0;
	const int n = 1 << 20;

	for (int i = 0; i < n; i++) {
		double u = (i + 0.5) / n;
		double want = 1 - log2(1 + u);
		double error = (double)sample_log_fraction((__s64)(u * SAMPLE_ONE)) / SAMPLE_ONE -
			       want;

		sum += error;
		worst = fmax(worst, fabs(error));
	}
	check(worst < 2.3e-6);
	check(fabs(sum / n) < 2e-8);
	check_int(sample_log_fraction(0), SAMPLE_ONE);
}

/* Exact expectation over all exponents: no bias that chance could hide. */
TEST(mean_interval_is_the_mean)
{
	const double mean = 1 << 19;
	const int n = 1 << 14;
	double sum = 0, square = 0;

	for (int zeros = 0; zeros < 32; zeros++) {
		for (int i = 0; i < n; i++) {
			__u32 mantissa = (__u32)((i + 0.5) / n * 0x1p32);
			double x = (double)sample_interval((__u64)mean, 0x80000000u >> zeros,
							   mantissa) + 0.5;

			sum += ldexp(x, -zeros - 1) / n;
			square += ldexp(x * x, -zeros - 1) / n;
		}
	}
	check(is_near(sum, mean, 2e-6));
	check(is_near(square - sum * sum, mean * mean, 1e-5));
}

/* The share of intervals beyond k means is exp(-k). */
TEST(tail_of_intervals)
{
	const int n = 4000000;
	int beyond[8] = { 0 };

	for (int i = 0; i < n; i++) {
		__u64 x = sample_interval(1000000, random32(), random32());

		for (int k = 0; k < 8; k++)
			beyond[k] += x > k * 1000000ull;
	}
	for (int k = 1; k < 8; k++)
		check(fabs(beyond[k] - n * exp(-k)) < 5 * sqrt(n * exp(-k)));
}

TEST(largest_interval_fits)
{
	double x = (double)sample_interval(SAMPLE_BYTES_MAX, 0, 0);

	check(is_near(x, 33 * log(2) * SAMPLE_BYTES_MAX, 1e-5));
}

TEST(weights_against_floating_point)
{
	static const __u64 means[] = { 1, 2, 7, 100, 4096, 524288, 1000003, SAMPLE_BYTES_MAX };

	for (size_t m = 0; m < sizeof(means) / sizeof(means[0]); m++) {
		for (double s = 1; s < 40.0 * means[m]; s *= 1.03) {
			__u64 size = (__u64)s;
			double p = -expm1(-(double)size / means[m]);
			double got = (double)sample_weight(size, means[m]);

			if (fabs(got - size / p) > 1 + 2e-6 * size / p)
				test_fail("size %llu mean %llu: %.1f, not %.1f", size, means[m],
					  got, size / p);
			check(got >= size);
		}
	}
	check(sample_weight(1ull << 55, 1 << 19) == 1ull << 55);
	check(sample_weight(~0ull, SAMPLE_BYTES_MAX) == ~0ull);
}

TEST(variance_of_one_block)
{
	struct variance v = sample_variance(100, 250);

	/* p 0.4: (1 - p) / p^2 of its square; the half allocation is drawn as well. */
	check(is_near(v.bytes, 0.6 / 0.16 * 100 * 100, 1e-6));
	check(is_near(v.count, 0.6 / 0.16 + 0.25, 1e-6));
	v = sample_variance(100, 100);
	check(v.bytes == 0 && v.count == 0);
	v = sample_variance(0, 4096);
	check(v.bytes == 0 && v.count > 0);
}

/* What was added and taken again leaves an interval of one that was not seen. */
TEST(spread_follows_blocks)
{
	struct spread s = { 0 };

	spread_alloc(&s, sample_variance(10, 1000));
	spread_alloc(&s, sample_variance(10, 1000));
	spread_free(&s, sample_variance(10, 1000), true);
	check(is_near(s.live_bytes, 990000, 1e-6));
	check(is_near(s.alloc_bytes, 1980000, 1e-6));
	check(is_near(s.temporary_count, 9900, 1e-6));
	check(is_near(s.heaviest_bytes, sqrt(990000), 1e-6));
	check(estimate_error(0, 0, s.heaviest_bytes) > 3 * s.heaviest_bytes);
	check(estimate_error(1000, 0, 0) == 0);
}

TEST(nothing_seen_is_not_nothing_missed)
{
	struct spread s = { 0 };

	spread_missed(&s, sample_variance(200, 1000));
	check(is_near(s.heaviest_bytes, sqrt(1000 * 800), 1e-6));
	check(s.alloc_bytes == 0 && s.live_bytes == 0);
	check(estimate_error(200, s.live_bytes, s.heaviest_bytes) > 2 * 1000);
	spread_missed(&s, sample_variance(200, 200));
	check(is_near(s.heaviest_bytes, sqrt(1000 * 800), 1e-6));
}

/* Of a Poisson count the interval is the exact one (Garwood, 1936). */
TEST(interval_of_a_count)
{
	check(is_near(estimate_error(1, 1, 1), 5.572 - 1, 0.03));
	check(is_near(estimate_error(10, 10, 1), 18.39 - 10, 0.005));
	check(is_near(estimate_error(100, 100, 1), 121.63 - 100, 0.005));
	check(is_near(estimate_error(0, 0, 1), 3.689, 0.01));
}

/*
 * Whole stacks of blocks, sampled as the kernel does: the mean of estimates is
 * the truth, and intervals hold as often as they say.
 */
TEST(estimates_of_stacks)
{
	const int stacks = 20000, blocks = 60;
	const __u64 mean = 1000;
	double sum = 0, square = 0, truth = 0;
	int inside = 0;

	for (int b = 0; b < blocks; b++)
		truth += 1 + b * 37 % 701;
	for (int i = 0; i < stacks; i++) {
		struct spread s = { 0 };
		double estimate = 0;

		for (int b = 0; b < blocks; b++) {
			__u64 size = 1 + b * 37 % 701, weight = sample_weight(size, mean);

			if (sample_interval(mean, random32(), random32()) >= size)
				continue;
			estimate += (double)weight;
			spread_alloc(&s, sample_variance(size, weight));
		}
		sum += estimate;
		square += (estimate - truth) * (estimate - truth);
		inside += fabs(estimate - truth) <=
			  estimate_error(estimate, s.live_bytes, s.heaviest_bytes);
	}
	check(fabs(sum / stacks - truth) < 4.5 * sqrt(square / stacks / stacks));
	check(inside > 0.94 * stacks && inside < 0.98 * stacks);
}
