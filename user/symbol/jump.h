/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Functions that are nothing but a way to another: aliases that a compiler
 * made of a tail call, stubs of a procedure linkage table, indirect functions.
 */
#ifndef HEAPSONDE_SYMBOL_JUMP_H
#define HEAPSONDE_SYMBOL_JUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "symbol/object.h"

struct jump {
	uint64_t vaddr;		/* where it leads in the object, if name is NULL */
	char *name;		/* else the symbol that the loader binds it to; owned */
};

/*
 * Whether the code at @vaddr begins with an unconditional jump. A jump to a
 * stub, or by a slot that has a relocation, leads to the symbol. Only x86-64 is
 * known; elsewhere nothing is a jump.
 */
bool jump_at(const struct object *object, uint64_t vaddr, struct jump *ret);
void jump_deinit(struct jump *jump);
/* The symbol whose address the loader puts into the slot at @vaddr; NULL: none. Owned. */
char *jump_slot_symbol(const struct object *object, uint64_t vaddr);

/*
 * Whether @name is an exported function of the object whose code is chosen when
 * it is bound (STT_GNU_IFUNC): its symbol is that of the one who chooses.
 */
/* Where in the object a variable is, exported or not; false if there is none. */
bool jump_find_variable(const struct object *object, const char *name, uint64_t *ret);
bool jump_is_indirect(const struct object *object, const char *name);

#endif
