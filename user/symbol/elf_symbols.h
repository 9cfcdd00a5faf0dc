/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The function symbols of one ELF file as they stand there: of .symtab and .dynsym, or what
 * PT_DYNAMIC tells of the latter if there are no section headers. What makes no sense is
 * left out. In heapsonde it runs in a reader; symtab.h is what asks it.
 */
#ifndef HEAPSONDE_SYMBOL_ELF_SYMBOLS_H
#define HEAPSONDE_SYMBOL_ELF_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "symbol/name_stream.h"
#include "symbol/object.h"

#define SYMBOLS_MAX (8ULL << 20)	/* of each table */

/* RANK_TOLD: by another table, Go's. */
enum binding_rank { RANK_TOLD, RANK_GLOBAL, RANK_WEAK, RANK_LOCAL };

struct elf_symbols_wish {
	const struct object_segment *segments;	/* sorted, disjoint: others are ignored */
	size_t segments_count;
	/* Names without @version, there for the call. */
	void (*take)(void *arg, const struct named_range *range, const char *name);
	void *arg;
};

/* Whether the file, borrowed, has a .symtab. */
bool elf_symbols_take(int fd, const struct elf_symbols_wish *wish);

/* The one that holds @vaddr, or NULL. */
const struct object_segment *elf_symbols_segment(const struct object_segment *segments,
						 size_t count, uint64_t vaddr);

#endif
