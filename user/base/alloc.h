/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Allocation that cannot fail: when memory is out, the program says so and
 * ends with status 1 after running the handler given to set_oom_handler()
 * (a view restores the terminal there).
 */
#ifndef HEAPSONDE_BASE_ALLOC_H
#define HEAPSONDE_BASE_ALLOC_H

#include <stdarg.h>
#include <stddef.h>

void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
/*
 * As xcalloc(), for tables that are read here and there: on a cache line
 * boundary and, where it is large, in huge pages if the system has them.
 */
void *xcalloc_table(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *xreallocarray(void *p, size_t count, size_t size);
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), malloc, returns_nonnull));
char *xvasprintf(const char *fmt, va_list args)
	__attribute__((format(printf, 1, 0), malloc, returns_nonnull));

/* @handler runs once, before the message; it must not allocate. */
void set_oom_handler(void (*handler)(void));

#endif
