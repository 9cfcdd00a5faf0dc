// SPDX-License-Identifier: GPL-2.0-or-later
/* Return probes in confined targets: what kernels answer, and what follows. */
#include "tests/unit/test.h"

#include "capture/discovery/confined.h"
#include "capture/features.h"

TEST(kernels)
{
	/* Up to 6.10: a return probe is a breakpoint. */
	check(confined_passes(ANSWER_MISSING, ANSWER_UNKNOWN));
	check(confined_passes(ANSWER_MISSING, ANSWER_FILTERED));
	/* 6.11 to 6.13: the filter is asked. */
	check(!confined_passes(ANSWER_REACHED, ANSWER_FILTERED));
	/* 6.14 and those that have its change: it is not. */
	check(confined_passes(ANSWER_REACHED, ANSWER_REACHED));
}

TEST(what_is_not_known_is_not_risked)
{
	check(!confined_passes(ANSWER_UNKNOWN, ANSWER_REACHED));
	check(!confined_passes(ANSWER_REACHED, ANSWER_UNKNOWN));
	check(!confined_passes(ANSWER_UNKNOWN, ANSWER_UNKNOWN));
	check(!confined_passes(ANSWER_FILTERED, ANSWER_FILTERED));
	/* A system call that comes and goes with a filter is none of these kernels'. */
	check(!confined_passes(ANSWER_REACHED, ANSWER_MISSING));
}

TEST(targets)
{
	const struct features good = { .return_passes = true }, bad = { 0 };

	for (int seccomp = 0; seccomp <= 2; seccomp++) {
		check(confined_allows_returns(&good, seccomp, false));
		check(confined_allows_returns(&good, seccomp, true));
		check(!confined_allows_returns(&bad, seccomp, true));
		check_int(confined_allows_returns(&bad, seccomp, false), !seccomp);
	}
}

/* Whatever this kernel is, asking it leaves nobody behind and gives one answer. */
TEST(this_kernel)
{
	bool first = confined_ask_kernel();

	check_int(confined_ask_kernel(), first);
}
