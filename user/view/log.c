// SPDX-License-Identifier: GPL-2.0-or-later
/* Log: what happened, and when. */
#include "view/ui.h"

struct log_state { struct list list; };

static void log_draw(struct ui *ui, void *arg, struct area area)
{
	static const enum role roles[] = {
		[NOTE_INFO] = ROLE_TEXT, [NOTE_WARN] = ROLE_WARN, [NOTE_BAD] = ROLE_BAD,
	};
	struct list *list = &((struct log_state *)arg)->list;
	bool at_end = list->cursor + 1 >= list->count;

	draw_fill(area, 0, 0, area.columns, ROLE_HEADER, ' ');
	draw_format(area, 0, 0, ROLE_HEADER, "%10s  what happened (%zu)", "at", ui->notes.len);
	/* Who stands at the end sees what comes. */
	if (at_end && ui->notes.len)
		list->cursor = ui->notes.len - 1;
	list_fit(list, ui->notes.len, area.rows - 1);
	for (int row = 0; row < list->rows && list->top + row < list->count; row++) {
		const struct log_line *note = &ui->notes.data[list->top + row];
		char when[FORMAT_MAX];

		draw_right(area, row + 1, 0, 10, ROLE_DIM, format_duration(note->t_s, when));
		draw_text(area, row + 1, 12, area.columns - 12,
			  filter_matches_text(&ui->search, note->text) ? ROLE_MATCH :
			  roles[note->level], note->text);
		if (list->top + row == list->cursor)
			draw_recolour(area, row + 1, 0, area.columns, ROLE_SELECTED);
	}
}

static unsigned int find_next(struct ui *ui, struct list *list)
{
	for (size_t i = 1; i <= ui->notes.len; i++) {
		size_t at = (list->cursor + i) % ui->notes.len;

		if (filter_matches_text(&ui->search, ui->notes.data[at].text)) {
			list->cursor = at;
			return EFFECT_DRAW;
		}
	}
	return ui_say(ui, NOTE_WARN, "nothing found");
}

static unsigned int log_act(struct ui *ui, void *arg, enum action action)
{
	struct list *list = &((struct log_state *)arg)->list;

	return action == ACTION_NEXT ? find_next(ui, list) : list_act(list, action);
}

const struct view_ops view_log = {
	.state_bytes = sizeof(struct log_state),
	.draw = log_draw,
	.act = log_act,
};
