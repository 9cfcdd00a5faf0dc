/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errors as objects, after drgn: a fallible function returns struct error *,
 * NULL meaning success. The one who detects the failure creates it, each
 * layer on the way up may put its context in front with error_wrap(), and
 * only cmd/ prints. The receiver owns the error and must return or destroy it.
 */
#ifndef HEAPSONDE_BASE_ERROR_H
#define HEAPSONDE_BASE_ERROR_H

#include "base/cleanup.h"

#define __must_check __attribute__((warn_unused_result))
#define __printf(fmt, args) __attribute__((format(printf, fmt, args)))

enum error_code {
	ERROR_OS,		/* a system call failed; errnum is set */
	ERROR_USAGE,		/* the command line is wrong: exit status 2 */
	ERROR_PERMISSION,
	ERROR_UNSUPPORTED,	/* this kernel or this target cannot do it */
	ERROR_NOT_FOUND,
	ERROR_GONE,		/* the target ended */
	ERROR_CORRUPT,		/* a file is not what it claims to be */
	ERROR_EXEC,		/* a command was found but could not be run */
};

struct error {
	enum error_code code;
	int errnum;		/* errno for ERROR_OS, else 0 */
	char *message;		/* one line, no newline at its end */
};

struct error *error_create(enum error_code code, const char *fmt, ...)
	__printf(2, 3) __must_check;
/* "<formatted>: <strerror(errnum)>"; EPERM and EACCES become ERROR_PERMISSION. */
struct error *error_errno(int errnum, const char *fmt, ...)
	__printf(2, 3) __must_check;
/* "<formatted>: <old message>"; consumes @err, keeps its code. */
struct error *error_wrap(struct error *err, const char *fmt, ...)
	__printf(2, 3) __must_check;
void error_destroy(struct error *err);
DEFINE_CLEANUP(struct error *, error_destroy);

#define __cleanup_error __cleanup(error_destroyp)

#endif
