/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The layout of a flame graph: a box for each node of a call tree, as wide as
 * its value, its children beside each other above it, widest first. What
 * remains free above a box is its self value.
 *
 * Of a comparison a box is as wide as the larger of its two values, summed from
 * the leaves up, so that what is gone has a place as well as what is new.
 */
#ifndef HEAPSONDE_EXPORT_FLAME_H
#define HEAPSONDE_EXPORT_FLAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"
#include "model/calltree.h"

struct flame_box {
	uint32_t node;		/* in the tree */
	uint32_t depth;		/* of the root 0 */
	double x, width;	/* in the metric's unit */
};

DEFINE_VEC(flame_box_vec, struct flame_box);

struct flame {
	const struct calltree *tree;	/* borrowed */
	double width;			/* of the root */
	struct flame_box_vec boxes;	/* parents first; [0] is the root */
	double narrowest;		/* what all boxes are wider than */
	uint32_t left_out;		/* nodes without a box ... */
	double left_out_width;		/* ... and the widths of the widest of each branch */
};

/*
 * At most about @boxes_max boxes: the narrowest are left out, never a box below
 * one that stays.
 */
void flame_init(struct flame *flame, const struct calltree *tree, size_t boxes_max);
void flame_deinit(struct flame *flame);

/*
 * A name as it fits into a box: without parameters and template arguments,
 * "std::vector<…>::push_back". Appended to @sb.
 */
void flame_short_name(struct strbuf *sb, const char *name);

#endif
