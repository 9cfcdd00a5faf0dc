/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing a recording (recording/schema.h has its shape). Each append is one
 * transaction: after kill -9 the file can be read up to the last interval.
 */
#ifndef HEAPSONDE_RECORDING_WRITER_H
#define HEAPSONDE_RECORDING_WRITER_H

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "model/snapshot.h"

struct recording;

/*
 * Prepares a recording at @path, readable by its owner alone: who called sudo,
 * if root does so. What stands there is replaced if it is a recording or empty,
 * or with @force, but never while another heapsonde writes to it, and not before
 * the first append: until then it stays as it was.
 */
struct error *recording_create(const char *path, bool force, struct recording **ret)
	__must_check;

/*
 * Adds one moment. Times must not run back. A stack is known by target, id
 * and kind; frames that come without names may get them in a later append,
 * and then have them at all moments. After a failure the recording keeps what it
 * had and takes no more.
 */
struct error *recording_append(struct recording *rec, const struct snapshot *snap)
	__must_check;

/*
 * Folds everything into the one file and closes it. Consumes @rec. Where
 * the disk is too full for that, the -wal file stays and readers honour it.
 */
struct error *recording_close(struct recording *rec) __must_check;

/* As recording_close(), for error paths: a failure is not told. */
void recording_destroy(struct recording *rec);
DEFINE_CLEANUP(struct recording *, recording_destroy);

#endif
