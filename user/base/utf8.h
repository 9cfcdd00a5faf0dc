/* SPDX-License-Identifier: GPL-2.0-or-later */
/* UTF-8 for formats that insist on it; names of a target are any bytes. */
#ifndef HEAPSONDE_BASE_UTF8_H
#define HEAPSONDE_BASE_UTF8_H

#include <stddef.h>

#include "base/strbuf.h"

/* Bytes of the character at @s, 0 if it is none (Unicode 15, table 3-7). */
size_t utf8_char_len(const char *s);

/* Appends @s with U+FFFD in place of each byte that is not UTF-8. */
void utf8_repair(struct strbuf *sb, const char *s);

#endif
