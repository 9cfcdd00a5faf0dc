/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a Go program can be watched while it allocates: instructions of the
 * runtime's allocator, found by the functions that they call, because no file
 * has symbols of instructions. All of them are calls, which the kernel
 * emulates at a breakpoint; single-stepping costs ten times as much.
 *
 *	refill	(*mcache).nextFree has taken a new span into its cache and calls
 *		(*mspan).nextFreeIndex on it: the span is the first argument
 *	large	(*mcache).allocLarge calls (*spanSet).push with the object's own
 *		span, the second argument
 *	sweep	gcSweep takes the heap's lock: the world is stopped, all mark
 *		bits are final, and no span is swept yet
 *	births	the allocator calls publicationBarrier, as it does once for each
 *		block before anybody learns its address: the span that the block
 *		was just taken from, its free index one further, is kept on the
 *		stack over this call
 *	swept	(*sweepLocked).sweep calls (*mspan).refillAllocCache on a span, the
 *		first argument, whose allocation bits are now what was marked
 *
 * Addresses are those of the file, 0 where nothing was found.
 */
#ifndef HEAPSONDE_SYMBOL_GO_POINTS_H
#define HEAPSONDE_SYMBOL_GO_POINTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"

struct go_module;

struct go_range { uint64_t start, end; };
DEFINE_VEC(go_range_vec, struct go_range);

/* @slot: where the span's address is, in bytes from the stack pointer. */
struct go_birth { uint64_t vaddr; uint32_t slot; };
DEFINE_VEC(go_birth_vec, struct go_birth);

struct go_points {
	uint64_t refill, large, sweep, swept;
	struct go_birth_vec births;	/* all there are, or none */
	/* Variables: the list of the program's own heap profile, and its rate. */
	uint64_t mbuckets, profile_rate;
	struct go_range crosscall;	/* the function by which C calls Go; may lack */
	/* The runtime's functions, ascending; of these mallocgc and its kin. */
	struct go_range_vec runtime, allocators;
};

void go_points_find(const struct go_module *module, struct go_points *ret);
void go_points_deinit(struct go_points *points);

/* Whether the runtime itself has its code at @vaddr. */
bool go_points_in_runtime(const struct go_points *points, uint64_t vaddr);
/* ... or mallocgc, in whatever form the compiler calls it. */
bool go_points_in_allocator(const struct go_points *points, uint64_t vaddr);

#endif
