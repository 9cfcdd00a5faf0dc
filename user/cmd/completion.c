// SPDX-License-Identifier: GPL-2.0-or-later
/* What shells complete; see manual.h. */
#include <string.h>

#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cmd/manual.h"
#include "cmd/option_table.h"
#include "model/snapshot.h"

/* The words that may stand behind the option, blanks between; empty: anything. */
static void add_words(const struct option_row *row, struct strbuf *words)
{
	const char *list = row->choices;

	if (row->type == OPTION_METRIC)
		list = metrics_names();
	for (; list && *list; list++) {
		if (*list == '|')
			strbuf_addch(words, ' ');
		else if (*list != ',')
			strbuf_addch(words, *list);
	}
}

static bool is_path(const struct option_row *row)
{
	return row->arg && (!strcmp(row->arg, "FILE") || !strcmp(row->arg, "PATH") ||
			    !strcmp(row->arg, "DIR") || !strcmp(row->arg, "OUT"));
}

/* In single quotes, for any of the three. */
static void put_quoted(const char *text, FILE *out)
{
	fputc('\'', out);
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", out);
		else
			fputc(*text, out);
	}
	fputc('\'', out);
}

/* --- bash ----------------------------------------------------------------- */

static void bash_options(enum command command, FILE *out)
{
	fprintf(out, "\t%s) options='", command_name(command));
	for (size_t i = 0; i < option_rows_count; i++)
		if (option_is_of(&option_rows[i], command))
			fprintf(out, "--%s ", option_rows[i].name);
	fputs("' ;;\n", out);
}

/* Of several rows of one name, as of --format, the command decides. */
static void bash_values(const struct option_row *row, FILE *out)
{
	struct strbuf words __cleanup_strbuf = { 0 };

	add_words(row, &words);
	/* One that may stand alone has its value behind an equals sign. */
	if (!row->arg || row->given_text)
		return;
	for (int i = 0; i < COMMANDS_COUNT; i++)
		if (option_is_of(row, i))
			fprintf(out, "%s%s:--%s", row->commands & ((1u << i) - 1) ? "|" : "\t",
				command_name(i), row->name);
	if (row->type == OPTION_PIDS)
		fputs(") values=$(ps -eo pid= 2>/dev/null) ;;\n", out);
	else if (is_path(row))
		fputs(") files=1 ;;\n", out);
	else
		fprintf(out, ") values='%s'; none=1 ;;\n", strbuf_str(&words));
}

static void bash_write(FILE *out)
{
	fputs("# bash completion of heapsonde; made from its table of options\n"
	      "_heapsonde()\n{\n"
	      "\tlocal word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]}\n"
	      "\tlocal options='' values='' files='' none=''\n\n"
	      "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n"
	      "\t\tmapfile -t COMPREPLY < <(compgen -W '", out);
	for (int i = 0; i < COMMANDS_COUNT; i++)
		fprintf(out, "%s ", command_name(i));
	fputs("--help --version' -- \"$word\")\n\t\treturn\n\tfi\n\tcase $command in\n", out);
	for (int i = 0; i < COMMANDS_COUNT; i++)
		bash_options(i, out);
	fputs("\tesac\n\tcase $command:${COMP_WORDS[COMP_CWORD - 1]} in\n", out);
	for (size_t i = 0; i < option_rows_count; i++)
		bash_values(&option_rows[i], out);
	fputs("\tesac\n"
	      "\tif [ -n \"$values\" ]; then\n"
	      "\t\tmapfile -t COMPREPLY < <(compgen -W \"$values\" -- \"$word\")\n"
	      "\telif [ -n \"$none\" ]; then\n"
	      "\t\tCOMPREPLY=()\n"
	      "\telif [ -z \"$files\" ] && [[ $word == -* ]]; then\n"
	      "\t\tmapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n"
	      "\telse\n"
	      "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
	      "\tfi\n}\n"
	      "complete -o filenames -F _heapsonde heapsonde\n", out);
}

/* --- zsh ------------------------------------------------------------------ */

/* Brackets and colons have a meaning in _arguments' specifications. */
static void zsh_escape(const char *text, struct strbuf *ret)
{
	for (; *text; text++) {
		if (strchr("[]:\\", *text))
			strbuf_addch(ret, '\\');
		strbuf_addch(ret, *text);
	}
}

static void zsh_option(const struct option_row *row, FILE *out)
{
	struct strbuf spec __cleanup_strbuf = { 0 }, words __cleanup_strbuf = { 0 };

	strbuf_addf(&spec, row->given_text ? "*--%s=-[" : "*--%s[", row->name);
	zsh_escape(row->help, &spec);
	strbuf_addch(&spec, ']');
	add_words(row, &words);
	if (row->arg) {
		strbuf_addstr(&spec, row->given_text ? "::" : ":");
		zsh_escape(row->arg, &spec);
		strbuf_addch(&spec, ':');
	}
	if (words.len)
		strbuf_addf(&spec, "(%s)", strbuf_str(&words));
	else if (row->type == OPTION_PIDS)
		strbuf_addstr(&spec, "_pids");
	else if (is_path(row))
		strbuf_addstr(&spec, "_files");
	fputs("\t\t\t", out);
	put_quoted(strbuf_str(&spec), out);
	fputs(" \\\n", out);
}

static void zsh_write(FILE *out)
{
	fputs("#compdef heapsonde\n# made from heapsonde's table of options\n"
	      "_heapsonde()\n{\n\tlocal -a commands\n\n\tcommands=(\n", out);
	for (int i = 0; i < COMMANDS_COUNT; i++) {
		struct strbuf row __cleanup_strbuf = { 0 };

		strbuf_addf(&row, "%s:", command_name(i));
		zsh_escape(command_purpose(i), &row);
		fputs("\t\t", out);
		put_quoted(strbuf_str(&row), out);
		fputc('\n', out);
	}
	fputs("\t)\n\tif (( CURRENT == 2 )); then\n\t\t_describe command commands\n\t\treturn\n"
	      "\tfi\n\tlocal command=$words[2]\n\tshift words\n\t(( CURRENT-- ))\n"
	      "\tcase $command in\n", out);
	for (int command = 0; command < COMMANDS_COUNT; command++) {
		fprintf(out, "\t%s)\n\t\t_arguments -s \\\n", command_name(command));
		for (size_t i = 0; i < option_rows_count; i++)
			if (option_is_of(&option_rows[i], command))
				zsh_option(&option_rows[i], out);
		fputs("\t\t\t'*:file:_files' ;;\n", out);
	}
	fputs("\tesac\n}\n_heapsonde \"$@\"\n", out);
}

/* --- fish ----------------------------------------------------------------- */

static void fish_option(const struct option_row *row, enum command command, FILE *out)
{
	struct strbuf words __cleanup_strbuf = { 0 };

	add_words(row, &words);
	fprintf(out, "complete -c heapsonde -n '__fish_seen_subcommand_from %s' -l %s",
		command_name(command), row->name);
	if (row->short_name)
		fprintf(out, " -s %c", row->short_name);
	if (row->type == OPTION_PIDS)
		fputs(" -x -a '(__fish_complete_pids)'", out);
	else if (words.len)
		fprintf(out, " -x -a '%s'", strbuf_str(&words));
	else if (row->arg && !row->given_text)
		fputs(is_path(row) ? " -r -F" : " -x", out);
	fputs(" -d ", out);
	put_quoted(row->help, out);
	fputc('\n', out);
}

static void fish_write(FILE *out)
{
	fputs("# fish completion of heapsonde; made from its table of options\n", out);
	for (int i = 0; i < COMMANDS_COUNT; i++) {
		fprintf(out, "complete -c heapsonde -n __fish_use_subcommand -f -a %s -d ",
			command_name(i));
		put_quoted(command_purpose(i), out);
		fputc('\n', out);
	}
	for (int command = 0; command < COMMANDS_COUNT; command++)
		for (size_t i = 0; i < option_rows_count; i++)
			if (option_is_of(&option_rows[i], command))
				fish_option(&option_rows[i], command, out);
}

struct error *completion_write(const char *shell, FILE *out)
{
	if (!strcmp(shell, "bash"))
		bash_write(out);
	else if (!strcmp(shell, "zsh"))
		zsh_write(out);
	else if (!strcmp(shell, "fish"))
		fish_write(out);
	else
		return error_create(ERROR_USAGE, "no completion for '%s': there is bash, zsh "
				    "and fish", shell);
	return NULL;
}
