/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which type of object a Go call path allocates. The compiler hands the runtime
 * the type's description at the call (newobject, makeslice, mallocgc ...), by an
 * instruction of one form right before it; the description has a name, in
 * stripped programs too.
 *
 * Where the type is known only at run time (a generic function's, reflect's), or
 * there is none (a string's bytes from elsewhere), nothing is told.
 */
#ifndef HEAPSONDE_SYMBOL_GO_TYPES_H
#define HEAPSONDE_SYMBOL_GO_TYPES_H

#include <stdint.h>

struct go_module;

/*
 * The name of what the call that returns to @vaddr allocates: "main.node",
 * "[]uint8" for a slice's elements, "map[string]int". NULL if it does not allocate or
 * nothing is known. The caller frees.
 */
char *go_type_allocated(const struct go_module *module, uint64_t vaddr);

#endif
