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
#include "base/strbuf.h"
#include "base/strpool.h"
#include "model/fields.h"
#include "recording/database.h"
#include "recording/schema.h"
#include "recording/writer.h"

/*
 * A keyframe is due when the deltas since the last one are this many times
 * the stacks: it then adds an eighth to the file and bounds the way back.
 */
#define KEYFRAME_DELTAS 8
#define KEYFRAME_DELTAS_MIN 1000

enum statement {
	INSERT_PARTS,
	INSERT_LISTS = INSERT_PARTS + SNAPSHOT_PARTS_COUNT,
	INSERT_SAMPLE = INSERT_LISTS + SNAPSHOT_LISTS_COUNT,
	INSERT_OBJECT, INSERT_FRAME, INSERT_STACK, UPDATE_STACK,
	STATEMENTS_COUNT
};

/* Keys of the intern tables: no padding, strings from the writer's pool. */
struct object_key { const char *module, *path, *build_id; };
struct frame_key {
	uint64_t pc, offset, object;
	const char *function, *raw, *file;
	uint32_t line, column;
	uint64_t inlined;
};
struct stack_key { uint64_t id; uint32_t target, kind; };

/* What the file says of a stack, by its number. */
struct stack_state {
	struct metrics m;	/* at at_s */
	double at_s;
	int64_t seen;		/* the last moment that had it */
	bool gone;
	uint32_t status;
	uint32_t known;		/* how much its frames say, see known_of() */
};

DEFINE_VEC(stack_state_vec, struct stack_state);

struct recording {
	char *path;
	char *temp;		/* what the file is called until the first append */
	int fd;			/* holds the lock against other writers */
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS_COUNT];
	struct strpool *strings;
	struct intern objects, frames, stacks;
	struct stack_state_vec states;
	struct item_vec lists[SNAPSHOT_LISTS_COUNT];
	int64_t moment;		/* number of the last one */
	size_t deltas;		/* samples since the last keyframe */
	bool renamed;		/* stacks got other frames: old ones may be orphans */
	bool failed;
};

/* SQL from the field tables */

static const char *sql_type(const struct field *field)
{
	switch (field->type) {
	case FIELD_DOUBLE:
		return "REAL";
	case FIELD_STRING:
		return "TEXT";
	default:
		return "INTEGER";
	}
}

static void add_create(struct strbuf *sql, const struct fields *fields, const char *key,
		       const char *tail)
{
	strbuf_addf(sql, "CREATE TABLE %s(%s", fields->name, key);
	fields_for_each(field, fields)
		strbuf_addf(sql, ", %s %s", field->name, sql_type(field));
	strbuf_addf(sql, "%s;\n", tail);
}

static void schema_sql(struct strbuf *sql)
{
	strbuf_addf(sql, "PRAGMA application_id=%d; PRAGMA user_version=%d; BEGIN;\n"
		    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;\n"
		    "CREATE TABLE object(object INTEGER PRIMARY KEY, module TEXT, path TEXT,"
		    " build_id TEXT);\n"
		    "CREATE TABLE frame(frame INTEGER PRIMARY KEY, pc INTEGER, offset INTEGER,"
		    " object INTEGER, function TEXT, raw TEXT, file TEXT, line INTEGER,"
		    " column INTEGER, inlined INTEGER);\n"
		    "CREATE TABLE stack(stack INTEGER PRIMARY KEY, target INTEGER, id INTEGER,"
		    " kind TEXT, status TEXT, frames TEXT);\n",
		    RECORDING_APPLICATION_ID, RECORDING_SCHEMA_VERSION);
	for (int i = 0; i < SNAPSHOT_PARTS_COUNT; i++)
		add_create(sql, &snapshot_parts[i], i == PART_SNAPSHOT ?
			   "snapshot INTEGER PRIMARY KEY, keyframe INTEGER" :
			   "snapshot INTEGER PRIMARY KEY", ")");
	for (int i = 0; i < SNAPSHOT_LISTS_COUNT; i++)
		add_create(sql, &snapshot_lists[i].fields, "snapshot INTEGER, pos INTEGER",
			   ", PRIMARY KEY(snapshot, pos)) WITHOUT ROWID");
	add_create(sql, &metric_fields, "snapshot INTEGER, stack INTEGER",
		   ", PRIMARY KEY(snapshot, stack)) WITHOUT ROWID");
	strbuf_addstr(sql, "COMMIT;");
}

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
		[INSERT_OBJECT] = "INSERT INTO object VALUES(?,?,?,?)",
		[INSERT_FRAME] = "INSERT INTO frame VALUES(?,?,?,?,?,?,?,?,?,?)",
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
	for (int i = INSERT_OBJECT; i < STATEMENTS_COUNT && !err; i++)
		err = database_prepare(rec->db, rec->path, fixed[i], &rec->statements[i]);
	return err;
}

static void bind_text(sqlite3_stmt *st, int column, const char *s)
{
	/* All strings live until the statement was stepped and reset. */
	sqlite3_bind_text(st, column, s, -1, SQLITE_STATIC);
}

static void bind_field(sqlite3_stmt *st, int column, const struct field *field,
		       const void *base)
{
	const char *p = (const char *)base + field->offset;
	const char *s;
	int64_t n;
	double d;

	switch (field->type) {
	case FIELD_INT64:
		memcpy(&n, p, sizeof(n));
		if (!field->optional || n >= 0)
			sqlite3_bind_int64(st, column, n);
		break;
	case FIELD_UINT32:
		sqlite3_bind_int64(st, column, *(const uint32_t *)p);
		break;
	case FIELD_DOUBLE:
		memcpy(&d, p, sizeof(d));
		if (!field->optional || d >= 0)
			sqlite3_bind_double(st, column, d);
		break;
	case FIELD_BOOL:
		sqlite3_bind_int(st, column, *(const bool *)p);
		break;
	case FIELD_STRING:
		s = *(const char *const *)p;
		if (s || !field->optional)
			bind_text(st, column, s ? s : "");
		break;
	}
}

static void bind_fields(sqlite3_stmt *st, int column, const struct fields *fields,
			const void *base)
{
	fields_for_each(field, fields)
		bind_field(st, column++, field, base);
}

/* Runs a bound statement and leaves it with nothing bound, that is, NULLs. */
static struct error *run(struct recording *rec, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);
	struct error *err = rc == SQLITE_DONE ? NULL : database_error(rec->db, rec->path);

	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return err;
}

/* One moment */

static struct error *write_parts(struct recording *rec, const struct snapshot *snap,
				 bool keyframe)
{
	struct error *err = NULL;

	for (int i = 0; i < SNAPSHOT_PARTS_COUNT && !err; i++) {
		sqlite3_stmt *st = rec->statements[INSERT_PARTS + i];
		int column = 1;

		sqlite3_bind_int64(st, column++, rec->moment);
		if (i == PART_SNAPSHOT)
			sqlite3_bind_int(st, column++, keyframe);
		bind_fields(st, column, &snapshot_parts[i], snap);
		err = run(rec, st);
	}
	return err;
}

static bool field_equal(const struct field *field, const char *a, const char *b)
{
	const char *s, *t;

	a += field->offset;
	b += field->offset;
	switch (field->type) {
	case FIELD_INT64:
	case FIELD_DOUBLE:
		return !memcmp(a, b, 8);
	case FIELD_UINT32:
		return !memcmp(a, b, 4);
	case FIELD_BOOL:
		return *(const bool *)a == *(const bool *)b;
	case FIELD_STRING:
		s = *(const char *const *)a;
		t = *(const char *const *)b;
		return s && t ? !strcmp(s, t) : s == t;
	}
	return false;
}

static bool item_equal(const struct fields *fields, const char *a, const char *b)
{
	fields_for_each(field, fields)
		if (!field_equal(field, a, b))
			return false;
	return true;
}

/* Keeps the list, its strings in the writer's own pool, to compare next time. */
static void remember_list(struct recording *rec, enum snapshot_list list,
			  const struct item_vec *items)
{
	const struct list_fields *kind = &snapshot_lists[list];
	struct item_vec *old = &rec->lists[list];

	item_vec_reserve(old, items->len * kind->item_size);
	if (items->len)
		memcpy(old->data, items->data, items->len * kind->item_size);
	old->len = items->len;
	for (size_t i = 0; i < items->len; i++) {
		fields_for_each(field, &kind->fields) {
			char *p = old->data + i * kind->item_size + field->offset;
			const char **s = (const char **)p;

			if (field->type == FIELD_STRING && *s)
				*s = strpool_intern(rec->strings, *s);
		}
	}
}

static struct error *write_list(struct recording *rec, const struct snapshot *snap,
				enum snapshot_list list)
{
	const struct list_fields *kind = &snapshot_lists[list];
	const struct item_vec *items = snapshot_list(snap, list), *old = &rec->lists[list];
	sqlite3_stmt *st = rec->statements[INSERT_LISTS + list];
	size_t old_len = kind->every_moment ? 0 : old->len;
	/* One row more says that the list became shorter. */
	size_t end = items->len + (old_len > items->len);

	for (size_t i = 0; i < end; i++) {
		const char *item = items->data + i * kind->item_size;
		struct error *err;

		if (i < items->len && i < old_len &&
		    item_equal(&kind->fields, item, old->data + i * kind->item_size))
			continue;
		sqlite3_bind_int64(st, 1, rec->moment);
		sqlite3_bind_int64(st, 2, (int64_t)i);
		if (i < items->len)
			bind_fields(st, 3, &kind->fields, item);
		err = run(rec, st);
		if (err)
			return err;
	}
	if (!kind->every_moment)
		remember_list(rec, list, items);
	return NULL;
}

static const char *pooled(struct recording *rec, const char *s)
{
	return s ? strpool_intern(rec->strings, s) : NULL;
}

static struct error *write_object(struct recording *rec, const struct frame *frame,
				  uint64_t *ret)
{
	struct object_key key = {
		pooled(rec, frame->module), pooled(rec, frame->path),
		pooled(rec, frame->build_id),
	};
	sqlite3_stmt *st = rec->statements[INSERT_OBJECT];
	bool is_new;

	*ret = intern_put(&rec->objects, &key, &is_new) + 1;
	if (!is_new)
		return NULL;
	sqlite3_bind_int64(st, 1, (int64_t)*ret);
	bind_text(st, 2, key.module);
	bind_text(st, 3, key.path);
	bind_text(st, 4, key.build_id);
	return run(rec, st);
}

static void bind_frame(sqlite3_stmt *st, size_t number, const struct frame_key *key)
{
	sqlite3_bind_int64(st, 1, (int64_t)number);
	sqlite3_bind_int64(st, 2, (int64_t)key->pc);
	sqlite3_bind_int64(st, 3, (int64_t)key->offset);
	sqlite3_bind_int64(st, 4, (int64_t)key->object);
	bind_text(st, 5, key->function);
	bind_text(st, 6, key->raw);
	bind_text(st, 7, key->file);
	sqlite3_bind_int64(st, 8, key->line);
	sqlite3_bind_int64(st, 9, key->column);
	sqlite3_bind_int64(st, 10, (int64_t)key->inlined);
}

static struct error *write_frame(struct recording *rec, const struct frame *frame,
				 size_t *ret)
{
	struct frame_key key = {
		.pc = frame->pc, .offset = frame->offset,
		.function = pooled(rec, frame->function), .raw = pooled(rec, frame->raw),
		.file = pooled(rec, frame->file),
		.line = frame->line, .column = frame->column, .inlined = frame->inlined,
	};
	struct error *err = write_object(rec, frame, &key.object);
	bool is_new;

	if (err)
		return err;
	*ret = intern_put(&rec->frames, &key, &is_new) + 1;
	if (!is_new)
		return NULL;
	bind_frame(rec->statements[INSERT_FRAME], *ret, &key);
	return run(rec, rec->statements[INSERT_FRAME]);
}

/* Writes what is new of the frames, and their numbers as a JSON array to @ret. */
static struct error *write_frames(struct recording *rec, const struct snapshot *snap,
				  const struct snapshot_stack *stack, struct strbuf *ret)
{
	const struct frame *frames = snapshot_frames(snap, stack);

	strbuf_addch(ret, '[');
	for (uint32_t i = 0; i < stack->frame_count; i++) {
		size_t number;
		struct error *err = write_frame(rec, &frames[i], &number);

		if (err)
			return err;
		strbuf_addf(ret, "%s%zu", i ? "," : "", number);
	}
	strbuf_addch(ret, ']');
	return NULL;
}

/*
 * How much the frames of a stack say. Names come late, inlined frames with
 * them; frames are written again only when they say more than before.
 */
static uint32_t known_of(const struct snapshot *snap, const struct snapshot_stack *stack)
{
	const struct frame *frames = snapshot_frames(snap, stack);
	uint32_t known = stack->frame_count;

	for (uint32_t i = 0; i < stack->frame_count; i++)
		known += !!frames[i].module[0] + !!frames[i].function + !!frames[i].file;
	return known;
}

static struct error *write_stack(struct recording *rec, const struct snapshot *snap,
				 const struct snapshot_stack *stack, size_t number,
				 bool is_new)
{
	struct strbuf frames __cleanup_strbuf = { 0 };
	sqlite3_stmt *st = rec->statements[is_new ? INSERT_STACK : UPDATE_STACK];
	struct error *err = write_frames(rec, snap, stack, &frames);
	int column = 1;

	if (err)
		return err;
	sqlite3_bind_int64(st, column++, (int64_t)number);
	if (is_new) {
		sqlite3_bind_int64(st, column++, stack->target);
		sqlite3_bind_int64(st, column++, (int64_t)stack->id);
		bind_text(st, column++, memory_kind_name(stack->kind));
	}
	bind_text(st, column++, unwind_status_name(stack->status));
	bind_text(st, column++, strbuf_str(&frames));
	return run(rec, st);
}

/* @m is NULL for a stack that is gone. */
static struct error *write_sample(struct recording *rec, size_t number,
				  const struct metrics *m)
{
	sqlite3_stmt *st = rec->statements[INSERT_SAMPLE];

	sqlite3_bind_int64(st, 1, rec->moment);
	sqlite3_bind_int64(st, 2, (int64_t)number);
	if (m)
		bind_fields(st, 3, &metric_fields, m);
	rec->deltas++;
	return run(rec, st);
}

static struct error *describe_stack(struct recording *rec, const struct snapshot *snap,
				    const struct snapshot_stack *stack, size_t *number_ret)
{
	struct stack_key key = { stack->id, stack->target, stack->kind };
	uint32_t known = known_of(snap, stack);
	struct stack_state *state;
	struct error *err;
	bool is_new;

	*number_ret = intern_put(&rec->stacks, &key, &is_new) + 1;
	if (is_new)
		stack_state_vec_push(&rec->states, (struct stack_state){ .gone = true });
	state = &rec->states.data[*number_ret - 1];
	if (!is_new && known <= state->known && stack->status == state->status)
		return NULL;
	err = write_stack(rec, snap, stack, *number_ret, is_new);
	rec->renamed |= !is_new;
	state->known = known;
	state->status = stack->status;
	return err;
}

static struct error *write_stack_sample(struct recording *rec, const struct snapshot *snap,
					const struct snapshot_stack *stack, bool keyframe)
{
	struct stack_state *state;
	struct metrics expected;
	size_t number;
	struct error *err = describe_stack(rec, snap, stack, &number);

	if (err)
		return err;
	state = &rec->states.data[number - 1];
	state->seen = rec->moment;
	expected = state->m;
	if (!snap->targets.data[stack->target].exited)
		metrics_age(&expected, state->at_s, snap->duration_s);
	if (!keyframe && !state->gone && !memcmp(&expected, &stack->m, sizeof(expected)))
		return NULL;
	state->gone = false;
	state->m = stack->m;
	state->at_s = snap->duration_s;
	return write_sample(rec, number, &stack->m);
}

static struct error *write_gone(struct recording *rec)
{
	for (size_t i = 0; i < rec->states.len; i++) {
		struct stack_state *state = &rec->states.data[i];
		struct error *err;

		if (state->gone || state->seen == rec->moment)
			continue;
		state->gone = true;
		err = write_sample(rec, i + 1, NULL);
		if (err)
			return err;
	}
	return NULL;
}

static struct error *write_version(struct recording *rec, const char *version)
{
	sqlite3_stmt *st __cleanup_statement = NULL;
	struct error *err = database_prepare(rec->db, rec->path,
					     "INSERT INTO meta VALUES('version', ?)", &st);

	if (err)
		return err;
	bind_text(st, 1, version);
	return run(rec, st);
}

static struct error *write_moment(struct recording *rec, const struct snapshot *snap)
{
	bool keyframe = rec->moment == 0 ||
		rec->deltas > KEYFRAME_DELTAS * rec->states.len + KEYFRAME_DELTAS_MIN;
	struct error *err = rec->moment++ ? NULL : write_version(rec, snap->version);

	if (keyframe)
		rec->deltas = 0;
	if (!err)
		err = write_parts(rec, snap, keyframe);
	for (int i = 0; i < SNAPSHOT_LISTS_COUNT && !err; i++)
		err = write_list(rec, snap, i);
	for (size_t i = 0; i < snap->stacks.len && !err; i++)
		err = write_stack_sample(rec, snap, &snap->stacks.data[i], keyframe);
	return err ? err : write_gone(rec);
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

static struct error *create_schema(const char *path)
{
	struct strbuf sql __cleanup_strbuf = { 0 };
	sqlite3 *db __cleanup_database = NULL;

	schema_sql(&sql);
	/* A file nobody knows yet needs no journal, only to be whole at the end. */
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) ||
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
	err = create_schema(rec->temp);
	if (!err && flock(rec->fd, LOCK_EX | LOCK_NB))
		err = error_errno(errno, "cannot lock '%s'", rec->path);
	return err;
}

/*
 * NORMAL: an append survives the end of this program at any instant, which
 * is what is promised; only a power failure may cost the last ones.
 */
static const char writing_pragmas[] =
	"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;";

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
	if (sqlite3_open_v2(rec->path, &rec->db, SQLITE_OPEN_READWRITE, NULL))
		return database_error(rec->db, rec->path);
	sqlite3_busy_timeout(rec->db, 2000);
	err = database_exec(rec->db, rec->path, writing_pragmas);
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

struct error *recording_create(const char *path, bool force, struct recording **ret)
{
	struct recording *rec __cleanup(recording_freep) = xcalloc(1, sizeof(*rec));
	struct error *err;

	rec->fd = -1;
	rec->path = file_resolve(path);
	rec->strings = strpool_create();
	intern_init(&rec->objects, sizeof(struct object_key));
	intern_init(&rec->frames, sizeof(struct frame_key));
	intern_init(&rec->stacks, sizeof(struct stack_key));
	err = check_replaceable(rec->path, force);
	if (!err)
		err = create_file(rec);
	if (err)
		return err;
	*ret = steal_ptr(rec);
	return NULL;
}

struct error *recording_append(struct recording *rec, const struct snapshot *snap)
{
	struct error *err;

	if (rec->failed)
		return error_create(ERROR_OS, "'%s' takes no more after it failed", rec->path);
	err = rec->temp ? install(rec) : NULL;
	if (!err)
		err = database_exec(rec->db, rec->path, "BEGIN");
	if (!err)
		err = write_moment(rec, snap);
	if (!err)
		err = database_exec(rec->db, rec->path, "COMMIT");
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

struct error *recording_close(struct recording *rec)
{
	struct recording *owned __cleanup(recording_freep) = rec;

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
