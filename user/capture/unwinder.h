/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Gives the BPF walker what it needs to walk a target's stacks: the unwind
 * tables of all objects mapped in it, and where they are mapped
 * (bpf/unwind.h). Tables are compiled once per file and shared by all targets.
 *
 *	compile (before loading, to know the size) -> load -> publish, again
 *	and again as targets map and exec
 */
#ifndef HEAPSONDE_CAPTURE_UNWINDER_H
#define HEAPSONDE_CAPTURE_UNWINDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "capture/rewalk.h"
#include "symbol/symbolizer.h"

struct bpf_map;

/* The maps of bpf/unwind.bpf.h; borrowed. */
struct unwinder_maps {
	struct bpf_map *slab, *rules, *ranges, *spaces, *cache;
};

struct unwinder;

/*
 * @frame_pointers: no tables at all, every frame by frame pointer (--stack fp).
 * @no_cache: neither read tables from disk nor keep them there.
 */
struct unwinder *unwinder_create(bool frame_pointers, bool no_cache);
void unwinder_destroy(struct unwinder *unwinder);
DEFINE_CLEANUP(struct unwinder *, unwinder_destroy);

/*
 * Compiles the tables of all objects of @as that have none yet. An object that
 * cannot be compiled gets none: its frames are walked by frame pointer.
 */
void unwinder_compile(struct unwinder *unwinder, const struct address_space *as);

/*
 * Sets the sizes of the maps before loading: room for @spaces targets (and
 * @children of theirs), and for the tables compiled so far and as much again, and
 * @spare_bytes of what is mapped after attaching.
 */
void unwinder_size(const struct unwinder *unwinder, const struct unwinder_maps *maps,
		   uint32_t spaces, bool children, uint64_t spare_bytes);

/* Takes over the loaded maps. */
struct error *unwinder_load(struct unwinder *unwinder, const struct unwinder_maps *maps)
	__must_check;

/*
 * Tells the walker what is mapped in process @pid now; does nothing when that
 * is what it knows already. Tables that find no room any more are left out
 * (unwinder_omitted()).
 */
struct error *unwinder_publish(struct unwinder *unwinder, uint32_t pid,
			       const struct address_space *as) __must_check;

/*
 * What the walker knows of the process's mappings no longer holds: it replaced
 * its program, or unmapped code. The next publication tells all anew.
 */
void unwinder_forget(struct unwinder *unwinder, uint32_t pid);

/* The process has ended, and its number may become another's. */
void unwinder_drop(struct unwinder *unwinder, uint32_t pid);

/* Changes with every publication that told something new. */
uint32_t unwinder_generation(const struct unwinder *unwinder);

/*
 * Tables know call sites only, for that is where walks from an allocator
 * pass. Walks that begin anywhere (page faults) need whole tables, of all that
 * is compiled from here on.
 */
void unwinder_want_full(struct unwinder *unwinder);

/*
 * Makes the table of the object that is mapped at @pc a whole one, for the
 * next publication. False if it is one already or cannot become one.
 */
bool unwinder_complete(struct unwinder *unwinder, const struct address_space *as, uint64_t pc);

/* The tables of process @pid as they were last published; false if there are none. */
bool unwinder_tables(struct unwinder *unwinder, uint32_t pid, struct walk_tables *ret);

/* Objects without a table for lack of room. */
size_t unwinder_omitted(const struct unwinder *unwinder);

#endif
