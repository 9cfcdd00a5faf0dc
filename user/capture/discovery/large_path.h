/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where in glibc's malloc large requests pass, and no others.
 *
 * _int_malloc() looks for the bin of a large request by comparing its chunk's size with
 * some constants, one after the other (largebin_index_64() of malloc/malloc.c):
 *
 *	cmp $0x3ff,reg ; jbe    all that the thread's cache and fast bins had not
 *	cmp $0xc3f,reg ; jbe    requests for more than 0x3ff bytes, each once
 *	cmp $0x29ff,reg ; jbe   more than 0xc3f, and so on
 *
 * The kernel emulates a conditional jump, so a probe on one of these is cheap, is hit
 * for none of the many small requests, and finds the size in a register. Chunks that are
 * sorted into bins pass such a chain as well: which is which, only trying says
 * (capture/cost/large_trial.h).
 */
#ifndef HEAPSONDE_CAPTURE_DISCOVERY_LARGE_PATH_H
#define HEAPSONDE_CAPTURE_DISCOVERY_LARGE_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "symbol/object.h"

/* A jump that only chunks of more than @above bytes reach. */
struct large_step { uint64_t file_offset; uint32_t above; };

#define LARGE_STEPS 4
#define LARGE_PATHS_MAX 8

struct large_path {
	uint16_t reg;		/* that has the size: its place in struct pt_regs, in bytes */
	struct large_step steps[LARGE_STEPS];	/* by size */
};

/*
 * All such chains in the text around @malloc_vaddr, by address; how many. 0 on machines
 * whose instructions are not known.
 */
size_t large_paths_find(const struct object *libc, uint64_t malloc_vaddr,
			struct large_path ret[LARGE_PATHS_MAX]);

#endif
