/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Go call paths as they are shown: from the function that asked for memory on. */
#ifndef HEAPSONDE_CAPTURE_GO_STACK_H
#define HEAPSONDE_CAPTURE_GO_STACK_H

#include <stdint.h>

struct go_runtime;

/* The same path has different rows by where it comes from. */
enum go_stack_source { GO_STACK_SAMPLE, GO_STACK_PROFILE };

/*
 * How many frames at the leaf of @pcs (return addresses) are the runtime's:
 * mallocgc, makeslice, growslice ... pprof leaves out the same. 0 if all are. What
 * the runtime allocates for itself in the midst of an allocation is not that call
 * path's: all but the allocator stays, except in a profile, as pprof has it.
 */
uint32_t go_stack_trim(const struct go_runtime *go, enum go_stack_source source,
		       const uint64_t *pcs, uint32_t count);

uint64_t go_stack_id(const uint64_t *pcs, uint32_t count, enum go_stack_source source);

#endif
