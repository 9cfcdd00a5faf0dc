/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of user/symbol share: files compiled on the spot, tools asked for the truth. */
#ifndef HEAPSONDE_TESTS_SYMBOL_HELPERS_H
#define HEAPSONDE_TESTS_SYMBOL_HELPERS_H

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"

static char scratch_dir[] = "/tmp/heapsonde-symbol-XXXXXX";

static __attribute__((destructor)) void scratch_remove(void)
{
	char command[128];

	/* A directory is there only once scratch() made it. */
	if (strstr(scratch_dir, "XXXXXX"))
		return;
	snprintf(command, sizeof(command), "rm -rf '%s'", scratch_dir);
	if (system(command))
		fprintf(stderr, "could not remove %s\n", scratch_dir);
}

/* "<scratch directory>/<formatted>"; the caller frees it. */
static inline __attribute__((format(printf, 1, 2))) char *scratch(const char *fmt, ...)
{
	__cleanup_free char *name = NULL;
	va_list args;

	if (strstr(scratch_dir, "XXXXXX") && !mkdtemp(scratch_dir))
		abort();
	va_start(args, fmt);
	name = xvasprintf(fmt, args);
	va_end(args);
	return xasprintf("%s/%s", scratch_dir, name);
}

/* Runs a shell command; whether it ended with status 0. */
static inline __attribute__((format(printf, 1, 2))) bool shell(const char *fmt, ...)
{
	__cleanup_free char *command = NULL;
	va_list args;

	va_start(args, fmt);
	command = xvasprintf(fmt, args);
	va_end(args);
	return system(command) == 0;
}

static inline void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f))
		abort();
}

/* Compiles @source (C) into @path; @flags may replace or add anything. */
static inline bool compile(const char *path, const char *source, const char *flags)
{
	__cleanup_free char *c = scratch("source.c");

	write_file(c, source);
	/* No reordering: assembly between functions is to stay between them. */
	return shell("cc -O1 -fno-toplevel-reorder -o '%s' '%s' %s 2> /dev/null",
		     path, c, flags);
}

static inline bool compile_library(const char *path, const char *source)
{
	return compile(path, source, "-shared -fPIC -Wl,--build-id");
}

#endif
