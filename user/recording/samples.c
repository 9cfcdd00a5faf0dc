// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The stacks' metrics of one moment. Rows are what SQL can read, and large; so
 * there is an allowance of rows for each moment. What fits is written in rows,
 * else the moment is packed (recording/delta.h) and the allowance grows until
 * all that changed meanwhile fits. See writer_private.h.
 */
#include "recording/writer_private.h"

#define ROWS_PER_MOMENT 60	/* some 3 KB */

/* Whole keyframes are due when rows since the last are this many times the stacks. */
#define WHOLE_AFTER 4
#define WHOLE_AFTER_MIN 1000

/* What becomes of one stack at a moment. */
struct pending {
	size_t number;		/* of the stack, from 1 */
	const struct metrics *m;	/* NULL: it is gone */
	bool aging;
};

DEFINE_VEC(pending_vec, struct pending);

static struct error *gather(struct recording *rec, const struct snapshot *snap,
			    struct pending_vec *ret)
{
	vec_for_each(stack, &snap->stacks) {
		struct pending *p = pending_vec_append(ret);
		struct error *err = describe_stack(rec, snap, stack, &p->number);

		if (err)
			return err;
		rec->states.data[p->number - 1].seen = rec->moment;
		p->m = &stack->m;
		p->aging = !snap->targets.data[stack->target].exited;
	}
	for (size_t i = 0; i < rec->states.len; i++) {
		const struct stack_state *state = &rec->states.data[i];

		if (state->seen != rec->moment && (state->now.present || state->row.present))
			pending_vec_push(ret, (struct pending){ .number = i + 1 });
	}
	return NULL;
}

static bool needs_row(const struct recording *rec, const struct pending *p, double now_s,
		      bool exactly)
{
	const struct delta_state *row = &rec->states.data[p->number - 1].row;

	return p->m ? !delta_state_tells(row, p->m, now_s, p->aging, exactly) : row->present;
}

static struct error *write_row(struct recording *rec, const struct pending *p, double now_s)
{
	struct stack_state *state = &rec->states.data[p->number - 1];
	sqlite3_stmt *st = rec->statements[INSERT_SAMPLE];

	state->row = (struct delta_state){ .at_s = now_s, .present = p->m };
	if (p->m)
		state->row.m = *p->m;
	sqlite3_bind_int64(st, 1, rec->moment);
	sqlite3_bind_int64(st, 2, (int64_t)p->number);
	if (p->m)
		columns_bind(st, 3, &metric_fields, p->m);
	rec->rows_since++;
	rec->rows_left--;
	return recording_run(rec, st);
}

/* Where the last row still tells how things are, it is what a reader goes on from. */
static struct error *write_rows(struct recording *rec, const struct pending_vec *all,
				double now_s, bool exactly, bool whole)
{
	vec_for_each(p, all) {
		struct error *err = NULL;

		if (needs_row(rec, p, now_s, exactly) || (whole && p->m))
			err = write_row(rec, p, now_s);
		if (err)
			return err;
		rec->states.data[p->number - 1].now = rec->states.data[p->number - 1].row;
	}
	return NULL;
}

static int compare_changes(const void *a, const void *b)
{
	const struct delta_change *x = a, *y = b;

	return x->stack < y->stack ? -1 : x->stack > y->stack;
}

/* Changes since the last moment, which are then what the file says. */
static void take_changes(struct recording *rec, const struct pending_vec *all, double now_s,
			 struct delta *ret)
{
	vec_for_each(p, all) {
		struct delta_state *now = &rec->states.data[p->number - 1].now;
		struct delta_change change = { .flags = now->present ? DELTA_GONE : 0 };

		if (p->m)
			change = delta_between(now, p->m, now_s, p->aging);
		if (delta_change_is_empty(&change))
			continue;
		change.stack = (int64_t)p->number;
		delta_push(ret, change);
		delta_apply(now, &change, now_s);
	}
	if (ret->len)
		qsort(ret->data, ret->len, sizeof(*ret->data), compare_changes);
}

static struct error *write_delta(struct recording *rec, const struct pending_vec *all,
				 double now_s)
{
	struct strbuf packed __cleanup_strbuf = { 0 };
	struct delta changes __cleanup(delta_deinit) = { 0 };
	sqlite3_stmt *st = rec->statements[INSERT_DELTA];

	take_changes(rec, all, now_s, &changes);
	delta_pack(&changes, &packed);
	sqlite3_bind_int64(st, 1, rec->moment);
	sqlite3_bind_blob64(st, 2, strbuf_str(&packed), packed.len, SQLITE_STATIC);
	return recording_run(rec, st);
}

/*
 * How many rows a moment with rows needs. Only more stacks differ from their rows
 * as time goes on, so where the allowance does not reach the last count it is not
 * taken again.
 */
static int64_t count_rows(struct recording *rec, const struct pending_vec *all, double now_s,
			  bool exactly, bool whole)
{
	int64_t rows = 0;

	if (rec->rows_needed > rec->rows_left && !exactly)
		return rec->rows_needed;
	vec_for_each(p, all)
		rows += whole || needs_row(rec, p, now_s, exactly);
	rec->rows_needed = rows;
	return rows;
}

struct error *write_samples(struct recording *rec, const struct snapshot *snap,
			    bool exactly, enum keyframe *ret)
{
	struct pending_vec all __cleanup(pending_vec_deinit) = { 0 };
	struct error *err = gather(rec, snap, &all);
	double now_s = snap->duration_s;
	bool whole = rec->moment == 1 ||
		rec->rows_since > WHOLE_AFTER * (int64_t)rec->states.len + WHOLE_AFTER_MIN;

	if (err)
		return err;
	rec->rows_left += ROWS_PER_MOMENT;
	if (count_rows(rec, &all, now_s, exactly, whole) > rec->rows_left && !exactly &&
	    rec->moment > 1) {
		*ret = KEYFRAME_NONE;
		return write_delta(rec, &all, now_s);
	}
	rec->rows_needed = 0;
	if (whole)
		rec->rows_since = 0;
	*ret = whole ? KEYFRAME_WHOLE : KEYFRAME_CHANGED;
	return write_rows(rec, &all, now_s, exactly, whole);
}
