/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Setting and removing the probes of a plan. Three methods, from the cheapest
 * to what every kernel has; all live in descriptors of this process and its
 * keeper (aside.h), so that every probe goes when heapsonde ends, however it ends.
 */
#ifndef HEAPSONDE_CAPTURE_ATTACH_H
#define HEAPSONDE_CAPTURE_ATTACH_H

#include <stdint.h>

#include "base/error.h"
#include "base/vec.h"
#include "capture/discovery/discovery.h"
#include "capture/features.h"

/* X(method, name, what it sets) */
#define ATTACH_METHODS(X)						\
	X(ATTACH_SESSION, "session", "three links an object: frees, entries, calls and returns") \
	X(ATTACH_MULTI, "multi", "four links an object: frees, entries, returns, calls") \
	X(ATTACH_SINGLE, "single", "one uprobe a function and direction")

enum attach_method {
#define X(method, name, text) method,
	ATTACH_METHODS(X)
#undef X
	ATTACH_METHODS_COUNT,
	ATTACH_BEST = ATTACH_METHODS_COUNT,	/* choose by features */
};

const char *attach_method_name(enum attach_method method);
/* Whether discovery found an allocator that stands in front of another. */
bool attach_frees_nest(const struct probe_plan *plan);
/*
 * Whether windows would leave malloc and its kin out: where their returns are
 * probed at their return instructions, entries and returns cannot be told apart
 * by one link.
 */
bool attach_windows_blind(const struct probe_plan *plan);
enum attach_method attach_method_best(const struct features *features);
bool attach_method_there(enum attach_method method, const struct features *features);

struct bpf_program;
struct bpf_map;

/*
 * Programs to attach: free, entry, and session or returns; the other is NULL. So
 * is report, if no object had such probes when they were loaded. Borrowed.
 */
struct attach_programs {
	struct bpf_program *free, *session, *entry, *returns, *report;
	struct bpf_program *go_refill, *go_large, *go_sweep;	/* see bpf/go.bpf.h */
	struct bpf_program *go_birth, *go_swept;		/* see bpf/go_exact.bpf.h */
	struct bpf_map *texts;		/* cookie -> struct text_around of alloc.bpf.c */
	struct bpf_map *allocator_texts;	/* pid -> struct text_range of alloc.bpf.c */
	struct bpf_map *variables;	/* cookie -> address of the variable that names the pool */
	struct bpf_map *operands;	/* cookie -> struct probe_operands */
};

DEFINE_VEC(link_fd_vec, int);

/* Probes that are set; a zeroed struct has none. */
struct attachment {
	struct link_fd_vec links;	/* descriptors of links of the kernel */
	uint32_t probes;		/* functions probed */
};

/*
 * Which probes of a plan: all; mapping functions alone; all others; the
 * allocator's that windows set, of which some are hit all the time and the others
 * seldom.
 */
enum attach_part { ATTACH_ALL, ATTACH_MAPPINGS, ATTACH_HEAP, ATTACH_OFTEN, ATTACH_SELDOM };

/* What is to be probed in one object of one process. */
struct attach_job {
	const struct object_plan *object;
	uint32_t pid;
	enum attach_method method;
	/*
	 * A free may stand inside another allocator's: then it needs the
	 * thread's state, and costs more.
	 */
	bool frees_nest;
	uint32_t lane;		/* below PROBE_LANES; 0: its births are never held back */
	bool reports;		/* also what the program tells by itself */
	/* Tells this object's mapping functions from those of others; taken modulo. */
	uint32_t object_nr;
	enum attach_part part;
};

/*
 * Adds the probes of @job to @att. Frees are set before allocations, so that
 * no block is seen born whose end could be missed.
 */
struct error *attach_object(struct attachment *att, const struct attach_programs *programs,
			    const struct attach_job *job) __must_check;

/*
 * Tells the kernel where the text of an object is that has an allocator other than the
 * C library's: what is mapped from there is that allocator's business.
 */
struct error *attach_publish_allocator(const struct attach_programs *programs,
				       const struct object_plan *object, uint32_t pid) __must_check;

/*
 * Probes that are set and removed many times, with all that it takes prepared:
 * where that is done, no memory can be had (aside.h). C++'s operator new, which may
 * throw, is among them where it is the allocator's own, and has links of its own; all
 * others are seen as the malloc that they call.
 */
struct window_probes;

struct window_probes *window_probes_create(void);
void window_probes_destroy(struct window_probes *probes);
/*
 * Adds those of an object, which must live as long. False if it has none of that
 * kind, or if there would be more links than can be made at once.
 */
bool window_probes_add(struct window_probes *probes, const struct attach_programs *programs,
		       const struct attach_job *job);
/*
 * To be called aside, one after the other: all but return instructions, which slow the
 * target down many times as much; then these. 0, or an error number, and then nothing
 * is set.
 */
int window_probes_set(struct window_probes *probes);
int window_probes_set_stepped(struct window_probes *probes);
void window_probes_remove(struct window_probes *probes);

/*
 * Adds one probe that has nothing to do with allocators, at file offset
 * @offset; its cookie is the pid. False if that cannot be.
 */
bool attach_function(struct attachment *att, struct bpf_program *prog,
		     const struct object *object, uint64_t offset, uint32_t pid);

/* An instruction of a file, and what its probe is told. */
struct attach_place { uint64_t offset, cookie; };

/* Adds probes of a program of the allocators' kind, loaded for @method. False if one cannot be. */
bool attach_places(struct attachment *att, enum attach_method method, struct bpf_program *prog,
		   const struct object *object, uint32_t pid,
		   const struct attach_place *places, size_t count);

/* Adds the probes of @from to @to; @from is empty after it. */
void attachment_move(struct attachment *to, struct attachment *from);

/* Removes all probes; when it returns, none is left in the target. */
void attachment_deinit(struct attachment *att);

#endif
