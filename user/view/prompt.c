// SPDX-License-Identifier: GPL-2.0-or-later
/* One line that the user types; see prompt.h. */
#include <curses.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "view/ui.h"

void prompt_open(struct prompt *prompt, const char *question, const char *text,
		 unsigned int (*done)(struct ui *ui, const char *text))
{
	prompt_deinit(prompt);
	prompt->open = true;
	prompt->question = question;
	prompt->done = done;
	prompt->before = xstrdup(text);
	strbuf_addstr(&prompt->text, text);
}

void prompt_deinit(struct prompt *prompt)
{
	strbuf_deinit(&prompt->text);
	free(prompt->before);
	*prompt = (struct prompt){ 0 };
}

static void erase_last(struct strbuf *text)
{
	while (text->len && (text->data[text->len - 1] & 0xc0) == 0x80)
		text->len--;
	if (text->len)
		text->len--;
	if (text->data)
		text->data[text->len] = 0;
}

static unsigned int changed(struct ui *ui, struct prompt *prompt)
{
	return EFFECT_DRAW |
	       (prompt->changed ? prompt->changed(ui, strbuf_str(&prompt->text)) : 0);
}

static unsigned int close_prompt(struct ui *ui, struct prompt *prompt, bool answered)
{
	struct prompt closed = *prompt;
	unsigned int effects = EFFECT_DRAW;

	*prompt = (struct prompt){ 0 };
	if (answered)
		effects |= closed.done(ui, strbuf_str(&closed.text));
	else if (closed.changed)
		effects |= closed.changed(ui, closed.before);
	prompt_deinit(&closed);
	return effects;
}

unsigned int prompt_key(struct ui *ui, struct prompt *prompt, int key)
{
	switch (key) {
	case '\n':
		return close_prompt(ui, prompt, true);
	case ESC:
	case CONTROL('g'):
		return close_prompt(ui, prompt, false);
	case KEY_BACKSPACE:
		erase_last(&prompt->text);
		return changed(ui, prompt);
	case CONTROL('u'):
		strbuf_reset(&prompt->text);
		return changed(ui, prompt);
	default:
		if (key < ' ' || key > 0xff)
			return EFFECT_NONE;
		strbuf_addch(&prompt->text, (char)key);
		return changed(ui, prompt);
	}
}

void prompt_draw(const struct prompt *prompt, struct area area, int row)
{
	int at = draw_format(area, row, 0, ROLE_TITLE, "%s: ", prompt->question);

	at += draw_text(area, row, at, area.columns - at - 1, ROLE_TEXT,
			strbuf_str(&prompt->text));
	screen_cursor(area.row + row, area.column + at);
}
