// SPDX-License-Identifier: GPL-2.0-or-later
/* Metrics by name; see metrics.h. */
#include <string.h>

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

double metric_value(const struct metric *metric, const struct metrics *m)
{
	const char *p = (const char *)m + metric->offset;
	int64_t n;
	double d;

	if (metric->counts) {
		memcpy(&n, p, sizeof(n));
		return (double)n;
	}
	memcpy(&d, p, sizeof(d));
	return d;
}
