/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The reader's inside, shared by its own files only:
 *
 *	open.c		the file: found readable, checked, opened
 *	reader.c	moments as snapshots
 */
#ifndef HEAPSONDE_RECORDING_READER_PRIVATE_H
#define HEAPSONDE_RECORDING_READER_PRIVATE_H

#include "recording/database.h"
#include "recording/reader.h"

struct recording_reader {
	char *path;
	sqlite3 *db;
	sqlite3 *older;		/* db if of an earlier schema: it may lack tables, columns */
	char *copy_dir;		/* temporary copy, where the original cannot be opened */
};

/* ERROR_CORRUPT: the file is damaged, @what says how. */
struct error *recording_damaged(const struct recording_reader *rec, const char *what)
	__must_check;

#endif
