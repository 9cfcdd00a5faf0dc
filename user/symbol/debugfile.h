/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the names and lines of a stripped file are kept: in a separate debug
 * file, found by build id or by .gnu_debuglink (gdb's manual, "Separate Debug
 * Files"). What a file carries compressed in itself: debugdata.h.
 */
#ifndef HEAPSONDE_SYMBOL_DEBUGFILE_H
#define HEAPSONDE_SYMBOL_DEBUGFILE_H

#include "symbol/object.h"

/*
 * The separate debug file of @obj, looked for below @root_fd (-1: none) and
 * then on the host, and taken only if its build id, or without one its
 * checksum, is right. Open for reading, for the caller to close; -1 if there
 * is none.
 */
int debugfile_open(const struct object *obj, int root_fd);

/*
 * The debug file of that build id in the directory @dir as in /usr/lib/debug
 * (NULL: in that one), without the file that it belongs to; -1 if there is none.
 */
int debugfile_open_by_build_id(const char *build_id, const char *dir);
/* Whether @fd is the debug file of @obj by its build id. */
bool debugfile_belongs(const struct object *obj, int fd);

#endif
