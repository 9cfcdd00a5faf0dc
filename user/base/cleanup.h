/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scope guards on GNU C's cleanup attribute. A variable that owns something
 * is declared with its guard at first use, and ownership leaves the function
 * only through steal_ptr() or steal_fd(), so that every early return frees
 * what it should.
 */
#ifndef HEAPSONDE_BASE_CLEANUP_H
#define HEAPSONDE_BASE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define __cleanup(fn) __attribute__((cleanup(fn)))

/* Declares fn##p(), the guard that calls fn() on a pointer variable. */
#define DEFINE_CLEANUP(type, fn)			\
	static inline void fn##p(type *p)		\
	{						\
		if (*p)					\
			fn(*p);				\
	}						\
	struct semicolon_follows

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define __cleanup_free __cleanup(freep)
#define __cleanup_close __cleanup(closep)
#define __cleanup_fclose __cleanup(fclosep)

/* Hand a guarded value over: the guard finds NULL (or -1) and does nothing. */
#define steal_ptr(p)				\
	({					\
		__auto_type __p = (p);		\
		(p) = NULL;			\
		__p;				\
	})

static inline int steal_fd(int *fd)
{
	int ret = *fd;

	*fd = -1;
	return ret;
}

#endif
