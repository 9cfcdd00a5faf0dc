/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SQLite as reader and writer use it: its failures become ours. */
#ifndef HEAPSONDE_RECORDING_DATABASE_H
#define HEAPSONDE_RECORDING_DATABASE_H

#include <sqlite3.h>

#include "base/cleanup.h"
#include "base/error.h"

DEFINE_CLEANUP(sqlite3 *, sqlite3_close);
DEFINE_CLEANUP(sqlite3_stmt *, sqlite3_finalize);

#define __cleanup_database __cleanup(sqlite3_closep)
#define __cleanup_statement __cleanup(sqlite3_finalizep)

/* What just failed on @db, which is the recording @path, as one line. */
struct error *database_error(sqlite3 *db, const char *path) __must_check;

/* Runs statements that return nothing of interest. */
struct error *database_exec(sqlite3 *db, const char *path, const char *sql) __must_check;
struct error *database_prepare(sqlite3 *db, const char *path, const char *sql,
			       sqlite3_stmt **ret) __must_check;
/* The first column of the first row as a number; 0 if there is no row. */
struct error *database_get_int64(sqlite3 *db, const char *path, const char *sql,
				 int64_t *ret) __must_check;

#endif
