// SPDX-License-Identifier: GPL-2.0-or-later
/* Metrics by name; see metrics.h. */
#include <math.h>
#include <string.h>

#include "base/strbuf.h"
#include "model/metrics.h"

#define COUNTS(type) _Generic((type)0, int64_t: true, double: false)

static const struct metric metrics[] = {
#define X(name, type, unit, header, help)				\
	{ #name, header, help, unit, COUNTS(type),			\
	  COUNTS(type) || unit == UNIT_BYTES_PER_S, offsetof(struct metrics, name) },
	METRICS(X)
#undef X
};

const struct metric *metric_find(const char *name)
{
	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		if (!strcmp(metrics[i].name, name))
			return &metrics[i];
	return NULL;
}

int64_t metric_count(const struct metric *metric, const struct metrics *m)
{
	int64_t n;

	memcpy(&n, (const char *)m + metric->offset, sizeof(n));
	return n;
}

double metric_value(const struct metric *metric, const struct metrics *m)
{
	double d;

	if (metric->counts)
		return (double)metric_count(metric, m);
	memcpy(&d, (const char *)m + metric->offset, sizeof(d));
	return d;
}

struct error *metric_find_counting(const char *name, const struct metric **ret)
{
	struct strbuf names __cleanup_strbuf = { 0 };

	*ret = metric_find(name);
	if (*ret && (*ret)->counts)
		return NULL;
	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		if (metrics[i].counts)
			strbuf_addf(&names, "%s%s", names.len ? ", " : "", metrics[i].name);
	return error_create(ERROR_USAGE, "'%s' does not count anything: choose one of %s", name,
			    strbuf_str(&names));
}

/* Of what adds up the sum; of ages and ratios the larger. */
static double combined(enum metric_unit unit, double a, double b)
{
	return unit == UNIT_SECONDS || unit == UNIT_RATIO ? fmax(a, b) : a + b;
}

void metrics_combine(struct metrics *sum, const struct metrics *m)
{
#define X(name, type, unit, header, help)				\
	sum->name = COUNTS(type) ? sum->name + m->name :		\
		    (type)combined(unit, (double)sum->name, (double)m->name);
	METRICS(X)
#undef X
#define X(name, unit) sum->name##_error = hypot(sum->name##_error, m->name##_error);
	ESTIMATED_METRICS(X)
#undef X
}
