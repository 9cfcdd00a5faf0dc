// SPDX-License-Identifier: GPL-2.0-or-later
/* The tables of actions and views, and what is derived from them alone. */
#include <curses.h>

#include "view/ui.h"

static const struct action_row actions[ACTIONS_COUNT] = {
#define X(symbol, key, other, where, word, help) [symbol] = { key, other, where, word, help },
	ACTIONS(X)
#undef X
};

static const struct view_row {
	const struct view_ops *ops;
	const char *name, *help;
	int letter;
} views[VIEWS_COUNT] = {
#define X(symbol, ops, name, letter, help) { &ops, name, help, letter },
	VIEWS(X)
#undef X
};

const struct action_row *action_row(enum action action)
{
	return &actions[action];
}

const char *view_name(enum view_id view)
{
	return views[view].name;
}

const struct view_ops *view_ops(enum view_id view)
{
	return views[view].ops;
}

enum action action_of_key(int key, enum view_id view)
{
	for (int i = 0; i < VIEWS_COUNT; i++)
		if (key == KEY_F(1 + i) || key == views[i].letter)
			return ACTION_VIEW + i;
	for (int i = ACTION_VIEW_LAST + 1; i < ACTIONS_COUNT; i++)
		if ((actions[i].key == key || (key && actions[i].other == key)) &&
		    actions[i].where & 1u << view)
			return i;
	return ACTION_NONE;
}

static void put_key(FILE *f, int key, int other, const char *help)
{
	char one[16], two[16], both[40];

	if (other)
		snprintf(both, sizeof(both), "%s %s", screen_key_name(key, one),
			 screen_key_name(other, two));
	else
		snprintf(both, sizeof(both), "%s", screen_key_name(key, one));
	fprintf(f, "  %-14s %s", both, help);
}

static void put_places(FILE *f, unsigned int where)
{
	const char *before = "  [";

	for (int i = 0; i < VIEWS_COUNT && where != ANY; i++)
		if (where & 1u << i) {
			fprintf(f, "%s%s", before, views[i].name);
			before = ", ";
		}
	fputs(where == ANY ? "\n" : "]\n", f);
}

static void filters_help(FILE *f)
{
	fputs("\nA filter is words; all of them must hold, !WORD must not:\n"
	      "  REGEX          any function, file or module; case counts if it has a capital\n",
	      f);
#define X(symbol, name, help) fprintf(f, "  %-14s %s\n", name ":REGEX", help);
	FILTER_TEXTS(X)
#undef X
#define X(symbol, name, value, bytes, help)	\
	fprintf(f, "  %-14s %s (or <)\n", name ">N", help);
	FILTER_NUMBERS(X)
#undef X
}

void ui_help(FILE *f)
{
	fputs("Views:\n", f);
	for (int i = 0; i < VIEWS_COUNT; i++) {
		put_key(f, KEY_F(1 + i), views[i].letter, views[i].help);
		fputc('\n', f);
	}
	fputs("\nKeys (in square brackets: only in these views):\n", f);
	for (int i = ACTION_VIEW_LAST + 1; i < ACTIONS_COUNT; i++) {
		put_key(f, actions[i].key, actions[i].other, actions[i].help);
		put_places(f, actions[i].where);
	}
	fputs("\nColumns of the sites:\n", f);
	columns_help(f);
	filters_help(f);
	fputs("\nthread: and size> show what these threads and size classes have of each path,\n"
	      "live sessions only. Growth and trend are known of whole paths.\n", f);
}
