/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the allocator table says about an object: which of the names looked for
 * it defines, which allocator that makes it, and which groups of rows mean
 * something in it. Reads symbols only.
 */
#ifndef HEAPSONDE_CAPTURE_DISCOVERY_CANDIDATE_H
#define HEAPSONDE_CAPTURE_DISCOVERY_CANDIDATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/vec.h"
#include "capture/discovery/allocators.h"
#include "capture/discovery/description.h"
#include "capture/discovery/notes.h"
#include "symbol/object.h"
#include "symbol/symbolizer.h"

/* A function of an object that has one of the names looked for. */
struct sighting {
	struct object_symbol symbol;
	const char *name;	/* of the symbol, or Rust's behind the mangling */
};

DEFINE_VEC(sighting_vec, struct sighting);

/* One object under examination. */
struct candidate {
	struct object *object;	/* borrowed from the address space */
	struct sighting_vec sightings;
	bool is_static;		/* a static program: local symbols count as exported */
	bool hides_heap;	/* has all of a heap under the plain names, not exported */
	bool has_heap;		/* a group of malloc and free */
	bool is_glibcs;		/* ... which is glibc's own */
	bool left_out;		/* ... that is not to be probed, by the user's choice */
	bool c_library;
	const char *no_returns;	/* why no return probe is set in the program, ever; or NULL */
	bool wraps;		/* another allocator may stand behind this one */
	const char *allocator;	/* its name, or NULL */
	const struct allocator_choice *choice;
	uint64_t bias;		/* of the object in the target */
};

DEFINE_VEC(candidate_vec, struct candidate);

/* They will be examined soon: readers begin with the first files (object_expect_symbols()). */
void candidates_expect(const struct address_space *as);

/*
 * Examines every object that is mapped executable, by address. What is in the
 * way of watching one goes into @notes.
 */
void candidates_init(struct candidate_vec *candidates, const struct address_space *as,
		     const struct allocator_choice *choice, struct note_vec *notes);

/*
 * Sets no_returns: the program is Go's, or by @return_probes it may not have any.
 * Go copies its stacks, and a return probe's trampoline with them, which ends the
 * process. C functions run on stacks that are not copied; but none is worth finding
 * out otherwise.
 */
void candidates_forbid_returns(struct candidate_vec *candidates, bool has_go,
			       bool return_probes);
bool candidates_have_go(const struct address_space *as);
void candidates_deinit(struct candidate_vec *candidates);

/* Prefix number @i of those known and the user's; NULL behind the last. */
const char *candidate_prefix(const struct allocator_choice *choice, size_t i);

/* Whether the rows of @group are looked for in this object with @prefix before their names. */
bool candidate_is_active(const struct candidate *c, enum allocator_group group,
			 const char *prefix);

/* Whether it has functions like malloc and free of the user's prefix. */
bool candidate_has_prefix(const struct candidate *c);

/* Up to @max functions that are called @name, whoever may call them; how many. */
size_t candidate_find(const struct candidate *c, const char *name, struct object_symbol *ret,
		      size_t max);
/* ... those that the name of a row means: where names are common, only exported ones. */
size_t candidate_find_row(const struct candidate *c, const struct allocator_function *function,
			  const char *prefix, struct object_symbol *ret, size_t max);
/* ... that other objects can call. */
size_t candidate_find_exported(const struct candidate *c, const char *name,
			       struct object_symbol *ret, size_t max);

/* Whether the object goes by this name: its path, the last part of that, or a link to it. */
bool candidate_is_object(const struct object *object, const char *name);

#endif
