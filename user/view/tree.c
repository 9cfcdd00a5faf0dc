// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tree: callers and callees, folding. A chain of calls without a branch stays
 * at one indent, so that deep stacks fit a narrow screen.
 */
#include "model/map64.h"
#include "view/calls.h"
#include "view/names.h"

#define OPEN_SHARE 0.1		/* what holds more is unfolded until the user folds it */
#define NUMBER_COLUMNS 24

enum fold { FOLD_BY_SHARE, FOLDED, UNFOLDED };

struct tree_line { uint32_t node; int indent; };

DEFINE_VEC(tree_line_vec, struct tree_line);

struct tree_state {
	struct calltree *tree;	/* borrowed, of ui->calls */
	struct map64 folds;	/* node id -> enum fold */
	struct tree_line_vec lines;
	struct list list;
	uint64_t selected;	/* node id */
};

static void tree_deinit(void *arg)
{
	struct tree_state *state = arg;

	map64_deinit(&state->folds);
	tree_line_vec_deinit(&state->lines);
}

static const struct calltree_node *node_at(const struct tree_state *state, uint32_t i)
{
	return &state->tree->nodes.data[i];
}

static bool is_open(const struct tree_state *state, uint32_t i)
{
	enum fold fold = map64_get(&state->folds, node_at(state, i)->id);

	if (fold != FOLD_BY_SHARE)
		return fold == UNFOLDED;
	return calls_share(state->tree, i) >= OPEN_SHARE;
}

static void set_open(struct tree_state *state, uint32_t i, bool open)
{
	map64_set(&state->folds, node_at(state, i)->id, open ? UNFOLDED : FOLDED);
}

/* Where a path ends or divides. */
static bool indents(const struct tree_state *state, uint32_t parent)
{
	const struct calltree_node *node = node_at(state, parent);

	return parent != CALLTREE_ROOT && (node->children > 1 || node->now.self);
}

/* The lines in view order; indents by depth, as the walk goes down and up. */
static void make_lines(struct tree_state *state)
{
	int *indent __cleanup_free = xcalloc(state->tree->depth_max + 2, sizeof(*indent));
	uint32_t i = node_at(state, CALLTREE_ROOT)->child;

	state->lines.len = 0;
	while (i) {
		const struct calltree_node *node = node_at(state, i);

		indent[node->depth] = node->depth ? indent[node->depth - 1] +
			indents(state, node->parent) : 0;
		tree_line_vec_push(&state->lines, (struct tree_line){ i, indent[node->depth] });
		if (node->child && is_open(state, i)) {
			i = node->child;
			continue;
		}
		while (i && !node_at(state, i)->sibling)
			i = node_at(state, i)->parent;
		i = i ? node_at(state, i)->sibling : 0;
	}
}

static void select_line(struct tree_state *state)
{
	for (size_t i = 0; i < state->lines.len; i++)
		if (node_at(state, state->lines.data[i].node)->id == state->selected)
			state->list.cursor = i;
}

static void tree_derive(struct ui *ui, void *arg)
{
	struct tree_state *state = arg;

	state->tree = calls_tree(ui);
	make_lines(state);
	select_line(state);
}

/* --- drawing --- */

static void draw_header(const struct ui *ui, struct area area)
{
	struct strbuf subject __cleanup_strbuf = { 0 };

	draw_fill(area, 0, 0, area.columns, ROLE_HEADER, ' ');
	draw_right(area, 0, 0, 8, ROLE_SORTED, "total");
	draw_right(area, 0, 9, 6, ROLE_HEADER, "share");
	draw_right(area, 0, 16, 7, ROLE_HEADER, "self");
	calls_subject(ui, &subject);
	draw_text(area, 0, NUMBER_COLUMNS, area.columns - NUMBER_COLUMNS, ROLE_HEADER,
		  strbuf_str(&subject));
}

static const char *fold_sign(const struct tree_state *state, uint32_t i)
{
	if (!node_at(state, i)->child)
		return " ";
	return glyph(is_open(state, i) ? GLYPH_UNFOLDED : GLYPH_FOLDED);
}

static void draw_line(const struct ui *ui, struct tree_state *state, struct area area, int row,
		      const struct tree_line *line)
{
	const struct calltree_node *node = node_at(state, line->node);
	const struct frame *frame = calltree_label(state->tree, line->node)->frame;
	double share = calls_share(state->tree, line->node);
	struct strbuf place __cleanup_strbuf = { 0 };
	int at = NUMBER_COLUMNS + line->indent * 2;
	char buf[FORMAT_MAX];

	draw_right(area, row, 0, 8, ROLE_TITLE, calls_value(ui, node->now.total, buf));
	snprintf(buf, sizeof(buf), "%.1f%%", 100 * share);
	draw_right(area, row, 9, 6, share >= 0.5 ? ROLE_BAD : share >= OPEN_SHARE ? ROLE_WARN :
		   ROLE_TEXT, buf);
	draw_right(area, row, 16, 7, node->now.self ? ROLE_TEXT : ROLE_DIM,
		   calls_value(ui, node->now.self, buf));
	at += draw_text(area, row, at, 1, ROLE_LABEL, fold_sign(state, line->node)) + 1;
	at += draw_text(area, row, at, area.columns - at,
			frame && frame->inlined ? ROLE_INLINED : ROLE_FUNCTION,
			calltree_name(state->tree, line->node)) + 1;
	if (frame)
		name_place(&place, frame);
	draw_text(area, row, at, area.columns - at, ROLE_FILE, strbuf_str(&place));
}

static void tree_draw(struct ui *ui, void *arg, struct area area)
{
	struct tree_state *state = arg;
	struct list *list = &state->list;

	draw_header(ui, area);
	list_fit(list, state->lines.len, area.rows - 1);
	if (!list->count)
		draw_text(area, 1, 2, area.columns, ROLE_DIM, "no call path has any of it");
	for (int row = 0; row < list->rows && list->top + row < list->count; row++) {
		draw_line(ui, state, area, row + 1, &state->lines.data[list->top + row]);
		if (list->top + row == list->cursor)
			draw_recolour(area, row + 1, 0, area.columns, ROLE_SELECTED);
	}
}

/* --- keys --- */

static unsigned int fold(struct tree_state *state, uint32_t node, bool open)
{
	set_open(state, node, open);
	make_lines(state);
	return EFFECT_DRAW;
}

static void fold_below(struct tree_state *state, uint32_t top, bool open)
{
	uint32_t depth = node_at(state, top)->depth;

	set_open(state, top, open);
	for (uint32_t i = calltree_next(state->tree, top); i && node_at(state, i)->depth > depth;
	     i = calltree_next(state->tree, i))
		set_open(state, i, open);
	make_lines(state);
}

static unsigned int go_left(struct tree_state *state, uint32_t node)
{
	if (node_at(state, node)->child && is_open(state, node))
		return fold(state, node, false);
	state->selected = node_at(state, node_at(state, node)->parent)->id;
	select_line(state);
	return EFFECT_DRAW;
}

static unsigned int go_right(struct tree_state *state, uint32_t node)
{
	if (node_at(state, node)->child && !is_open(state, node))
		return fold(state, node, true);
	return list_act(&state->list, ACTION_DOWN);
}

static unsigned int act_on_node(struct tree_state *state, uint32_t node, enum action action)
{
	switch (action) {
	case ACTION_FOLD:
		return fold(state, node, !is_open(state, node));
	case ACTION_UNFOLD_ALL:
	case ACTION_FOLD_ALL:
		fold_below(state, node, action == ACTION_UNFOLD_ALL);
		return EFFECT_DRAW;
	case ACTION_LEFT:
		return go_left(state, node);
	case ACTION_RIGHT:
		return go_right(state, node);
	default:
		return EFFECT_PASS;
	}
}

static unsigned int tree_act(struct ui *ui, void *arg, enum action action)
{
	struct tree_state *state = arg;
	unsigned int effects = EFFECT_PASS;

	switch (action) {
	case ACTION_INVERT:
		return calls_invert(ui);
	case ACTION_VALUE:
		return calls_next_metric(ui);
	default:
		break;
	}
	if (state->list.cursor < state->lines.len)
		effects = act_on_node(state, state->lines.data[state->list.cursor].node, action);
	if (effects & EFFECT_PASS)
		effects = list_act(&state->list, action);
	if (state->list.cursor < state->lines.len)
		state->selected = node_at(state,
					  state->lines.data[state->list.cursor].node)->id;
	return effects;
}

const struct view_ops view_tree = {
	.state_bytes = sizeof(struct tree_state),
	.deinit = tree_deinit,
	.derive = tree_derive,
	.draw = tree_draw,
	.act = tree_act,
};
