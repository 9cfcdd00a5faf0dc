// SPDX-License-Identifier: GPL-2.0-or-later
/* Marks and the robust fit over them; see growth.h. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "model/growth.h"

#define NS_PER_S 1e9
#define PAIRS_MAX (GROWTH_MARKS * (GROWTH_MARKS - 1) / 2)

/* Orders v so that v[k] is as if sorted, smaller before, greater behind (Hoare). */
static void select_kth(double *v, size_t n, size_t k)
{
	ptrdiff_t low = 0, high = (ptrdiff_t)n - 1;

	while (low < high) {
		double pivot = v[k];
		ptrdiff_t i = low, j = high;

		do {
			while (v[i] < pivot)
				i++;
			while (pivot < v[j])
				j--;
			if (i <= j) {
				double t = v[i];

				v[i++] = v[j];
				v[j--] = t;
			}
		} while (i <= j);
		if (j < (ptrdiff_t)k)
			low = i;
		if ((ptrdiff_t)k < i)
			high = j;
	}
}

static double median(double *v, size_t n)
{
	double below;

	select_kth(v, n, n / 2);
	if (n % 2)
		return v[n / 2];
	below = v[0];
	for (size_t i = 1; i < n / 2; i++)
		below = fmax(below, v[i]);
	return below + (v[n / 2] - below) / 2;
}

/* 1 - p of Mann's and Kendall's S; @ties is the sum of t(t-1)(2t+5) over groups of t equals. */
static double mann_kendall(double s, double n, double ties)
{
	double variance = (n * (n - 1) * (2 * n + 5) - ties) / 18;

	if (s == 0 || variance <= 0)
		return 0;
	return erf((fabs(s) - 1) / sqrt(variance) / M_SQRT2);
}

static bool all_equal(const int64_t *values, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		if (values[i] != values[0])
			return false;
	}
	return true;
}

struct trend trend_fit(const double *t_s, const int64_t *values, size_t n)
{
	double slopes[PAIRS_MAX] = { 0 }, s = 0, ties = 0;
	size_t pairs = 0;

	if (n < 2 || all_equal(values, n))
		return (struct trend){ 0 };
	for (size_t i = 0; i < n; i++) {
		double equals = 1;

		for (size_t j = 0; j < i; j++) {
			slopes[pairs++] = (double)(values[i] - values[j]) / (t_s[i] - t_s[j]);
			s += (values[i] > values[j]) - (values[i] < values[j]);
			equals += values[i] == values[j];
		}
		for (size_t j = i + 1; j < n; j++)
			equals += values[i] == values[j];
		/* Each of a group's t members adds its share of t(t-1)(2t+5). */
		ties += (equals - 1) * (2 * equals + 5);
	}
	return (struct trend){
		.per_s = median(slopes, pairs),
		.confidence = n < 4 ? 0 : mann_kendall(s, n, ties),
	};
}

void growth_deinit(struct growth *growth)
{
	for (size_t i = 0; i < growth->len; i++)
		free(growth->marks[i].live);
	*growth = (struct growth){ 0 };
}

/* Keeps every second mark, the first among them. */
static void thin(struct growth *growth)
{
	for (size_t i = 0; i < growth->len; i++) {
		if (i % 2)
			free(growth->marks[i].live);
		else
			growth->marks[i / 2] = growth->marks[i];
	}
	growth->len = (growth->len + 1) / 2;
	growth->stride *= 2;
}

/* The last mark's place if that one was not a lasting one, or a new place. */
static struct growth_mark *place_for_mark(struct growth *growth)
{
	if (growth->len && (growth->calls - 1) % growth->stride) {
		free(growth->marks[growth->len - 1].live);
		return &growth->marks[growth->len - 1];
	}
	if (growth->len == GROWTH_MARKS)
		thin(growth);
	return &growth->marks[growth->len++];
}

void growth_mark(struct growth *growth, uint64_t time_ns, const struct agg *agg)
{
	struct growth_mark *mark;
	uint32_t paths = (uint32_t)agg->paths.len;

	if (growth->len && time_ns <= growth->marks[growth->len - 1].time_ns)
		return;
	if (!growth->stride)
		growth->stride = 1;
	mark = place_for_mark(growth);
	growth->calls++;
	*mark = (struct growth_mark){ time_ns, xcalloc(paths, sizeof(*mark->live)), paths };
	for (uint32_t i = 1; i < agg->len; i++)
		mark->live[agg->rows[i].path] += agg_row_live(&agg->rows[i]);
	for (uint32_t i = 1; i < paths; i++)
		mark->live[0] += mark->live[i];
}

struct trend growth_of_path(const struct growth *growth, uint32_t path)
{
	int64_t values[GROWTH_MARKS];
	double t_s[GROWTH_MARKS];

	for (size_t i = 0; i < growth->len; i++) {
		const struct growth_mark *mark = &growth->marks[i];

		values[i] = path < mark->paths ? mark->live[path] : 0;
	}
	/* Most paths of a large program stand still. */
	if (growth->len < 2 || all_equal(values, growth->len))
		return (struct trend){ 0 };
	for (size_t i = 0; i < growth->len; i++)
		t_s[i] = (double)(growth->marks[i].time_ns - growth->marks[0].time_ns) / NS_PER_S;
	return trend_fit(t_s, values, growth->len);
}
