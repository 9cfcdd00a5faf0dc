// SPDX-License-Identifier: GPL-2.0-or-later
/* Manual pages; see manual.h. */
#include <string.h>

#include "base/cleanup.h"
#include "base/strbuf.h"
#include "base/version.h"
#include "cmd/manual.h"
#include "cmd/option_table.h"
#include "model/snapshot.h"
#include "view/ui.h"

/* Text as roff has it: nothing at a line's beginning or behind a backslash is a command. */
static void put_text(const char *text, FILE *out)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (const char *c = text; *c; c++) {
		if (*c == '\\')
			fputs("\\e", out);
		else if (*c == '-')
			fputs("\\-", out);
		else if (*c == '\'')
			fputs("\\(aq", out);
		else
			fputc(*c, out);
	}
}

static void put_option(const struct option_row *row, FILE *out)
{
	struct strbuf help __cleanup_strbuf = { 0 };

	fputs(".TP\n\\fB", out);
	if (row->short_name)
		fprintf(out, "\\-%c\\fR, \\fB", row->short_name);
	fputs("\\-\\-", out);
	put_text(row->name, out);
	fputs("\\fR", out);
	if (row->arg) {
		fputs(row->given_text ? "[=\\fI" : " \\fI", out);
		put_text(row->arg, out);
		fputs(row->given_text ? "\\fR]" : "\\fR", out);
	}
	fputc('\n', out);
	option_help(row, &help);
	put_text(strbuf_str(&help), out);
	fputs(".\n", out);
}

static void put_options(enum command command, FILE *out)
{
	bool metrics = false;

	for (size_t i = 0; i < option_rows_count; i++) {
		if (!option_is_of(&option_rows[i], command))
			continue;
		put_option(&option_rows[i], out);
		metrics |= option_rows[i].type == OPTION_METRIC;
	}
	if (!metrics)
		return;
	fputs(".PP\nMetrics are ", out);
	put_text(metrics_names(), out);
	fputs(".\n", out);
}

static void put_keys(FILE *out)
{
	__cleanup_free char *text = NULL;
	char *rest, *line;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	ui_help(f);
	fclose(f);
	rest = text;
	fputs(".nf\n", out);
	while ((line = strsep(&rest, "\n"))) {
		put_text(line, out);
		fputc('\n', out);
	}
	fputs(".fi\n", out);
}

static void put_commands(FILE *out)
{
	for (int i = 0; i < COMMANDS_COUNT; i++) {
		fprintf(out, ".TP\n\\fBheapsonde\\-%s\\fR(1)\n", command_name(i));
		put_text(command_purpose(i), out);
		fputs(".\n", out);
	}
}

static void put_head(const char *title, const char *purpose, FILE *out)
{
	fputs(".TH \"", out);
	for (const char *c = title; *c; c++)
		fputc(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c, out);
	fprintf(out, "\" 1 \"\" \"heapsonde %s\" \"heapsonde\"\n.SH NAME\n", heapsonde_version);
	put_text(title, out);
	fputs(" \\- ", out);
	put_text(purpose, out);
	fputs("\n.SH SYNOPSIS\n.B ", out);
}

/* -1: none, the program itself. */
static void put_body(int command, FILE *text, FILE *out)
{
	__cleanup_free char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, text) > 0) {
		if (!strcmp(line, "@OPTIONS@\n") && command >= 0)
			put_options(command, out);
		else if (!strcmp(line, "@KEYS@\n"))
			put_keys(out);
		else if (!strcmp(line, "@COMMANDS@\n"))
			put_commands(out);
		else
			fputs(line, out);
	}
}

struct error *manual_write(const char *name, FILE *text, FILE *out)
{
	struct strbuf title __cleanup_strbuf = { 0 };
	int command = command_find(name);

	if (command < 0 && strcmp(name, "heapsonde"))
		return error_create(ERROR_USAGE, "there is no command '%s': try 'heapsonde --help'",
				    name);
	strbuf_addf(&title, command < 0 ? "%s" : "heapsonde-%s", name);
	put_head(strbuf_str(&title), command < 0 ? "heap profiler for running Linux processes" :
		 command_purpose(command), out);
	fputs("heapsonde\n", out);
	put_text(command < 0 ? "COMMAND [options]" : name, out);
	if (command >= 0) {
		fputc(' ', out);
		put_text(command_usage(command), out);
	}
	fputc('\n', out);
	put_body(command, text, out);
	return NULL;
}
