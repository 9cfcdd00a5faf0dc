/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a snapshot consists of, as tables: names, types and places of its
 * fields. JSON and recordings are both made from them, so that they say the
 * same, and a metric added to METRICS or a field added here appears in both.
 */
#ifndef HEAPSONDE_MODEL_FIELDS_H
#define HEAPSONDE_MODEL_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/events.h"
#include "base/vec.h"
#include "model/snapshot.h"

enum field_type {
	FIELD_INT64, FIELD_UINT32, FIELD_DOUBLE, FIELD_FLOAT, FIELD_BOOL, FIELD_STRING,
};

struct field {
	const char *name;
	enum field_type type;
	bool optional;		/* null in place of a negative number or a NULL string */
	bool unless_zero;	/* JSON leaves it out where it is 0 */
	size_t offset;		/* in the struct that the table describes */
};

struct fields {
	const char *name;	/* of the JSON member and the recording's table */
	const struct field *data;
	size_t len;
};

#define fields_for_each(it, fields) \
	for (const struct field *it = (fields)->data; it < (fields)->data + (fields)->len; it++)

/* One row a moment; offsets in struct snapshot. */
enum snapshot_part {
	PART_SNAPSHOT, PART_TOTALS, PART_LOSS, PART_MEMORY, PART_RUNTIME, PART_UNWIND, PART_WINDOWS,
	PART_COST,
	SNAPSHOT_PARTS_COUNT
};
extern const struct fields snapshot_parts[SNAPSHOT_PARTS_COUNT];

/* Offsets in struct metrics. */
extern const struct fields metric_fields;

/* Offsets in struct snapshot_share. */
extern const struct fields share_fields;

/* Arrays of struct snapshot; field offsets in one item. */
enum snapshot_list {
	LIST_TARGETS, LIST_ACCOUNT, LIST_PROCESSES, LIST_PROCESS_ACCOUNT, LIST_CGROUPS,
	LIST_CENSUS, LIST_CENSUS_CLASSES, LIST_SIZES,
	LIST_TIMELINE, LIST_RECLAIM, LIST_MARKS, LIST_THREADS, LIST_LEVELS,
	LIST_FOCUS,
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
 * Brings @m, of a running target and unchanged from one moment to a later one,
 * to that moment: its oldest block has aged.
 */
void metrics_age(struct metrics *m, double from_s, double to_s);

#endif
