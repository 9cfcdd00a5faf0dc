// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What threads and size classes have of the stacks, written. Many rows:
 * so they are of the moments only that people name, and of the last one. See
 * writer_private.h.
 */
#include "recording/writer_private.h"

static struct error *write_share(struct recording *rec, size_t stack, uint32_t pos,
				 const struct snapshot_share *share)
{
	sqlite3_stmt *st = rec->statements[INSERT_SHARE];

	sqlite3_bind_int64(st, 1, rec->moment);
	sqlite3_bind_int64(st, 2, (int64_t)stack);
	sqlite3_bind_int64(st, 3, pos);
	columns_bind(st, 4, &share_fields, share);
	return recording_run(rec, st);
}

struct error *write_shares(struct recording *rec, const struct snapshot *snap)
{
	struct error *err = NULL;
	size_t number;

	vec_for_each(stack, &snap->stacks) {
		if (stack->share_count)
			err = describe_stack(rec, snap, stack, &number);
		for (uint32_t i = 0; i < stack->share_count && !err; i++)
			err = write_share(rec, number, i,
					  &snap->shares.data[stack->share_first + i]);
		if (err)
			return err;
	}
	return NULL;
}
