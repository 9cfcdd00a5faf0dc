/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a report or an export comes from: a recording, or a process watched now. */
#ifndef HEAPSONDE_CMD_SOURCE_H
#define HEAPSONDE_CMD_SOURCE_H

#include "base/error.h"
#include "cmd/moment.h"
#include "cmd/options.h"
#include "model/snapshot.h"

/*
 * The snapshot of the file that the options name, else of their processes at the
 * end of the watching; what is to be told of it then has been told.
 */
struct error *source_snapshot(const struct options *opts, struct snapshot **ret)
	__must_check;

/*
 * The same; before that calls @each with snapshots of moments before, ascending: of
 * a live process one each interval, of a recording a few hundred spread evenly.
 * They die with the call.
 */
struct error *source_history(const struct options *opts, moment_visitor *each, void *arg,
			     struct snapshot **ret) __must_check;

#endif
