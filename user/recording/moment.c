// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One moment of a recording: parts are written whole, of lists what differs from
 * the moment before; see writer_private.h.
 */
#include <string.h>

#include "recording/writer_private.h"

static struct error *write_parts(struct recording *rec, const struct snapshot *snap,
				 enum keyframe keyframe)
{
	struct error *err = NULL;

	for (int i = 0; i < SNAPSHOT_PARTS_COUNT && !err; i++) {
		sqlite3_stmt *st = rec->statements[INSERT_PARTS + i];
		int column = 1;

		if (i == PART_WINDOWS && !snap->windows.evidence)
			continue;
		sqlite3_bind_int64(st, column++, rec->moment);
		if (i == PART_SNAPSHOT)
			sqlite3_bind_int(st, column++, keyframe);
		columns_bind(st, column, &snapshot_parts[i], snap);
		err = recording_run(rec, st);
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
	case FIELD_FLOAT:
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
			columns_bind(st, 3, &kind->fields, item);
		err = recording_run(rec, st);
		if (err)
			return err;
	}
	if (!kind->every_moment)
		remember_list(rec, list, items);
	return NULL;
}

static struct error *write_version(struct recording *rec, const char *version)
{
	sqlite3_stmt *st __cleanup_statement = NULL;
	struct error *err = database_prepare(rec->db, rec->path,
					     "INSERT INTO meta VALUES('version', ?)", &st);

	if (err)
		return err;
	column_bind_text(st, 1, version);
	return recording_run(rec, st);
}

struct error *write_moment(struct recording *rec, const struct snapshot *snap, bool exactly)
{
	struct error *err = rec->moment++ ? NULL : write_version(rec, snap->version);
	enum keyframe keyframe = KEYFRAME_NONE;

	if (!err)
		err = write_samples(rec, snap, exactly, &keyframe);
	if (!err && exactly)
		err = write_shares(rec, snap);
	if (!err)
		err = write_parts(rec, snap, keyframe);
	for (int i = 0; i < SNAPSHOT_LISTS_COUNT && !err; i++)
		err = write_list(rec, snap, i);
	return err;
}
