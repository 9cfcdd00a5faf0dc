/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting the program to be watched. It is held (by ptrace, which only our
 * own child is ever under) each time that its loader has mapped an object, so
 * that its first allocation is seen; once loaded it runs free.
 */
#ifndef HEAPSONDE_CAPTURE_SPAWN_H
#define HEAPSONDE_CAPTURE_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* What spawn() asks of its caller; all called with the program stopped. */
struct spawn_watcher {
	/* After exec, and whenever it has mapped something executable. */
	struct error *(*mapped)(pid_t pid, void *arg);
	/*
	 * At a system call made at @ip: whether the program may run free. The
	 * dynamic loader's own calls are over when one comes from elsewhere.
	 */
	bool (*started)(pid_t pid, uint64_t ip, void *arg);
	void *arg;
};

/*
 * Starts @argv (searched in $PATH) and runs it up to where @watcher says that
 * it has started, or to its end. ERROR_NOT_FOUND or ERROR_EXEC when it cannot be run. On
 * failure no process is left.
 */
struct error *spawn(char **argv, const struct spawn_watcher *watcher, pid_t *pid_ret)
	__must_check;

#endif
