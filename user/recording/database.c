// SPDX-License-Identifier: GPL-2.0-or-later
/* SQLite as reader and writer use it; see database.h. */
#include <errno.h>

#include "recording/database.h"

struct error *database_error(sqlite3 *db, const char *path)
{
	int code = sqlite3_extended_errcode(db), errnum = sqlite3_system_errno(db);

	switch (code & 0xff) {
	case SQLITE_FULL:
		return error_errno(ENOSPC, "cannot write '%s'", path);
	case SQLITE_NOTADB:
		return error_create(ERROR_CORRUPT, "'%s' is not a heapsonde recording", path);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return error_errno(EBUSY, "'%s' is locked by another program", path);
	case SQLITE_NOMEM:
		return error_errno(ENOMEM, "cannot work on '%s'", path);
	case SQLITE_IOERR:
		if (code == SQLITE_IOERR_SHORT_READ)
			break;
		if (code == SQLITE_IOERR_WRITE && !errnum)
			return error_create(ERROR_OS, "cannot write '%s': the disk, or a limit on "
					    "the size of files (ulimit -f), refused it", path);
		return error_errno(errnum ? errnum : EIO, "cannot work on '%s'", path);
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_READONLY:
		return error_errno(errnum ? errnum : EACCES, "cannot open '%s'", path);
	}
	return error_create(ERROR_CORRUPT,
			    "'%s' is damaged (%s): 'sqlite3 %s .recover' may save some of it",
			    path, sqlite3_errmsg(db), path);
}

struct error *database_exec(sqlite3 *db, const char *path, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL))
		return database_error(db, path);
	return NULL;
}

struct error *database_prepare(sqlite3 *db, const char *path, const char *sql,
			       sqlite3_stmt **ret)
{
	if (sqlite3_prepare_v2(db, sql, -1, ret, NULL))
		return database_error(db, path);
	return NULL;
}

struct error *database_get_int64(sqlite3 *db, const char *path, const char *sql, int64_t *ret)
{
	sqlite3_stmt *st __cleanup_statement = NULL;
	struct error *err = database_prepare(db, path, sql, &st);
	int rc;

	if (err)
		return err;
	rc = sqlite3_step(st);
	*ret = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? NULL : database_error(db, path);
}
