// SPDX-License-Identifier: GPL-2.0-or-later
/* Talk on stderr; see log.h. */
#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"
#include "base/strbuf.h"
#include "base/format.h"

static bool quiet;
static _Atomic bool line_unended;
static void (*line_sink)(void *arg, const char *line);
static void *line_sink_arg;

void log_set_quiet(bool q)
{
	quiet = q;
}

void log_set_unended(bool unended)
{
	line_unended = unended;
}

void log_set_sink(void (*sink)(void *arg, const char *line), void *arg)
{
	line_sink = sink;
	line_sink_arg = arg;
}

bool log_is_quiet(void)
{
	return quiet;
}

/*
 * Messages quote names that a target chose (paths, comm), so the line is
 * escaped as a whole: no control character of theirs reaches the terminal.
 */
static void say(const char *prefix, const char *fmt, va_list args)
{
	struct strbuf line __cleanup_strbuf = { 0 };
	struct strbuf safe __cleanup_strbuf = { 0 };

	strbuf_vaddf(&line, fmt, args);
	format_escaped(&safe, strbuf_str(&line));
	if (line_sink) {
		strbuf_reset(&line);
		strbuf_addf(&line, "%s%s", prefix, strbuf_str(&safe));
		line_sink(line_sink_arg, strbuf_str(&line));
		return;
	}
	fprintf(stderr, "%sheapsonde: %s%s\n", line_unended ? LOG_TO_LINE_START : "", prefix,
		strbuf_str(&safe));
	line_unended = false;
}

void log_info(const char *fmt, ...)
{
	va_list args;

	if (quiet)
		return;
	va_start(args, fmt);
	say("", fmt, args);
	va_end(args);
}

void log_warn(const char *fmt, ...)
{
	va_list args;

	if (quiet)
		return;
	va_start(args, fmt);
	say("warning: ", fmt, args);
	va_end(args);
}

void log_error(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say("", fmt, args);
	va_end(args);
}
