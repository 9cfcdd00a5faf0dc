/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Debug files from the servers of $DEBUGINFOD_URLS, by build id. The client is
 * the distribution's libdebuginfod, loaded when it is asked for; it keeps what
 * it fetched in a cache of its own (debuginfod_find_debuginfo(3)). A question
 * can take as long as the servers let it.
 */
#ifndef HEAPSONDE_SYMBOL_DEBUGINFOD_H
#define HEAPSONDE_SYMBOL_DEBUGINFOD_H

#include <signal.h>

#include "base/cleanup.h"
#include "base/error.h"

struct debuginfod;

/*
 * ERROR_UNSUPPORTED, saying what to do, if there is no library or if no server
 * is named. Questions end early when *@interrupted becomes true.
 */
struct error *debuginfod_create(const volatile sig_atomic_t *interrupted,
				struct debuginfod **ret) __must_check;
void debuginfod_destroy(struct debuginfod *client);
DEFINE_CLEANUP(struct debuginfod *, debuginfod_destroy);

/*
 * The debug file for this build id (hexadecimal), open for reading, for the
 * caller to close; shows its progress. ERROR_NOT_FOUND if no server has it,
 * ERROR_OS if none could be asked or it was interrupted.
 */
struct error *debuginfod_fetch(struct debuginfod *client, const char *build_id,
			       const char *name, int *fd_ret) __must_check;

#endif
