/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shape of a recording: a SQLite 3 database. Its tables are described by
 * the same field tables that JSON is printed from, so a metric added to
 * METRICS, or a field added here, appears in both.
 *
 * One row for each moment (interval), "snapshot" being its number from 1:
 *
 *	snapshot(snapshot, keyframe, duration_s, mode, sample_bytes, stack_mode)
 *	totals, loss, memory, unwind, cost(snapshot, …)	fields as in JSON
 *	account(snapshot, pos, kind, bytes)
 *
 * What stands still is written once:
 *
 *	meta(key, value)				"version": of heapsonde
 *	object(object, module, path, build_id)		an ELF file
 *	frame(frame, pc, offset, object, function, raw, file, line, column, inlined)
 *	stack(stack, target, id, kind, status, frames)	frames: JSON array of frame
 *							numbers, leaf first
 *
 * What changes now and then is written when it changed: the row that counts
 * at a moment is the one with the largest snapshot up to there. A row whose
 * fields are all NULL says that the item is gone.
 *
 *	sample(snapshot, stack, metrics…)
 *	target(snapshot, pos, pid, …), timeline(snapshot, pos, t_s, …),
 *	reclaim(snapshot, pos, t_s, …)
 *
 * oldest_live_s grows with time, which is no change (metrics_age()). At a
 * keyframe all of sample is written, so that reading need not go back further.
 */
#ifndef HEAPSONDE_RECORDING_SCHEMA_H
#define HEAPSONDE_RECORDING_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "bpf/events.h"
#include "model/snapshot.h"

#define RECORDING_APPLICATION_ID 0x68707364	/* "hpsd" */
#define RECORDING_SCHEMA_VERSION 1

enum field_type { FIELD_INT64, FIELD_UINT32, FIELD_DOUBLE, FIELD_BOOL, FIELD_STRING };

struct field {
	const char *name;
	enum field_type type;
	bool optional;		/* null in place of a negative number or a NULL string */
	size_t offset;		/* in the struct that the table describes */
};

struct fields {
	const char *name;	/* of the SQL table and the JSON member */
	const struct field *data;
	size_t len;
};

#define fields_for_each(it, fields) \
	for (const struct field *it = (fields)->data; it < (fields)->data + (fields)->len; it++)

/* One row a moment; offsets in struct snapshot. */
enum snapshot_part {
	PART_SNAPSHOT, PART_TOTALS, PART_LOSS, PART_MEMORY, PART_UNWIND, PART_COST,
	SNAPSHOT_PARTS_COUNT
};
extern const struct fields snapshot_parts[SNAPSHOT_PARTS_COUNT];

/* Offsets in struct metrics. */
extern const struct fields metric_fields;

/* Arrays of struct snapshot; field offsets in one item. */
enum snapshot_list {
	LIST_TARGETS, LIST_ACCOUNT, LIST_TIMELINE, LIST_RECLAIM,
	SNAPSHOT_LISTS_COUNT
};

struct list_fields {
	struct fields fields;
	size_t item_size;
	size_t offset;		/* of the vector in struct snapshot */
	bool every_moment;	/* written whole each time, because most of it changes */
};
extern const struct list_fields snapshot_lists[SNAPSHOT_LISTS_COUNT];

/* All vectors look like this one (base/vec.h). */
DEFINE_VEC(item_vec, char);

static inline const struct item_vec *
snapshot_list(const struct snapshot *snap, enum snapshot_list list)
{
	return (const void *)((const char *)snap + snapshot_lists[list].offset);
}

/* "complete", "truncated", …; "lost" for anything unheard of. */
const char *unwind_status_name(uint32_t status);

/*
 * Brings @m, unchanged from one moment to a later one, to that moment: its
 * oldest block has aged.
 */
void metrics_age(struct metrics *m, double from_s, double to_s);

#endif
