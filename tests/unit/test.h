/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The unit tests' frame: TEST(name) { … } registers a case, TEST_MAIN runs
 * all of them in order and prints one line each, "ok NAME" or "not ok NAME -
 * why". A case ends at its first failed check.
 */
#ifndef HEAPSONDE_TESTS_TEST_H
#define HEAPSONDE_TESTS_TEST_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test_case {
	const char *name;
	void (*run)(void);
};

static struct test_case test_cases[256];
static int test_cases_count;
static jmp_buf test_end;
static char test_why[512];

#define TEST(id)							\
	static void test_##id(void);					\
	static void __attribute__((constructor)) test_register_##id(void) \
	{								\
		test_cases[test_cases_count++] =			\
			(struct test_case){ #id, test_##id };		\
	}								\
	static void test_##id(void)

#define test_fail(...)							\
	do {								\
		int test_len = snprintf(test_why, sizeof(test_why),	\
					"%s:%d: ", __FILE__, __LINE__);	\
		snprintf(test_why + test_len, sizeof(test_why) - test_len, __VA_ARGS__); \
		longjmp(test_end, 1);					\
	} while (0)

/* SKIP is for what this machine cannot do, never for what went wrong. */
#define test_skip(...)							\
	do {								\
		snprintf(test_why, sizeof(test_why), __VA_ARGS__);	\
		longjmp(test_end, 2);					\
	} while (0)

/* Sanitizers bring an allocator of their own. */
#if defined(__SANITIZE_ADDRESS__)
#define need_glibc_malloc() test_skip("the sanitizer's malloc is not the C library's")
#else
#define need_glibc_malloc() do { } while (0)
#endif

#define check(cond)							\
	do {								\
		if (!(cond))						\
			test_fail("%s", #cond);				\
	} while (0)

#define check_int(got, want)						\
	do {								\
		long long test_got = (got), test_want = (want);		\
		if (test_got != test_want)				\
			test_fail("%s is %lld, not %lld", #got, test_got, test_want); \
	} while (0)

#define check_str(got, want)						\
	do {								\
		const char *test_got = (got), *test_want = (want);	\
		if (!test_got || strcmp(test_got, test_want))		\
			test_fail("%s is \"%s\", not \"%s\"", #got,	\
				  test_got ? test_got : "(null)", test_want); \
	} while (0)

/* Fails with the error's message; for functions that return struct error *. */
#define check_ok(call)							\
	do {								\
		struct error *test_err = (call);			\
		if (test_err)						\
			test_fail("%s: %s", #call, test_err->message);	\
	} while (0)

int main(void)
{
	volatile int failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (volatile int i = 0; i < test_cases_count; i++) {
		switch (setjmp(test_end)) {
		case 0:
			test_cases[i].run();
			printf("ok %s\n", test_cases[i].name);
			break;
		case 1:
			printf("not ok %s - %s\n", test_cases[i].name, test_why);
			failed = 1;
			break;
		default:
			printf("skip %s - %s\n", test_cases[i].name, test_why);
		}
	}
	return failed;
}

#endif
