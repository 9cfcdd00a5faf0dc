/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A gzip'd profile for pprof, in which a heap looks as Go's own heap profiles
 * do: alloc_objects, alloc_space, inuse_objects and inuse_space, of which the
 * last is shown unless another is asked for. user/export/profile.proto has the
 * format.
 *
 * A snapshot knows objects by their frames only: each is one mapping, from where
 * its first byte would lie to the last page that a frame is in.
 */
#ifndef HEAPSONDE_EXPORT_PPROF_H
#define HEAPSONDE_EXPORT_PPROF_H

#include <stdio.h>

#include "base/error.h"
#include "model/snapshot.h"

/*
 * @metric, one that counts (else ERROR_USAGE), is what pprof shows by default; if
 * it is none of the four it is a fifth of its own name.
 */
struct error *export_pprof(const struct snapshot *snap, FILE *f, const char *metric)
	__must_check;

#endif
