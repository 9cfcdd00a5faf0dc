/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Symbols that a stripped file carries compressed in its own section .gnu_debugdata: an
 * ELF file, by xz (gdb's manual, "MiniDebugInfo"; Fedora's files have it). It is unpacked by a
 * process that may do nothing else (base/reader.h).
 */
#ifndef HEAPSONDE_SYMBOL_DEBUGDATA_H
#define HEAPSONDE_SYMBOL_DEBUGDATA_H

#include "symbol/object.h"

/* What it unpacks to, in a memfd for the caller to close; -1 if there is none to be used. */
int debugdata_open(const struct object *obj);

#endif
