/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A growing, always NUL-terminated string, after git's strbuf. The storage
 * is the caller's; a zeroed struct is an empty string whose data is NULL
 * until something is added (strbuf_str() never returns NULL).
 */
#ifndef HEAPSONDE_BASE_STRBUF_H
#define HEAPSONDE_BASE_STRBUF_H

#include <stdarg.h>
#include <stddef.h>

struct strbuf {
	char *data;
	size_t len, cap;
};

void strbuf_deinit(struct strbuf *sb);
/* Empties the string and keeps the memory. */
void strbuf_reset(struct strbuf *sb);
void strbuf_add(struct strbuf *sb, const void *data, size_t len);
void strbuf_addstr(struct strbuf *sb, const char *s);
void strbuf_addch(struct strbuf *sb, char c);
void strbuf_addf(struct strbuf *sb, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void strbuf_vaddf(struct strbuf *sb, const char *fmt, va_list args)
	__attribute__((format(printf, 2, 0)));
/* The string, owned by @sb until it changes. */
const char *strbuf_str(const struct strbuf *sb);
/* Hands the string to the caller, who frees it, and leaves @sb empty. */
char *strbuf_detach(struct strbuf *sb);

#define __cleanup_strbuf __attribute__((cleanup(strbuf_deinit)))

#endif
