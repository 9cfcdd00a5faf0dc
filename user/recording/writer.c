// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The recording's writer. It remembers what the reader would make of the file
 * so far, and writes of each snapshot only what differs from that.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/intern.h"
#include "base/privileges.h"
#include "base/strbuf.h"
#include "recording/writer_private.h"

/* @keys columns stand before those of the fields. */
static struct error *prepare_insert(struct recording *rec, const struct fields *fields,
				    int keys, sqlite3_stmt **ret)
{
	struct strbuf sql __cleanup_strbuf = { 0 };

	strbuf_addf(&sql, "INSERT INTO %s VALUES(?", fields->name);
	for (size_t i = 1; i < fields->len + keys; i++)
		strbuf_addstr(&sql, ",?");
	strbuf_addstr(&sql, ")");
	return database_prepare(rec->db, rec->path, strbuf_str(&sql), ret);
}

static struct error *prepare_all(struct recording *rec)
{
	static const char *const fixed[STATEMENTS_COUNT] = {
		[INSERT_DELTA] = "INSERT INTO delta VALUES(?,?)",
		[INSERT_OBJECT] = "INSERT INTO object VALUES(?,?,?,?)",
		[INSERT_FRAME] = "INSERT INTO frame VALUES(?,?,?,?,?,?,?,?,?,?,?,?)",
		[INSERT_STACK] = "INSERT INTO stack VALUES(?,?,?,?,?,?)",
		[UPDATE_STACK] = "UPDATE stack SET status=?2, frames=?3 WHERE stack=?1",
	};
	struct error *err = NULL;

	for (int i = 0; i < SNAPSHOT_PARTS_COUNT && !err; i++)
		err = prepare_insert(rec, &snapshot_parts[i], i == PART_SNAPSHOT ? 2 : 1,
				     &rec->statements[INSERT_PARTS + i]);
	for (int i = 0; i < SNAPSHOT_LISTS_COUNT && !err; i++)
		err = prepare_insert(rec, &snapshot_lists[i].fields, 2,
				     &rec->statements[INSERT_LISTS + i]);
	if (!err)
		err = prepare_insert(rec, &metric_fields, 2, &rec->statements[INSERT_SAMPLE]);
	if (!err)
		err = prepare_insert(rec, &share_fields, 3, &rec->statements[INSERT_SHARE]);
	for (int i = INSERT_DELTA; i < STATEMENTS_COUNT && !err; i++)
		err = database_prepare(rec->db, rec->path, fixed[i], &rec->statements[i]);
	return err;
}

struct error *recording_run(struct recording *rec, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);
	struct error *err = rc == SQLITE_DONE ? NULL : database_error(rec->db, rec->path);

	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return err;
}

/* Creating, appending, closing */

static bool is_recording(int fd)
{
	unsigned char header[72];
	const unsigned char *id = header + 68;

	return pread(fd, header, sizeof(header), 0) == sizeof(header) &&
	       !memcmp(header, "SQLite format 3", 16) &&
	       (id[0] << 24 | id[1] << 16 | id[2] << 8 | id[3]) == RECORDING_APPLICATION_ID;
}

/* Whether the file at @path, if there is one, may be replaced. */
static struct error *check_replaceable(const char *path, bool force)
{
	int fd __cleanup_close = -1;
	struct stat st;

	if (stat(path, &st))
		return errno == ENOENT ? NULL : error_errno(errno, "cannot write '%s'", path);
	if (!S_ISREG(st.st_mode))
		return error_create(ERROR_UNSUPPORTED,
				    "cannot record to '%s': it is not a regular file", path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(errno, "cannot open '%s'", path);
	if (flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
		return error_create(ERROR_OS, "another heapsonde is recording to '%s'", path);
	if (st.st_size && !force && !is_recording(fd))
		return error_create(ERROR_OS,
				    "'%s' exists and is not a heapsonde recording: give another"
				    " name with -o, or --force to overwrite it",
				    path);
	return NULL;
}

#define PAGE_BYTES 2048		/* packed moments fill such pages better than larger ones */

/* In the file @temp, which will be @path. */
static struct error *create_schema(const char *temp, const char *path)
{
	struct strbuf sql __cleanup_strbuf = { 0 };
	sqlite3 *db __cleanup_database = NULL;

	strbuf_addf(&sql, "PRAGMA page_size=%d; ", PAGE_BYTES);
	schema_sql(&sql);
	/* A file nobody knows yet needs no journal, only to be whole at the end. */
	if (sqlite3_open_v2(temp, &db, SQLITE_OPEN_READWRITE, NULL) ||
	    sqlite3_exec(db, "PRAGMA journal_mode=MEMORY", NULL, NULL, NULL) ||
	    sqlite3_exec(db, strbuf_str(&sql), NULL, NULL, NULL))
		return database_error(db, path);
	return NULL;
}

/* A log left by the old file's killed writer would be played into the new one. */
static void remove_logs(const char *path)
{
	static const char *const suffixes[] = { "-wal", "-shm", "-journal" };

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		__cleanup_free char *log = xasprintf("%s%s", path, suffixes[i]);

		unlink(log);
	}
}

/* Creates the empty recording under a name of its own, and locks it. */
static struct error *create_file(struct recording *rec)
{
	struct error *err = file_create_temp(rec->path, &rec->temp, &rec->fd);

	if (err)
		return err;
	file_give_to_invoker(rec->fd);
	err = create_schema(rec->temp, rec->path);
	if (!err && flock(rec->fd, LOCK_EX | LOCK_NB))
		err = error_errno(errno, "cannot lock '%s'", rec->path);
	return err;
}

#define SYNC_S 0.5

#define LOG_BYTES (1 << 20)

/* What the log may take beside the file before it is moved there. */
static uint64_t log_bytes(const struct recording *rec)
{
	uint64_t part = rec->settings.max_bytes / 8;

	return part && part < LOG_BYTES ? part : LOG_BYTES;
}

static struct error *set_pragmas(struct recording *rec)
{
	__cleanup_free char *sql = xasprintf("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
					     " PRAGMA wal_autocheckpoint=%d;",
					     (int)(log_bytes(rec) / PAGE_BYTES));

	return database_exec(rec->db, rec->path, sql);
}

/* A name in a directory is on the disk when the directory is. */
static void sync_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	__cleanup_free char *name = slash ? xasprintf("%.*s", (int)(slash - path) + 1, path) : NULL;
	int fd __cleanup_close = open(name ? name : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* Not every file system can; the file is whole without. */
	if (fd >= 0)
		fsync(fd);
}

/*
 * Puts the file in its place, in one step. Not before there is a first moment
 * to keep: a target that is not there must not cost an old recording.
 */
static struct error *install(struct recording *rec)
{
	struct error *err;

	remove_logs(rec->path);
	if (rename(rec->temp, rec->path))
		return error_errno(errno, "cannot create '%s'", rec->path);
	free(steal_ptr(rec->temp));
	sync_directory(rec->path);
	if (sqlite3_open_v2(rec->path, &rec->db, SQLITE_OPEN_READWRITE, NULL))
		return database_error(rec->db, rec->path);
	sqlite3_busy_timeout(rec->db, 2000);
	err = set_pragmas(rec);
	return err ? err : prepare_all(rec);
}

static void finalize_all(struct recording *rec)
{
	for (int i = 0; i < STATEMENTS_COUNT; i++) {
		sqlite3_finalize(rec->statements[i]);
		rec->statements[i] = NULL;
	}
}

static void recording_free(struct recording *rec)
{
	PRIVILEGES_AWAKE;

	finalize_all(rec);
	sqlite3_close(rec->db);
	if (rec->temp)
		unlink(rec->temp);
	/* Not before: closing any descriptor of the file drops SQLite's locks. */
	if (rec->fd >= 0)
		close(rec->fd);
	free(rec->temp);
	for (int i = 0; i < SNAPSHOT_LISTS_COUNT; i++)
		item_vec_deinit(&rec->lists[i]);
	stack_state_vec_deinit(&rec->states);
	intern_deinit(&rec->objects);
	intern_deinit(&rec->frames);
	intern_deinit(&rec->stacks);
	strpool_destroy(rec->strings);
	free(rec->path);
	free(rec);
}
DEFINE_CLEANUP(struct recording *, recording_free);

struct error *recording_create(const char *path, const struct recording_settings *settings,
			       struct recording **ret)
{
	struct recording *rec __cleanup(recording_freep) = xcalloc(1, sizeof(*rec));
	PRIVILEGES_AWAKE;
	struct error *err;

	rec->fd = -1;
	rec->path = file_resolve(path);
	rec->settings = *settings;
	rec->rows_left = settings->rows_at_once;
	rec->synced_s = -1;
	rec->thin_at = settings->max_bytes - log_bytes(rec) - settings->max_bytes / 32;
	rec->strings = strpool_create();
	intern_init(&rec->objects, sizeof(struct object_key));
	intern_init(&rec->frames, sizeof(struct frame_key));
	intern_init(&rec->stacks, sizeof(struct stack_key));
	err = check_replaceable(rec->path, settings->force);
	if (!err)
		err = create_file(rec);
	if (err)
		return err;
	*ret = steal_ptr(rec);
	return NULL;
}

/*
 * Brought to the disk at each append, but not more often than a disk is glad
 * of: then a power failure may cost the last SYNC_S seconds.
 */
static struct error *choose_sync(struct recording *rec, double now_s)
{
	bool sync = now_s - rec->synced_s >= SYNC_S || rec->synced_s < 0;

	if (sync)
		rec->synced_s = now_s;
	if (sync == rec->syncing)
		return NULL;
	rec->syncing = sync;
	return database_exec(rec->db, rec->path, sync ? "PRAGMA synchronous=FULL" :
			     "PRAGMA synchronous=NORMAL");
}

struct error *recording_append(struct recording *rec, const struct snapshot *snap, bool exactly)
{
	PRIVILEGES_AWAKE;
	struct error *err;

	if (rec->failed)
		return error_create(ERROR_OS, "'%s' takes no more after it failed", rec->path);
	err = rec->temp ? install(rec) : NULL;
	if (!err)
		err = choose_sync(rec, snap->duration_s);
	if (!err)
		err = database_exec(rec->db, rec->path, "BEGIN");
	if (!err)
		err = write_moment(rec, snap, exactly);
	if (!err)
		err = database_exec(rec->db, rec->path, "COMMIT");
	if (!err)
		err = thin_if_large(rec);
	if (err) {
		/* What we believe to be in the file is not: no way to go on. */
		rec->failed = true;
		sqlite3_exec(rec->db, "ROLLBACK", NULL, NULL, NULL);
	}
	return err;
}

/* Unnamed frames whose stacks got names. Only room is lost where this fails. */
static void drop_orphans(struct recording *rec)
{
	if (rec->renamed && !rec->failed)
		sqlite3_exec(rec->db,
			     "DELETE FROM frame WHERE frame NOT IN"
			     " (SELECT j.value FROM stack, json_each(stack.frames) AS j)",
			     NULL, NULL, NULL);
}

/* Moves the log into the file and does away with it. */
static struct error *fold_log(struct recording *rec)
{
	if (sqlite3_wal_checkpoint_v2(rec->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL))
		return error_wrap(database_error(rec->db, rec->path),
				  "the recording is whole, but keep '%s-wal' beside it",
				  rec->path);
	/* Refused while somebody reads; an empty log may stay then. */
	sqlite3_exec(rec->db, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
	return NULL;
}

bool recording_is_oversize(const struct recording *rec)
{
	return rec->oversize;
}

struct error *recording_close(struct recording *rec)
{
	struct recording *owned __cleanup(recording_freep) = rec;
	PRIVILEGES_AWAKE;

	if (!owned->db)
		return NULL;
	finalize_all(owned);
	drop_orphans(owned);
	return fold_log(owned);
}

void recording_destroy(struct recording *rec)
{
	struct error *err __cleanup_error = NULL;

	if (rec)
		err = recording_close(rec);
}
