// SPDX-License-Identifier: GPL-2.0-or-later
/* Earlier snapshots; see past.h. */
#include <math.h>
#include <string.h>

#include "view/past.h"

#define PAST_MAX 48
#define PAST_BYTES_MAX (48u << 20)

uint64_t stack_key(const struct snapshot_stack *stack)
{
	uint64_t salt = ((uint64_t)stack->target << 8 | stack->kind) + 1;

	return stack->id ^ salt * 0x9e3779b97f4a7c15u;
}

static void drop_past(struct past *past)
{
	vec_for_each(snap, &past->kept)
		snapshot_destroy(*snap);
	past->kept.len = 0;
	snapshot_destroy(steal_ptr(past->before));
}

void past_deinit(struct past *past)
{
	drop_past(past);
	snapshot_ref_vec_deinit(&past->kept);
	trace_vec_deinit(&past->traces);
	map64_deinit(&past->index);
	*past = (struct past){ 0 };
}

static struct snapshot *last(const struct past *past)
{
	return past->kept.len ? past->kept.data[past->kept.len - 1] : NULL;
}

static size_t bytes_of(const struct snapshot *snap)
{
	return snap->stacks.len * sizeof(*snap->stacks.data) +
	       snap->shares.len * sizeof(*snap->shares.data) +
	       snap->frames.len * sizeof(*snap->frames.data);
}

/* Every second one goes, the first and the last stay. */
static void thin_past(struct past *past)
{
	struct snapshot_ref_vec *all = &past->kept;
	size_t kept = 0;

	for (size_t i = 0; i < all->len; i++) {
		if (i % 2 && i + 1 < all->len)
			snapshot_destroy(all->data[i]);
		else
			all->data[kept++] = all->data[i];
	}
	all->len = kept;
}

static void keep(struct past *past, struct snapshot *snap)
{
	snapshot_ref_vec_push(&past->kept, snapshot_ref(snap));
	if (past->kept.len > PAST_MAX ||
	    (past->kept.len > 2 && past->kept.len * bytes_of(snap) > PAST_BYTES_MAX))
		thin_past(past);
}

static void push_live(struct trace *trace, int64_t live)
{
	if (trace->len == TRACE_LEN) {
		memmove(trace->live, trace->live + 1, (TRACE_LEN - 1) * sizeof(trace->live[0]));
		trace->len--;
	}
	trace->live[trace->len++] = live;
}

/* Of a program's own profile, which counts from its start: not what we saw happen. */
static bool is_older(const struct snapshot_stack *stack, const struct snapshot *before)
{
	return !before && stack->kind == MEMORY_PROFILE;
}

static void take_stack(struct past *past, const struct snapshot_stack *stack, double span_s)
{
	uint64_t key = stack_key(stack);
	uint32_t place = map64_get(&past->index, key);
	struct trace *trace;

	if (!place) {
		trace_vec_push(&past->traces, (struct trace){ 0 });
		place = past->traces.len;
		map64_set(&past->index, key, place);
	}
	trace = &past->traces.data[place - 1];
	push_live(trace, stack->m.live_bytes);
	/* An estimate may be less than it was. */
	trace->allocs_per_s = span_s > 0 && stack->m.alloc_count > trace->alloc_count ?
		(double)(stack->m.alloc_count - trace->alloc_count) / span_s : 0;
	trace->alloc_count = stack->m.alloc_count;
	trace->round = past->round;
}

static struct snapshot_totals before_attach(const struct snapshot *first)
{
	struct snapshot_totals older = { 0 };

	vec_for_each(stack, &first->stacks) {
		if (!is_older(stack, NULL))
			continue;
		older.m.alloc_count += stack->m.alloc_count;
		older.m.alloc_bytes += stack->m.alloc_bytes;
		older.m.free_count += stack->m.free_count;
		older.m.free_bytes += stack->m.free_bytes;
	}
	return older;
}

static struct rates rates_between(const struct snapshot *from, const struct snapshot *to)
{
	const struct snapshot none = from ? (struct snapshot){ 0 } :
				     (struct snapshot){ .totals = before_attach(to) };
	double span;

	from = from ? from : &none;
	span = to->duration_s - from->duration_s;
	if (span <= 0)
		return (struct rates){ 0 };
#define RATE(member) fmax(0, (double)(to->member - from->member) / span)
	return (struct rates){
		.allocs = RATE(totals.m.alloc_count), .alloc_bytes = RATE(totals.m.alloc_bytes),
		.frees = RATE(totals.m.free_count), .free_bytes = RATE(totals.m.free_bytes),
		.probe_hits = RATE(cost.probe_hits),
		/* Loading the programs is no running cost. */
		.own_cpu = from == &none ? 0 : RATE(cost.own_cpu_s),
	};
#undef RATE
}

void past_take(struct past *past, struct snapshot *snap)
{
	const struct snapshot *before = last(past);
	double span_s;

	if (before && snap->duration_s < before->duration_s) {
		past_deinit(past);
		before = NULL;
	}
	span_s = snap->duration_s - (before ? before->duration_s : 0);
	if (before && span_s <= 0)
		return;
	past->round++;
	vec_for_each(stack, &snap->stacks)
		take_stack(past, stack, is_older(stack, before) ? 0 : span_s);
	past->rates = rates_between(before, snap);
	snapshot_destroy(past->before);
	past->before = snapshot_ref((struct snapshot *)before);
	keep(past, snap);
}

const struct trace *past_trace(const struct past *past,
				  const struct snapshot_stack *stack)
{
	uint32_t place = map64_get(&past->index, stack_key(stack));

	return place ? &past->traces.data[place - 1] : NULL;
}

struct snapshot *past_at(const struct past *past, double t_s)
{
	struct snapshot *found = past->kept.len ? past->kept.data[0] : NULL;

	vec_for_each(snap, &past->kept)
		if ((*snap)->duration_s <= t_s)
			found = *snap;
	return found;
}

void stack_index_init(struct stack_index *index, const struct snapshot *snap)
{
	*index = (struct stack_index){ .snap = snap };
	for (size_t i = 0; i < snap->stacks.len; i++)
		map64_set(&index->places, stack_key(&snap->stacks.data[i]), (uint32_t)i + 1);
}

void stack_index_deinit(struct stack_index *index)
{
	map64_deinit(&index->places);
	*index = (struct stack_index){ 0 };
}

const struct snapshot_stack *stack_index_find(const struct stack_index *index, uint64_t key)
{
	uint32_t place = map64_get(&index->places, key);

	return place ? &index->snap->stacks.data[place - 1] : NULL;
}
