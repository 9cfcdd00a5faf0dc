/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a function that is to be probed to the place of its probe: the
 * instruction, where that is in the file, and by which instructions the
 * function is left, where its returns must be probed one by one.
 */
#ifndef HEAPSONDE_CAPTURE_DISCOVERY_PROBE_SITE_H
#define HEAPSONDE_CAPTURE_DISCOVERY_PROBE_SITE_H

#include <stdbool.h>

#include "base/error.h"
#include "capture/discovery/candidate.h"
#include "capture/discovery/discovery.h"

/* Whether two rows mean the same: kind and arguments. */
bool probe_same_row(const struct allocator_function *a, const struct allocator_function *b);

/* Whether @probe's function only jumps to another one of the plan with the same meaning. */
bool probe_is_stub(const struct candidate *c, const struct object_plan *op,
		   const struct planned_probe *probe);

/* Completes a probe; *@ret is false, with a note, if the function cannot be probed. */
struct error *probe_complete(struct note_vec *notes, const struct candidate *c,
			     const struct object_plan *op, struct planned_probe *probe,
			     bool *ret) __must_check;

#endif
