/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The reader's inside, shared by its own files only:
 *
 *	open.c		the file: found readable, checked, opened
 *	reader.c	moments as snapshots
 *	read_shares.c	what threads and size classes have of them
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

/* Numbers of the file, ascending: places in an array of ours. */
DEFINE_VEC(number_vec, int64_t);

/* ERROR_CORRUPT: the file is damaged, @what says how. */
struct error *recording_damaged(const struct recording_reader *rec, const char *what)
	__must_check;

/*
 * Adds the shares that the file has of the moment's stacks, if any; [i] of
 * @numbers is the file's number of stack [i].
 */
struct error *recording_read_shares(struct recording_reader *rec, int64_t moment,
				    struct snapshot *snap, const struct number_vec *numbers)
	__must_check;

#endif
