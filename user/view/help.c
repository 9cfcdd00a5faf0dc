// SPDX-License-Identifier: GPL-2.0-or-later
/* Help: keys, columns, filters, as --help prints them. */
#include <stdio.h>
#include <string.h>

#include "base/vec.h"
#include "view/ui.h"

DEFINE_VEC(line_vec, char *);

struct help_state {
	char *text;
	struct line_vec lines;	/* point into text */
	size_t top;
};

static void help_deinit(void *arg)
{
	struct help_state *state = arg;

	line_vec_deinit(&state->lines);
	free(state->text);
}

static void help_derive(struct ui *ui, void *arg)
{
	struct help_state *state = arg;
	size_t size;
	char *rest, *line;
	FILE *f;

	if (state->text)
		return;
	f = open_memstream(&state->text, &size);
	if (!f)
		return;
	ui_help(f);
	fclose(f);
	rest = state->text;
	while ((line = strsep(&rest, "\n")))
		line_vec_push(&state->lines, line);
}

static void help_draw(struct ui *ui, void *arg, struct area area)
{
	struct help_state *state = arg;
	size_t page = area.rows;

	if (state->top + page > state->lines.len)
		state->top = state->lines.len > page ? state->lines.len - page : 0;
	for (int row = 0; row < area.rows && state->top + row < state->lines.len; row++) {
		const char *line = state->lines.data[state->top + row];

		draw_text(area, row, 0, area.columns, *line == ' ' ? ROLE_TEXT : ROLE_TITLE, line);
		if (*line == ' ')
			draw_recolour(area, row, 0, 16, ROLE_LABEL);
	}
}

/* There is no cursor: the text itself moves. */
static unsigned int help_act(struct ui *ui, void *arg, enum action action)
{
	struct help_state *state = arg;
	struct list list = { .count = state->lines.len, .cursor = state->top,
			     .rows = screen_area().rows - HEAD_ROWS - FOOTER_ROWS };
	unsigned int effects = list_act(&list, action);

	state->top = list.cursor;
	return effects;
}

const struct view_ops view_help = {
	.state_bytes = sizeof(struct help_state),
	.deinit = help_deinit,
	.derive = help_derive,
	.draw = help_draw,
	.act = help_act,
};
