/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What address_space.c tells the symbolizer beyond symbolizer.h: executable
 * memory of any kind, also where no ELF file explains it.
 */
#ifndef HEAPSONDE_SYMBOL_ADDRESS_SPACE_H
#define HEAPSONDE_SYMBOL_ADDRESS_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"
#include "symbol/symbolizer.h"

/* What is mapped: a file, or something that the kernel gives a name in brackets. */
struct backing {
	char *path;		/* without " (deleted)" */
	uint64_t dev, ino;	/* of maps, which need not be stat(2)'s; ino 0: no file */
	struct object *object;	/* owned; NULL if it could not be opened or is no ELF file */
	int64_t size, mtime_ns;	/* of the object's file when it was opened */
};

/* Executable memory, now or once. */
struct region {
	struct mapping m;	/* object is NULL if no ELF segment is known to be here */
	const struct backing *backing;	/* NULL: anonymous */
	bool current;
};

DEFINE_VEC(region_vec, struct region);

/* All of them, sorted and disjoint, vanished ones too; borrowed until the next refresh. */
const struct region_vec *address_space_regions(const struct address_space *as);

/* The region that holds @pc, or NULL; borrowed until the next refresh. */
const struct region *address_space_region(const struct address_space *as, uint64_t pc);

/* What the target itself calls code that is in no file; see jitmap.h. */
struct jitmap;
struct jitmap *address_space_jitmap(const struct address_space *as);

#endif
