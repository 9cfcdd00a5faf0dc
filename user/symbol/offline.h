/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names in an ELF file that nobody maps any more, known by path and build id:
 * from the file itself where it is still the same one, else from its debug file
 * alone, which may be all that another machine has.
 */
#ifndef HEAPSONDE_SYMBOL_OFFLINE_H
#define HEAPSONDE_SYMBOL_OFFLINE_H

#include <stddef.h>

#include "base/cleanup.h"
#include "symbol/symbolizer.h"

struct offline_names;

/*
 * NULL if nothing with that build id (hexadecimal, not empty) is found. Looked for
 * are, in each of @dirs (@count, may be 0) and then on this machine: @path, its last
 * part, and .build-id/xx/yyyy.debug.
 */
struct offline_names *offline_names_open(const char *path, const char *build_id,
					 const char *const *dirs, size_t count);
void offline_names_destroy(struct offline_names *names);
DEFINE_CLEANUP(struct offline_names *, offline_names_destroy);

/*
 * As address_space_symbolize_frames(), at a virtual address of the file. Module,
 * path, build id and offset are not filled in. 0 if nothing is known there. Strings
 * live as long as @names.
 */
size_t offline_names_find(struct offline_names *names, uint64_t vaddr,
			  struct symbol_frame *ret, size_t max);

#endif
