// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The recording's reader. Everything in the file is checked before it is
 * used: indexes, enumerations and JSON arrays may be anything.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strbuf.h"
#include "model/fields.h"
#include "recording/columns.h"
#include "recording/delta.h"
#include "recording/reader_private.h"
#include "recording/schema.h"

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
	struct delta_state state;
	char *frames;		/* as in the file */
};

DEFINE_VEC(stack_row_vec, struct stack_row);

struct object_row { const char *module, *path, *build_id; };
DEFINE_VEC(object_row_vec, struct object_row);

/* What is read before the snapshot can be put together. */
struct reading {
	struct recording_reader *rec;
	struct snapshot *snap;		/* the result */
	int64_t moment;			/* the one that is read ... */
	int64_t whole, rows;		/* ... from rows of these moments and deltas since */
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

/* Calls @row for each row of @sql; its two parameters, if any, are @first and @last. */
static struct error *for_each_row(struct reading *rd, const char *sql, int64_t first,
				  int64_t last,
				  struct error *(*row)(struct reading *, sqlite3_stmt *))
{
	sqlite3_stmt *st __cleanup_statement = NULL;
	struct error *err = database_prepare(rd->rec->db, rd->rec->path, sql, &st);
	int rc;

	if (err)
		return err;
	if (sqlite3_bind_parameter_count(st) == 2) {
		sqlite3_bind_int64(st, 1, first);
		sqlite3_bind_int64(st, 2, last);
	}
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		err = row(rd, st);
		if (err)
			return err;
	}
	return rc == SQLITE_DONE ? NULL : database_error(rd->rec->db, rd->rec->path);
}

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

static struct error *read_part(struct reading *rd, enum snapshot_part part)
{
	const struct fields *fields = &snapshot_parts[part];
	struct strbuf sql __cleanup_strbuf = { 0 };
	sqlite3_stmt *st __cleanup_statement = NULL;
	struct error *err;
	int rc;

	strbuf_addstr(&sql, "SELECT snapshot");
	columns_add_existing(&sql, rd->rec->older, fields, "");
	strbuf_addf(&sql, " FROM %s WHERE snapshot = ?",
		    columns_exist(rd->rec->older, fields) ? fields->name : "snapshot");
	err = database_prepare(rd->rec->db, rd->rec->path, strbuf_str(&sql), &st);
	if (err)
		return err;
	sqlite3_bind_int64(st, 1, rd->moment);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		columns_read(rd->snap, st, 1, fields, rd->snap);
	else if (rc == SQLITE_DONE && part != PART_WINDOWS)
		return recording_damaged(rd->rec, "a moment is not whole");
	if (rc == SQLITE_ROW || rc == SQLITE_DONE)
		return NULL;
	return database_error(rd->rec->db, rd->rec->path);
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
			return recording_damaged(rd->rec, "a list has a hole");
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
		columns_read(rd->snap, st, 1, &kind->fields, items->data + pos * kind->item_size);
	}
	return rc == SQLITE_DONE ? NULL : database_error(rd->rec->db, rd->rec->path);
}

static struct error *read_list(struct reading *rd, enum snapshot_list list)
{
	const struct list_fields *kind = &snapshot_lists[list];
	struct strbuf sql __cleanup_strbuf = { 0 };
	sqlite3_stmt *st __cleanup_statement = NULL;
	struct error *err;

	if (!columns_exist(rd->rec->older, &kind->fields))
		return NULL;
	strbuf_addstr(&sql, "SELECT pos");
	columns_add_existing(&sql, rd->rec->older, &kind->fields, "");
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
		or_empty(column_string(rd->snap, st, 1)),
		or_empty(column_string(rd->snap, st, 2)),
		or_empty(column_string(rd->snap, st, 3)),
	});
	return NULL;
}

/* What older recordings do not have is NULL. */
static const char *frames_sql(struct reading *rd, struct strbuf *sql)
{
	static const char *const newer[] = { "type", "start_line" };

	strbuf_addstr(sql, "SELECT frame, pc, offset, object, function, raw, file, line,"
		      " column, inlined");
	for (size_t i = 0; i < sizeof(newer) / sizeof(newer[0]); i++)
		strbuf_addf(sql, ", %s", column_exists(rd->rec->older, "frame", newer[i]) ?
			    newer[i] : "NULL");
	strbuf_addstr(sql, " FROM frame ORDER BY frame");
	return strbuf_str(sql);
}

static struct error *frame_row(struct reading *rd, sqlite3_stmt *st)
{
	struct frame *frame = frame_vec_append(&rd->frames);
	size_t object;

	number_vec_push(&rd->frame_numbers, sqlite3_column_int64(st, 0));
	if (!find_number(&rd->object_numbers, sqlite3_column_int64(st, 3), &object))
		return recording_damaged(rd->rec, "a frame is in no object");
	*frame = (struct frame){
		.pc = (uint64_t)sqlite3_column_int64(st, 1),
		.offset = (uint64_t)sqlite3_column_int64(st, 2),
		.module = rd->objects.data[object].module,
		.path = rd->objects.data[object].path,
		.build_id = rd->objects.data[object].build_id,
		.function = column_string(rd->snap, st, 4),
		.raw = column_string(rd->snap, st, 5),
		.file = column_string(rd->snap, st, 6),
		.line = (uint32_t)sqlite3_column_int64(st, 7),
		.column = (uint32_t)sqlite3_column_int64(st, 8),
		.inlined = sqlite3_column_int64(st, 9) != 0,
		.type = column_string(rd->snap, st, 10),
		.start_line = (uint32_t)sqlite3_column_int64(st, 11),
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
		return recording_damaged(rd->rec, "a stack makes no sense");
	return NULL;
}

static struct error *read_stacks(struct reading *rd)
{
	return for_each_row(rd, "SELECT stack, target, id, kind, status, frames"
			    " FROM stack ORDER BY stack", 0, 0, stack_row);
}

static struct error *sample_row(struct reading *rd, sqlite3_stmt *st)
{
	struct delta_state *state;
	size_t i;

	if (!find_number(&rd->stack_numbers, sqlite3_column_int64(st, 0), &i))
		return recording_damaged(rd->rec, "a sample is of no stack");
	state = &rd->stacks.data[i].state;
	state->at_s = sqlite3_column_double(st, 1);
	state->present = sqlite3_column_type(st, 2) != SQLITE_NULL;
	if (state->present)
		columns_read(rd->snap, st, 2, &metric_fields, &state->m);
	else
		state->m = (struct metrics){ 0 };
	return NULL;
}

/* One change of the moment at @now_s. */
struct applying {
	struct reading *rd;
	double now_s;
};

static bool apply_change(void *arg, const struct delta_change *change)
{
	struct applying *applying = arg;
	struct reading *rd = applying->rd;
	size_t i;

	if (!find_number(&rd->stack_numbers, change->stack, &i))
		return false;
	delta_apply(&rd->stacks.data[i].state, change, applying->now_s);
	return true;
}

static struct error *delta_row(struct reading *rd, sqlite3_stmt *st)
{
	struct applying applying = { rd, sqlite3_column_double(st, 1) };
	const void *data = sqlite3_column_blob(st, 0);

	if (!delta_unpack(data, (size_t)sqlite3_column_bytes(st, 0), apply_change, &applying))
		return recording_damaged(rd->rec, "a delta makes no sense");
	return NULL;
}

/* Applies the rows of metrics of moments @first to @last. */
static struct error *read_rows(struct reading *rd, int64_t first, int64_t last)
{
	struct strbuf sql __cleanup_strbuf = { 0 };

	strbuf_addstr(&sql, "SELECT m.stack, s.duration_s");
	columns_add_existing(&sql, rd->rec->older, &metric_fields, "m.");
	strbuf_addstr(&sql, " FROM sample AS m CROSS JOIN snapshot AS s USING(snapshot)"
		      " WHERE m.snapshot BETWEEN ?1 AND ?2 ORDER BY m.snapshot, m.stack");
	return for_each_row(rd, strbuf_str(&sql), first, last, sample_row);
}

/* The same for packed changes. */
static struct error *read_deltas(struct reading *rd, int64_t first, int64_t last)
{
	return for_each_row(rd, "SELECT d.data, s.duration_s FROM snapshot AS s"
			    " LEFT JOIN delta AS d USING(snapshot)"
			    " WHERE s.snapshot BETWEEN ?1 AND ?2 ORDER BY s.snapshot",
			    first, last, delta_row);
}

static struct error *read_samples(struct reading *rd)
{
	struct error *err = read_rows(rd, rd->whole, rd->rows);

	return err ? err : read_deltas(rd, rd->rows + 1, rd->moment);
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
	struct number_vec shown __cleanup(number_vec_deinit) = { 0 };
	size_t i = 0;

	vec_for_each(row, &rd->stacks) {
		int64_t number = rd->stack_numbers.data[i++];

		if (!row->state.present)
			continue;
		number_vec_push(&shown, number);
		if (row->stack.target >= rd->snap->targets.len)
			return recording_damaged(rd->rec, "a stack has no target");
		if (!add_frames(rd, row->frames, &row->stack))
			return recording_damaged(rd->rec, "a stack's frames make no sense");
		row->stack.m = row->state.m;
		if (!rd->snap->targets.data[row->stack.target].exited)
			metrics_age(&row->stack.m, row->state.at_s, rd->snap->duration_s);
		snapshot_stack_vec_push(&rd->snap->stacks, row->stack);
	}
	return recording_read_shares(rd->rec, rd->moment, rd->snap, &shown);
}

/* Which moment is meant, and the keyframes from which to read. */
static struct error *find_moment(struct reading *rd, double t_s)
{
	static const char sql[] =
		"WITH chosen(moment) AS (SELECT coalesce("
		" (SELECT max(snapshot) FROM snapshot WHERE ?1 < 0 OR duration_s <= ?1),"
		" (SELECT min(snapshot) FROM snapshot)))"
		" SELECT moment, (SELECT max(snapshot) FROM snapshot"
		" WHERE keyframe = 2 AND snapshot <= moment), (SELECT max(snapshot)"
		" FROM snapshot WHERE keyframe AND snapshot <= moment) FROM chosen";
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
	rd->whole = sqlite3_column_int64(st, 1);
	rd->rows = sqlite3_column_int64(st, 2);
	return NULL;
}

static struct error *version_row(struct reading *rd, sqlite3_stmt *st)
{
	rd->snap->version = or_empty(column_string(rd->snap, st, 0));
	return NULL;
}

static struct error *read_moment(struct reading *rd)
{
	struct strbuf frames __cleanup_strbuf = { 0 };
	struct error *err;

	err = for_each_row(rd, "SELECT value FROM meta WHERE key = 'version'",
			   0, 0, version_row);
	for (int i = 0; i < SNAPSHOT_PARTS_COUNT && !err; i++)
		err = read_part(rd, i);
	for (int i = 0; i < SNAPSHOT_LISTS_COUNT && !err; i++)
		err = read_list(rd, i);
	if (!err)
		err = for_each_row(rd, "SELECT object, module, path, build_id FROM object"
				   " ORDER BY object", 0, 0, object_row);
	if (!err)
		err = for_each_row(rd, frames_sql(rd, &frames), 0, 0, frame_row);
	if (!err)
		err = read_stacks(rd);
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

/* Many moments */

struct moment_row {
	int64_t moment;
	enum keyframe keyframe;
	double at_s;
};

DEFINE_VEC(moment_row_vec, struct moment_row);

/* What reading one moment after the other keeps. */
struct walk {
	struct reading rd;
	struct moment_row_vec moments;
	struct delta_state *rows;	/* of each stack as its last row has it */
	double before_s;
	recording_visitor *each;
	void *arg;
};

static void walk_deinit(struct walk *walk)
{
	free(walk->rows);
	moment_row_vec_deinit(&walk->moments);
	reading_deinit(&walk->rd);
}

static struct error *moment_row(struct reading *rd, sqlite3_stmt *st)
{
	struct walk *walk = (struct walk *)((char *)rd - offsetof(struct walk, rd));
	double at_s = sqlite3_column_double(st, 2);

	if (at_s < walk->before_s)
		moment_row_vec_push(&walk->moments, (struct moment_row){
			sqlite3_column_int64(st, 0), sqlite3_column_int(st, 1), at_s });
	return NULL;
}

/*
 * From a moment to the next one: rows go on from the rows before them, whatever
 * deltas said in between, and packed changes from the moment before.
 */
static struct error *walk_step(struct walk *walk, const struct moment_row *m)
{
	struct stack_row_vec *stacks = &walk->rd.stacks;
	struct error *err;

	if (m->keyframe == KEYFRAME_NONE)
		return read_deltas(&walk->rd, m->moment, m->moment);
	for (size_t i = 0; i < stacks->len; i++)
		stacks->data[i].state = walk->rows[i];
	err = read_rows(&walk->rd, m->moment, m->moment);
	for (size_t i = 0; i < stacks->len; i++)
		walk->rows[i] = stacks->data[i].state;
	return err;
}

static void walk_show(struct walk *walk, double at_s)
{
	__cleanup(snapshot_destroyp) struct snapshot *snap = snapshot_create();

	snap->duration_s = at_s;
	vec_for_each(row, &walk->rd.stacks) {
		if (!row->state.present)
			continue;
		row->stack.m = row->state.m;
		snapshot_stack_vec_push(&snap->stacks, row->stack);
	}
	walk->each(walk->arg, snap);
}

static struct error *walk_moments(struct walk *walk, size_t most)
{
	size_t len = walk->moments.len, shown = 0;
	struct error *err = NULL;

	walk->rows = xcalloc(walk->rd.stacks.len + 1, sizeof(*walk->rows));
	if (most > len)
		most = len;
	for (size_t i = 0; i < len && !err; i++) {
		const struct moment_row *m = &walk->moments.data[i];

		err = walk_step(walk, m);
		if (err || shown >= most || i != shown * len / most)
			continue;
		walk_show(walk, m->at_s);
		shown++;
	}
	return err;
}

struct error *recording_history(struct recording_reader *rec, double before_s, size_t most,
				recording_visitor *each, void *arg)
{
	struct walk walk __cleanup(walk_deinit) = {
		.rd.rec = rec, .before_s = before_s, .each = each, .arg = arg };
	struct error *err = database_exec(rec->db, rec->path, "BEGIN");

	if (err)
		return err;
	walk.rd.snap = snapshot_create();
	err = for_each_row(&walk.rd, "SELECT snapshot, keyframe, duration_s FROM snapshot"
			   " ORDER BY snapshot", 0, 0, moment_row);
	if (!err)
		err = read_stacks(&walk.rd);
	if (!err)
		err = walk_moments(&walk, most);
	sqlite3_exec(rec->db, "COMMIT", NULL, NULL, NULL);
	return err;
}
