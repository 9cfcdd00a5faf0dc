/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The call tree: stacks merged by the functions they have in common. Top-down,
 * the children of a node are what it called; inverted, who called it, so that
 * the root's children are the callers of the allocator.
 *
 *	struct calltree *tree __cleanup(calltree_destroyp) = NULL;
 *	err = calltree_of_snapshot(snap, &(struct calltree_settings){
 *			.metric = "live_bytes" }, &tree);
 *	calltree_each_child(i, tree, CALLTREE_ROOT)
 *		puts(calltree_name(tree, i));
 *
 * Frames are merged by function and module, those without a name by module
 * and offset. A recursive call is a node below itself: the tree is never
 * deeper than the deepest stack, has no cycle, and is walked without recursion
 * by its links or, parents before children, by index.
 *
 * A tree borrows the frames it was made of, also of stacks that were taken out
 * by calltree_clear(): it dies before the snapshot or the store they lie in.
 */
#ifndef HEAPSONDE_MODEL_CALLTREE_H
#define HEAPSONDE_MODEL_CALLTREE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "base/vec.h"
#include "model/metrics.h"
#include "model/snapshot.h"

#define CALLTREE_ROOT 0		/* index of the node "all" */

/*
 * Of the metric. Whole numbers are exact up to 2^53. total is self and that of
 * all below.
 */
struct calltree_value { double self, total; };

struct calltree_node {
	struct calltree_value now, old;	/* old: only of trees that compare, else 0 */
	uint64_t id;			/* hash of the names from the root: the same in any tree */
	uint32_t label;			/* index, see calltree_name() */
	uint32_t parent;		/* of the root: itself */
	uint32_t child, sibling;	/* first and next, larger totals first; 0: none */
	uint32_t children;		/* how many */
	uint32_t depth;			/* of the root 0 */
	bool present;			/* the root, and what lies on a path that was added */
};

/* What nodes are called; all nodes of one function and module share it. */
struct calltree_label {
	const char *name;	/* function; "module+0x1f", "[0x7f…]", "[lost]"; or a comm */
	const struct frame *frame;	/* the first one met; NULL: "all", "[lost]", a comm */
	uint64_t hash;
};

DEFINE_VEC(calltree_node_vec, struct calltree_node);
DEFINE_VEC(calltree_label_vec, struct calltree_label);

struct calltree {
	struct calltree_node_vec nodes;		/* [CALLTREE_ROOT] is always there */
	struct calltree_label_vec labels;
	uint32_t depth_max;
	struct calltree_build *build;
	struct strpool *strings;		/* names that are in no snapshot */
};

struct calltree_settings {
	const char *metric;	/* whose values add up, see metric_find() */
	bool inverted;
	bool by_target;		/* a node of the target's comm where the root of the stack is */
	/* Which stacks; NULL: all. Those whose value is 0 are left out anyway. */
	bool (*keep)(const struct snapshot *snap, const struct snapshot_stack *stack, void *arg);
	void *keep_arg;
};

/* ERROR_USAGE when the metric is none that adds up. */
struct error *calltree_of_snapshot(const struct snapshot *snap,
				   const struct calltree_settings *settings,
				   struct calltree **ret) __must_check;
void calltree_destroy(struct calltree *tree);
DEFINE_CLEANUP(struct calltree *, calltree_destroy);

/*
 * The same by hand, for stacks of more than one snapshot: create, add each,
 * finish. @frames (leaf first) and @comm (NULL: no node) are borrowed. Frames
 * that lie at the same place, and as many, are the same.
 */
struct calltree *calltree_create(bool inverted);
void calltree_add(struct calltree *tree, const struct frame *frames, uint32_t count,
		  const char *comm, double now, double old);
void calltree_finish(struct calltree *tree);
/*
 * Makes the nodes of a path and adds nothing, so that calltree_add() is quick
 * later on. Returns the last one. Also in a finished tree, which stays as it is.
 */
uint32_t calltree_walk(struct calltree *tree, const struct frame *frames, uint32_t count,
		       const char *comm);
/*
 * Takes all stacks out, so that others can be added. Nodes stay at their index,
 * but only those that are present again are linked, and are in the tree.
 */
void calltree_clear(struct calltree *tree);

static inline const struct calltree_label *
calltree_label(const struct calltree *tree, uint32_t node)
{
	return &tree->labels.data[tree->nodes.data[node].label];
}

static inline const char *calltree_name(const struct calltree *tree, uint32_t node)
{
	return calltree_label(tree, node)->name;
}

#define calltree_each_child(i, tree, node)				\
	for (uint32_t i = (tree)->nodes.data[node].child; i;		\
	     i = (tree)->nodes.data[i].sibling)

/* The node after @node in a walk of the whole tree from the root; 0 at its end. */
uint32_t calltree_next(const struct calltree *tree, uint32_t node);

/*
 * A frame's name, as all trees and exports write it: its function, else
 * "module+0x1f", else "[0x7f…]". Appended as it is, without escaping.
 */
void frame_name(struct strbuf *sb, const struct frame *frame);

#endif
