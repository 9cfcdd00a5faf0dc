// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Flame: the call tree as a flame graph that hangs down: a row for each depth,
 * a box for each function, as wide as its share.
 */
#include <math.h>

#include "view/calls.h"

#define BOX_COLUMNS_MIN 1

struct flame_state {
	struct calltree *tree;		/* borrowed, of ui->calls */
	uint64_t zoom, selected;	/* node ids; 0: the root */
	uint32_t zoom_node, selected_node;
	uint32_t top;			/* depth that the first row shows */
};

static const struct calltree_node *node_at(const struct flame_state *state, uint32_t i)
{
	return &state->tree->nodes.data[i];
}

static uint32_t node_of_id(const struct flame_state *state, uint64_t id)
{
	for (uint32_t i = 0; i < state->tree->nodes.len; i++)
		if (node_at(state, i)->id == id && node_at(state, i)->present)
			return i;
	return CALLTREE_ROOT;
}

static void flame_derive(struct ui *ui, void *arg)
{
	struct flame_state *state = arg;

	state->tree = calls_tree(ui);
	state->zoom_node = node_of_id(state, state->zoom);
	state->selected_node = node_of_id(state, state->selected);
}

static void select_node(struct flame_state *state, uint32_t node)
{
	state->selected_node = node;
	state->selected = node_at(state, node)->id;
}

static void zoom_to(struct flame_state *state, uint32_t node)
{
	state->zoom_node = node;
	state->zoom = node_at(state, node)->id;
	if (node_at(state, state->selected_node)->depth < node_at(state, node)->depth)
		select_node(state, node);
}

/* --- drawing --- */

struct canvas {
	struct ui *ui;
	struct flame_state *state;
	struct area area;
};

static enum role box_role(const struct canvas *canvas, uint32_t node)
{
	static const enum role roles[] = { ROLE_FLAME_A, ROLE_FLAME_B, ROLE_FLAME_C, ROLE_FLAME_D };
	const struct calltree_label *label = calltree_label(canvas->state->tree, node);

	if (node == canvas->state->selected_node)
		return ROLE_SELECTED;
	if (label->frame && filter_matches_frame(&canvas->ui->search, label->frame))
		return ROLE_MATCH;
	return roles[label->hash % (sizeof(roles) / sizeof(roles[0]))];
}

static void draw_box(const struct canvas *canvas, uint32_t node, double left, double right)
{
	int row = (int)node_at(canvas->state, node)->depth - (int)canvas->state->top;
	int from = (int)lround(left), width = (int)lround(right) - from;
	enum role role = box_role(canvas, node);

	if (row < 0 || row >= canvas->area.rows || width < BOX_COLUMNS_MIN)
		return;
	draw_fill(canvas->area, row, from, width, role, ' ');
	draw_text(canvas->area, row, from, 1, role, glyph(GLYPH_BAR));
	if (width > 1)
		draw_text(canvas->area, row, from + 1, width - 1, role,
			  calltree_name(canvas->state->tree, node));
}

/* A node's box, then those of its children below it; what is too narrow is left out. */
static void draw_below(const struct canvas *canvas, uint32_t node, double left, double right)
{
	const struct calltree_node *above = node_at(canvas->state, node);
	double at = left;

	draw_box(canvas, node, left, right);
	if (above->now.total <= 0 ||
	    (int)above->depth - (int)canvas->state->top >= canvas->area.rows)
		return;
	calltree_each_child(child, canvas->state->tree, node) {
		double width = node_at(canvas->state, child)->now.total / above->now.total *
			(right - left);

		if (width <= 0)
			break;		/* what shrank stands last */
		if (lround(at + width) - lround(at) >= BOX_COLUMNS_MIN)
			draw_below(canvas, child, at, fmin(at + width, right));
		at += width;
	}
}

static void draw_above(const struct canvas *canvas)
{
	for (uint32_t i = canvas->state->zoom_node; i != CALLTREE_ROOT;) {
		i = node_at(canvas->state, i)->parent;
		draw_box(canvas, i, 0, canvas->area.columns);
	}
}

static double found_share(struct ui *ui, const struct flame_state *state)
{
	double found = 0;
	uint32_t i = CALLTREE_ROOT;

	do {
		const struct frame *frame = calltree_label(state->tree, i)->frame;
		uint32_t below;

		if (!frame || !filter_matches_frame(&ui->search, frame)) {
			i = calltree_next(state->tree, i);
			continue;
		}
		found += calls_share(state->tree, i);
		/* What lies below is counted with it. */
		for (below = i; below && !node_at(state, below)->sibling;)
			below = node_at(state, below)->parent;
		i = node_at(state, below)->sibling;
	} while (i);
	return found;
}

static void draw_header(struct ui *ui, const struct flame_state *state, struct area area)
{
	struct strbuf subject __cleanup_strbuf = { 0 };

	calls_subject(ui, &subject);
	if (state->zoom_node)
		strbuf_addf(&subject, ", zoomed to %s",
			    calltree_name(state->tree, state->zoom_node));
	if (ui->search.text)
		strbuf_addf(&subject, ", '%s' in %.1f%%", ui->search.text,
			    100 * found_share(ui, state));
	draw_fill(area, 0, 0, area.columns, ROLE_HEADER, ' ');
	draw_text(area, 0, 0, area.columns, ROLE_HEADER, strbuf_str(&subject));
}

static void draw_selected(const struct ui *ui, const struct flame_state *state, struct area area,
			  int row)
{
	const struct calltree_node *node = node_at(state, state->selected_node);
	char total[FORMAT_MAX], self[FORMAT_MAX];

	draw_format(area, row, 0, ROLE_TITLE, "%s: %s, %.1f%%, itself %s",
		    calltree_name(state->tree, state->selected_node),
		    calls_value(ui, node->now.total, total),
		    100 * calls_share(state->tree, state->selected_node),
		    calls_value(ui, node->now.self, self));
}

static void keep_in_view(struct flame_state *state, int rows)
{
	uint32_t depth = node_at(state, state->selected_node)->depth;

	if (depth < state->top)
		state->top = depth;
	if (depth >= state->top + (uint32_t)rows)
		state->top = depth - (uint32_t)rows + 1;
}

static void flame_draw(struct ui *ui, void *arg, struct area area)
{
	struct flame_state *state = arg;
	struct canvas canvas = {
		ui, state, { area.row + 1, 0, area.rows - 2, area.columns },
	};

	draw_header(ui, state, area);
	if (state->tree->nodes.data[CALLTREE_ROOT].now.total <= 0) {
		draw_text(area, 1, 2, area.columns, ROLE_DIM, "no call path has any of it");
		return;
	}
	keep_in_view(state, canvas.area.rows);
	draw_above(&canvas);
	draw_below(&canvas, state->zoom_node, 0, area.columns);
	draw_selected(ui, state, area, area.rows - 1);
}

/* --- keys --- */

static uint32_t sibling_before(const struct flame_state *state, uint32_t node)
{
	uint32_t before = node;

	calltree_each_child(i, state->tree, node_at(state, node)->parent) {
		if (i == node)
			return before;
		before = i;
	}
	return node;
}

static bool is_below_zoom(const struct flame_state *state, uint32_t node)
{
	while (node && node != state->zoom_node)
		node = node_at(state, node)->parent;
	return node == state->zoom_node;
}

static unsigned int move(struct flame_state *state, enum action action)
{
	const struct calltree_node *node = node_at(state, state->selected_node);
	uint32_t to = 0;

	switch (action) {
	case ACTION_UP:
		to = node->parent;
		break;
	case ACTION_DOWN:
		to = node->child;
		break;
	case ACTION_LEFT:
		to = sibling_before(state, state->selected_node);
		break;
	case ACTION_RIGHT:
		to = node->sibling;
		break;
	case ACTION_FIRST:
		to = state->zoom_node;
		break;
	default:
		return EFFECT_PASS;
	}
	if (to || action == ACTION_UP || action == ACTION_FIRST)
		select_node(state, to);
	/* Left of the zoom's box there is nothing to see; up leads out of it. */
	if (!is_below_zoom(state, state->selected_node))
		zoom_to(state, action == ACTION_UP ? to : state->zoom_node);
	return EFFECT_DRAW;
}

static unsigned int find_next(struct ui *ui, struct flame_state *state)
{
	uint32_t i = state->selected_node;

	for (size_t steps = 0; steps < state->tree->nodes.len; steps++) {
		const struct frame *frame;

		i = calltree_next(state->tree, i);
		frame = calltree_label(state->tree, i)->frame;
		if (!frame || !filter_matches_frame(&ui->search, frame))
			continue;
		select_node(state, i);
		if (!is_below_zoom(state, i))
			zoom_to(state, CALLTREE_ROOT);
		return EFFECT_DRAW;
	}
	return ui_say(ui, NOTE_WARN, "nothing found");
}

static unsigned int flame_act(struct ui *ui, void *arg, enum action action)
{
	struct flame_state *state = arg;

	switch (action) {
	case ACTION_INVERT:
		return calls_invert(ui);
	case ACTION_VALUE:
		return calls_next_metric(ui);
	case ACTION_ZOOM:
		zoom_to(state, state->selected_node);
		return EFFECT_DRAW;
	case ACTION_BACK:
		if (!state->zoom_node)
			return EFFECT_PASS;
		zoom_to(state, CALLTREE_ROOT);
		return EFFECT_DRAW;
	case ACTION_NEXT:
		return find_next(ui, state);
	default:
		return move(state, action);
	}
}

const struct view_ops view_flame = {
	.state_bytes = sizeof(struct flame_state),
	.derive = flame_derive,
	.draw = flame_draw,
	.act = flame_act,
};
