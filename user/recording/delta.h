/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What changed from one moment to the next, packed. A delta is a list of
 * changes, one for each stack that differs, ascending by its number, written
 * as varints (LEB128, signed ones zigzag) and deflated:
 *
 *	file	varint: bytes unpacked; zlib stream
 *	change	varint: stack number, minus that of the change before
 *		varint: mask of fields << 2 | DELTA_FROM_ZERO | DELTA_GONE
 *		for each field of the mask a signed varint: new value - old value
 *
 * Fields are METRICS_FIRST, the errors of estimates, METRICS_LATER, in their
 * order and as whole numbers: of freed bytes and counts what they are beyond
 * allocated - live (nothing, when exact); slopes in bytes a second, ratios in
 * thousandths, ages as the time of birth in milliseconds. Integers are exact;
 * slopes, ratios and ages are written only once they have moved noticeably, so
 * they are within 1 % between keyframes.
 */
#ifndef HEAPSONDE_RECORDING_DELTA_H
#define HEAPSONDE_RECORDING_DELTA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "base/vec.h"
#include "model/metrics.h"

enum {
#define X(name, type, unit, header, help) DELTA_##name,
	METRICS_FIRST(X)
#undef X
#define X(name, unit) DELTA_##name##_error,
	ESTIMATED_METRICS(X)
#undef X
#define X(name, type, unit, header, help) DELTA_##name,
	METRICS_LATER(X)	/* since schema 5 */
#undef X
	DELTA_FIELDS_COUNT
};

#define DELTA_FROM_ZERO 1u	/* the stack was not there: old values are 0 */
#define DELTA_GONE 2u		/* the stack is no longer there */

struct delta_change {
	int64_t stack;
	unsigned int flags;
	int64_t d[DELTA_FIELDS_COUNT];
};

DEFINE_VEC(delta, struct delta_change);

/* One stack as a reader of the file sees it. */
struct delta_state {
	struct metrics m;	/* as they were at at_s: a live block has aged since */
	double at_s;
	bool present;
};

/*
 * Whether the state, brought to @now_s, still tells @m; with @exactly to the last
 * bit, else to where a difference is worth writing. @aging: the target runs.
 */
bool delta_state_tells(const struct delta_state *state, const struct metrics *m,
		       double now_s, bool aging, bool exactly);

/* What brings @state to @m at @now_s; all zero if nothing is worth it. */
struct delta_change delta_between(const struct delta_state *state, const struct metrics *m,
				  double now_s, bool aging);
bool delta_change_is_empty(const struct delta_change *change);

/* Brings the state of the change's stack to @now_s; writer and reader do the same. */
void delta_apply(struct delta_state *state, const struct delta_change *change, double now_s);

/* Makes of a change and the one that follows it a single one, in @first. */
void delta_join_change(struct delta_change *first, const struct delta_change *second);

/* Appends the packed changes to @ret. */
void delta_pack(const struct delta *delta, struct strbuf *ret);
/*
 * Calls @each for the changes in what was packed, until it returns false. False
 * if that happened or what was packed makes no sense.
 */
bool delta_unpack(const void *data, size_t size,
		  bool (*each)(void *arg, const struct delta_change *change), void *arg);

#endif
