// SPDX-License-Identifier: GPL-2.0-or-later
/* The BPF walker, compiled for user space; see rewalk.h. */
#include <string.h>

#include "capture/rewalk.h"

/* What the walker's functions below look at. */
static struct {
	const struct left_walk *walk;
	const struct walk_tables *tables;
	bool settle;
} now;

struct unwind_state;
static int may_leave_walk(const struct unwind_state *s);

#define UNWIND_HOST
#define UNWIND_MAY_LEAVE(s) may_leave_walk(s)
#define UNWIND_READABLE(addr, size) readable(addr, size)

static __u64 readable(__u64 addr, __u64 size);

#include "bpf/unwind.bpf.h"

void left_walk_deinit(struct left_walk *walk)
{
	vec_for_each(piece, &walk->pieces)
		free(piece->bytes);
	stack_piece_vec_deinit(&walk->pieces);
}

static const struct stack_piece *piece_at(__u64 addr)
{
	vec_for_each(piece, &now.walk->pieces)
		if (addr - piece->addr < piece->size)
			return piece;
	return NULL;
}

/* How many of the @size bytes at @addr are there, in one piece. */
static __u64 readable(__u64 addr, __u64 size)
{
	const struct stack_piece *piece = piece_at(addr);
	__u64 rest = piece ? piece->size - (addr - piece->addr) : 0;

	return rest < size ? rest : size;
}

static long unwind_copy_user(void *to, __u32 size, __u64 from)
{
	const struct stack_piece *piece = piece_at(from);

	if (!size || readable(from, size) < size)
		return -1;
	memcpy(to, piece->bytes + (from - piece->addr), size);
	return 0;
}

static const __u32 *unwind_slab_word(__u32 word)
{
	return word < now.tables->words ? &now.tables->slab[word] : NULL;
}

static const struct unwind_rule *unwind_rule_at(__u32 id)
{
	return id < now.tables->rules_count ? &now.tables->rules[id] : NULL;
}

static const struct unwind_range *unwind_range_at(__u32 i)
{
	__u32 first = now.tables->space.first;

	return i - first < now.tables->space.count ? &now.tables->ranges[i - first] : NULL;
}

/* Of its own, or the BPF walker would find what it cannot have looked up. */
static __u64 cache[UNWIND_CACHE_SIZE];

static __u64 *unwind_cache_at(__u32 i)
{
	return &cache[i];
}

/* Generations tell everything apart until they begin anew. */
static void retire_cache(const struct walk_tables *tables)
{
	static __u32 generation;

	if (tables->space.generation < generation)
		memset(cache, 0, sizeof(cache));
	generation = tables->space.generation;
}

/* Nobody knows any more what a return probe's trampoline replaced. */
static __u64 unwind_real_return(struct unwind_state *s)
{
	return 0;
}

static int may_leave_walk(const struct unwind_state *s)
{
	return !now.settle && s->flags & UNWIND_EXACT_PC;
}

void rewalk(const struct left_walk *walk, const struct walk_tables *tables,
	    uint32_t max_depth, bool settle, struct walked_stack *ret)
{
	static struct unwind_state s;
	const struct ev_unfinished *begin = &walk->begin;

	now.walk = walk;
	now.tables = tables;
	now.settle = settle;
	retire_cache(tables);
	memset(&s, 0, sizeof(s));
	s.space = tables->space;
	unwind_enter(&s, begin->pc, begin->sp, begin->bp, begin->lr);
	if (unwind_begin(&s, begin->start, max_depth))
		unwind_run(&s);
	*ret = (struct walked_stack){
		.id = s.hash | 1,
		.status = s.record.status,
		.count = s.record.count,
		.pcs = (const uint64_t *)s.pcs,
		.inexact_pc = s.unfinished ? s.pc : 0,
	};
}
