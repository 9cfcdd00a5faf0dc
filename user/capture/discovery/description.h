/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Allocators that discovery does not know by itself, as a user describes them:
 *
 *	# an arena of the application; whatever stands behind '#' is ignored
 *	arena_alloc          alloc    size=1
 *	arena_calloc         alloc    count=1 size=2
 *	arena_get            out      ptr=0 size=1
 *	arena_resize         realloc  ptr=1 size=2
 *	arena_free@libapp.so free     ptr=1
 *	0x1234@server        alloc    size=0
 *	pool_alloc           alloc    size=1 pool=0
 *	current_alloc        alloc    size=0 pool=*current_pool
 *	pool_destroy         clear    pool=0
 *	pool_create          hide
 *
 * One function a line or between semicolons: a symbol (raw, exported or local)
 * or an address in the file, in which object if not in any, what it does, and
 * which arguments are what, counted from 0. All blocks of a pool end when it is
 * cleared; what a hidden function allocates on the way does not count.
 */
#ifndef HEAPSONDE_CAPTURE_DISCOVERY_DESCRIPTION_H
#define HEAPSONDE_CAPTURE_DISCOVERY_DESCRIPTION_H

#include <stdbool.h>

#include "base/error.h"
#include "base/vec.h"
#include "capture/discovery/allocators.h"

struct described_function {
	struct allocator_function function;	/* symbol is owned */
	char *object;		/* NULL: any */
	bool by_address;
	uint64_t vaddr;		/* if so */
	char *variable;		/* that holds the current pool, in the same object; or NULL */
	char *where;		/* "FILE, line 3", for complaints; owned */
	bool ready_made;	/* one of heapsonde's own: may be missing where others are not */
};

DEFINE_VEC(described_vec, struct described_function);

/* What overrides discovery. A zeroed struct overrides nothing. */
struct allocator_choice {
	struct described_vec described;
	const char *only;	/* of the allocators found by themselves, only this one; or NULL */
	const char *library;	/* only the allocator in the object of this path or name; or NULL */
	const char *prefix;	/* of one more family like malloc's; or NULL */
};

void allocator_choice_deinit(struct allocator_choice *choice);

/*
 * Adds what --allocator says: a name (of the table's or of a ready-made
 * description), "@FILE", or a description itself. ERROR_USAGE says in which
 * line what is wrong.
 */
struct error *allocator_choice_add(struct allocator_choice *choice, const char *text)
	__must_check;

/* Adds the functions of a description; @where names the text in complaints. */
struct error *description_parse(const char *text, const char *where, struct described_vec *ret)
	__must_check;

#endif
