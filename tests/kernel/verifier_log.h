/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the verifier's statistics (log level 4) say of a program it has passed. */
#ifndef HEAPSONDE_TESTS_KERNEL_VERIFIER_LOG_H
#define HEAPSONDE_TESTS_KERNEL_VERIFIER_LOG_H

#include <stdlib.h>
#include <string.h>

/* From here on kernels since 6.13 give a program a per-CPU stack. */
#define VERIFIER_STACK_MAX 64

/* "processed 1234 insns"; -1 if it does not tell. */
static inline long verifier_instructions(const char *log)
{
	const char *at = strstr(log, "processed ");

	return at ? atol(at + strlen("processed ")) : -1;
}

/* The largest of the sum "A+B+C" at @at. */
static inline long verifier_largest_term(const char *at)
{
	long largest = -1;
	char *end;

	for (;; at = end + 1) {
		long term = strtol(at, &end, 10);

		if (end != at && term > largest)
			largest = term;
		if (*end != '+')
			return largest;
	}
}

/*
 * The bytes of stack of the function that takes most; -1 if the verifier does
 * not tell. "stack depth A+B+C", a term a function; the verifier of 7.3 has a
 * line "subprog N (name) ... stack A" for each instead.
 */
static inline long verifier_deepest_function(const char *log)
{
	const char *at = strstr(log, "stack depth ");
	long deepest = at ? verifier_largest_term(at + strlen("stack depth ")) : -1;

	for (at = strstr(log, "\nsubprog "); at; at = strstr(at + 1, "\nsubprog ")) {
		const char *end = strchr(at + 1, '\n');
		const char *stack = strstr(at, " stack ");
		long bytes = stack && (!end || stack < end) ? atol(stack + strlen(" stack ")) : -1;

		if (bytes > deepest)
			deepest = bytes;
	}
	return deepest;
}

#endif
