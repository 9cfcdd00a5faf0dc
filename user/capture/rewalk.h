/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Walks in user space what the BPF walker had to leave (events.h, struct
 * ev_unfinished): code that was mapped a moment ago has no tables in the
 * kernel yet. The same code walks (bpf/unwind.bpf.h), over a copy of the stack
 * that was made while the target stood there; so nothing is guessed, and the
 * target never waits.
 */
#ifndef HEAPSONDE_CAPTURE_REWALK_H
#define HEAPSONDE_CAPTURE_REWALK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"
#include "bpf/events.h"
#include "bpf/unwind.h"

/* Memory as it was in the target; bytes owned. */
struct stack_piece {
	uint64_t stack_id;
	uint64_t addr, size;
	uint8_t *bytes;
};

DEFINE_VEC(stack_piece_vec, struct stack_piece);

struct left_walk {
	struct ev_unfinished begin;
	struct stack_piece_vec pieces;
};

void left_walk_deinit(struct left_walk *walk);

/* The tables to walk by, all borrowed. */
struct walk_tables {
	const uint32_t *slab;
	uint32_t words;
	const struct unwind_rule *rules;
	uint32_t rules_count;
	const struct unwind_range *ranges;	/* of this process alone */
	struct unwind_space space;
};

struct walked_stack {
	uint64_t id;		/* the one that the BPF walker gives this stack */
	uint32_t status;	/* enum unwind_status */
	uint32_t count;
	const uint64_t *pcs;	/* borrowed until the next walk */
	/* An interrupted frame whose table knows call sites only; 0: none. */
	uint64_t inexact_pc;
};

/*
 * @settle: an interrupted frame without a full table is guessed at; else the
 * walk ends there and says so in inexact_pc. One thread only.
 */
void rewalk(const struct left_walk *walk, const struct walk_tables *tables,
	    uint32_t max_depth, bool settle, struct walked_stack *ret);

#endif
