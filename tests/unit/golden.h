/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Outputs against tests/golden/export; UPDATE_GOLDEN=1 rewrites what is there. */
#ifndef HEAPSONDE_TESTS_GOLDEN_H
#define HEAPSONDE_TESTS_GOLDEN_H

#include <stdio.h>

#include "base/cleanup.h"
#include "base/strbuf.h"
#include "tests/unit/test.h"

#define GOLDEN "tests/golden/export/"

/* Everything in @f, from its beginning; closes it. */
static inline char *slurp(FILE *f)
{
	struct strbuf sb = { 0 };
	char buf[4096];
	size_t n;

	rewind(f);
	while ((n = fread(buf, 1, sizeof(buf), f)))
		strbuf_add(&sb, buf, n);
	fclose(f);
	return strbuf_detach(&sb);
}

static inline char *read_all(const char *path)
{
	FILE *f = fopen(path, "r");

	return f ? slurp(f) : NULL;
}

static inline void check_golden(const char *name, const char *got)
{
	__cleanup_free char *want = NULL;
	char path[128];
	size_t i = 0, line = 1;

	snprintf(path, sizeof(path), GOLDEN "%s", name);
	if (getenv("UPDATE_GOLDEN")) {
		FILE *f = fopen(path, "w");

		check(f && fputs(got, f) >= 0 && !fclose(f));
	}
	want = read_all(path);
	if (!want)
		test_fail("%s: cannot be read (run from the top of the tree)", path);
	for (; want[i] && want[i] == got[i]; i++)
		line += want[i] == '\n';
	if (want[i] != got[i])
		test_fail("%s:%zu differs: \"%.40s\"", path, line, got + i);
}

#endif
