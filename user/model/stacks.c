// SPDX-License-Identifier: GPL-2.0-or-later
/* Stacks and the arena of their frames; see stacks.h. */
#include <stdlib.h>
#include <string.h>

#include "bpf/events.h"
#include "model/stacks.h"

#define CHUNK_PCS 8192		/* 64 KiB; holds any one stack */
_Static_assert(CHUNK_PCS >= MAX_DEPTH, "a stack fits a chunk");

void stacks_init(struct stacks *stacks)
{
	*stacks = (struct stacks){ .chunk_used = CHUNK_PCS };
	stack_vec_push(&stacks->list, (struct stack){ .status = UNWIND_LOST });
}

void stacks_deinit(struct stacks *stacks)
{
	vec_for_each(chunk, &stacks->chunks)
		free(*chunk);
	stack_chunk_vec_deinit(&stacks->chunks);
	stack_vec_deinit(&stacks->list);
	map64_deinit(&stacks->index);
}

uint32_t stacks_intern(struct stacks *stacks, uint64_t id)
{
	uint32_t i = map64_get(&stacks->index, id);

	if (i || stacks->list.len > STACKS_MAX)
		return i;
	i = stacks->list.len;
	stack_vec_push(&stacks->list, (struct stack){ .id = id, .status = UNWIND_LOST });
	map64_set(&stacks->index, id, i);
	return i;
}

static const uint64_t *store_pcs(struct stacks *stacks, const void *pcs, uint32_t count)
{
	uint64_t *copy;

	if (stacks->chunk_used + count > CHUNK_PCS) {
		stack_chunk_vec_push(&stacks->chunks, xmalloc(CHUNK_PCS * sizeof(*copy)));
		stacks->chunk_used = 0;
	}
	copy = stacks->chunks.data[stacks->chunks.len - 1] + stacks->chunk_used;
	memcpy(copy, pcs, count * sizeof(*copy));
	stacks->chunk_used += count;
	stacks->pcs_total += count;
	return copy;
}

void stacks_set_frames(struct stacks *stacks, uint64_t id, const void *pcs, uint32_t count,
		       uint32_t status)
{
	uint32_t i = stacks_intern(stacks, id);
	struct stack *stack = &stacks->list.data[i];

	if (!i || stack->count || !count || stacks->pcs_total + count > STACKS_PCS_MAX)
		return;
	stack->pcs = store_pcs(stacks, pcs, count);
	stack->count = count;
	stack->status = status;
}

void stacks_rename(struct stacks *stacks, uint64_t id, uint64_t real)
{
	uint32_t from = stacks_intern(stacks, id), to = stacks_intern(stacks, real);

	if (!from || !to || from == to || stacks->list.data[to].same_as)
		return;
	stacks->renamed += !stacks->list.data[from].same_as;
	stacks->list.data[from].same_as = to;
}

uint32_t stacks_real(const struct stacks *stacks, uint32_t i)
{
	uint32_t real = stacks->list.data[i].same_as;

	return real ? real : i;
}
