/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a report or an export comes from: a recording, or a process watched now. */
#ifndef HEAPSONDE_CMD_SOURCE_H
#define HEAPSONDE_CMD_SOURCE_H

#include "base/error.h"
#include "cmd/options.h"
#include "model/snapshot.h"

/*
 * The snapshot of the file that the options name, else of their processes at the
 * end of the watching; what is to be told of it then has been told.
 */
struct error *source_snapshot(const struct options *opts, struct snapshot **ret)
	__must_check;

#endif
