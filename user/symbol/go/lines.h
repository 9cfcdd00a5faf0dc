/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From an address of a Go program to functions, files, lines and inlined calls,
 * by the tables that its own runtime names stacks by: runtime.CallersFrames()
 * says the same. They are in stripped programs too, and where there is DWARF
 * beside them it is the coarser of the two (and slower by far). As there, what a
 * generic function is instantiated for is "[...]", and what Go's compiler put
 * between caller and callee by itself (wrappers) is not shown above an inlined call.
 *
 * Memory: the table of functions, a quarter of such a program's file.
 */
#ifndef HEAPSONDE_SYMBOL_GO_LINES_H
#define HEAPSONDE_SYMBOL_GO_LINES_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "symbol/dwarf_lines.h"

struct go_lines;

/* NULL if the file (@fd, borrowed, must outlive it) is no Go program that can be read. */
struct go_lines *go_lines_create(int fd);
void go_lines_destroy(struct go_lines *lines);
DEFINE_CLEANUP(struct go_lines *, go_lines_destroy);

/*
 * As dwarf_lines_find(): 0 where no Go function is, C code for one. If @vaddr is the last
 * byte of a call, the first frame has the type of what it allocates (types.h).
 */
size_t go_lines_find(struct go_lines *lines, uint64_t vaddr, const struct source_frame **ret);

/* All functions, ascending; names live as long as @lines. */
typedef void go_lines_fn(void *ctx, uint64_t vaddr, uint64_t size, const char *name);
void go_lines_functions(struct go_lines *lines, go_lines_fn *fn, void *ctx);

#endif
