/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The arithmetic of sampling, whole numbers only, the same in the kernel and
 * in unit tests.
 *
 * Bytes are sampled as a Poisson process, on average one in @mean: each thread
 * counts down the bytes to the next sampled one, and a block with at least one
 * such byte is a sample (the idea: gperftools' tcmalloc; Android's heapprofd).
 * So a block of @size bytes is one with probability p = 1 - exp(-size / mean),
 * independently of all others, and stands for size / p bytes.
 */
#ifndef HEAPSONDE_SAMPLE_H
#define HEAPSONDE_SAMPLE_H

#include "bpf/events.h"

#define SAMPLE_SHIFT 28			/* fixed point: 1.0 is 1 << SAMPLE_SHIFT */
#define SAMPLE_ONE (1ll << SAMPLE_SHIFT)

/*
 * 1 - log2(1 + u) for u in [0, 1), as (1 - u) times a polynomial fitted to
 * 2.3e-6, exact at both ends, 7e-9 too small on average.
 */
static inline __s64 sample_log_fraction(__s64 u)
{
	__s64 sum = -6936614;

	sum = 25757780 + (sum * u >> SAMPLE_SHIFT);
	sum = -48841272 + (sum * u >> SAMPLE_SHIFT);
	sum = 73980819 + (sum * u >> SAMPLE_SHIFT);
	sum = -118794747 + (sum * u >> SAMPLE_SHIFT);
	sum = SAMPLE_ONE + (sum * u >> SAMPLE_SHIFT);
	return sum * (SAMPLE_ONE - u) >> SAMPLE_SHIFT;
}

/* Zeros before the first one; without branches, and BPF has no instruction for it. */
static inline __u32 sample_leading_zeros(__u32 x)
{
#pragma GCC unroll 5
	for (int shift = 1; shift < 32; shift *= 2)
		x |= x >> shift;
	x = ~x;		/* now the number of ones */
	x -= x >> 1 & 0x55555555;
	x = (x & 0x33333333) + (x >> 2 & 0x33333333);
	return ((x + (x >> 4)) & 0x0f0f0f0f) * 0x01010101 >> 24;
}

/*
 * Bytes that pass before the next sampled one: -ln of a random number times
 * @mean. The number's binary exponent is geometric and its mantissa uniform,
 * so each is drawn for itself. Cut off beyond 22 means (probability 2^-32);
 * mean and variance are right to 1e-6 of themselves.
 */
static inline __u64 sample_interval(__u64 mean, __u32 exponent, __u32 mantissa)
{
	const __s64 ln2 = 186065279;
	__s64 log2 = ((__s64)sample_leading_zeros(exponent) << SAMPLE_SHIFT) +
		     sample_log_fraction(mantissa >> (32 - SAMPLE_SHIFT));

	/* 20 bits of fraction, so that the product with SAMPLE_BYTES_MAX fits. */
	return mean * (__u64)((log2 >> 4) * (ln2 >> 4) >> (2 * (SAMPLE_SHIFT - 4) - 20)) >> 20;
}

/*
 * The bytes that a sample of @size stands for, size / (1 - exp(-size / mean)),
 * never less than @size. y is size / mean, halved until it is at most 1; there
 * h = (1 - exp(-y)) / y is a short series. Then each doubling of y turns
 * q = 1 - exp(-y) into q * (2 - q). Right to 1e-6 of itself.
 */
static inline __u64 sample_weight(__u64 size, __u64 mean)
{
	__u64 y, h = SAMPLE_ONE, q, weight;
	unsigned int halvings = 0;

	if (size >= 32 * mean)
		return size;
	y = (size << SAMPLE_SHIFT) / mean;
#pragma GCC unroll 5
	for (int i = 0; i < 5; i++) {
		if (y <= SAMPLE_ONE)
			break;
		y >>= 1;
		halvings++;
	}
#pragma GCC unroll 8
	for (int i = 9; i > 1; i--)
		h = SAMPLE_ONE - (y * h >> SAMPLE_SHIFT) / i;
	q = y * h >> SAMPLE_SHIFT;
#pragma GCC unroll 5
	for (unsigned int i = 0; i < 5; i++)
		if (i < halvings)
			q = q * (2 * SAMPLE_ONE - q) >> SAMPLE_SHIFT;
	/* Small sizes have few bits in y and q: where h will do, they are not used. */
	weight = halvings ? (size << SAMPLE_SHIFT) / (q | !q) : (mean << SAMPLE_SHIFT) / h;
	return weight > size ? weight : size;
}

#endif
