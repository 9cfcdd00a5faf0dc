/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What must not be cut off half-way when heapsonde is killed.
 *
 * To set or to remove a breakpoint the kernel has to reach a page of the
 * target, which it refuses to somebody who is being killed (the check for
 * fatal_signal_pending() in __get_user_pages()). A link that was half made is
 * then left half made, and the kernel only says "leaking uprobe": the target
 * keeps breakpoints for good. So neither is done by a process that anybody
 * has a reason to kill.
 *
 *	heapsonde ──orders──▶ keeper ──forks──▶ one process for each order
 *	    └───── one table of descriptors, one piece of memory ─────┘
 *
 * The keeper is a small process, made before heapsonde has grown, with memory
 * of its own: an OOM killer that chooses heapsonde kills whoever shares its
 * memory, and not the keeper. It has heapsonde's descriptors, and so its links.
 * However heapsonde dies, it ends by itself, and the last to go closes them.
 */
#ifndef HEAPSONDE_CAPTURE_ASIDE_H
#define HEAPSONDE_CAPTURE_ASIDE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/cleanup.h"

/* Makes the keeper, if there is none yet. The sooner, the smaller it is. */
void aside_begin(void);

/*
 * Memory that fn of run_aside() sees, and what it writes there is seen here:
 * zeroed, from aside_free()'s kind alone. Cannot fail, as xcalloc().
 */
void *aside_alloc(size_t count, size_t size) __attribute__((returns_nonnull));
void aside_free(void *p);

static inline void aside_freep(void *p)
{
	aside_free(*(void **)p);
}

#define __cleanup_aside __cleanup(aside_freep)

/*
 * Runs fn(arg) to its end in a process of its own that shares our descriptors
 * and the memory of aside_alloc(), but no other, while this thread waits. It
 * may use nothing that was made since aside_begin(), and take no locks. If
 * heapsonde is killed meanwhile, that process goes on alone. Runs it here if
 * there can be no such process.
 */
void run_aside(void (*fn)(void *arg), void *arg);

/* What fn has to say before its end: it writes to an eventfd. */
struct aside_word {
	int fd;
	void (*heard)(void *arg);	/* by this thread, while fn goes on */
	void *arg;
};

/* The same. If there is no such process, nothing is heard until the end: then not at all. */
void run_aside_hearing(void (*fn)(void *arg), void *arg, struct aside_word word);

/* The keeper gives up what privileges_reduce(@also) does not leave. */
void aside_reduce(unsigned int also);

/* For fn: forks with shared descriptors; nobody need wait for the child. */
pid_t aside_fork(void);

#endif
