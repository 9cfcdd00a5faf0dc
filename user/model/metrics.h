/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The metrics, once. A row here appears in the tables, in JSON, in the
 * recording's schema, in --sort and in --metric. See README, "Metrics".
 */
#ifndef HEAPSONDE_MODEL_METRICS_H
#define HEAPSONDE_MODEL_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum metric_unit { UNIT_BYTES, UNIT_COUNT, UNIT_BYTES_PER_S, UNIT_SECONDS, UNIT_RATIO };

/*
 * X(name, type, unit, column header, help)
 * int64_t metrics of all stacks add up to the totals, except peak's (they
 * add up to the peak).
 */
#define METRICS(X) METRICS_FIRST(X) METRICS_LATER(X)

#define METRICS_FIRST(X)						\
	X(live_bytes,        int64_t, UNIT_BYTES, "live",	\
	  "allocated since attach and not freed yet")			\
	X(live_count,        int64_t, UNIT_COUNT, "blocks",	\
	  "blocks allocated since attach and not freed yet")		\
	X(alloc_bytes,       int64_t, UNIT_BYTES, "allocated",		\
	  "all bytes allocated since attach")				\
	X(alloc_count,       int64_t, UNIT_COUNT, "allocs",	\
	  "all allocations since attach")				\
	X(free_bytes,        int64_t, UNIT_BYTES, "freed",		\
	  "all bytes freed since attach")				\
	X(free_count,        int64_t, UNIT_COUNT, "frees",	\
	  "all frees of blocks allocated since attach")			\
	X(temporary_count,   int64_t, UNIT_COUNT, "temporary",		\
	  "freed by the same thread with no other allocation of it between") \
	X(peak_live_bytes,   int64_t, UNIT_BYTES, "at peak",		\
	  "live bytes at the moment when the target's were highest")	\
	X(growth_bytes_per_s, double, UNIT_BYTES_PER_S, "growth/s",	\
	  "slope of live bytes over the watched time (robust fit)")	\
	X(growth_confidence, double,  UNIT_RATIO, "confidence",		\
	  "how surely it grows or shrinks, 0 to 1")			\
	X(oldest_live_s,     double,  UNIT_SECONDS, "oldest",		\
	  "age of the oldest live block")

/* Apart from the first ones for the sake of recordings (recording/delta.h). */
#define METRICS_LATER(X)						\
	X(mapped_bytes,      int64_t, UNIT_BYTES, "mapped",		\
	  "mapped since attach under this stack and still mapped")	\
	X(resident_bytes,    int64_t, UNIT_BYTES, "resident",		\
	  "pages first touched under this stack and still resident")

/*
 * X(name, unit): metrics that are estimates where allocations are sampled. Each
 * has a field NAME_error beside it, how far a 95 % interval reaches; 0 where
 * the metric is exact.
 */
#define ESTIMATED_METRICS(X)						\
	X(live_bytes, UNIT_BYTES)					\
	X(live_count, UNIT_COUNT)					\
	X(alloc_bytes, UNIT_BYTES)					\
	X(alloc_count, UNIT_COUNT)					\
	X(free_bytes, UNIT_BYTES)					\
	X(free_count, UNIT_COUNT)					\
	X(temporary_count, UNIT_COUNT)					\
	X(peak_live_bytes, UNIT_BYTES)

struct metrics {
#define X(name, type, unit, header, help) type name;
	METRICS(X)
#undef X
#define X(name, unit) double name##_error;
	ESTIMATED_METRICS(X)
#undef X
};

/* A row of the table. */
struct metric {
	const char *name, *header, *help;
	enum metric_unit unit;
	bool counts;		/* an int64_t: never negative, adds up to the total */
	bool adds_up;		/* values of several stacks have a sum that says something */
	size_t offset;		/* in struct metrics */
};

/* NULL if there is none of that name. */
const struct metric *metric_find(const char *name);

double metric_value(const struct metric *metric, const struct metrics *m);
/* Of one that counts, to the last digit. */
int64_t metric_count(const struct metric *metric, const struct metrics *m);
/* ERROR_USAGE, which names those there are, when @name is none that counts. */
struct error *metric_find_counting(const char *name, const struct metric **ret) __must_check;

/*
 * Adds what adds up, and the errors of independent estimates as they do; of
 * ages and confidences the larger one stays.
 */
void metrics_combine(struct metrics *sum, const struct metrics *m);

#endif
