/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files made for the user: they appear under their name only when whole, and
 * belong to who called sudo rather than to root.
 */
#ifndef HEAPSONDE_BASE_FILE_H
#define HEAPSONDE_BASE_FILE_H

#include <stdbool.h>

#include "base/error.h"

/*
 * Where writing to @path ends up once symbolic links are followed; @path itself
 * if nothing is there. The caller frees it.
 */
char *file_resolve(const char *path);

/*
 * Creates an empty file of mode 0600, to be renamed to @path later: same
 * directory, name not to be guessed. The caller frees *@temp_ret.
 */
struct error *file_create_temp(const char *path, char **temp_ret, int *fd_ret)
	__must_check;

/* Whether we are root because somebody called sudo. */
bool file_has_invoker(void);

/* Under sudo, gives an open file to the user who called it. Best effort. */
void file_give_to_invoker(int fd);

#endif
