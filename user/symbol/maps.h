/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The text of /proc/PID/maps, line by line, as proc_pid_maps(5) describes it.
 * Names in it are chosen by the target.
 */
#ifndef HEAPSONDE_SYMBOL_MAPS_H
#define HEAPSONDE_SYMBOL_MAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"

struct maps_line {
	uint64_t start, end;
	uint64_t offset;
	uint64_t dev, ino;	/* dev as stat(2) encodes it; ino 0: no file */
	bool executable;
	char *path;		/* "" for anonymous memory; points into the text */
};

DEFINE_VEC(maps_line_vec, struct maps_line);

/*
 * Appends the lines of @text that make sense and are not torn (reading the
 * file takes several system calls, between which mappings move), in the order
 * of their addresses. Writes into @text: it ends the paths there and undoes
 * the escaping of newlines.
 */
void maps_parse(char *text, struct maps_line_vec *ret);

/* What the kernel appends to the path of a file that has no name any more. */
#define MAPS_DELETED " (deleted)"

#endif
