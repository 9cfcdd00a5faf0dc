/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Least privilege: what of root's power heapsonde keeps once it watches.
 *
 * Capabilities are each thread's own: whoever starts a thread before the giving up lets
 * that one give up too. Who has less than what is kept here keeps what he has.
 */
#ifndef HEAPSONDE_BASE_PRIVILEGES_H
#define HEAPSONDE_BASE_PRIVILEGES_H

#include <linux/capability.h>

#include "base/cleanup.h"

/* X(capability, what for), all of it also where files are mapped and processes begin later. */
#define KEPT_CAPABILITIES(X)						\
	X(CAP_BPF,		  "programs and maps")			\
	X(CAP_PERFMON,		  "probes")				\
	X(CAP_SYS_PTRACE,	  "memory and maps of processes of others") \
	X(CAP_DAC_READ_SEARCH,	  "files that only their users may read") \
	X(CAP_CHECKPOINT_RESTORE, "/proc/PID/map_files: files deleted since")

/* X(capability): asleep until a file of the user's is written, where root cannot else do that. */
#define FILE_CAPABILITIES(X)						\
	X(CAP_DAC_OVERRIDE)						\
	X(CAP_FOWNER)							\
	X(CAP_CHOWN)

enum privileges {
	PRIVILEGES_FILES = 1 << 0,	/* FILE_CAPABILITIES, asleep */
	PRIVILEGES_NICE = 1 << 1,	/* a processor at once, for who sets probes */
	PRIVILEGES_PROBES = 1 << 2,	/* CAP_SYS_ADMIN: many kernels want it for single probes */
	PRIVILEGES_KILL = 1 << 3,	/* signals to a command that may become another user */
};

/*
 * This thread, and what it starts, has what is kept and @also, an or of enum privileges,
 * and can never have more: not by running a program either. Best effort, as everything
 * that is given up was not needed.
 */
void privileges_reduce(unsigned int also);

/*
 * Of what privileges_reduce() is to leave for writing to @path: 0 where we may do it
 * without FILE_CAPABILITIES. NULL or "-": standard output.
 */
unsigned int privileges_for_writing(const char *path);

/* FILE_CAPABILITIES, if this thread has them, are awake between these; they may be nested. */
void privileges_wake(void);
void privileges_rest(void);

/* Until the end of the block: PRIVILEGES_AWAKE; */
static inline void privileges_restp(const int *unused)
{
	privileges_rest();
}

#define PRIVILEGES_AWAKE						\
	const int awake_ __attribute__((unused)) __cleanup(privileges_restp) = \
		(privileges_wake(), 0)

#endif
