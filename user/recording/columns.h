/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fields of model/fields.h as columns of SQLite: written and read. An
 * optional field that says "unknown" is NULL there.
 */
#ifndef HEAPSONDE_RECORDING_COLUMNS_H
#define HEAPSONDE_RECORDING_COLUMNS_H

#include "base/strbuf.h"
#include "model/fields.h"
#include "recording/database.h"

/* "INTEGER", "REAL" or "TEXT". */
const char *column_type(const struct field *field);
/* Appends ", NAME" for each field, @prefix in front of the name. */
void columns_add(struct strbuf *sql, const struct fields *fields, const char *prefix);

/*
 * As columns_add(), for a file of an earlier schema: NULL in place of columns
 * that came later. @older NULL: of the newest, which has them all.
 */
void columns_add_existing(struct strbuf *sql, sqlite3 *older, const struct fields *fields,
			  const char *prefix);
/* Whether the file has it; @column NULL: the table. */
bool column_exists(sqlite3 *older, const char *table, const char *column);
/* Whether the file has the whole table. */
bool columns_exist(sqlite3 *older, const struct fields *fields);

/* @s must live until the statement was stepped and reset. */
void column_bind_text(sqlite3_stmt *st, int column, const char *s);
/* Binds the fields of the struct at @base from @column on, which counts from 1. */
void columns_bind(sqlite3_stmt *st, int column, const struct fields *fields, const void *base);

/* NULL, or interned in @snap. */
const char *column_string(struct snapshot *snap, sqlite3_stmt *st, int column);
/* Reads them from @column on, which counts from 0. */
void columns_read(struct snapshot *snap, sqlite3_stmt *st, int column,
		  const struct fields *fields, void *base);

#endif
