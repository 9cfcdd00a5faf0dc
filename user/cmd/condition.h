/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Conditions of --fail-on, for tests that must not leak:
 *
 *	condition  = quantity ( ">" | ">=" | "<" | "<=" ) number unit
 *	quantity   = a name of METRICS, of the totals; or one of CONDITION_QUANTITIES
 *	unit       = of bytes: none, B, K, M, G (binary; KB and KiB are the same)
 *	             of bytes over time: the same and "/s", "/min", "/h" (none: /s)
 *	             of time: none, s, m, h; of ratios: none, %; of counts: none
 *
 * A slope counts only where it is no chance: growth_confidence of 0.8 and more.
 */
#ifndef HEAPSONDE_CMD_CONDITION_H
#define HEAPSONDE_CMD_CONDITION_H

#include <stdbool.h>

#include "base/error.h"
#include "base/vec.h"
#include "model/snapshot.h"

/* X(name, unit, what it is; value, of the snapshot snap) */
#define CONDITION_QUANTITIES(X)							\
	X("live",	UNIT_BYTES, "live_bytes", snap->totals.m.live_bytes)	\
	X("blocks",	UNIT_COUNT, "live_count", snap->totals.m.live_count)	\
	X("peak",	UNIT_BYTES, "peak_live_bytes", snap->totals.m.peak_live_bytes) \
	X("allocated",	UNIT_BYTES, "alloc_bytes", snap->totals.m.alloc_bytes)	\
	X("growth",	UNIT_BYTES_PER_S, "growth_bytes_per_s", sure_growth(&snap->totals.m)) \
	X("rss",	UNIT_BYTES, "resident bytes", known(snap->memory.rss_bytes)) \
	X("rss_growth",	UNIT_BYTES_PER_S, "slope of the resident bytes",	\
	  snap->memory.growth_bytes_per_s)					\
	X("leaks",	UNIT_COUNT, "call paths that grow, with a confidence of 0.95", \
	  growing_paths(snap))							\
	X("lost",	UNIT_COUNT, "events that were lost", lost_events(&snap->loss))

struct condition {
	const char *text;		/* as it was given; borrowed */
	int quantity;			/* index into CONDITION_QUANTITIES, or -1 */
	const char *metric;		/* name of METRICS where it is -1 */
	enum metric_unit unit;
	bool less, or_equal;
	double value;			/* in bytes, seconds, bytes a second */
};

DEFINE_VEC(condition_vec, struct condition);

/* False, with what is wrong in *why_ret (for the caller to free), if it is none. */
bool condition_parse(const char *text, struct condition *ret, char **why_ret);

/*
 * Says with log_error() which conditions hold, and returns whether any does.
 * What is not known is said and counts as holding.
 */
bool conditions_check(const struct condition_vec *conditions, const struct snapshot *snap);

#endif
