/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Talk goes to stderr, one line each, "heapsonde: " in front. -q silences
 * log_info() and log_warn(); errors are printed by cmd/ alone, always.
 */
#ifndef HEAPSONDE_BASE_LOG_H
#define HEAPSONDE_BASE_LOG_H

#include <stdbool.h>

void log_set_quiet(bool quiet);
bool log_is_quiet(void);
/*
 * While a screen is drawn, lines go to @sink instead, from whatever thread;
 * NULL: to stderr again.
 */
void log_set_sink(void (*sink)(void *arg, const char *line), void *arg);
/* Whether a line that is no message stands unended on stderr; the next message removes it. */
void log_set_unended(bool unended);
/* "\r" and what removes the rest of a terminal's line. */
#define LOG_TO_LINE_START "\r\033[K"
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
