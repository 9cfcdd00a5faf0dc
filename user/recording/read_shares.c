// SPDX-License-Identifier: GPL-2.0-or-later
/* What threads and size classes have of a moment's stacks; see reader_private.h. */
#include "recording/columns.h"
#include "recording/reader_private.h"

/* Rows of stacks in ascending order: @i goes along. */
static struct error *take_share(struct recording_reader *rec, sqlite3_stmt *st,
				struct snapshot *snap, const struct number_vec *numbers, size_t *i)
{
	int64_t number = sqlite3_column_int64(st, 0);
	struct snapshot_stack *stack;
	struct snapshot_share share;

	while (*i < numbers->len && numbers->data[*i] < number)
		++*i;
	columns_read(snap, st, 1, &share_fields, &share);
	if (*i == numbers->len || numbers->data[*i] != number ||
	    share.thread >= snap->threads.len || share.size_class > SIZE_CLASS_ANY)
		return recording_damaged(rec, "a share is of nothing");
	stack = &snap->stacks.data[*i];
	if (!stack->share_count++)
		stack->share_first = (uint32_t)snap->shares.len;
	snapshot_share_vec_push(&snap->shares, share);
	return NULL;
}

struct error *recording_read_shares(struct recording_reader *rec, int64_t moment,
				    struct snapshot *snap, const struct number_vec *numbers)
{
	sqlite3_stmt *st __cleanup_statement = NULL;
	struct strbuf sql __cleanup_strbuf = { 0 };
	struct error *err;
	size_t i = 0;
	int rc;

	if (!columns_exist(rec->older, &share_fields))
		return NULL;
	strbuf_addstr(&sql, "SELECT stack");
	columns_add(&sql, &share_fields, "");
	strbuf_addstr(&sql, " FROM share WHERE snapshot = ? ORDER BY stack, pos");
	err = database_prepare(rec->db, rec->path, strbuf_str(&sql), &st);
	if (err)
		return err;
	sqlite3_bind_int64(st, 1, moment);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		err = take_share(rec, st, snap, numbers, &i);
		if (err)
			return err;
	}
	return rc == SQLITE_DONE ? NULL : database_error(rec->db, rec->path);
}
