// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Building call trees; see calltree.h. A path is walked down from the root once:
 * a node's child is found by its label, or appended, so that parents come
 * before their children. The same frames are known again by where they lie:
 * a tree that is filled anew, as a screen's is at each refresh, walks only what
 * is new to it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "base/strpool.h"
#include "model/calltree.h"
#include "model/map64.h"

DEFINE_VEC(number_vec, uint32_t);

struct calltree_build {
	bool inverted;
	struct number_vec labels;	/* of the path that is being added */
	struct map64 by_frame;	/* hash of the frame's pointers -> label + 1 */
	struct map64 by_text;	/* hash of what they point to -> label + 1 */
	struct map64 children;	/* parent << 32 | label -> node */
	struct map64 leaves;	/* hash of the pointers to frames and comm -> node */
};

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
	return hash ^ hash >> 32;
}

static uint64_t hash_string(uint64_t hash, const char *s)
{
	for (; s && *s; s++)
		hash = mix(hash, (unsigned char)*s);
	return mix(hash, 0x100);
}

void frame_name(struct strbuf *sb, const struct frame *frame)
{
	if (frame->function)
		strbuf_addstr(sb, frame->function);
	else if (frame->module[0])
		strbuf_addf(sb, "%s+0x%" PRIx64, frame->module, frame->offset);
	else
		strbuf_addf(sb, "[0x%" PRIx64 "]", frame->pc);
}

/* What tells frames without a function apart. */
static uint64_t frame_place(const struct frame *frame)
{
	if (frame->function)
		return 0;
	return frame->module[0] ? frame->offset : frame->pc;
}

static bool same_string(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool same_frame(const struct frame *a, const struct frame *b)
{
	return frame_place(a) == frame_place(b) && same_string(a->function, b->function) &&
		same_string(a->module, b->module);
}

static uint32_t add_label(struct calltree *tree, const char *name, const struct frame *frame,
			  uint64_t hash)
{
	calltree_label_vec_push(&tree->labels, (struct calltree_label){ name, frame, hash });
	return (uint32_t)tree->labels.len - 1;
}

static const char *label_name(struct calltree *tree, const struct frame *frame)
{
	struct strbuf name __cleanup_strbuf = { 0 };

	if (frame->function)
		return frame->function;
	frame_name(&name, frame);
	return strpool_intern(tree->strings, strbuf_str(&name));
}

/* By text, because equal names of two snapshots are two strings. */
static uint32_t label_by_text(struct calltree *tree, const struct frame *frame)
{
	uint64_t hash = hash_string(hash_string(frame_place(frame), frame->function),
				    frame->module);
	struct map64 *map = &tree->build->by_text;
	uint64_t key = hash;
	uint32_t found;

	/* Those whose hashes collide stand behind each other. */
	for (; (found = map64_get(map, key)); key++) {
		const struct frame *known = tree->labels.data[found - 1].frame;

		if (known && same_frame(known, frame))
			return found - 1;
	}
	found = add_label(tree, label_name(tree, frame), frame, hash);
	map64_set(map, key, found + 1);
	return found;
}

/* Most frames were met before with the very same strings. */
static uint32_t label_of(struct calltree *tree, const struct frame *frame)
{
	struct calltree_build *build = tree->build;
	uint64_t key = mix(mix((uintptr_t)frame->function, (uintptr_t)frame->module),
			   frame_place(frame));
	uint32_t found;

	for (; (found = map64_get(&build->by_frame, key)); key++) {
		const struct frame *known = tree->labels.data[found - 1].frame;

		if (same_frame(known, frame))
			return found - 1;
	}
	found = label_by_text(tree, frame);
	map64_set(&build->by_frame, key, found + 1);
	return found;
}

/* For what is no frame: "[lost]", a target. */
static uint32_t label_of_text(struct calltree *tree, const char *name)
{
	uint64_t key = mix(hash_string(1, name), 1);
	struct map64 *map = &tree->build->by_text;
	uint32_t found;

	for (; (found = map64_get(map, key)); key++) {
		const struct calltree_label *label = &tree->labels.data[found - 1];

		if (!label->frame && !strcmp(label->name, name))
			return found - 1;
	}
	found = add_label(tree, name, NULL, key);
	map64_set(map, key, found + 1);
	return found;
}

struct calltree *calltree_create(bool inverted)
{
	struct calltree *tree = xcalloc(1, sizeof(*tree));

	tree->build = xcalloc(1, sizeof(*tree->build));
	tree->build->inverted = inverted;
	tree->strings = strpool_create();
	add_label(tree, "all", NULL, 0);
	calltree_node_vec_push(&tree->nodes, (struct calltree_node){ 0 });
	return tree;
}

static void build_destroy(struct calltree_build *build)
{
	number_vec_deinit(&build->labels);
	map64_deinit(&build->by_frame);
	map64_deinit(&build->by_text);
	map64_deinit(&build->children);
	map64_deinit(&build->leaves);
	free(build);
}

void calltree_destroy(struct calltree *tree)
{
	if (!tree)
		return;
	build_destroy(tree->build);
	calltree_node_vec_deinit(&tree->nodes);
	calltree_label_vec_deinit(&tree->labels);
	strpool_destroy(tree->strings);
	free(tree);
}

static uint32_t add_node(struct calltree *tree, uint32_t parent, uint32_t label)
{
	struct calltree_node *node = calltree_node_vec_append(&tree->nodes);
	struct calltree_node *above = &tree->nodes.data[parent];

	*node = (struct calltree_node){
		.id = mix(above->id, tree->labels.data[label].hash),
		.label = label, .parent = parent, .depth = above->depth + 1,
	};
	if (node->depth > tree->depth_max)
		tree->depth_max = node->depth;
	return (uint32_t)tree->nodes.len - 1;
}

static uint32_t child_of(struct calltree *tree, uint32_t parent, uint32_t label)
{
	uint64_t key = (uint64_t)parent << 32 | label;
	uint32_t child = map64_get(&tree->build->children, key);

	if (!child) {
		child = add_node(tree, parent, label);
		map64_set(&tree->build->children, key, child);
	}
	return child;
}

/* Leaf first, the target last. */
static void set_labels(struct calltree *tree, const struct frame *frames, uint32_t count,
		       const char *comm)
{
	struct number_vec *labels = &tree->build->labels;

	labels->len = 0;
	for (uint32_t i = 0; i < count; i++)
		number_vec_push(labels, label_of(tree, &frames[i]));
	if (!count)
		number_vec_push(labels, label_of_text(tree, "[lost]"));
	if (comm)
		number_vec_push(labels, label_of_text(tree, comm));
}

static uint32_t walk_down(struct calltree *tree, const struct frame *frames, uint32_t count,
			  const char *comm)
{
	const struct number_vec *labels = &tree->build->labels;
	uint32_t node = CALLTREE_ROOT;

	set_labels(tree, frames, count, comm);
	for (size_t i = 0; i < labels->len; i++)
		node = child_of(tree, node, labels->data[tree->build->inverted ? i :
							 labels->len - 1 - i]);
	return node;
}

static uint32_t leaf_of(struct calltree *tree, const struct frame *frames, uint32_t count,
			const char *comm)
{
	uint64_t key = mix(mix(0, (uintptr_t)frames), (uintptr_t)comm);
	uint32_t leaf = count ? map64_get(&tree->build->leaves, key) : 0;

	if (!leaf) {
		leaf = walk_down(tree, frames, count, comm);
		if (count)
			map64_set(&tree->build->leaves, key, leaf);
	}
	return leaf;
}

uint32_t calltree_walk(struct calltree *tree, const struct frame *frames, uint32_t count,
		       const char *comm)
{
	return leaf_of(tree, frames, count, comm ? strpool_intern(tree->strings, comm) : NULL);
}

void calltree_add(struct calltree *tree, const struct frame *frames, uint32_t count,
		  const char *comm, double now, double old)
{
	uint32_t leaf = calltree_walk(tree, frames, count, comm);
	struct calltree_node *node = &tree->nodes.data[leaf];

	node->now.self += now;
	node->old.self += old;
	node->present = true;
}

void calltree_clear(struct calltree *tree)
{
	vec_for_each(node, &tree->nodes) {
		node->now = node->old = (struct calltree_value){ 0 };
		node->child = node->sibling = node->children = 0;
		node->present = false;
	}
}

/* Every node comes after its parent. */
static void sum_up(struct calltree *tree)
{
	for (size_t i = tree->nodes.len; i-- > 0;) {
		struct calltree_node *node = &tree->nodes.data[i], *above;

		node->now.total += node->now.self;
		node->old.total += node->old.self;
		if (i == CALLTREE_ROOT || !node->present)
			continue;
		above = &tree->nodes.data[node->parent];
		above->now.total += node->now.total;
		above->old.total += node->old.total;
		above->present = true;
		above->children++;
	}
	tree->nodes.data[CALLTREE_ROOT].present = true;
}

/* What order siblings stand in. */
struct rank {
	double now, old;
	const char *name;
	uint32_t node;
};

DEFINE_VEC(rank_vec, struct rank);

static int compare_ranks(const void *a, const void *b)
{
	const struct rank *x = a, *y = b;
	int by_name;

	if (x->now != y->now)
		return x->now > y->now ? -1 : 1;
	if (x->old != y->old)
		return x->old > y->old ? -1 : 1;
	by_name = strcmp(x->name, y->name);
	return by_name ? by_name : x->node < y->node ? -1 : 1;
}

static void link_children(struct calltree *tree)
{
	struct calltree_node *nodes = tree->nodes.data;

	for (uint32_t i = (uint32_t)tree->nodes.len - 1; i > CALLTREE_ROOT; i--) {
		if (!nodes[i].present)
			continue;
		nodes[i].sibling = nodes[nodes[i].parent].child;
		nodes[nodes[i].parent].child = i;
	}
}

static void sort_children(struct calltree *tree, uint32_t parent, struct rank_vec *ranks)
{
	struct calltree_node *nodes = tree->nodes.data;
	uint32_t *link = &nodes[parent].child;

	ranks->len = 0;
	calltree_each_child(i, tree, parent)
		rank_vec_push(ranks, (struct rank){ nodes[i].now.total, nodes[i].old.total,
						    calltree_name(tree, i), i });
	qsort(ranks->data, ranks->len, sizeof(*ranks->data), compare_ranks);
	vec_for_each(rank, ranks) {
		*link = rank->node;
		link = &nodes[rank->node].sibling;
	}
	*link = 0;
}

void calltree_finish(struct calltree *tree)
{
	struct rank_vec ranks = { 0 };

	sum_up(tree);
	link_children(tree);
	for (uint32_t i = 0; i < tree->nodes.len; i++)
		if (tree->nodes.data[i].children > 1)
			sort_children(tree, i, &ranks);
	rank_vec_deinit(&ranks);
}

uint32_t calltree_next(const struct calltree *tree, uint32_t node)
{
	const struct calltree_node *nodes = tree->nodes.data;

	if (nodes[node].child)
		return nodes[node].child;
	while (node && !nodes[node].sibling)
		node = nodes[node].parent;
	return nodes[node].sibling;
}

static struct error *find_metric(const char *name, const struct metric **ret)
{
	*ret = metric_find(name);
	if (!*ret)
		return error_create(ERROR_USAGE, "there is no metric '%s': choose one of %s", name,
				    metrics_names());
	if (!(*ret)->adds_up)
		return error_create(ERROR_USAGE, "'%s' of several stacks does not add up: "
				    "no call tree can be made of it", name);
	return NULL;
}

struct error *calltree_of_snapshot(const struct snapshot *snap,
				   const struct calltree_settings *settings,
				   struct calltree **ret)
{
	const struct metric *metric;
	struct error *err = find_metric(settings->metric, &metric);
	struct calltree *tree;

	if (err)
		return err;
	tree = calltree_create(settings->inverted);
	vec_for_each(stack, &snap->stacks) {
		double value = metric_value(metric, &stack->m);

		if (!value ||
		    (settings->keep && !settings->keep(snap, stack, settings->keep_arg)))
			continue;
		calltree_add(tree, snapshot_frames(snap, stack), stack->frame_count,
			     settings->by_target ? snap->targets.data[stack->target].comm : NULL,
			     value, 0);
	}
	calltree_finish(tree);
	*ret = tree;
	return NULL;
}
