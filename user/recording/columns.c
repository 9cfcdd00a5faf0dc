// SPDX-License-Identifier: GPL-2.0-or-later
/* The fields as columns of SQLite; see columns.h. */
#include <string.h>

#include "recording/columns.h"

const char *column_type(const struct field *field)
{
	switch (field->type) {
	case FIELD_DOUBLE:
	case FIELD_FLOAT:
		return "REAL";
	case FIELD_STRING:
		return "TEXT";
	default:
		return "INTEGER";
	}
}

void columns_add(struct strbuf *sql, const struct fields *fields, const char *prefix)
{
	fields_for_each(field, fields)
		strbuf_addf(sql, ", %s%s", prefix, field->name);
}

bool column_exists(sqlite3 *older, const char *table, const char *column)
{
	return !older || sqlite3_table_column_metadata(older, NULL, table, column, NULL,
						       NULL, NULL, NULL, NULL) == SQLITE_OK;
}

bool columns_exist(sqlite3 *older, const struct fields *fields)
{
	return column_exists(older, fields->name, NULL);
}

void columns_add_existing(struct strbuf *sql, sqlite3 *older, const struct fields *fields,
			  const char *prefix)
{
	fields_for_each(field, fields) {
		if (column_exists(older, fields->name, field->name))
			strbuf_addf(sql, ", %s%s", prefix, field->name);
		else
			strbuf_addstr(sql, ", NULL");
	}
}

void column_bind_text(sqlite3_stmt *st, int column, const char *s)
{
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
	case FIELD_FLOAT:
		sqlite3_bind_double(st, column, (double)*(const float *)p);
		break;
	case FIELD_BOOL:
		sqlite3_bind_int(st, column, *(const bool *)p);
		break;
	case FIELD_STRING:
		s = *(const char *const *)p;
		if (s || !field->optional)
			column_bind_text(st, column, s ? s : "");
		break;
	}
}

void columns_bind(sqlite3_stmt *st, int column, const struct fields *fields, const void *base)
{
	fields_for_each(field, fields)
		bind_field(st, column++, field, base);
}

const char *column_string(struct snapshot *snap, sqlite3_stmt *st, int column)
{
	return snapshot_string(snap, (const char *)sqlite3_column_text(st, column));
}

static void read_field(struct snapshot *snap, sqlite3_stmt *st, int column,
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
	case FIELD_FLOAT:
		*(float *)p = (float)d;
		break;
	case FIELD_BOOL:
		*(bool *)p = n != 0;
		break;
	case FIELD_STRING:
		s = column_string(snap, st, column);
		*(const char **)p = s || field->optional ? s : "";
		break;
	}
}

void columns_read(struct snapshot *snap, sqlite3_stmt *st, int column,
		  const struct fields *fields, void *base)
{
	fields_for_each(field, fields)
		read_field(snap, st, column++, field, base);
}
