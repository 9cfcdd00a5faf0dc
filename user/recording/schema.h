/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shape of a recording: a SQLite 3 database. Columns that stand for
 * fields of a snapshot come from model/fields.h. The README says the same to
 * users; a change here is one there, and a new RECORDING_SCHEMA_VERSION.
 *
 * One row for each moment (interval), "snapshot" being its number from 1:
 *
 *	snapshot(snapshot, keyframe, duration_s, mode, sample_bytes, stack_mode)
 *	totals, loss, memory, runtime, unwind, cost(snapshot, …)	fields as in JSON
 *	windows(snapshot, …)			the same, where there were any
 *	account(snapshot, pos, kind, bytes)
 *
 * What stands still is written once:
 *
 *	meta(key, value)				"version": of heapsonde
 *	object(object, module, path, build_id)		an ELF file
 *	frame(frame, pc, offset, object, function, raw, file, line, column, inlined, type,
 *	      start_line)
 *	stack(stack, target, id, kind, status, frames)	frames: JSON array of frame
 *							numbers, leaf first
 *
 * What changes now and then is written when it changed: the row that counts
 * at a moment is the one with the largest snapshot up to there. A row whose
 * fields are all NULL says that the rest of the list is gone.
 *
 *	target(snapshot, pos, pid, …), timeline(snapshot, pos, t_s, …),
 *	reclaim(snapshot, pos, t_s, …), mark(snapshot, pos, t_s, name),
 *	thread(snapshot, pos, target, tid, name), level(snapshot, pos, t_s, level),
 *	focus(snapshot, pos, stack, pid, since_s, …)
 *
 * The stacks' metrics come in rows or packed (recording/delta.h), by what
 * snapshot.keyframe says:
 *
 *	0 NONE		delta(snapshot, data): what changed since the moment before
 *	1 CHANGED	sample(snapshot, stack, metrics…): rows of the stacks that
 *			changed since the last moment with rows
 *	2 WHOLE		sample: rows of all stacks
 *
 * A row whose metrics are all NULL says that the stack is gone. oldest_live_s
 * grows with time while the target runs, which is no change (metrics_age()).
 * Rows are what SQL can read; small programs have them at every moment.
 *
 * At marks and at the end, what threads and size classes have of each stack:
 *
 *	share(snapshot, stack, pos, thread, size_class, …)	thread: its pos
 *
 * Moments may be missing: a bounded recording is thinned. Views over all of
 * this are for people; heapsonde itself reads tables only.
 */
#ifndef HEAPSONDE_RECORDING_SCHEMA_H
#define HEAPSONDE_RECORDING_SCHEMA_H

#include "base/strbuf.h"

#define RECORDING_APPLICATION_ID 0x68707364	/* "hpsd" */
#define RECORDING_SCHEMA_VERSION 10
#define RECORDING_SCHEMA_OLDEST 4	/* can be read: what it lacks is not known */

enum keyframe { KEYFRAME_NONE, KEYFRAME_CHANGED, KEYFRAME_WHOLE };

/* Appends the statements that make an empty recording. */
void schema_sql(struct strbuf *sql);

/* The names of all its views, quoted and with commas: "'a', 'b'". */
extern const char schema_view_names[];

#endif
