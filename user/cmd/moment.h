/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A moment of a recording as it is named on the command line:
 *
 *	FILE		the last one
 *	FILE@NAME	at the mark of that name, or the mark of that number
 *	FILE@12.5s	12.5 seconds after attaching; also FILE@+30s, FILE@2m, FILE@1h
 *	FILE@-30s	30 seconds before the last one
 *
 * Where nothing was recorded at the time itself it is the nearest moment. A file
 * whose own name has an @ is found first; a mark before a time.
 */
#ifndef HEAPSONDE_CMD_MOMENT_H
#define HEAPSONDE_CMD_MOMENT_H

#include "base/error.h"
#include "model/snapshot.h"

/*
 * The snapshot that @spec names. A spec that begins with @ means the
 * file of @other (NULL: there is none). A mark or a time that is not there is
 * ERROR_NOT_FOUND and told with what there is.
 */
struct error *moment_read(const char *spec, const char *other, struct snapshot **ret)
	__must_check;

typedef void moment_visitor(void *arg, const struct snapshot *snap);

/*
 * As moment_read(); before it returns, @each is called with up to 240 moments before
 * that one (recording_history()).
 */
struct error *moment_read_history(const char *spec, moment_visitor *each, void *arg,
				  struct snapshot **ret) __must_check;

#endif
