/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libdw on foreign input. It stays within the sections, but unpacks whatever they
 * claim to hold, reads strings beyond their section's end, and follows a
 * DW_AT_sibling that points backwards for ever.
 */
#ifndef HEAPSONDE_SYMBOL_DWARF_SAFE_H
#define HEAPSONDE_SYMBOL_DWARF_SAFE_H

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stdint.h>

/* Deeper nesting of DIEs than any compiler makes. */
#define DWARF_NESTING_MAX 256

/* Whether libdw may be let at it: sections lie in the file and fit into memory. */
bool dwarf_is_sane(Elf *elf, int fd);
/* What libdw takes of memory for the file's DWARF at least. */
uint64_t dwarf_bytes(int fd);
/*
 * Whether string sections, unpacked by dwarf_begin_elf(), end with a NUL: libdw 0.188
 * reads a file name of .debug_line_str beyond them otherwise.
 */
bool dwarf_strings_end(Elf *elf);

/* A walk among the DIEs of one unit, in a bounded number of steps. */
struct dwarf_walk {
	uint64_t unit_end;	/* no DIE begins here or later */
	int steps_left;
};

/* @die: of the unit. */
struct dwarf_walk dwarf_walk_of(Dwarf_Die *die);
/* Goes on to the next DIE of the same list; false at its end. */
bool dwarf_walk_next(struct dwarf_walk *walk, Dwarf_Die *die);

#endif
