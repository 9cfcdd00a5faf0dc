/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a Go runtime did between two readings of its books: collections with their
 * pauses, heap taken from the system and given back, knobs that were turned. No
 * probe tells of these: counters and the ring of pauses do, so that nothing is
 * missed, but all except collections happened at some time between the readings.
 */
#ifndef HEAPSONDE_CAPTURE_GO_EVENTS_H
#define HEAPSONDE_CAPTURE_GO_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "model/reclaim.h"
#include "model/runtime.h"

struct go_runtime;

/* What of the last reading is compared. A zeroed one has seen nothing. */
struct go_pulse {
	bool known;
	int64_t collections, forced, gogc, limit;
	int64_t held_bytes;	/* of the heap, from the system, as last told */
};

/* @event's detail is borrowed. */
typedef void go_event_fn(void *ctx, const struct reclaim_event *event);

/*
 * Tells what happened from @pulse to @now, the figures of @go's last reading, and
 * brings @pulse up to date. Nothing is told of what was before the first.
 */
void go_events_tell(const struct go_runtime *go, const struct runtime_figures *now,
		    struct go_pulse *pulse, go_event_fn *fn, void *ctx);

#endif
