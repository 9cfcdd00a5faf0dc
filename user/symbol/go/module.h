/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A Go program's module data: where its text, its variables and its table of
 * functions (pclntab.h) are, found in a stripped file as well. Its version is
 * another question; see binary.h.
 *
 * Addresses are those of the file. The file is foreign input.
 */
#ifndef HEAPSONDE_SYMBOL_GO_MODULE_H
#define HEAPSONDE_SYMBOL_GO_MODULE_H

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "symbol/go/pclntab.h"

struct go_module {
	Elf *elf;			/* borrowed */
	int fd;				/* borrowed */
	struct go_pclntab table;
	uint64_t text;			/* what functions' entries count from; 0: not found */
	uint64_t data, data_end;	/* all variables lie in here */
	uint64_t func_data;		/* "go:func.*": inlined calls; 0: not found */
	uint64_t types, types_end;	/* descriptions of types; 0: not found */

	/* private */
	uint8_t *table_data;
	uint64_t table_vaddr;
	Elf64_Rela *relocations;	/* of a position-independent file: words to be */
	size_t relocations_count;
};

/*
 * False if there is no table of functions that is known; else the program may
 * still have no module data (text is 0). The machine may be another one.
 */
bool go_module_init(struct go_module *module, Elf *elf, int fd);
void go_module_deinit(struct go_module *module);

/* Exactly @size bytes of the file's contents at @vaddr, or false. */
bool go_module_read(const struct go_module *module, uint64_t vaddr, void *buf, size_t size);

/* A call that was inlined into a function. */
struct go_inlined {
	const char *name;	/* of the function that was called; borrowed */
	uint32_t start_line;	/* of it; 0 if unknown */
	uint8_t id;		/* as a function's */
	uint64_t parent;	/* an address, as a function's, that was the call */
};

/* Number @index of the function's tree; false if that makes no sense. */
bool go_module_inlined(const struct go_module *module, const struct go_function *f,
		       int32_t index, struct go_inlined *ret);

#endif
