// SPDX-License-Identifier: GPL-2.0-or-later
/* Error objects; see error.h. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"

static struct error *error_new(enum error_code code, int errnum, char *message)
{
	struct error *err = xmalloc(sizeof(*err));

	err->code = code;
	err->errnum = errnum;
	err->message = message;
	return err;
}

struct error *error_create(enum error_code code, const char *fmt, ...)
{
	va_list args;
	char *message;

	va_start(args, fmt);
	message = xvasprintf(fmt, args);
	va_end(args);
	return error_new(code, 0, message);
}

struct error *error_errno(int errnum, const char *fmt, ...)
{
	enum error_code code = ERROR_OS;
	__cleanup_free char *what = NULL;
	va_list args;

	va_start(args, fmt);
	what = xvasprintf(fmt, args);
	va_end(args);
	if (errnum == EPERM || errnum == EACCES)
		code = ERROR_PERMISSION;
	return error_new(code, errnum,
			 xasprintf("%s: %s", what, strerror(errnum)));
}

struct error *error_wrap(struct error *err, const char *fmt, ...)
{
	__cleanup_free char *context = NULL;
	__cleanup_free char *inner = err->message;
	va_list args;

	va_start(args, fmt);
	context = xvasprintf(fmt, args);
	va_end(args);
	err->message = xasprintf("%s: %s", context, inner);
	return err;
}

void error_destroy(struct error *err)
{
	if (!err)
		return;
	free(err->message);
	free(err);
}
