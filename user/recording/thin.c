// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fewer moments, where the file is bounded. Each time it becomes too large, the
 * time between moments is doubled: those nearer to the one kept before them go,
 * so that what stays is even however long one records. The first moment, the
 * last and the marked ones always stay.
 *
 * What a moment tells goes into the next one that stays. Packed changes are
 * joined; where the next one has rows these already say it all. Rows move to the
 * next moment's unless newer ones stand there, which needs one with rows: where
 * the next is packed, it goes instead. See writer_private.h.
 */
#include "recording/writer_private.h"

#define STEP_MOMENTS 64		/* removed in one transaction: bounds the log */
#define ALMOST 0.9		/* moments come a little too early as well */

struct thin_moment {
	int64_t snapshot;
	double t_s;
	enum keyframe keyframe;
	bool stays;
	bool goes;
};

DEFINE_VEC(thin_moment_vec, struct thin_moment);

struct thinning {
	struct recording *rec;
	struct thin_moment_vec moments;
	struct delta pending;		/* of packed moments that went, for the next one */
	sqlite3_stmt *get_delta, *set_delta, *move_rows, *set_keyframe;
};

static void thinning_deinit(struct thinning *th)
{
	thin_moment_vec_deinit(&th->moments);
	delta_deinit(&th->pending);
	sqlite3_finalize(th->get_delta);
	sqlite3_finalize(th->set_delta);
	sqlite3_finalize(th->move_rows);
	sqlite3_finalize(th->set_keyframe);
}

/* Ages are those at the row's moment: while the target runs they grow with the move. */
static const char move_rows_sql[] =
	"UPDATE OR IGNORE sample SET snapshot = ?2,"
	" oldest_live_s = CASE WHEN live_count > 0 AND oldest_live_s > 0 AND NOT"
	"  (SELECT t.exited FROM stack AS s JOIN target AS t ON t.pos = s.target"
	"   WHERE s.stack = sample.stack AND t.snapshot <= ?2"
	"   ORDER BY t.snapshot DESC LIMIT 1)"
	" THEN oldest_live_s + ?3 ELSE oldest_live_s END"
	" WHERE snapshot = ?1";

static struct error *thinning_init(struct thinning *th, struct recording *rec)
{
	const struct { sqlite3_stmt **st; const char *sql; } statements[] = {
		{ &th->get_delta, "SELECT data FROM delta WHERE snapshot = ?" },
		{ &th->set_delta, "UPDATE delta SET data = ?2 WHERE snapshot = ?1" },
		{ &th->move_rows, move_rows_sql },
		{ &th->set_keyframe, "UPDATE snapshot SET keyframe = ?2 WHERE snapshot = ?1" },
	};
	struct error *err = NULL;

	*th = (struct thinning){ .rec = rec };
	for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]) && !err; i++)
		err = database_prepare(rec->db, rec->path, statements[i].sql, statements[i].st);
	return err;
}

static struct error *load_moments(struct thinning *th)
{
	struct recording *rec = th->rec;
	sqlite3_stmt *st __cleanup_statement = NULL;
	struct error *err = database_prepare(rec->db, rec->path,
		"SELECT snapshot, duration_s, keyframe, snapshot IN (SELECT snapshot FROM mark)"
		" FROM snapshot ORDER BY snapshot", &st);
	int rc;

	if (err)
		return err;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		thin_moment_vec_push(&th->moments, (struct thin_moment){
			sqlite3_column_int64(st, 0), sqlite3_column_double(st, 1),
			sqlite3_column_int(st, 2), sqlite3_column_int(st, 3), false,
		});
	if (th->moments.len) {
		th->moments.data[0].stays = true;
		th->moments.data[th->moments.len - 1].stays = true;
	}
	return rc == SQLITE_DONE ? NULL : database_error(rec->db, rec->path);
}

/* Which moments go; how many. */
static size_t choose(struct thinning *th, double spacing_s)
{
	struct thin_moment *m = th->moments.data, *next = NULL;
	double kept_s = 0;
	size_t count = 0;

	for (size_t i = 0; i < th->moments.len; i++) {
		m[i].goes = !m[i].stays && m[i].t_s - kept_s < spacing_s * ALMOST;
		if (!m[i].goes)
			kept_s = m[i].t_s;
	}
	/* Rows need a next moment that has rows. */
	for (size_t i = th->moments.len; i > 0; i--) {
		if (m[i - 1].goes && m[i - 1].keyframe && !next->keyframe) {
			m[i - 1].goes = false;
			next->goes = !next->stays;
		}
		if (!m[i - 1].goes)
			next = &m[i - 1];
	}
	vec_for_each(moment, &th->moments)
		count += moment->goes;
	return count;
}

/* Both are ascending; @first happened before. */
static void join_deltas(const struct delta *first, const struct delta *second, struct delta *ret)
{
	size_t i = 0, k = 0;

	while (i < first->len || k < second->len) {
		if (k == second->len ||
		    (i < first->len && first->data[i].stack < second->data[k].stack)) {
			delta_push(ret, first->data[i++]);
			continue;
		}
		delta_push(ret, second->data[k]);
		if (i < first->len && first->data[i].stack == second->data[k].stack) {
			ret->data[ret->len - 1] = first->data[i++];
			delta_join_change(&ret->data[ret->len - 1], &second->data[k]);
		}
		k++;
	}
}

static bool push_change(void *arg, const struct delta_change *change)
{
	delta_push(arg, *change);
	return true;
}

/* What is pending, and the moment's own changes, are pending now. */
static struct error *take_delta(struct thinning *th, int64_t snapshot)
{
	struct delta own __cleanup(delta_deinit) = { 0 }, joined __cleanup(delta_deinit) = { 0 };
	struct recording *rec = th->rec;
	struct error *err = NULL;

	sqlite3_bind_int64(th->get_delta, 1, snapshot);
	if (sqlite3_step(th->get_delta) != SQLITE_ROW ||
	    !delta_unpack(sqlite3_column_blob(th->get_delta, 0),
			  (size_t)sqlite3_column_bytes(th->get_delta, 0), push_change, &own))
		err = error_create(ERROR_CORRUPT, "'%s' was damaged while it was written",
				   rec->path);
	sqlite3_reset(th->get_delta);
	if (err)
		return err;
	join_deltas(&th->pending, &own, &joined);
	delta_deinit(&th->pending);
	th->pending = joined;
	joined = (struct delta){ 0 };
	return NULL;
}

/* Hands what is pending to a moment that stays. */
static struct error *give_delta(struct thinning *th, const struct thin_moment *to)
{
	struct strbuf packed __cleanup_strbuf = { 0 };
	struct error *err = NULL;

	if (!to->keyframe && th->pending.len) {
		err = take_delta(th, to->snapshot);
		delta_pack(&th->pending, &packed);
		sqlite3_bind_int64(th->set_delta, 1, to->snapshot);
		sqlite3_bind_blob64(th->set_delta, 2, strbuf_str(&packed), packed.len,
				    SQLITE_STATIC);
		if (!err)
			err = recording_run(th->rec, th->set_delta);
	}
	th->pending.len = 0;
	return err;
}

/* The latest first: where two moments have rows of a stack, the later one's count. */
static struct error *give_rows(struct thinning *th, struct thin_moment *first,
			       struct thin_moment *to)
{
	struct error *err = NULL;

	for (struct thin_moment *from = to - 1; from >= first && !err; from--) {
		if (!from->keyframe)
			continue;
		sqlite3_bind_int64(th->move_rows, 1, from->snapshot);
		sqlite3_bind_int64(th->move_rows, 2, to->snapshot);
		sqlite3_bind_double(th->move_rows, 3, to->t_s - from->t_s);
		err = recording_run(th->rec, th->move_rows);
		if (err || from->keyframe != KEYFRAME_WHOLE)
			continue;
		to->keyframe = KEYFRAME_WHOLE;
		sqlite3_bind_int64(th->set_keyframe, 1, to->snapshot);
		sqlite3_bind_int(th->set_keyframe, 2, KEYFRAME_WHOLE);
		err = recording_run(th->rec, th->set_keyframe);
	}
	return err;
}

/* What belongs to the moments between the two snapshots and to nothing else. */
static struct error *remove_between(struct recording *rec, int64_t after, int64_t before)
{
	struct strbuf sql __cleanup_strbuf = { 0 };

	for (int i = 0; i < SNAPSHOT_PARTS_COUNT; i++)
		strbuf_addf(&sql, "DELETE FROM %s WHERE snapshot > %lld AND snapshot < %lld;",
			    snapshot_parts[i].name, (long long)after, (long long)before);
	for (int i = 0; i < SNAPSHOT_LISTS_COUNT; i++)
		if (snapshot_lists[i].every_moment)
			strbuf_addf(&sql, "DELETE FROM %s WHERE snapshot > %lld AND"
				    " snapshot < %lld;", snapshot_lists[i].fields.name,
				    (long long)after, (long long)before);
	strbuf_addf(&sql, "DELETE FROM delta WHERE snapshot > %lld AND snapshot < %lld;"
		    "DELETE FROM sample WHERE snapshot > %lld AND snapshot < %lld;"
		    "DELETE FROM share WHERE snapshot > %lld AND snapshot < %lld;",
		    (long long)after, (long long)before, (long long)after, (long long)before,
		    (long long)after, (long long)before);
	return database_exec(rec->db, rec->path, strbuf_str(&sql));
}

/* Moments from @first on go, up to the one before @to, which takes what they tell. */
static struct error *remove_run(struct thinning *th, struct thin_moment *first,
				struct thin_moment *to)
{
	struct error *err = NULL;

	for (struct thin_moment *m = first; m < to && !err; m++)
		if (!m->keyframe)
			err = take_delta(th, m->snapshot);
	if (!err)
		err = give_delta(th, to);
	if (!err)
		err = give_rows(th, first, to);
	return err ? err : remove_between(th->rec, first[-1].snapshot, to->snapshot);
}

static struct error *remove_chosen(struct thinning *th)
{
	struct recording *rec = th->rec;
	struct thin_moment *m = th->moments.data;
	struct error *err = database_exec(rec->db, rec->path, "BEGIN");
	size_t step = 0;

	for (size_t i = 1, first = 1; i < th->moments.len && !err; first = ++i) {
		while (m[i].goes)
			i++;
		if (i == first)
			continue;
		err = remove_run(th, &m[first], &m[i]);
		step += i - first;
		if (!err && step >= STEP_MOMENTS) {
			step = 0;
			err = database_exec(rec->db, rec->path, "COMMIT; BEGIN");
		}
	}
	return err ? err : database_exec(rec->db, rec->path, "COMMIT");
}

/* Doubles the time between moments; whether any moment went. */
static struct error *thin_once(struct recording *rec, bool *ret)
{
	struct thinning th __cleanup(thinning_deinit) = { 0 };
	struct error *err = thinning_init(&th, rec);
	double span_s;

	if (!err)
		err = load_moments(&th);
	if (err)
		return err;
	*ret = false;
	if (th.moments.len < 3)
		return NULL;
	span_s = th.moments.data[th.moments.len - 1].t_s - th.moments.data[0].t_s;
	rec->spacing_s = 2 * (rec->spacing_s > 0 ? rec->spacing_s :
			      span_s / (double)(th.moments.len - 1));
	*ret = choose(&th, rec->spacing_s) > 0;
	if (!*ret)
		*ret = rec->spacing_s < span_s;
	return remove_chosen(&th);
}

static struct error *used_bytes(struct recording *rec, uint64_t *ret)
{
	int64_t pages, unused, size;
	struct error *err = database_get_int64(rec->db, rec->path, "PRAGMA page_count", &pages);

	if (!err)
		err = database_get_int64(rec->db, rec->path, "PRAGMA freelist_count", &unused);
	if (!err)
		err = database_get_int64(rec->db, rec->path, "PRAGMA page_size", &size);
	if (!err)
		*ret = (uint64_t)((pages - unused) * size);
	return err;
}

struct error *thin_if_large(struct recording *rec)
{
	uint64_t bound = rec->settings.max_bytes, used;
	struct error *err;
	bool more = true;

	if (!bound)
		return NULL;
	err = used_bytes(rec, &used);
	if (err || used < rec->thin_at)
		return err;
	while (!err && more && used > bound / 8 * 5) {
		err = thin_once(rec, &more);
		if (!err)
			err = used_bytes(rec, &used);
	}
	/* Not tried again at each append where there is no more to gain. */
	if (used > rec->thin_at)
		rec->thin_at = used + used / 16;
	rec->oversize = rec->thin_at > bound;
	return err;
}
