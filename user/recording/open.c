// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Opening a recording to read it, also where nothing can be written beside it.
 * The file may come from anybody.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/strbuf.h"
#include "recording/reader_private.h"
#include "recording/schema.h"

struct error *recording_damaged(const struct recording_reader *rec, const char *what)
{
	return error_create(ERROR_CORRUPT, "'%s' is damaged: %s", rec->path, what);
}

static void database_close(struct recording_reader *rec)
{
	sqlite3_close(rec->db);
	rec->db = NULL;
}

/*
 * Opens and reads the first page, so that a failure shows here. The file may
 * come from anybody: nothing in its schema is trusted to run.
 */
static struct error *try_open(struct recording_reader *rec, const char *name, int flags)
{
	int64_t ignored;

	if (sqlite3_open_v2(name, &rec->db, SQLITE_OPEN_READONLY | flags, NULL))
		return database_error(rec->db, rec->path);
	sqlite3_busy_timeout(rec->db, 2000);
	sqlite3_db_config(rec->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(rec->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	return database_get_int64(rec->db, rec->path, "SELECT count(*) FROM sqlite_schema",
				  &ignored);
}

/* Without a lock and without a log; for files that nobody can be writing to. */
static struct error *try_immutable(struct recording_reader *rec)
{
	struct strbuf uri __cleanup_strbuf = { 0 };

	strbuf_addstr(&uri, "file:");
	for (const char *p = rec->path; *p; p++)
		strbuf_addf(&uri, strchr("%?#", *p) ? "%%%02x" : "%c", *p);
	strbuf_addstr(&uri, "?immutable=1");
	return try_open(rec, strbuf_str(&uri), SQLITE_OPEN_URI);
}

static struct error *copy_file(const char *from, const char *to)
{
	int in __cleanup_close = open(from, O_RDONLY | O_CLOEXEC);
	int out __cleanup_close = -1;
	ssize_t n;

	if (in < 0)
		return error_errno(errno, "cannot open '%s'", from);
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out < 0)
		return error_errno(errno, "cannot create '%s'", to);
	do
		n = sendfile(out, in, NULL, 1 << 30);
	while (n > 0);
	return n ? error_errno(errno, "cannot copy '%s' to '%s'", from, to) : NULL;
}

static void remove_copy(struct recording_reader *rec)
{
	static const char *const names[] = { "copy", "copy-wal", "copy-shm" };

	if (!rec->copy_dir)
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		__cleanup_free char *name = xasprintf("%s/%s", rec->copy_dir, names[i]);

		unlink(name);
	}
	rmdir(rec->copy_dir);
	free(steal_ptr(rec->copy_dir));
}

/*
 * A log was left behind by a killed writer and SQLite needs to write an index
 * beside it, which it cannot: the intervals in the log are had from a copy.
 */
static struct error *try_copy(struct recording_reader *rec, const char *wal)
{
	const char *tmp = getenv("TMPDIR");
	__cleanup_free char *dir = xasprintf("%s/heapsonde.XXXXXX", tmp ? tmp : "/tmp");
	__cleanup_free char *copy = NULL, *copy_wal = NULL;
	struct error *err;

	if (!mkdtemp(dir))
		return error_errno(errno, "cannot copy '%s' to '%s'", rec->path, dir);
	copy = xasprintf("%s/copy", dir);
	copy_wal = xasprintf("%s/copy-wal", dir);
	rec->copy_dir = steal_ptr(dir);
	err = copy_file(rec->path, copy);
	if (!err)
		err = copy_file(wal, copy_wal);
	return err ? err : try_open(rec, copy, 0);
}

static struct error *open_database(struct recording_reader *rec)
{
	__cleanup_free char *wal = xasprintf("%s-wal", rec->path);
	struct error *err = try_open(rec, rec->path, 0);
	struct stat st;

	/* In directories where nothing can be written, SQLite fails like this. */
	if (!err || (err->code != ERROR_PERMISSION && err->code != ERROR_OS))
		return err;
	error_destroy(err);
	database_close(rec);
	if (stat(wal, &st) || !st.st_size)
		return try_immutable(rec);
	return try_copy(rec, wal);
}

static struct error *check_identity(struct recording_reader *rec)
{
	static const char odd_sql[] =
		"SELECT count(*) FROM sqlite_schema WHERE type NOT IN ('table', 'index') AND"
		" NOT (type = 'view' AND name IN (%s))";
	__cleanup_free char *sql = xasprintf(odd_sql, schema_view_names);
	int64_t id, version, odd = 0;
	struct error *err = database_get_int64(rec->db, rec->path, "PRAGMA application_id", &id);

	if (!err)
		err = database_get_int64(rec->db, rec->path, "PRAGMA user_version", &version);
	if (err)
		return err;
	if (id != RECORDING_APPLICATION_ID)
		return error_create(ERROR_CORRUPT,
				    "'%s' is a database, but not a heapsonde recording", rec->path);
	if (version > RECORDING_SCHEMA_VERSION)
		return error_create(ERROR_UNSUPPORTED,
				    "'%s' was recorded by a newer heapsonde"
				    " (schema %lld, this one reads %d to %d): use that one",
				    rec->path, (long long)version, RECORDING_SCHEMA_OLDEST,
				    RECORDING_SCHEMA_VERSION);
	if (version < RECORDING_SCHEMA_OLDEST)
		return error_create(ERROR_UNSUPPORTED,
				    "'%s' was recorded by an older heapsonde"
				    " (schema %lld, this one reads %d to %d): use that one",
				    rec->path, (long long)version, RECORDING_SCHEMA_OLDEST,
				    RECORDING_SCHEMA_VERSION);
	rec->older = version < RECORDING_SCHEMA_VERSION ? rec->db : NULL;
	/* A view in place of a table could run for ever. */
	err = database_get_int64(rec->db, rec->path, sql, &odd);
	if (err)
		return err;
	return odd ? recording_damaged(rec, "its schema is not heapsonde's") : NULL;
}

static struct error *check_file(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return error_errno(errno, "cannot open '%s'", path);
	if (S_ISDIR(st.st_mode))
		return error_errno(EISDIR, "cannot open '%s'", path);
	if (!S_ISREG(st.st_mode))
		return error_create(ERROR_UNSUPPORTED,
				    "cannot read '%s': a recording is a file, no pipe or device",
				    path);
	if (!st.st_size)
		return error_create(ERROR_CORRUPT, "'%s' is not a heapsonde recording", path);
	if (access(path, R_OK))
		return error_errno(errno, "cannot open '%s'", path);
	return NULL;
}

void recording_reader_destroy(struct recording_reader *rec)
{
	if (!rec)
		return;
	database_close(rec);
	remove_copy(rec);
	free(rec->path);
	free(rec);
}

struct error *recording_open(const char *path, struct recording_reader **ret)
{
	struct recording_reader *rec __cleanup(recording_reader_destroyp) = NULL;
	struct error *err = check_file(path);

	if (err)
		return err;
	rec = xcalloc(1, sizeof(*rec));
	rec->path = xstrdup(path);
	err = open_database(rec);
	if (!err)
		err = check_identity(rec);
	if (err)
		return err;
	*ret = steal_ptr(rec);
	return NULL;
}
