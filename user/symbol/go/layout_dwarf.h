/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A Go program's own word on how its runtime is laid out: the structures in its
 * DWARF, which Go's linker writes unless it is told not to. It holds for a runtime
 * that no table knows, a newer one or one that somebody changed.
 */
#ifndef HEAPSONDE_SYMBOL_GO_LAYOUT_DWARF_H
#define HEAPSONDE_SYMBOL_GO_LAYOUT_DWARF_H

#include <libelf.h>
#include <stdbool.h>

#include "symbol/go/layout.h"

/*
 * False if the file (@fd and @elf, borrowed) has no DWARF or it lacks a field that
 * no version lacks. Foreign input: what it says is to be proven, and may exceed any
 * buffer. @ret->minor is left alone.
 */
bool go_layout_read_dwarf(Elf *elf, int fd, struct go_layout *ret);
/* Whether each field is in a structure, or is one that some versions lack. */
bool go_layout_is_whole(const struct go_layout *layout);

#endif
