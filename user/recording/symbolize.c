// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Naming the frames of a recording after the fact; see symbolize.h. A frame that
 * lacks its line has no inlined frames yet, so what is inlined there is put before
 * it in every stack.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "base/alloc.h"
#include "recording/columns.h"
#include "recording/reader.h"
#include "recording/symbolize.h"
#include "symbol/offline.h"

/* A frame's inlined ones, by their numbers in the file. */
struct expansion {
	int64_t frame;
	int64_t first;
	size_t count;
};

DEFINE_VEC(expansion_vec, struct expansion);

struct bare_frame { int64_t frame, pc, offset; };
DEFINE_VEC(bare_frame_vec, struct bare_frame);

struct symbolizing {
	const char *path;
	const char *const *dirs;
	size_t dirs_count;
	sqlite3 *db;
	sqlite3_stmt *insert, *update, *set_frames;
	int64_t next_frame;
	struct expansion_vec expansions;	/* ascending by frame */
	struct symbolize_result *result;
};

void symbolize_result_deinit(struct symbolize_result *result)
{
	strbuf_deinit(&result->missing);
}

static void symbolizing_deinit(struct symbolizing *sy)
{
	sqlite3_finalize(sy->insert);
	sqlite3_finalize(sy->update);
	sqlite3_finalize(sy->set_frames);
	expansion_vec_deinit(&sy->expansions);
	sqlite3_close(sy->db);
}

static struct error *run(struct symbolizing *sy, sqlite3_stmt *st)
{
	struct error *err = sqlite3_step(st) == SQLITE_DONE ? NULL :
			    database_error(sy->db, sy->path);

	sqlite3_reset(st);
	return err;
}

/* Frames */

static void bind_names(sqlite3_stmt *st, int column, const struct symbol_frame *named)
{
	column_bind_text(st, column, named->symbol.function);
	column_bind_text(st, column + 1, named->symbol.raw);
	column_bind_text(st, column + 2, named->file);
	sqlite3_bind_int64(st, column + 3, named->line);
	sqlite3_bind_int64(st, column + 4, named->column);
}

static struct error *add_inlined(struct symbolizing *sy, int64_t object,
				 const struct bare_frame *outer, const struct symbol_frame *named)
{
	sqlite3_bind_int64(sy->insert, 1, sy->next_frame++);
	sqlite3_bind_int64(sy->insert, 2, outer->pc);
	sqlite3_bind_int64(sy->insert, 3, outer->offset);
	sqlite3_bind_int64(sy->insert, 4, object);
	bind_names(sy->insert, 5, named);
	return run(sy, sy->insert);
}

static struct error *name_frame(struct symbolizing *sy, struct offline_names *names,
				int64_t object, const struct bare_frame *frame)
{
	struct symbol_frame named[SYMBOL_FRAMES_MAX];
	/* A return address: the call before it is what is meant. */
	size_t count = offline_names_find(names, (uint64_t)frame->offset - 1, named,
					  SYMBOL_FRAMES_MAX);
	struct error *err = NULL;

	if (!count)
		return NULL;
	sy->result->named++;
	if (count > 1)
		expansion_vec_push(&sy->expansions, (struct expansion){
			frame->frame, sy->next_frame, count - 1 });
	for (size_t i = 0; i + 1 < count && !err; i++)
		err = add_inlined(sy, object, frame, &named[i]);
	if (err)
		return err;
	sqlite3_bind_int64(sy->update, 1, frame->frame);
	bind_names(sy->update, 2, &named[count - 1]);
	return run(sy, sy->update);
}

/* The object's frames that lack a function or a line. */
static struct error *load_bare_frames(struct symbolizing *sy, int64_t object,
				      struct bare_frame_vec *ret)
{
	sqlite3_stmt *st __cleanup_statement = NULL;
	struct error *err = database_prepare(sy->db, sy->path,
		"SELECT frame, pc, offset FROM frame WHERE object = ? AND NOT inlined"
		" AND (function IS NULL OR file IS NULL) ORDER BY frame", &st);
	int rc;

	if (err)
		return err;
	sqlite3_bind_int64(st, 1, object);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		bare_frame_vec_push(ret, (struct bare_frame){
			sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1),
			sqlite3_column_int64(st, 2) });
	return rc == SQLITE_DONE ? NULL : database_error(sy->db, sy->path);
}

static void note_missing(struct symbolize_result *result, const char *module,
			 const char *build_id)
{
	strbuf_addf(&result->missing, "%s%s (%s)", result->missing.len ? ", " : "", module,
		    *build_id ? build_id : "without build id");
}

static struct error *name_object(struct symbolizing *sy, int64_t object, const char *module,
				 const char *path, const char *build_id)
{
	struct offline_names *names __cleanup(offline_names_destroyp) = NULL;
	struct bare_frame_vec frames __cleanup(bare_frame_vec_deinit) = { 0 };
	struct error *err = load_bare_frames(sy, object, &frames);

	if (err || !frames.len)
		return err;
	sy->result->frames += frames.len;
	sy->result->objects++;
	if (*build_id)
		names = offline_names_open(path, build_id, sy->dirs, sy->dirs_count);
	if (!names) {
		note_missing(sy->result, module, build_id);
		return NULL;
	}
	sy->result->found++;
	for (size_t i = 0; i < frames.len && !err; i++)
		err = name_frame(sy, names, object, &frames.data[i]);
	return err;
}

static const char *text_of(sqlite3_stmt *st, int column)
{
	const char *text = (const char *)sqlite3_column_text(st, column);

	return text ? text : "";
}

static struct error *name_objects(struct symbolizing *sy)
{
	sqlite3_stmt *st __cleanup_statement = NULL;
	struct error *err = database_prepare(sy->db, sy->path,
		"SELECT object, module, path, build_id FROM object WHERE module <> ''", &st);
	int rc = SQLITE_DONE;

	while (!err && (rc = sqlite3_step(st)) == SQLITE_ROW)
		err = name_object(sy, sqlite3_column_int64(st, 0), text_of(st, 1), text_of(st, 2),
				  text_of(st, 3));
	return err || rc == SQLITE_DONE ? err : database_error(sy->db, sy->path);
}

/* Stacks */

static int compare_expansions(const void *a, const void *b)
{
	const struct expansion *x = a, *y = b;

	return (x->frame > y->frame) - (x->frame < y->frame);
}

static const struct expansion *find_expansion(const struct symbolizing *sy, int64_t frame)
{
	const struct expansion key = { .frame = frame };

	return sy->expansions.len ? bsearch(&key, sy->expansions.data, sy->expansions.len,
					    sizeof(key), compare_expansions) : NULL;
}

/* The JSON array @text with inlined frames in it; false if it stays as it is. */
static bool expand(const struct symbolizing *sy, const char *text, struct strbuf *ret)
{
	const char *p = text + (*text == '[');
	bool any = false;

	strbuf_addch(ret, '[');
	while (*p >= '0' && *p <= '9') {
		char *end;
		int64_t frame = strtoll(p, &end, 10);
		const struct expansion *expansion = find_expansion(sy, frame);

		for (size_t i = 0; expansion && i < expansion->count; i++)
			strbuf_addf(ret, "%lld,", (long long)(expansion->first + (int64_t)i));
		any |= expansion != NULL;
		strbuf_addf(ret, "%lld%s", (long long)frame, *end == ',' ? "," : "");
		p = end + (*end == ',');
	}
	strbuf_addch(ret, ']');
	return any;
}

static struct error *expand_stacks(struct symbolizing *sy)
{
	sqlite3_stmt *st __cleanup_statement = NULL;
	struct error *err = database_prepare(sy->db, sy->path,
					     "SELECT stack, frames FROM stack", &st);
	int rc = SQLITE_DONE;

	if (sy->expansions.len)
		qsort(sy->expansions.data, sy->expansions.len, sizeof(struct expansion),
		      compare_expansions);
	while (!err && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct strbuf frames __cleanup_strbuf = { 0 };

		if (!expand(sy, text_of(st, 1), &frames))
			continue;
		sqlite3_bind_int64(sy->set_frames, 1, sqlite3_column_int64(st, 0));
		column_bind_text(sy->set_frames, 2, strbuf_str(&frames));
		err = run(sy, sy->set_frames);
	}
	return err || rc == SQLITE_DONE ? err : database_error(sy->db, sy->path);
}

/* The file */

/* Whoever records holds the lock for as long as it does. */
static struct error *lock(const char *path, int *fd_ret)
{
	*fd_ret = open(path, O_RDWR | O_CLOEXEC);
	if (*fd_ret < 0)
		return error_errno(errno, "cannot write to '%s'", path);
	if (flock(*fd_ret, LOCK_EX | LOCK_NB))
		return error_create(ERROR_OS, "'%s' is still being recorded: symbolize it when"
				    " that has ended", path);
	return NULL;
}

static struct error *open_database(struct symbolizing *sy)
{
	if (sqlite3_open_v2(sy->path, &sy->db, SQLITE_OPEN_READWRITE, NULL))
		return database_error(sy->db, sy->path);
	sqlite3_busy_timeout(sy->db, 2000);
	sqlite3_db_config(sy->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(sy->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	return NULL;
}

static struct error *prepare(struct symbolizing *sy)
{
	struct error *err = database_prepare(sy->db, sy->path,
		"INSERT INTO frame(frame, pc, offset, object, function, raw, file, line, column,"
		" inlined) VALUES(?,?,?,?,?,?,?,?,?,1)", &sy->insert);

	if (!err)
		err = database_prepare(sy->db, sy->path,
			"UPDATE frame SET function = coalesce(?2, function),"
			" raw = coalesce(?3, raw), file = ?4, line = ?5, column = ?6"
			" WHERE frame = ?1", &sy->update);
	if (!err)
		err = database_prepare(sy->db, sy->path,
			"UPDATE stack SET frames = ?2 WHERE stack = ?1", &sy->set_frames);
	if (!err)
		err = database_get_int64(sy->db, sy->path,
					 "SELECT coalesce(max(frame), 0) + 1 FROM frame",
					 &sy->next_frame);
	return err;
}

/* Says what is no recording, or of another version, before anything is touched. */
static struct error *check_readable(const char *path)
{
	__cleanup(recording_reader_destroyp) struct recording_reader *reader = NULL;

	return recording_open(path, &reader);
}

static struct error *symbolize(struct symbolizing *sy)
{
	struct error *err = open_database(sy);

	if (!err)
		err = database_exec(sy->db, sy->path, "BEGIN IMMEDIATE");
	if (!err)
		err = prepare(sy);
	if (!err)
		err = name_objects(sy);
	if (!err)
		err = expand_stacks(sy);
	if (!err)
		err = database_exec(sy->db, sy->path, "COMMIT");
	if (err)
		return err;
	/* Refused while somebody reads; the log may stay then. */
	sqlite3_exec(sy->db, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
	return NULL;
}

struct error *recording_symbolize(const char *path, const char *const *dirs, size_t dirs_count,
				  struct symbolize_result *ret)
{
	int fd __cleanup_close = -1;
	struct symbolizing sy __cleanup(symbolizing_deinit) = {
		.path = path, .dirs = dirs, .dirs_count = dirs_count, .result = ret,
	};
	struct error *err;

	*ret = (struct symbolize_result){ 0 };
	err = check_readable(path);
	if (!err)
		err = lock(path, &fd);
	return err ? err : symbolize(&sy);
}
