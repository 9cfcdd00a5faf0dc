/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unwind tables compiled by a process that may do nothing else (base/reader.h),
 * and the form in which they come from there and go to the cache: a struct
 * unwind_packed, and the table's arrays behind it as they are in memory.
 */
#ifndef HEAPSONDE_SYMBOL_UNWIND_READER_H
#define HEAPSONDE_SYMBOL_UNWIND_READER_H

#include "symbol/unwind_table.h"

struct unwind_packed {
	uint32_t kind, machine;
	uint32_t texts, index, rows, rules;	/* how many */
	uint64_t fdes, malformed, rows_seen, unsupported;
};

/* Of the arrays. */
uint64_t unwind_packed_bytes(const struct unwind_packed *packed);
/* @body has room for the arrays; NULL: only @ret is wanted. */
void unwind_pack(const struct unwind_table *table, struct unwind_packed *ret, uint8_t *body);
/* NULL if something in it is not within its bounds. */
struct unwind_table *unwind_unpack(const struct unwind_packed *packed, const uint8_t *body);

/*
 * As unwind_table_create() of the open file @fd, borrowed. ERROR_CORRUPT if its
 * reader crashed or took too long or too much. @hurry: it is compiled here, for a
 * target that has just mapped it and whose stacks wait: on a busy machine a reader
 * comes too late. That is for files that have a modest .eh_frame and nothing else that
 * would be read; what is large, compressed or Go's is left to a reader all the same.
 */
struct error *unwind_read(int fd, enum unwind_table_kind kind, bool hurry,
			  struct unwind_table **ret) __must_check;

#endif
