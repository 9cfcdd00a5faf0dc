/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which allocators' heaps windows can read, and what of them tells of a block's end. */
#ifndef HEAPSONDE_CAPTURE_COST_WINDOW_HEAPS_H
#define HEAPSONDE_CAPTURE_COST_WINDOW_HEAPS_H

#include "capture/cost/window_polls.h"
#include "capture/discovery/discovery.h"

struct window_heap {
	const char *name;		/* of the allocator, as discovery has it */
	enum poll_allocator allocator;
	uint64_t (*chunk_bytes)(uint64_t size);	/* that a request is given */
	const char *told_by;		/* in words, for doctor */
};

const struct window_heap *window_heap_of(const struct object_plan *object);
/* Of all that a process has, the one whose blocks its malloc gives; NULL: it has none. */
const struct window_heap *window_heap_in_front(const struct probe_plan *plan);

#endif
