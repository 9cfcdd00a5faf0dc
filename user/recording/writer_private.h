/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The writer's inside, shared by its own files only:
 *
 *	writer.c	the file: created, appended to, closed
 *	moment.c	one moment: parts, lists
 *	samples.c	the stacks' metrics: in rows or packed
 *	shares.c	what threads and size classes have of them
 *	describe.c	what stands still: stacks, frames, objects
 *	thin.c		fewer moments, where the file is bounded
 */
#ifndef HEAPSONDE_RECORDING_WRITER_PRIVATE_H
#define HEAPSONDE_RECORDING_WRITER_PRIVATE_H

#include "base/intern.h"
#include "base/strpool.h"
#include "model/fields.h"
#include "recording/columns.h"
#include "recording/database.h"
#include "recording/delta.h"
#include "recording/schema.h"
#include "recording/writer.h"

enum statement {
	INSERT_PARTS,
	INSERT_LISTS = INSERT_PARTS + SNAPSHOT_PARTS_COUNT,
	INSERT_SAMPLE = INSERT_LISTS + SNAPSHOT_LISTS_COUNT,
	INSERT_SHARE, INSERT_DELTA, INSERT_OBJECT, INSERT_FRAME, INSERT_STACK, UPDATE_STACK,
	STATEMENTS_COUNT
};

/* Keys of the intern tables: no padding, strings from the writer's pool. */
struct object_key { const char *module, *path, *build_id; };
struct frame_key {
	uint64_t pc, offset, object;
	const char *function, *raw, *file, *type;
	uint32_t line, column, start_line, inlined;
};
struct stack_key { uint64_t id; uint32_t target, kind; };

/* What the file says of a stack, by its number. */
struct stack_state {
	struct delta_state now;	/* at the last moment */
	struct delta_state row;	/* in its last row */
	int64_t seen;		/* the last moment that had it */
	uint32_t status;
	uint32_t known;		/* how much its frames say */
};

DEFINE_VEC(stack_state_vec, struct stack_state);

struct recording {
	char *path;
	char *temp;		/* what the file is called until the first append */
	int fd;			/* holds the lock against other writers */
	struct recording_settings settings;
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS_COUNT];
	struct strpool *strings;
	struct intern objects, frames, stacks;
	struct stack_state_vec states;
	struct item_vec lists[SNAPSHOT_LISTS_COUNT];
	int64_t moment;		/* number of the last one */
	int64_t rows_left;	/* how many samples may be written as rows now */
	int64_t rows_needed;	/* how many were at the last count */
	int64_t rows_since;	/* samples since the last whole keyframe */
	double spacing_s;	/* thinned so that moments are at least this apart */
	uint64_t thin_at;	/* bytes in use at which it is done again */
	double synced_s;	/* when an append was last brought to the disk */
	bool syncing;		/* every commit is brought there */
	bool renamed;		/* stacks got other frames: old ones may be orphans */
	bool failed;
	bool oversize;		/* the bound cannot be kept */
};

/* Runs a bound statement and leaves it with nothing bound, that is, NULLs. */
struct error *recording_run(struct recording *rec, sqlite3_stmt *st) __must_check;

/* The number of @stack, which is described in the file after this. */
struct error *describe_stack(struct recording *rec, const struct snapshot *snap,
			     const struct snapshot_stack *stack, size_t *number_ret)
	__must_check;

/*
 * Writes the metrics of all stacks of the moment, @exactly or as near as is worth it,
 * and says how.
 */
struct error *write_samples(struct recording *rec, const struct snapshot *snap,
			    bool exactly, enum keyframe *ret) __must_check;

/* Writes what threads and size classes have of the moment's stacks, if that is known. */
struct error *write_shares(struct recording *rec, const struct snapshot *snap) __must_check;

/* Writes the next moment, inside of a transaction. */
struct error *write_moment(struct recording *rec, const struct snapshot *snap, bool exactly)
	__must_check;

/* Removes moments while the file is larger than its bound. */
struct error *thin_if_large(struct recording *rec) __must_check;

#endif
