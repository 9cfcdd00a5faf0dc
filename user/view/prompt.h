/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One line that the user types, at the bottom of the screen. */
#ifndef HEAPSONDE_VIEW_PROMPT_H
#define HEAPSONDE_VIEW_PROMPT_H

#include <stdbool.h>

#include "base/strbuf.h"
#include "view/screen.h"

struct ui;

struct prompt {
	bool open;
	const char *question;
	struct strbuf text;	/* UTF-8; what is typed goes to its end */
	/* The answer's effects; @text is owned by the prompt. */
	unsigned int (*done)(struct ui *ui, const char *text);
	/* After each key, or NULL. */
	unsigned int (*changed)(struct ui *ui, const char *text);
	char *before;		/* what it was, for Esc and changed() */
};

void prompt_open(struct prompt *prompt, const char *question, const char *text,
		 unsigned int (*done)(struct ui *ui, const char *text));
void prompt_deinit(struct prompt *prompt);
unsigned int prompt_key(struct ui *ui, struct prompt *prompt, int key);
void prompt_draw(const struct prompt *prompt, struct area area, int row);

#endif
