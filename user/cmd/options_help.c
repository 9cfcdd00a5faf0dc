// SPDX-License-Identifier: GPL-2.0-or-later
/* heapsonde COMMAND --help, from the table of options. */
#include <string.h>

#include "base/strbuf.h"
#include "cmd/option_table.h"
#include "model/snapshot.h"
#include "view/ui.h"

#define HELP_COLUMN 28		/* where the explanations begin */
#define HELP_WIDTH 96

/* Breaks @text at spaces so that it stays right of @column. */
static void put_wrapped(FILE *f, const char *text, size_t column)
{
	size_t room = HELP_WIDTH - column;

	while (strlen(text) > room) {
		size_t cut = room;

		while (cut && text[cut] != ' ')
			cut--;
		if (!cut)
			break;
		fprintf(f, "%.*s\n%*s", (int)cut, text, (int)column, "");
		text += cut + 1;
	}
	fprintf(f, "%s\n", text);
}

void option_help(const struct option_row *row, struct strbuf *help)
{
	strbuf_addstr(help, row->help);
	if (row->choices)
		strbuf_addf(help, ": %s", row->choices);
	if (row->type == OPTION_COUNT && row->min)
		strbuf_addf(help, ", %llu to %llu", (unsigned long long)row->min,
			    (unsigned long long)row->max);
	if (row->given_text)
		strbuf_addf(help, " (%s if not said)", row->given_text);
	if (row->default_text)
		strbuf_addf(help, " (default: %s)", row->default_text);
}

static void put_option(FILE *f, const struct option_row *row)
{
	struct strbuf left __cleanup_strbuf = { 0 }, help __cleanup_strbuf = { 0 };

	if (row->short_name)
		strbuf_addf(&left, "  -%c, --%s", row->short_name, row->name);
	else
		strbuf_addf(&left, "      --%s", row->name);
	if (row->arg)
		strbuf_addf(&left, row->given_text ? "[=%s]" : " %s", row->arg);
	option_help(row, &help);
	if (left.len + 2 > HELP_COLUMN)
		fprintf(f, "%s\n%*s", strbuf_str(&left), HELP_COLUMN, "");
	else
		fprintf(f, "%-*s", HELP_COLUMN, strbuf_str(&left));
	put_wrapped(f, strbuf_str(&help), HELP_COLUMN);
}

void options_help(enum command command, FILE *out)
{
	bool metrics = false;

	fprintf(out, "Usage: heapsonde %s %s\n\nheapsonde %s: %s.\n\n", command_name(command),
		command_usage(command), command_name(command), command_purpose(command));
	for (size_t i = 0; i < option_rows_count; i++) {
		if (!option_is_of(&option_rows[i], command))
			continue;
		put_option(out, &option_rows[i]);
		metrics |= option_rows[i].type == OPTION_METRIC;
	}
	if (metrics) {
		fputs("\nMetrics: ", out);
		put_wrapped(out, metrics_names(), sizeof("Metrics: ") - 1);
	}
	if (command == COMMAND_TOP) {
		fputc('\n', out);
		ui_help(out);
	}
}
