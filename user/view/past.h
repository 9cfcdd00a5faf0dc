/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a live view remembers of earlier snapshots: how each stack's live
 * bytes went, what changed since the one before, and some whole snapshots,
 * fewer the further back, to compare with.
 */
#ifndef HEAPSONDE_VIEW_PAST_H
#define HEAPSONDE_VIEW_PAST_H

#include "model/map64.h"
#include "model/snapshot.h"

#define TRACE_LEN 12

/* Of one stack. */
struct trace {
	int64_t live[TRACE_LEN];	/* the last ones, oldest first; len of them */
	uint32_t len;
	int64_t alloc_count;		/* when last seen ... */
	uint32_t round;			/* ... in this round */
	double allocs_per_s;		/* since the snapshot before */
};

DEFINE_VEC(trace_vec, struct trace);
DEFINE_VEC(snapshot_ref_vec, struct snapshot *);

/* Per second, since the snapshot before; since attach for the first one. */
struct rates { double allocs, alloc_bytes, frees, free_bytes, probe_hits, own_cpu; };

struct past {
	struct map64 index;		/* stack_key() -> index of traces + 1 */
	struct trace_vec traces;
	uint32_t round;
	struct rates rates;
	struct snapshot *before;	/* the newest but one; NULL */
	struct snapshot_ref_vec kept;	/* oldest first; the newest among them */
};

/* The same for the same target, stack and kind in all snapshots of a source. */
uint64_t stack_key(const struct snapshot_stack *stack);

void past_deinit(struct past *past);
/* Snapshots come in order; one that is earlier than the last begins anew. */
void past_take(struct past *past, struct snapshot *snap);
/* NULL if it was never seen. */
const struct trace *past_trace(const struct past *past,
				  const struct snapshot_stack *stack);
/* The last kept one at or before @t_s, else the first; NULL if there is none. */
struct snapshot *past_at(const struct past *past, double t_s);

/* Stacks of one snapshot by key. */
struct stack_index {
	const struct snapshot *snap;	/* borrowed */
	struct map64 places;
};

void stack_index_init(struct stack_index *index, const struct snapshot *snap);
void stack_index_deinit(struct stack_index *index);
/* NULL if the snapshot has no such stack. */
const struct snapshot_stack *stack_index_find(const struct stack_index *index, uint64_t key);

#endif
