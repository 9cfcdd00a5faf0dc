/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What changed between two snapshots, as rows, one for each call path. Which
 * is the same call path in both is told by its frames, never by addresses or
 * ids, so that snapshots of two runs, two builds or two machines compare:
 *
 *	objects with the same build id on both sides: offset in the object
 *	other objects: module and function, inlined ones too; without a name the
 *	offset in the module
 *
 * beside the target's comm and the kind of memory. A path without frames is
 * itself only, by its id. Paths that come out equal are added up.
 */
#ifndef HEAPSONDE_MODEL_DIFF_H
#define HEAPSONDE_MODEL_DIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/vec.h"
#include "model/snapshot.h"

/* X(symbol, name); by the metric that was asked for. */
#define DIFF_STATES(X)							\
	X(DIFF_GREW, "grew")						\
	X(DIFF_SHRANK, "shrank")					\
	X(DIFF_NEW, "new")		/* nothing of it in the old */	\
	X(DIFF_GONE, "gone")		/* nothing of it in the new */	\
	X(DIFF_SAME, "same")

#define X(symbol, name) symbol,
enum diff_state { DIFF_STATES(X) DIFF_STATES_COUNT };
#undef X
const char *diff_state_name(enum diff_state state);

struct diff_row {
	enum diff_state state;
	enum memory_kind kind;
	/* One of the stacks that the row stands for, and whose it is; borrowed. */
	const struct snapshot *of;	/* the new snapshot unless only the old has it */
	const struct snapshot_stack *stack;
	struct metrics old, new, delta;	/* delta is new - old; zeros where it is not */
};

DEFINE_VEC(diff_row_vec, struct diff_row);
DEFINE_VEC(row_number_vec, uint32_t);

struct diff {
	const struct snapshot *old, *new;	/* borrowed; must outlive the diff */
	const char *metric;			/* borrowed */
	struct diff_row_vec rows;
	struct metrics delta;			/* of the totals */
	size_t counts[DIFF_STATES_COUNT];	/* rows by state */
	/* Of diff_create_moments() only: which row each stack is part of. */
	struct row_number_vec old_rows, new_rows;
};

/*
 * @metric (one of METRICS) decides each row's state and the order: largest
 * change up or down first; then by name, so that the order is always the same.
 */
struct diff *diff_create(const struct snapshot *old, const struct snapshot *new,
			 const char *metric);
/*
 * The same of two moments of one source: a pid stands in place of the comm, and
 * rows come in the order of the old stacks and then of those that are new.
 */
struct diff *diff_create_moments(const struct snapshot *old, const struct snapshot *new,
				 const char *metric);
void diff_destroy(struct diff *diff);
DEFINE_CLEANUP(struct diff *, diff_destroy);

#endif
