/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers and names for people, and sizes from people. Byte units are
 * binary: 1 KiB is 1024 bytes.
 */
#ifndef HEAPSONDE_BASE_FORMAT_H
#define HEAPSONDE_BASE_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"

#define FORMAT_MAX 32	/* room for any number below */

/* "0 B", "999 B", "1.5 KiB", "42.0 MiB"; negative values keep their sign. */
const char *format_bytes(int64_t bytes, char buf[FORMAT_MAX]);
/* "0", "9999", "12.3 k", "4.5 M" */
const char *format_count(int64_t count, char buf[FORMAT_MAX]);
/* "0.8 s", "12 s", "3 m 20 s", "2 h 05 m", "4 d 03 h" */
const char *format_duration(double seconds, char buf[FORMAT_MAX]);

/* Rates and slopes: "+1.2 MiB/s", "-3 B/s"; "0" when nothing moves. */
const char *format_slope(double bytes_per_s, char buf[FORMAT_MAX]);

/* The same for narrow columns, at most 6 columns: "999", "1.50K", "42.0M", "+161K" with @plus. */
const char *format_bytes_short(int64_t bytes, bool plus, char buf[FORMAT_MAX]);
/* "999", "1.50k", "12.3M" */
const char *format_count_short(int64_t count, char buf[FORMAT_MAX]);
/* "0.8s", "12s", "3m20", "2h05", "4d03h" */
const char *format_duration_short(double seconds, char buf[FORMAT_MAX]);

/*
 * Appends @s with control characters, DEL and bytes that are not UTF-8
 * written as \xHH, so that a name chosen by a target cannot drive a terminal.
 */
void format_escaped(struct strbuf *sb, const char *s);

/* "4096", "512K", "16M", "2G" (also k, KiB, ...); false if it is none. */
bool parse_bytes(const char *s, uint64_t *ret);
/* A whole decimal number with nothing behind it, within [min, max]. */
bool parse_uint(const char *s, uint64_t min, uint64_t max, uint64_t *ret);
/* A finite number >= 0 with nothing behind it. */
bool parse_seconds(const char *s, double *ret);

#endif
