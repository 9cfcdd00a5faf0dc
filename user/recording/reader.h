/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading a recording: any of its moments comes back as the snapshot that
 * was appended there. The file is foreign input; it is never written to.
 */
#ifndef HEAPSONDE_RECORDING_READER_H
#define HEAPSONDE_RECORDING_READER_H

#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "model/snapshot.h"

struct recording_reader;

/*
 * ERROR_CORRUPT when the file is no recording or damaged, ERROR_UNSUPPORTED
 * when a newer heapsonde wrote it. A recording whose writer was killed, or is
 * still at work, is read up to its last interval, also where nothing can be
 * written beside it.
 */
struct error *recording_open(const char *path, struct recording_reader **ret)
	__must_check;
void recording_reader_destroy(struct recording_reader *rec);
DEFINE_CLEANUP(struct recording_reader *, recording_reader_destroy);

/* Moments recorded; 0 if the writer ended before its first interval. */
struct error *recording_moments(struct recording_reader *rec, size_t *ret) __must_check;

/* When they were: seconds since attach, ascending. Appended to @ret. */
DEFINE_VEC(recording_times, double);
struct error *recording_moment_times(struct recording_reader *rec, struct recording_times *ret)
	__must_check;

/*
 * The last moment at or before @t_s seconds since attach; < 0: the last of
 * all. Before the first moment: the first. Its duration_s says when it was.
 * Sorted by live_bytes. Of a recording that is still being written the last
 * moment is another one each time; its marks are all there are.
 */
struct error *recording_snapshot(struct recording_reader *rec, double t_s,
				 struct snapshot **ret) __must_check;

/*
 * Calls @each with moments before @before_s, ascending: all of them or @most, spread
 * evenly. The file is read through once for that. Of these snapshots there are duration_s and,
 * for each stack, id, target, kind and metrics (ages as they were when last written);
 * no frames, no order. They die with the call, which must not use @rec.
 */
typedef void recording_visitor(void *arg, const struct snapshot *snap);
struct error *recording_history(struct recording_reader *rec, double before_s, size_t most,
				recording_visitor *each, void *arg) __must_check;

#endif
