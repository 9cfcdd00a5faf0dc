/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Source lines of one file as dwarf_lines.h gives them, or go/lines.h, read by a process
 * that may do nothing else (base/reader.h). A file that ends it or holds it up has
 * no lines from then on.
 */
#ifndef HEAPSONDE_SYMBOL_LINE_READER_H
#define HEAPSONDE_SYMBOL_LINE_READER_H

#include "base/cleanup.h"
#include "symbol/dwarf_lines.h"

struct line_reader;

/* Where lines come from. */
enum lines_source {
	LINES_DWARF,
	LINES_GO,		/* the tables of Go's runtime */
};

/*
 * How many files' processes may be there at a time; others are ended, and started
 * anew when they are asked. 0: no DWARF is read, and Go's tables one at a time. Questions
 * are one thread's.
 */
#define LINE_READERS_MAX 16
void line_reader_allow(int count);

/* Ends the processes of all files: who is asked again gets another one. */
void line_readers_rest(void);

/*
 * Of the open file @fd, which is borrowed; @path is for messages. NULL if it has
 * none of that source to be used.
 */
struct line_reader *line_reader_create(int fd, const char *path, enum lines_source source);
void line_reader_destroy(struct line_reader *reader);
DEFINE_CLEANUP(struct line_reader *, line_reader_destroy);

/* As dwarf_lines_find(), or go_lines_find(). */
size_t line_reader_find(struct line_reader *reader, uint64_t vaddr,
			const struct source_frame **ret);

#endif
