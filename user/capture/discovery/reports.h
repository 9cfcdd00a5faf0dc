/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Programs that sample their allocations themselves and tell of the samples by
 * probes of their own:
 *
 *	otel_memory:alloc(pointer, size, weight)	weight: bytes it stands for
 *	otel_memory:free(pointer)			only of blocks told of
 *
 * Source: OpenTelemetry's eBPF profiler, design document 00003, "USDT
 * contract" (2026). Inlined code has a probe at each of its places.
 */
#ifndef HEAPSONDE_CAPTURE_DISCOVERY_REPORTS_H
#define HEAPSONDE_CAPTURE_DISCOVERY_REPORTS_H

#include <stdbool.h>

#include "capture/discovery/candidate.h"
#include "capture/discovery/discovery.h"

/*
 * Adds these probes of the object to its plan; false if there are none. One
 * that cannot be set or read leaves a note.
 */
bool reports_list(const struct candidate *c, struct object_plan *op, struct note_vec *notes);

/* Whether any object that is mapped carries these probes. */
bool reports_there(const struct address_space *as);

#endif
