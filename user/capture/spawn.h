/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting the program to be watched. It is held (by ptrace, which only our
 * own child is ever under) until its C library is mapped and probed, so that
 * its first allocation is seen; from then on it runs free.
 */
#ifndef HEAPSONDE_CAPTURE_SPAWN_H
#define HEAPSONDE_CAPTURE_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

/*
 * Called with the program stopped: after exec, and whenever it has mapped
 * something executable. Sets *@done when nothing more is to be waited for.
 */
typedef struct error *(*spawn_mapped_fn)(pid_t pid, void *arg, bool *done);

/*
 * Starts @argv (searched in $PATH) and runs it up to where @mapped is done, or
 * to its end. ERROR_NOT_FOUND or ERROR_EXEC when it cannot be run. On
 * failure no process is left.
 */
struct error *spawn(char **argv, spawn_mapped_fn mapped, void *arg, pid_t *pid_ret)
	__must_check;

#endif
