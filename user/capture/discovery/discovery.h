/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which functions of a process are probed, and where: every object mapped
 * executable is matched against the allocator table, and placement picks the
 * instruction. The result is a plan that doctor prints and attach carries out.
 */
#ifndef HEAPSONDE_CAPTURE_DISCOVERY_DISCOVERY_H
#define HEAPSONDE_CAPTURE_DISCOVERY_DISCOVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/vec.h"
#include "capture/discovery/allocators.h"
#include "capture/discovery/description.h"
#include "capture/discovery/notes.h"
#include "capture/discovery/placement.h"
#include "symbol/object.h"
#include "symbol/symbolizer.h"

DEFINE_VEC(offset_vec, uint64_t);

struct planned_probe {
	const struct allocator_function *function;
	uint16_t func;			/* its row; those described count on */
	struct object_symbol symbol;	/* the row's, perhaps with a prefix or mangled */
	uint64_t file_offset;		/* of the probed instruction */
	uint64_t variable;		/* its address in the target; for PROBE_VARIABLE */
	bool returns;			/* needs a return probe as well */
	/* Instead, where a return probe would do harm: the function's return instructions. */
	bool by_exits;
	struct offset_vec exits;	/* in the file */
	struct offset_vec tails;	/* and jumps into what returns its first argument */
	struct placement placement;
	struct probe_operands operands;	/* of PROBE_REPORT_* */
	uint64_t semaphore;		/* counts its listeners; where in the file; 0: none */
	/* The object's code around the probe, to tell callers inside it (see alloc.bpf.c). */
	uint64_t text_before, text_after;	/* bytes of text below and above the probe */
};

DEFINE_VEC(planned_probe_vec, struct planned_probe);

/* All probes of one object. Aliases at one address are one probe. */
struct object_plan {
	struct object *object;		/* borrowed from the address space */
	uint64_t bias;			/* of the object in the target */
	const char *allocator;		/* "jemalloc"; NULL if it has none */
	bool c_library;
	struct planned_probe_vec probes;
};

DEFINE_VEC(object_plan_vec, struct object_plan);

struct probe_plan {
	struct object_plan_vec objects;	/* only those with probes, by address */
	struct note_vec notes;		/* what was left out and why, one line each, for doctor */
	bool return_probes;		/* are allowed in the target; else by_exits, all of them */
	bool has_go;			/* Go's runtime is in it: no return probes */
	bool *described;		/* which functions of the choice are probed */
	bool found;			/* an allocator that the choice does not leave out */
	bool prefixed;			/* ... and one of the prefix that it names */
};

void probe_plan_deinit(struct probe_plan *plan);

/*
 * Which rows are looked for in an object depends on what it defines: see
 * ALLOCATOR_GROUPS. Where names are common, only exported ones count, or in a
 * program that hides all of its own malloc, calloc, realloc and free. A
 * statically linked program exports nothing; its .symtab counts instead. The
 * dynamic linker's malloc for itself is nobody's.
 *
 * A function that only jumps to another one of the plan is not probed. Where
 * an allocator of no known name stands in front of another, its frees are
 * probed at their return too, so that those it passes on count once; so are
 * Rust's.
 *
 * What @choice (NULL: nothing) describes comes first: its functions' frees are
 * probed at their return as well, and what they are is not asked of the table.
 *
 * @return_probes: whether the target may have any (confined.h). Where Go's
 * runtime is in it there are none in any case, for it moves stacks and reads the
 * return addresses on them; nor have functions that may throw.
 *
 * The address space must have been refreshed. An empty plan is no error here,
 * nor is a function that cannot be probed (it leaves a note). On failure the
 * plan is empty and needs no deinit.
 */
struct error *probe_plan_init(struct probe_plan *plan, const struct address_space *as,
			      const struct allocator_choice *choice, bool return_probes)
	__must_check;

/* Whether functions that give blocks are probed; whether the program tells of blocks itself. */
bool probe_plan_has_heap(const struct probe_plan *plan);
bool probe_plan_has_reports(const struct probe_plan *plan);

/*
 * ERROR_USAGE if something of the choice that the plan was made with is not in
 * it, but for the prefix: that is looked for beside all else, and may be nowhere.
 */
struct error *probe_plan_check(const struct probe_plan *plan,
			       const struct allocator_choice *choice) __must_check;

#endif
