/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every option of every command, once: parsing (options.c), --help, the manual
 * pages and what shells complete (manual.c) derive from these rows.
 */
#ifndef HEAPSONDE_CMD_OPTION_TABLE_H
#define HEAPSONDE_CMD_OPTION_TABLE_H

#include <stddef.h>

#include "base/strbuf.h"
#include "cmd/options.h"

enum option_type {
	OPTION_FLAG,		/* bool */
	OPTION_PIDS,		/* struct pid_vec */
	OPTION_SECONDS,		/* double, > 0 */
	OPTION_PERCENT,		/* double, > 0 and at most 100 */
	OPTION_COUNT,		/* uint64_t within min and max */
	OPTION_BYTES,		/* uint64_t within min and max, suffixes allowed */
	OPTION_CHOICE,		/* int: which of choices */
	OPTION_METRIC,		/* const char *: a name of METRICS */
	OPTION_STRING,		/* const char * */
	OPTION_STRINGS,		/* struct path_vec */
	OPTION_ALLOCATOR,	/* struct allocator_choice */
	OPTION_CONDITION,	/* struct condition_vec */
};

struct option_row {
	const char *name;
	char short_name;	/* 0: none */
	enum option_type type;
	unsigned int commands;	/* mask of 1 << enum command */
	size_t offset;		/* in struct options */
	const char *arg;	/* what help calls the argument; NULL: none */
	const char *default_text; /* parsed as if given; NULL: stays zero */
	const char *choices;	/* "auto|exact" */
	uint64_t min, max;
	const char *given_text;	/* the argument where the option stands alone; NULL: it cannot */
	const char *help;
};

/* In the order of --help. */
extern const struct option_row option_rows[];
extern const size_t option_rows_count;
#define OPTION_ROWS_MAX 64

static inline bool option_is_of(const struct option_row *row, enum command command)
{
	return row->commands & 1u << command;
}

/* What the option is for, which values it takes and what it is without. */
void option_help(const struct option_row *row, struct strbuf *help);

/* What stands on a command's usage line behind its name. */
const char *command_usage(enum command command);

#endif
