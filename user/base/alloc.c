// SPDX-License-Identifier: GPL-2.0-or-later
/* Allocation that cannot fail; see alloc.h. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"

static void (*oom_handler)(void);

void set_oom_handler(void (*handler)(void))
{
	oom_handler = handler;
}

static void __attribute__((noreturn)) out_of_memory(void)
{
	static const char message[] =
		"heapsonde: out of memory: lower --memory-limit or --ring-size, or free some\n";

	if (oom_handler)
		oom_handler();
	if (write(STDERR_FILENO, message, sizeof(message) - 1) < 0)
		_exit(1);
	_exit(1);
}

static void *check(void *p)
{
	if (!p)
		out_of_memory();
	return p;
}

void *xmalloc(size_t size)
{
	return check(malloc(size ? size : 1));
}

void *xcalloc(size_t count, size_t size)
{
	return check(calloc(count ? count : 1, size ? size : 1));
}

#define LINE_BYTES 64
#define HUGE_BYTES (2u << 20)

void *xcalloc_table(size_t count, size_t size)
{
	bool huge = count >= 2 * HUGE_BYTES / size;
	size_t align = huge ? HUGE_BYTES : LINE_BYTES;
	size_t bytes = (count * size + align - 1) / align * align;
	void *p;

	if (count > SIZE_MAX / 2 / size)
		out_of_memory();
	p = check(aligned_alloc(align, bytes));
	if (huge)
		madvise(p, bytes, MADV_HUGEPAGE);
	return memset(p, 0, bytes);
}

void *xreallocarray(void *p, size_t count, size_t size)
{
	return check(reallocarray(p, count ? count : 1, size ? size : 1));
}

char *xstrdup(const char *s)
{
	return check(strdup(s));
}

char *xstrndup(const char *s, size_t n)
{
	return check(strndup(s, n));
}

char *xvasprintf(const char *fmt, va_list args)
{
	char *s;

	if (vasprintf(&s, fmt, args) < 0)
		out_of_memory();
	return s;
}

char *xasprintf(const char *fmt, ...)
{
	va_list args;
	char *s;

	va_start(args, fmt);
	s = xvasprintf(fmt, args);
	va_end(args);
	return s;
}
