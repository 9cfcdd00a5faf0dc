// SPDX-License-Identifier: GPL-2.0-or-later
/* System calls by which malloc maps blocks; see window_calls.h. */
#include <string.h>

#include "capture/cost/window_calls.h"
#include "capture/session_private.h"
#include "model/windows.h"

#define PAGE 4096ull
#define TEXT_MAX (64u << 10)	/* malloc.c and its neighbours are a tenth of that */

/* --- which frames --- */

static const char *const plain_functions[] = { "malloc", "calloc", "realloc" };

static void note_plain(struct allocator_text *text, const struct planned_probe *probe,
		       struct code_range range)
{
	for (size_t i = 0; i < sizeof(plain_functions) / sizeof(plain_functions[0]); i++)
		if (!strcmp(probe->function->symbol, plain_functions[i]))
			text->plain[i] = range;
}

struct allocator_text allocator_text_of(const struct object_plan *object)
{
	struct allocator_text text = { .all = { UINT64_MAX, 0 } };

	if (!object->allocator || strcmp(object->allocator, "glibc"))
		return (struct allocator_text){ 0 };
	vec_for_each(probe, &object->probes) {
		uint64_t start = object->bias + probe->symbol.vaddr;
		struct code_range range = { start, start + probe->symbol.size };

		if (probe->function->group != GROUP_MALLOC)
			continue;
		text.all.start = range.start < text.all.start ? range.start : text.all.start;
		text.all.end = range.end > text.all.end ? range.end : text.all.end;
		note_plain(&text, probe, range);
	}
	if (text.all.end <= text.all.start || text.all.end - text.all.start > TEXT_MAX)
		return (struct allocator_text){ 0 };
	return text;
}

/* @pc is a return address: what it returns to may be the next function. */
static bool is_in(struct code_range range, uint64_t pc)
{
	return pc > range.start && pc <= range.end;
}

static bool is_plain(const struct allocator_text *text, uint64_t pc)
{
	for (size_t i = 0; i < sizeof(text->plain) / sizeof(text->plain[0]); i++)
		if (is_in(text->plain[i], pc))
			return true;
	return false;
}

uint32_t allocator_frames(const struct allocator_text *text, const uint64_t *pcs,
			  uint32_t count, bool *plain_ret)
{
	uint32_t first = 0, frames;

	while (first < count && !is_in(text->all, pcs[first]))
		first++;
	for (frames = first; frames < count && is_in(text->all, pcs[frames]); frames++)
		*plain_ret = is_plain(text, pcs[frames]);
	/* What an allocator asks for on behalf of another's call is no block of its own. */
	for (uint32_t i = frames; i < count; i++)
		if (is_in(text->all, pcs[i]))
			return 0;
	return frames > first && frames < count ? frames : 0;
}

/* What the hash was before @pc went into it. */
static uint64_t unhash(uint64_t hash, uint64_t pc)
{
	uint64_t inverse = UNWIND_HASH_FACTOR;	/* right in 3 bits; each step doubles them */

	for (int bits = 3; bits < 64; bits *= 2)
		inverse *= 2 - UNWIND_HASH_FACTOR * inverse;
	return (hash ^ hash >> 32) * inverse ^ pc;
}

static uint64_t unhash_all(uint64_t hash, const uint64_t *pcs, uint32_t count)
{
	while (count > 0)
		hash = unhash(hash, pcs[--count]);
	return hash;
}

/* Going backwards finds the epoch that the hash began with, which only few bits are of. */
uint64_t stack_id_without(uint64_t id, const uint64_t *pcs, uint32_t count, uint32_t skip)
{
	uint64_t hash = unhash_all(id, pcs, count);

	if (hash > UINT32_MAX)
		hash = unhash_all(id - 1, pcs, count);	/* the bit that is always set */
	if (hash > UINT32_MAX)
		return 0;
	for (uint32_t i = skip; i < count; i++)
		hash = unwind_hash(hash, pcs[i]);
	return hash | 1;
}

/* --- whose calls --- */

void window_calls_deinit(struct window_calls *calls)
{
	map64_deinit(&calls->known);
	call_owner_vec_deinit(&calls->owners);
}

void window_calls_forget(struct window_calls *calls)
{
	window_calls_deinit(calls);
	*calls = (struct window_calls){ 0 };
}

void window_calls_begin(struct window_calls *calls, uint32_t pid,
			const struct allocator_text *text)
{
	if (calls->pid || !text->all.end)
		return;
	calls->pid = pid;
	calls->text = *text;
}

/* As if the kernel side had told of the caller's stack. */
static void tell_stack(struct session *s, uint32_t pid, uint64_t id, uint32_t status,
		       const uint64_t *pcs, uint32_t count)
{
	size_t size = sizeof(struct ev_stack) + count * sizeof(*pcs);
	__cleanup_free struct ev_stack *ev = xcalloc(1, size);

	ev->h.kind = EV_STACK;
	ev->h.tgid = pid;
	ev->stack_id = id;
	ev->count = count;
	ev->status = status;
	memcpy(ev->pcs, pcs, count * sizeof(*pcs));
	model_feed(s->model, ev, size);
	session_keep_stack(s, ev, size);
}

static struct call_owner find_owner(const struct window_calls *calls, struct session *s,
				    const struct model_row *stack)
{
	struct call_owner owner = { 0 };
	uint32_t frames = allocator_frames(&calls->text, stack->pcs, stack->pc_count,
					   &owner.plain);

	if (!frames)
		return owner;
	owner.stack_id = stack_id_without(stack->stack_id, stack->pcs, stack->pc_count, frames);
	if (owner.stack_id)
		tell_stack(s, calls->pid, owner.stack_id, stack->status, stack->pcs + frames,
			   stack->pc_count - frames);
	return owner;
}

/* A stack that is not known yet may be later: then it is none of malloc's only for now. */
static struct call_owner owner_of(struct window_calls *calls, struct session *s,
				  uint64_t stack_id)
{
	uint32_t number = map64_get(&calls->known, stack_id);
	struct model_row stack = { 0 };
	struct call_owner owner;

	if (number)
		return calls->owners.data[number - 1];
	model_describe_stack(s->model, stack_id, &stack);
	if (!stack.pc_count)
		return (struct call_owner){ 0 };
	owner = find_owner(calls, s, &stack);
	call_owner_vec_push(&calls->owners, owner);
	map64_set(&calls->known, stack_id, (uint32_t)calls->owners.len);
	return owner;
}

static uint64_t page_up(uint64_t addr)
{
	return (addr + PAGE - 1) & -PAGE;
}

/* New arenas are reserved first, without any access: not by a call that gives a block. */
static bool may_be_block(const struct ev_memory *ev)
{
	return ev->call == CALL_MREMAP ||
	       (ev->call == CALL_MMAP && ev->arg & MEMORY_ACCESSIBLE &&
		!(ev->arg & (MEMORY_FILE | MEMORY_SHARED)));
}

void window_calls_feed(struct window_calls *calls, struct session *s, struct windows *windows,
		       const struct ev_memory *ev)
{
	uint64_t now = ev->h.time_ns;
	struct mapped_block block = { ev->addr, page_up(ev->addr + ev->size), now, false };
	struct call_owner owner = { 0 };

	if (!calls->pid || ev->h.tgid != calls->pid || !s->growth.sees_calls)
		return;
	if (may_be_block(ev))
		owner = owner_of(calls, s, ev->stack_id);
	block.at_front = owner.plain;
	if (ev->call == CALL_MREMAP)
		windows_unmap(windows, ev->old_addr, page_up(ev->old_addr + ev->arg), now);
	if (owner.stack_id && ev->call == CALL_MMAP)
		windows_large_mapped(windows, ev->h.tid, block.end - block.start);
	if (owner.stack_id)
		windows_map(windows, &block, owner.stack_id);
	else if (ev->call == CALL_MUNMAP || ev->call == CALL_MMAP || ev->call == CALL_MREMAP)
		windows_unmap(windows, block.start, block.end, now);
}

void window_calls_feed_large(struct window_calls *calls, struct session *s,
			     struct windows *windows, const struct ev_alloc *ev)
{
	struct call_owner owner;

	if (!calls->pid || ev->h.tgid != calls->pid)
		return;
	owner = owner_of(calls, s, ev->stack_id);
	if (!owner.stack_id || !owner.plain)
		return;
	windows_large(windows, &(struct told_large){
		.stack_id = owner.stack_id, .time_ns = ev->h.time_ns,
		.chunk_bytes = ev->size, .tid = ev->h.tid,
	});
}
