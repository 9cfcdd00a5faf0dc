/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shape of a recording: a SQLite 3 database. Columns that stand for
 * fields of a snapshot come from model/fields.h.
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
 * fields are all NULL says that the stack, or the rest of the list, is gone.
 *
 *	sample(snapshot, stack, metrics…)
 *	target(snapshot, pos, pid, …), timeline(snapshot, pos, t_s, …),
 *	reclaim(snapshot, pos, t_s, …)
 *
 * oldest_live_s grows with time while the target runs, which is no change
 * (metrics_age()). At a
 * keyframe all of sample is written, so that reading need not go back further.
 */
#ifndef HEAPSONDE_RECORDING_SCHEMA_H
#define HEAPSONDE_RECORDING_SCHEMA_H

#define RECORDING_APPLICATION_ID 0x68707364	/* "hpsd" */
#define RECORDING_SCHEMA_VERSION 1

#endif
