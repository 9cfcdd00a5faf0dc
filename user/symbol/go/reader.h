/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What binary.h tells of a Go program's file, read by a process that may do nothing else
 * (base/reader.h). Names and lines of its code come from such processes as those of other
 * programs do, by symtab.h and line_reader.h.
 */
#ifndef HEAPSONDE_SYMBOL_GO_READER_H
#define HEAPSONDE_SYMBOL_GO_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "symbol/go/binary.h"

/* Whether the file (@fd, borrowed) has a section that only Go programs have. */
bool go_program_is(int fd);

/*
 * How much memory whoever reads this file's tables may need: a bound that a program
 * without doubt does not meet. 0 if it is no Go program.
 */
uint64_t go_reader_bytes(int fd);

/*
 * As go_binary_open(); @path is for messages. ERROR_CORRUPT if its reader crashed or took
 * too long or too much.
 */
struct error *go_binary_read(int fd, const char *path, struct go_binary **ret) __must_check;

#endif
