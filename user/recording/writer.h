/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing a recording (recording/schema.h has its shape). Each append is one
 * transaction, brought to the disk: after kill -9, a full disk or a power failure
 * the file can be read up to the last interval.
 */
#ifndef HEAPSONDE_RECORDING_WRITER_H
#define HEAPSONDE_RECORDING_WRITER_H

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "model/snapshot.h"

struct recording;

struct recording_settings {
	bool force;		/* replace a file that is no recording, too */
	uint64_t max_bytes;	/* of the file, kept by thinning its moments; 0: no bound */
	int64_t rows_at_once;	/* samples as rows before the allowance counts (samples.c) */
};

#define RECORDING_SETTINGS_DEFAULT { .rows_at_once = 10000 }

/*
 * Prepares a recording at @path, readable by its owner alone: who called sudo,
 * if root does so. What stands there is replaced if it is a recording or empty,
 * or with settings.force, but never while another heapsonde writes to it, and not
 * before the first append: until then it stays as it was.
 */
struct error *recording_create(const char *path, const struct recording_settings *settings,
			       struct recording **ret) __must_check;

/*
 * Adds one moment. Times must not run back. A stack is known by target, id
 * and kind; frames that come without names may get them in a later append,
 * and then have them at all moments. Slopes, confidences and ages come back
 * @exactly, or as near as recording/delta.h says. After a failure the
 * recording keeps what it had and takes no more.
 */
struct error *recording_append(struct recording *rec, const struct snapshot *snap,
			       bool exactly) __must_check;

/* Whether what stands still is already larger than the bound. */
bool recording_is_oversize(const struct recording *rec);

/*
 * Folds everything into the one file and closes it. Consumes @rec. Where
 * the disk is too full for that, the -wal file stays and readers honour it.
 */
struct error *recording_close(struct recording *rec) __must_check;

/* As recording_close(), for error paths: a failure is not told. */
void recording_destroy(struct recording *rec);
DEFINE_CLEANUP(struct recording *, recording_destroy);

#endif
