// SPDX-License-Identifier: GPL-2.0-or-later
/* The layout of a flame graph; see flame.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "export/flame.h"

struct sibling {
	double width;
	uint32_t node;
	uint32_t rank;		/* in the tree, for equals */
};

DEFINE_VEC(sibling_vec, struct sibling);

/* Every node comes after its parent. */
static double *node_widths(const struct calltree *tree)
{
	double *widths = xcalloc(tree->nodes.len, sizeof(*widths));

	for (size_t i = tree->nodes.len; i-- > 0;) {
		const struct calltree_node *node = &tree->nodes.data[i];

		widths[i] += fmax(node->now.self, node->old.self);
		if (i != CALLTREE_ROOT)
			widths[node->parent] += widths[i];
	}
	return widths;
}

static int compare_doubles(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x < *y) - (*x > *y);
}

/* The width that at most @boxes_max nodes exceed; 0 if there are no more. */
static double narrowest(const double *widths, size_t len, size_t boxes_max)
{
	double *sorted __cleanup_free = NULL;

	if (len <= boxes_max)
		return 0;
	sorted = xcalloc(len, sizeof(*sorted));
	memcpy(sorted, widths, len * sizeof(*sorted));
	qsort(sorted, len, sizeof(*sorted), compare_doubles);
	return sorted[boxes_max];
}

static int compare_siblings(const void *a, const void *b)
{
	const struct sibling *x = a, *y = b;

	if (x->width != y->width)
		return x->width > y->width ? -1 : 1;
	return x->rank < y->rank ? -1 : 1;
}

/* What waits to get a box: the last one is next. */
static void push_children(struct flame_box_vec *waiting, const struct flame *flame,
			  const struct flame_box *box, const double *widths,
			  struct sibling_vec *siblings)
{
	double x = box->x;

	siblings->len = 0;
	calltree_each_child(i, flame->tree, box->node)
		sibling_vec_push(siblings, (struct sibling){ widths[i], i,
							     (uint32_t)siblings->len });
	if (siblings->len > 1)
		qsort(siblings->data, siblings->len, sizeof(*siblings->data), compare_siblings);
	vec_for_each(s, siblings)
		x += s->width;
	for (size_t k = siblings->len; k-- > 0;) {
		const struct sibling *s = &siblings->data[k];

		x -= s->width;
		flame_box_vec_push(waiting, (struct flame_box){ s->node, box->depth + 1, x,
								s->width });
	}
}

void flame_init(struct flame *flame, const struct calltree *tree, size_t boxes_max)
{
	double *widths __cleanup_free = node_widths(tree);
	double least = narrowest(widths, tree->nodes.len, boxes_max);
	struct flame_box_vec waiting = { 0 };
	struct sibling_vec siblings = { 0 };

	*flame = (struct flame){ .tree = tree, .width = widths[CALLTREE_ROOT],
				 .narrowest = least };
	flame_box_vec_push(&waiting, (struct flame_box){ .width = flame->width });
	while (waiting.len) {
		struct flame_box box = waiting.data[--waiting.len];

		if (box.width <= least && box.node != CALLTREE_ROOT) {
			flame->left_out_width += box.width;
			continue;
		}
		flame_box_vec_push(&flame->boxes, box);
		push_children(&waiting, flame, &box, widths, &siblings);
	}
	flame->left_out = (uint32_t)(tree->nodes.len - flame->boxes.len);
	flame_box_vec_deinit(&waiting);
	sibling_vec_deinit(&siblings);
}

void flame_deinit(struct flame *flame)
{
	flame_box_vec_deinit(&flame->boxes);
}

/* Names */

static bool starts(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

/* Where what @s opens is closed, or the end of the name. */
static const char *skip_pair(const char *s, char open, char close)
{
	int depth = 0;

	for (; *s; s++) {
		depth += (*s == open) - (*s == close && s[-1] != '-');
		if (!depth)
			return s + 1;
	}
	return s;
}

/* "operator<<", "operator()", "operator->": their brackets are the name. */
static size_t operator_length(const char *s)
{
	static const char word[] = "operator";
	size_t len = sizeof(word) - 1;

	if (!starts(s, word))
		return 0;
	if (starts(s + len, "()"))
		return len + 2;
	return len + strspn(s + len, "<>=-!&|*/+%^~");
}

/* Go's "main.(*server).handle" has no parameters: its parentheses stay. */
void flame_short_name(struct strbuf *sb, const char *name)
{
	static const char anonymous[] = "(anonymous namespace)";
	const char *s = name;

	while (*s) {
		size_t len = operator_length(s);

		if (!len && starts(s, anonymous))
			len = sizeof(anonymous) - 1;
		if (len) {
			strbuf_add(sb, s, len);
			s += len;
		} else if (*s == '<' && s > name) {
			strbuf_addstr(sb, "<\u2026>");
			s = skip_pair(s, '<', '>');
		} else if (*s == '(' && s > name && s[-1] != '.') {
			s = skip_pair(s, '(', ')');
			s += starts(s, " const") ? sizeof(" const") - 1 : 0;
		} else {
			strbuf_addch(sb, *s++);
		}
	}
}
