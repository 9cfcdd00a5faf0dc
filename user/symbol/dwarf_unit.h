/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What one compilation unit's DWARF tells of an address: the functions
 * inlined there, each with the place of the code that stands in it.
 *
 * After heaptrack's DwarfDieCache: a unit's functions are listed once, and
 * only below a function that was hit are inlined calls looked for, once.
 * dwarf_getscopes() would walk the whole unit for every question.
 *
 * libdw keeps whatever it parsed until dwarf_end(), 48 bytes a line; here a
 * line takes 12, and neighbours that say the same are one.
 */
#ifndef HEAPSONDE_SYMBOL_DWARF_UNIT_H
#define HEAPSONDE_SYMBOL_DWARF_UNIT_H

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/vec.h"

#define INLINE_DEPTH_MAX 64
#define NO_CALL UINT32_MAX
#define NO_FILE UINT16_MAX

/* [start, end) belongs to the unit or function whose DIE is at @die. */
struct die_range {
	uint64_t start, end;
	uint64_t die;
};

DEFINE_VEC(die_range_vec, struct die_range);

/* Adds the ranges of @die as belonging to @id; sort them before searching. */
void die_ranges_add(struct die_range_vec *ranges, Dwarf_Die *die, uint64_t id);
void die_ranges_sort(struct die_range_vec *ranges);
/* The innermost range that holds @vaddr, or NULL. */
const struct die_range *die_ranges_find(const struct die_range_vec *ranges, uint64_t vaddr);

/* From @start (an offset into the unit's code) on; file NO_FILE: no line is known. */
struct code_line {
	uint32_t start;
	uint32_t line;
	uint16_t file;		/* index into the unit's files */
	uint16_t column;
};

/* From @start on the code stands in inlined call @call, NO_CALL in none. */
struct inline_segment {
	uint64_t start;
	uint32_t call;
};

/* Strings are the string pool's, NULL if unknown. */
struct inline_call {
	const char *raw;	/* linkage name, or the plain one */
	const char *file;	/* where it was called */
	uint32_t line, column;
	uint32_t parent;	/* the call that this one is inlined into, or NO_CALL */
};

DEFINE_VEC(code_line_vec, struct code_line);
DEFINE_VEC(inline_segment_vec, struct inline_segment);
DEFINE_VEC(inline_call_vec, struct inline_call);
DEFINE_VEC(file_name_vec, const char *);

struct dwarf_function {
	uint64_t die;
	const char *raw;
	bool loaded;		/* all but @die is known */
	struct inline_segment_vec segments;
	struct inline_call_vec calls;
};

DEFINE_VEC(dwarf_function_vec, struct dwarf_function);

/* Nothing in it is libdw's, so that libdw's own memory can be given back. */
struct dwarf_unit {
	uint64_t base;			/* of code lines */
	struct code_line_vec lines;	/* sorted by start */
	struct file_name_vec files;
	struct die_range_vec ranges;	/* die: index into functions */
	struct dwarf_function_vec functions;
	size_t lines_read;		/* what libdw keeps of it */
	size_t bytes;			/* of all the above */
};

struct strpool;

/*
 * @cu: of a unit, has the line table; @die: has the functions, @cu itself or
 * its split unit. Reads lines and the list of functions; strings go to @strings.
 */
void dwarf_unit_init(struct dwarf_unit *unit, Dwarf_Die *cu, Dwarf_Die *die,
		     struct strpool *strings);
void dwarf_unit_deinit(struct dwarf_unit *unit);

/* The function that holds @vaddr, or NULL. */
struct dwarf_function *dwarf_unit_function(struct dwarf_unit *unit, uint64_t vaddr);
/* Reads what is inlined into @function of @unit; @cu and @die as for dwarf_unit_init(). */
void dwarf_function_load(struct dwarf_unit *unit, struct dwarf_function *function,
			 Dwarf_Die *cu, Dwarf_Die *die, struct strpool *strings);

struct dwarf_place {
	const char *raw;
	const char *file;
	uint32_t line, column;
};

/*
 * The innermost inlined function first, the real function last; @function is
 * that of dwarf_unit_function(), loaded, or NULL. 0 if neither function nor
 * line is known; else at least 1.
 */
size_t dwarf_unit_find(const struct dwarf_unit *unit, const struct dwarf_function *function,
		       uint64_t vaddr, struct dwarf_place ret[INLINE_DEPTH_MAX + 1]);

#endif
