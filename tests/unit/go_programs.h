/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Go programs that tests are built for (tests/workloads/go), by every toolchain there is. */
#ifndef HEAPSONDE_TESTS_UNIT_GO_PROGRAMS_H
#define HEAPSONDE_TESTS_UNIT_GO_PROGRAMS_H

#include <glob.h>

#include "tests/unit/test.h"

/*
 * Those of PROGRAM-KIND (server, small), borrowed until the next call. Skips the case if there
 * are none: whoever calls may hold nothing yet that is to be freed.
 */
static const glob_t *go_programs(const char *program, const char *kind)
{
	static glob_t programs;
	const char *o = getenv("O");
	char pattern[4096];

	snprintf(pattern, sizeof(pattern), "%s/go/*/%s-%s", o ? o : "build", program, kind);
	globfree(&programs);
	if (glob(pattern, 0, NULL, &programs))
		test_skip("no Go program is there: make fetch-targets go-programs");
	return &programs;
}

#endif
