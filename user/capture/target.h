/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process to watch: is it one that can be, who is it, does it live. Reads
 * /proc only.
 */
#ifndef HEAPSONDE_CAPTURE_TARGET_H
#define HEAPSONDE_CAPTURE_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strbuf.h"

/* What names a program image; strings owned. */
struct target_identity {
	char *comm, *exe, *cmdline;
};

void target_identity_deinit(struct target_identity *id);
/* What cannot be read (a process that ended) is "". */
void target_identity_init(struct target_identity *id, uint32_t pid);

/*
 * Refuses what cannot be watched, with the reason: no such process
 * (ERROR_NOT_FOUND), a thread's ID, a zombie, a kernel thread, a 32-bit
 * program (ERROR_UNSUPPORTED), not ours (ERROR_PERMISSION), heapsonde itself.
 */
struct error *target_check(uint32_t pid) __must_check;

/* Where the dynamic loader is mapped (AT_BASE of the auxiliary vector); 0: there is none. */
uint64_t target_loader(uint32_t pid);

/* The process's seccomp mode: 0 none, 1 strict, 2 filter; 0 if it is gone. */
int target_seccomp(uint32_t pid);

/*
 * Appends the names of the namespaces (user, mnt, pid) that the process does
 * not share with us, blanks between; nothing if it shares all, or is gone.
 */
void target_namespaces(uint32_t pid, struct strbuf *ret);

/* User and system time so far in seconds; < 0 if it is gone. */
double target_cpu_s(uint32_t pid);

/* What a running process does now; false if the kernel does not tell. */
struct target_state {
	bool stopped;		/* by a signal or a debugger */
	double uptime_s;	/* since it was started */
};
bool target_state(uint32_t pid, struct target_state *ret);

#endif
