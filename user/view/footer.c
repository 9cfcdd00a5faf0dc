// SPDX-License-Identifier: GPL-2.0-or-later
/* The two lines at the bottom: a prompt, message or hints; the views by key. */
#include "view/ui.h"

static const enum role note_roles[] = {
	[NOTE_INFO] = ROLE_TITLE, [NOTE_WARN] = ROLE_WARN, [NOTE_BAD] = ROLE_BAD,
};

static int hint(struct area area, int at, const struct action_row *row)
{
	char key[16];
	int start = at;

	at += draw_text(area, 0, at, 12, ROLE_KEY, screen_key_name(row->key, key));
	at += draw_text(area, 0, at, 1, ROLE_TEXT, " ");
	at += draw_text(area, 0, at, 20, ROLE_DIM, row->word);
	return at - start + 2;
}

static void draw_hints(const struct ui *ui, struct area area)
{
	int at = 0;

	for (int i = ACTION_VIEW_LAST + 1; i < ACTIONS_COUNT; i++) {
		const struct action_row *row = action_row(i);

		if (row->word && row->where & 1u << ui->view && at + 18 < area.columns)
			at += hint(area, at, row);
	}
}

/* As htop: the key, then its word on colour; the one that is shown stands out. */
static void draw_views(const struct ui *ui, struct area area)
{
	int at = 0;

	draw_fill(area, 1, 0, area.columns, ROLE_TEXT, ' ');
	for (int i = 0; i <= VIEWS_COUNT; i++) {
		bool quit = i == VIEWS_COUNT;

		at += draw_format(area, 1, at, ROLE_KEY, "F%d", i + 1);
		at += draw_text(area, 1, at, 12,
				!quit && ui->view == (enum view_id)i ? ROLE_WORD_ON : ROLE_WORD,
				quit ? "Quit" : view_name(i));
		if (area.columns >= 80)
			at += draw_text(area, 1, at, 1, ROLE_TEXT, " ");
	}
}

void footer_draw(struct ui *ui, struct area area)
{
	if (ui->prompt.open)
		prompt_draw(&ui->prompt, area, 0);
	else if (ui->message)
		draw_text(area, 0, 0, area.columns, note_roles[ui->message_level], ui->message);
	else
		draw_hints(ui, area);
	draw_views(ui, area);
}
