// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The recording's reader. Everything in the file is checked before it is
 * used: indexes, enumerations and JSON arrays may be anything.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/strbuf.h"
#include "model/fields.h"
#include "recording/database.h"
#include "recording/reader.h"
#include "recording/schema.h"

struct recording_reader {
	char *path;
	sqlite3 *db;
	char *copy_dir;		/* temporary copy, where the original cannot be opened */
};

/* Opening */

static struct error *damaged(const struct recording_reader *rec, const char *what)
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
	int64_t id, version, odd;
	struct error *err = database_get_int64(rec->db, rec->path, "PRAGMA application_id", &id);

	if (!err)
		err = database_get_int64(rec->db, rec->path, "PRAGMA user_version", &version);
	if (!err)
		err = database_get_int64(rec->db, rec->path,
					 "SELECT count(*) FROM sqlite_schema"
					 " WHERE type NOT IN ('table', 'index')", &odd);
	if (err)
		return err;
	if (id != RECORDING_APPLICATION_ID)
		return error_create(ERROR_CORRUPT,
				    "'%s' is a database, but not a heapsonde recording", rec->path);
	if (version > RECORDING_SCHEMA_VERSION)
		return error_create(ERROR_UNSUPPORTED,
				    "'%s' was recorded by a newer heapsonde"
				    " (schema %lld, this one reads up to %d): use that one",
				    rec->path, (long long)version, RECORDING_SCHEMA_VERSION);
	/* A view in place of a table could run for ever. */
	return odd || version < 1 ? damaged(rec, "its schema is not heapsonde's") : NULL;
}

static struct error *check_file(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return error_errno(errno, "cannot open '%s'", path);
	if (S_ISDIR(st.st_mode))
		return error_errno(EISDIR, "cannot open '%s'", path);
	if (!S_ISREG(st.st_mode) || !st.st_size)
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

struct error *recording_moments(struct recording_reader *rec, size_t *ret)
{
	int64_t count;
	struct error *err = database_get_int64(rec->db, rec->path,
					       "SELECT count(*) FROM snapshot", &count);

	if (!err)
		*ret = (size_t)count;
	return err;
}

struct error *recording_moment_times(struct recording_reader *rec, struct recording_times *ret)
{
	sqlite3_stmt *st __cleanup_statement = NULL;
	struct error *err = database_prepare(rec->db, rec->path,
					     "SELECT duration_s FROM snapshot ORDER BY snapshot",
					     &st);
	int rc;

	if (err)
		return err;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		recording_times_push(ret, sqlite3_column_double(st, 0));
	return rc == SQLITE_DONE ? NULL : database_error(rec->db, rec->path);
}

/* One moment */

/* Numbers of the file to places in an array of ours; the file's are ascending. */
DEFINE_VEC(number_vec, int64_t);

static bool find_number(const struct number_vec *numbers, int64_t number, size_t *ret)
{
	size_t low = 0, high = numbers->len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (numbers->data[middle] < number)
			low = middle + 1;
		else
			high = middle;
	}
	*ret = low;
	return low < numbers->len && numbers->data[low] == number;
}

struct stack_row {
	struct snapshot_stack stack;
	bool present;
	double at_s;
	char *frames;		/* as in the file */
};

DEFINE_VEC(stack_row_vec, struct stack_row);

struct object_row { const char *module, *path, *build_id; };
DEFINE_VEC(object_row_vec, struct object_row);

/* What is read before the snapshot can be put together. */
struct reading {
	struct recording_reader *rec;
	struct snapshot *snap;		/* the result */
	int64_t moment, keyframe;
	struct number_vec object_numbers, frame_numbers, stack_numbers;
	struct object_row_vec objects;
	struct frame_vec frames;
	struct stack_row_vec stacks;
};

static void reading_deinit(struct reading *rd)
{
	vec_for_each(row, &rd->stacks)
		free(row->frames);
	number_vec_deinit(&rd->object_numbers);
	number_vec_deinit(&rd->frame_numbers);
	number_vec_deinit(&rd->stack_numbers);
	object_row_vec_deinit(&rd->objects);
	frame_vec_deinit(&rd->frames);
	stack_row_vec_deinit(&rd->stacks);
	snapshot_destroy(rd->snap);
}

/* Calls @row for each row of @sql; its parameters, if any, are moment and keyframe. */
static struct error *for_each_row(struct reading *rd, const char *sql,
				  struct error *(*row)(struct reading *, sqlite3_stmt *))
{
	sqlite3_stmt *st __cleanup_statement = NULL;
	struct error *err = database_prepare(rd->rec->db, rd->rec->path, sql, &st);
	int rc;

	if (err)
		return err;
	if (sqlite3_bind_parameter_count(st) == 2) {
		sqlite3_bind_int64(st, 1, rd->moment);
		sqlite3_bind_int64(st, 2, rd->keyframe);
	}
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		err = row(rd, st);
		if (err)
			return err;
	}
	return rc == SQLITE_DONE ? NULL : database_error(rd->rec->db, rd->rec->path);
}

static const char *column_string(struct reading *rd, sqlite3_stmt *st, int column)
{
	return snapshot_string(rd->snap, (const char *)sqlite3_column_text(st, column));
}

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

static void read_field(struct reading *rd, sqlite3_stmt *st, int column,
		       const struct field *field, void *base)
{
	char *p = (char *)base + field->offset;
	bool null = sqlite3_column_type(st, column) == SQLITE_NULL;
	int64_t n = null && field->optional ? -1 : sqlite3_column_int64(st, column);
	double d = null && field->optional ? -1 : sqlite3_column_double(st, column);
	const char *s;

	switch (field->type) {
	case FIELD_INT64:
		memcpy(p, &n, sizeof(n));
		break;
	case FIELD_UINT32:
		*(uint32_t *)p = (uint32_t)n;
		break;
	case FIELD_DOUBLE:
		memcpy(p, &d, sizeof(d));
		break;
	case FIELD_BOOL:
		*(bool *)p = n != 0;
		break;
	case FIELD_STRING:
		s = column_string(rd, st, column);
		*(const char **)p = field->optional ? s : or_empty(s);
		break;
	}
}

static void read_fields(struct reading *rd, sqlite3_stmt *st, int column,
			const struct fields *fields, void *base)
{
	fields_for_each(field, fields)
		read_field(rd, st, column++, field, base);
}

static void add_columns(struct strbuf *sql, const struct fields *fields, const char *prefix)
{
	fields_for_each(field, fields)
		strbuf_addf(sql, ", %s%s", prefix, field->name);
}

static struct error *read_part(struct reading *rd, enum snapshot_part part)
{
	const struct fields *fields = &snapshot_parts[part];
	struct strbuf sql __cleanup_strbuf = { 0 };
	sqlite3_stmt *st __cleanup_statement = NULL;
	struct error *err;
	int rc;

	strbuf_addstr(&sql, "SELECT snapshot");
	add_columns(&sql, fields, "");
	strbuf_addf(&sql, " FROM %s WHERE snapshot = ?", fields->name);
	err = database_prepare(rd->rec->db, rd->rec->path, strbuf_str(&sql), &st);
	if (err)
		return err;
	sqlite3_bind_int64(st, 1, rd->moment);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		read_fields(rd, st, 1, fields, rd->snap);
	else if (rc == SQLITE_DONE)
		return damaged(rd->rec, "a moment is not whole");
	return rc == SQLITE_ROW ? NULL : database_error(rd->rec->db, rd->rec->path);
}

/*
 * Items come in order of moments, so that a later one overwrites; where one is
 * gone the list ends.
 */
static struct error *read_list_rows(struct reading *rd, enum snapshot_list list,
				    sqlite3_stmt *st)
{
	const struct list_fields *kind = &snapshot_lists[list];
	struct item_vec *items = (struct item_vec *)snapshot_list(rd->snap, list);
	size_t bytes = 0;
	int rc;

	/* The vectors' lengths count items of their type, not bytes. */
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		int64_t pos = sqlite3_column_int64(st, 0);
		bool gone = sqlite3_column_type(st, 1) == SQLITE_NULL;

		if (pos < 0 || (size_t)pos > items->len)
			return damaged(rd->rec, "a list has a hole");
		if (gone) {
			items->len = (size_t)pos;
			continue;
		}
		if ((size_t)pos == items->len)
			items->len++;
		if (items->len * kind->item_size > bytes) {
			bytes = items->len * kind->item_size * 2;
			items->data = xreallocarray(items->data, bytes, 1);
			items->cap = bytes / kind->item_size;
		}
		memset(items->data + pos * kind->item_size, 0, kind->item_size);
		read_fields(rd, st, 1, &kind->fields, items->data + pos * kind->item_size);
	}
	return rc == SQLITE_DONE ? NULL : database_error(rd->rec->db, rd->rec->path);
}

static struct error *read_list(struct reading *rd, enum snapshot_list list)
{
	const struct list_fields *kind = &snapshot_lists[list];
	struct strbuf sql __cleanup_strbuf = { 0 };
	sqlite3_stmt *st __cleanup_statement = NULL;
	struct error *err;

	strbuf_addstr(&sql, "SELECT pos");
	add_columns(&sql, &kind->fields, "");
	strbuf_addf(&sql, " FROM %s WHERE snapshot %s ? ORDER BY snapshot, pos",
		    kind->fields.name, kind->every_moment ? "=" : "<=");
	err = database_prepare(rd->rec->db, rd->rec->path, strbuf_str(&sql), &st);
	if (err)
		return err;
	sqlite3_bind_int64(st, 1, rd->moment);
	return read_list_rows(rd, list, st);
}

static struct error *object_row(struct reading *rd, sqlite3_stmt *st)
{
	number_vec_push(&rd->object_numbers, sqlite3_column_int64(st, 0));
	object_row_vec_push(&rd->objects, (struct object_row){
		or_empty(column_string(rd, st, 1)), or_empty(column_string(rd, st, 2)),
		or_empty(column_string(rd, st, 3)),
	});
	return NULL;
}

static struct error *frame_row(struct reading *rd, sqlite3_stmt *st)
{
	struct frame *frame = frame_vec_append(&rd->frames);
	size_t object;

	number_vec_push(&rd->frame_numbers, sqlite3_column_int64(st, 0));
	if (!find_number(&rd->object_numbers, sqlite3_column_int64(st, 3), &object))
		return damaged(rd->rec, "a frame is in no object");
	*frame = (struct frame){
		.pc = (uint64_t)sqlite3_column_int64(st, 1),
		.offset = (uint64_t)sqlite3_column_int64(st, 2),
		.module = rd->objects.data[object].module,
		.path = rd->objects.data[object].path,
		.build_id = rd->objects.data[object].build_id,
		.function = column_string(rd, st, 4),
		.raw = column_string(rd, st, 5),
		.file = column_string(rd, st, 6),
		.line = (uint32_t)sqlite3_column_int64(st, 7),
		.column = (uint32_t)sqlite3_column_int64(st, 8),
		.inlined = sqlite3_column_int64(st, 9) != 0,
	};
	return NULL;
}

static bool kind_of(const char *name, enum memory_kind *ret)
{
	for (int i = 0; i < MEMORY_KINDS_COUNT; i++) {
		if (strcmp(name, memory_kind_name(i)))
			continue;
		*ret = i;
		return true;
	}
	return false;
}

static bool status_of(const char *name, uint32_t *ret)
{
	for (uint32_t i = 0; i < UNWIND_STATUSES_COUNT; i++) {
		if (strcmp(name, unwind_status_name(i)))
			continue;
		*ret = i;
		return true;
	}
	return false;
}

static struct error *stack_row(struct reading *rd, sqlite3_stmt *st)
{
	struct stack_row *row = stack_row_vec_append(&rd->stacks);
	int64_t target = sqlite3_column_int64(st, 1);

	number_vec_push(&rd->stack_numbers, sqlite3_column_int64(st, 0));
	*row = (struct stack_row){ .stack = {
		.target = (uint32_t)target,
		.id = (uint64_t)sqlite3_column_int64(st, 2),
	} };
	row->frames = xstrdup(or_empty((const char *)sqlite3_column_text(st, 5)));
	if (target < 0 || target > UINT32_MAX ||
	    !kind_of(or_empty((const char *)sqlite3_column_text(st, 3)), &row->stack.kind) ||
	    !status_of(or_empty((const char *)sqlite3_column_text(st, 4)), &row->stack.status))
		return damaged(rd->rec, "a stack's target, kind or status makes no sense");
	return NULL;
}

static struct error *sample_row(struct reading *rd, sqlite3_stmt *st)
{
	struct stack_row *row;
	size_t i;

	if (!find_number(&rd->stack_numbers, sqlite3_column_int64(st, 0), &i))
		return damaged(rd->rec, "a sample is of no stack");
	row = &rd->stacks.data[i];
	row->at_s = sqlite3_column_double(st, 1);
	row->present = sqlite3_column_type(st, 2) != SQLITE_NULL;
	if (row->present)
		read_fields(rd, st, 2, &metric_fields, &row->stack.m);
	return NULL;
}

static struct error *read_samples(struct reading *rd)
{
	struct strbuf sql __cleanup_strbuf = { 0 };

	strbuf_addstr(&sql, "SELECT m.stack, s.duration_s");
	add_columns(&sql, &metric_fields, "m.");
	strbuf_addstr(&sql, " FROM sample AS m CROSS JOIN snapshot AS s USING(snapshot)"
		      " WHERE m.snapshot <= ?1 AND m.snapshot >= ?2"
		      " ORDER BY m.snapshot, m.stack");
	return for_each_row(rd, strbuf_str(&sql), sample_row);
}

/* Appends the frames whose numbers @text lists, "[1,2,3]", to the snapshot's. */
static bool add_frames(struct reading *rd, const char *text, struct snapshot_stack *stack)
{
	const char *p = text;

	stack->frame_first = (uint32_t)rd->snap->frames.len;
	if (*p++ != '[')
		return false;
	while (*p >= '0' && *p <= '9') {
		char *end;
		size_t i;

		errno = 0;
		if (!find_number(&rd->frame_numbers, strtoll(p, &end, 10), &i) || errno ||
		    rd->snap->frames.len >= UINT32_MAX)
			return false;
		frame_vec_push(&rd->snap->frames, rd->frames.data[i]);
		p = end;
		if (*p != ',')
			break;
		p++;
	}
	stack->frame_count = (uint32_t)rd->snap->frames.len - stack->frame_first;
	return !strcmp(p, "]");
}

static struct error *compose_stacks(struct reading *rd)
{
	vec_for_each(row, &rd->stacks) {
		if (!row->present)
			continue;
		if (row->stack.target >= rd->snap->targets.len)
			return damaged(rd->rec, "a stack has no target");
		if (!add_frames(rd, row->frames, &row->stack))
			return damaged(rd->rec, "a stack's frames make no sense");
		if (!rd->snap->targets.data[row->stack.target].exited)
			metrics_age(&row->stack.m, row->at_s, rd->snap->duration_s);
		snapshot_stack_vec_push(&rd->snap->stacks, row->stack);
	}
	return NULL;
}

/* Which moment is meant, and the keyframe from which to read. */
static struct error *find_moment(struct reading *rd, double t_s)
{
	static const char sql[] =
		"WITH chosen(moment) AS (SELECT coalesce("
		" (SELECT max(snapshot) FROM snapshot WHERE ?1 < 0 OR duration_s <= ?1),"
		" (SELECT min(snapshot) FROM snapshot)))"
		" SELECT moment, (SELECT max(snapshot) FROM snapshot"
		" WHERE keyframe AND snapshot <= moment) FROM chosen";
	sqlite3_stmt *st __cleanup_statement = NULL;
	struct error *err = database_prepare(rd->rec->db, rd->rec->path, sql, &st);
	int rc;

	if (err)
		return err;
	sqlite3_bind_double(st, 1, t_s);
	rc = sqlite3_step(st);
	if (rc != SQLITE_ROW)
		return database_error(rd->rec->db, rd->rec->path);
	if (sqlite3_column_type(st, 0) == SQLITE_NULL)
		return error_create(ERROR_NOT_FOUND,
				    "'%s' is empty: its recording ended before the first interval",
				    rd->rec->path);
	rd->moment = sqlite3_column_int64(st, 0);
	rd->keyframe = sqlite3_column_int64(st, 1);
	return NULL;
}

static struct error *version_row(struct reading *rd, sqlite3_stmt *st)
{
	rd->snap->version = or_empty(column_string(rd, st, 0));
	return NULL;
}

static struct error *read_moment(struct reading *rd)
{
	struct error *err;

	err = for_each_row(rd, "SELECT value FROM meta WHERE key = 'version'",
			   version_row);
	for (int i = 0; i < SNAPSHOT_PARTS_COUNT && !err; i++)
		err = read_part(rd, i);
	for (int i = 0; i < SNAPSHOT_LISTS_COUNT && !err; i++)
		err = read_list(rd, i);
	if (!err)
		err = for_each_row(rd, "SELECT object, module, path, build_id FROM object"
				   " ORDER BY object", object_row);
	if (!err)
		err = for_each_row(rd, "SELECT frame, pc, offset, object, function, raw, file,"
				   " line, column, inlined FROM frame ORDER BY frame",
				   frame_row);
	if (!err)
		err = for_each_row(rd, "SELECT stack, target, id, kind, status, frames"
				   " FROM stack ORDER BY stack", stack_row);
	if (!err)
		err = read_samples(rd);
	return err ? err : compose_stacks(rd);
}

struct error *recording_snapshot(struct recording_reader *rec, double t_s,
				 struct snapshot **ret)
{
	struct reading rd __cleanup(reading_deinit) = { .rec = rec };
	/* One transaction: all queries see the same state while a writer goes on. */
	struct error *err = database_exec(rec->db, rec->path, "BEGIN");

	if (err)
		return err;
	rd.snap = snapshot_create();
	rd.snap->version = rd.snap->mode = rd.snap->stack_mode = "";
	err = find_moment(&rd, t_s);
	if (!err)
		err = read_moment(&rd);
	sqlite3_exec(rec->db, "COMMIT", NULL, NULL, NULL);
	if (err)
		return err;
	snapshot_sort(rd.snap, "live_bytes");
	*ret = steal_ptr(rd.snap);
	return NULL;
}
