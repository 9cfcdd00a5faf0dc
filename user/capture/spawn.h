/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting the program to be watched, and following what it forks. A program
 * is held (by ptrace, which only our own child and its children are ever
 * under) each time that its loader has mapped an object, so that its first
 * allocation is seen; once loaded it runs free. With children it stays traced,
 * stopped at nothing but forks, execs and signals, so that every child is held
 * before it runs.
 *
 * All calls from one thread: ptrace knows its tracer by thread.
 */
#ifndef HEAPSONDE_CAPTURE_SPAWN_H
#define HEAPSONDE_CAPTURE_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/error.h"

/* What is asked of the caller; all but ended() called with the process stopped. */
struct spawn_watcher {
	/* After exec, and whenever it has mapped something executable. */
	struct error *(*mapped)(pid_t pid, void *arg);
	/*
	 * At a system call made at @ip: whether the program may run free. The
	 * dynamic loader's own calls are over when one comes from elsewhere.
	 */
	bool (*started)(pid_t pid, uint64_t ip, void *arg);
	/*
	 * @pid was forked and has not run yet. NULL: children are let go.
	 */
	struct error *(*forked)(pid_t pid, void *arg);
	/* @pid has ended; @status as wait(2) has it. */
	void (*ended)(pid_t pid, int status, void *arg);
	void *arg;
};

struct spawned;

/*
 * Starts @argv (searched in $PATH) and runs it up to where @watcher says that
 * it has started, or to its end. ERROR_NOT_FOUND or ERROR_EXEC when it cannot
 * be run. On failure no process is left.
 */
struct error *spawn(char **argv, const struct spawn_watcher *watcher, struct spawned **ret)
	__must_check;
/* Lets go of every process; they run on. */
void spawned_destroy(struct spawned *spawned);
DEFINE_CLEANUP(struct spawned *, spawned_destroy);

pid_t spawned_pid(const struct spawned *spawned);
/* A descriptor to poll: readable when there is something for spawned_serve(). */
int spawned_fd(const struct spawned *spawned);
/*
 * Does what the processes wait for and returns at once. It collects every
 * child of ours: nobody else can wait for one meanwhile. A child that
 * @watcher fails for is let go, and the first such failure returned.
 */
struct error *spawned_serve(struct spawned *spawned) __must_check;
/* Lets all processes run untraced from here on. */
void spawned_release(struct spawned *spawned);

#endif
