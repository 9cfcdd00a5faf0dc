/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From an address of one ELF file to source lines and inlined functions, by
 * the file's DWARF (versions 4 and 5, split units where libdw reads them).
 *
 * Nothing is read before the first question, and then only the unit that has
 * the address. libdw's own way to a unit is .debug_aranges, which clang does
 * not write; here it is an index of the units' ranges. What has been read of
 * units is kept in a form of our own, and the longest unused of it dropped
 * beyond a bound. Memory: the file's DWARF sections, unpacked, plus at most
 * 256 MB of units, 100 MB that libdw keeps, 40 MB of answers, and each name
 * that was met once. (Kernel 6.1's vmlinux, 231 MB of DWARF, 100,000 random
 * addresses: 520 MB in all.)
 */
#ifndef HEAPSONDE_SYMBOL_DWARF_LINES_H
#define HEAPSONDE_SYMBOL_DWARF_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct dwarf_lines;

/* Strings are NULL if unknown and live as long as the struct dwarf_lines. */
struct source_frame {
	const char *function;	/* demangled */
	const char *raw;	/* linkage name, or the plain one */
	const char *file;
	const char *type;	/* of what the call here allocates; of Go code alone */
	uint32_t line, column;	/* 0 if unknown */
	uint32_t start_line;	/* of the function; 0 if unknown */
	bool is_called;		/* it is to be called so, whatever the symbol table says */
};

/* Takes ownership of @fd even on failure. NULL if the file has no DWARF to be used. */
struct dwarf_lines *dwarf_lines_create(int fd);
void dwarf_lines_destroy(struct dwarf_lines *lines);
DEFINE_CLEANUP(struct dwarf_lines *, dwarf_lines_destroy);

/*
 * The innermost inlined function at @vaddr first, last the function that was
 * really called; how many, 0 if nothing is known. @ret is borrowed until the
 * next question.
 */
size_t dwarf_lines_find(struct dwarf_lines *lines, uint64_t vaddr,
			const struct source_frame **ret);

#endif
