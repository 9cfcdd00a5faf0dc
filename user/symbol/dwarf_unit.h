/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What one compilation unit's DWARF tells of an address: the functions
 * inlined there, each with the place of the code that stands in it.
 *
 * After heaptrack's DwarfDieCache: a unit's functions are listed once, and
 * only below the one function that was hit are inlined calls looked for.
 * dwarf_getscopes() would walk the whole unit for every question.
 */
#ifndef HEAPSONDE_SYMBOL_DWARF_UNIT_H
#define HEAPSONDE_SYMBOL_DWARF_UNIT_H

#include <elfutils/libdw.h>
#include <stddef.h>
#include <stdint.h>

#include "base/vec.h"

#define INLINE_DEPTH_MAX 64

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

struct dwarf_unit {
	Dwarf_Die cu;		/* has the line table; of split DWARF the skeleton */
	Dwarf_Die die;		/* has the functions: @cu, or the split unit's */
	Dwarf_Die files;	/* numbers of files in @die are of this one's line table */
	struct die_range_vec functions;
	size_t lines_count;
};

/* @cu: of a unit; @die: the same, or that of its split unit. Reads the list of functions. */
void dwarf_unit_init(struct dwarf_unit *unit, const Dwarf_Die *cu, const Dwarf_Die *die);
void dwarf_unit_deinit(struct dwarf_unit *unit);

/* A place in a function; strings are libdw's, NULL if unknown. */
struct dwarf_place {
	const char *linkage_name, *name;
	const char *file;
	uint32_t line, column;
};

/*
 * The innermost inlined function first, the real function last. 0 if the unit
 * knows neither function nor line; else at least 1.
 */
size_t dwarf_unit_find(struct dwarf_unit *unit, uint64_t vaddr,
		       struct dwarf_place ret[INLINE_DEPTH_MAX + 1]);

#endif
