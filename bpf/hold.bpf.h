/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What threads do with held births (held.bpf.h): a birth is held back, a free
 * settles it.
 */
#ifndef HEAPSONDE_HOLD_BPF_H
#define HEAPSONDE_HOLD_BPF_H

#include "bpf/held.bpf.h"
#include "bpf/thread.bpf.h"

/* The oldest of the thread's latest births: it was not short-lived. */
static __always_inline void held_age(struct thread_state *t, __u64 word)
{
	__u32 nr = t->births++;
	__u64 *latest = &t->held[nr & (HELD_LATEST - 1)], old = *latest;

	*latest = word;
	if (old) {
		held_birth *held = held_place(old);

		if ((word_of(&held->word) & ~HELD_NEWEST) == old && held->tid == t->tid &&
		    held->nr == nr - HELD_LATEST)
			held_tell(held, old);
	}
}

/*
 * The thread has a newer block than it had. Where another thread has been given
 * the older one's address in this instant, it loses its mark, and at worst one
 * pair is not called temporary.
 */
static __noinline int held_succeed(struct thread_state *t)
{
	union probe_cookie cookie = { .value = t->call.cookie.value };
	__u64 word = held_word(t->newest, cookie);
	held_birth *held = held_place(word);

	if (t->newest && word_of(&held->word) == (word | HELD_NEWEST) && held->tid == t->tid)
		__sync_val_compare_and_swap(&held->word, word | HELD_NEWEST, word);
	t->newest = t->call.given & ~0ull >> 8;
	t->freed = 0;
	return 0;
}

static __noinline bool hold(struct thread_state *t, __u64 stack_id)
{
	__u64 word = held_word(t->call.given, t->call.cookie);
	held_birth *held = held_place(word);
	__u64 other = word_of(&held->word) & ~HELD_NEWEST;

	held_age(t, word);
	if (other > PLACE_BUSY)
		held_tell(held, other);
	if (!place_lock(&held->word, 0))
		return false;
	held->size = t->call.size;
	held->stack_id = stack_id;
	held->cookie = t->call.cookie;
	held->tid = t->tid;
	held->nr = t->births - 1;
	held->time_ns = tick_ns();
	place_unlock(&held->word, word | HELD_NEWEST);
	return true;
}

/*
 * A block was given to the thread's call. True if its birth is held back. A
 * stack that user space is to walk has an id that is this one birth's.
 */
static __always_inline bool hold_birth(struct thread_state *t, __u64 stack_id)
{
	if (!t->call.cookie.lane)
		return false;
	held_succeed(t);
	if (!hold_births || t->call.size > HELD_BYTES_MAX || t->call.pool || t->unwind.unfinished)
		return false;
	return hold(t, stack_id);
}

static __always_inline settled_pairs *pairs_place(const held_birth *held)
{
	__u64 key = held->stack_id ^ held->size << 20 ^ held->tid;

	return &settled[key * 0x9e3779b97f4a7c15 >> (64 - SETTLED_BITS)];
}

static __always_inline bool pairs_are_of(const settled_pairs *pairs,
					 const held_birth *held)
{
	return pairs->stack_id == held->stack_id && pairs->size == held->size &&
	       pairs->tid == held->tid && pairs->cookie.value == held->cookie.value;
}

/* Both places are locked. */
static __noinline int pairs_add(settled_pairs *pairs, const held_birth *held,
				bool temporary)
{
	if (!pairs_are_of(pairs, held) || pairs->count == ~0u) {
		if (pairs->count && !pairs_tell(pairs)) {
			count(COUNT_DROP_ALLOC);
			count(COUNT_DROP_FREE);
			return 0;
		}
		pairs->size = held->size;
		pairs->stack_id = held->stack_id;
		pairs->cookie = held->cookie;
		pairs->tid = held->tid;
		pairs->count = pairs->temporary = 0;
	}
	if (!pairs->count) {
		pairs->temporary = 0;
		pairs->time_ns = held->time_ns;
	}
	pairs->count++;
	pairs->temporary += temporary;
	return 0;
}

/* The birth that the thread ends is held, or was. True if that settled both. */
static __noinline bool held_end(struct thread_state *t, held_birth *held, __u64 word)
{
	/* Whose it really is will be seen once it is taken. */
	settled_pairs *pairs = pairs_place(held);

	if (!place_lock(&pairs->word, 0)) {
		if (!held_tell(held, word) && held_take(held, word)) {
			place_unlock(&held->word, 0);
			count(COUNT_DROP_ALLOC);
		}
		return false;
	}
	if (!held_take(held, word)) {
		place_unlock(&pairs->word, 0);
		return false;
	}
	t->freed = word & ~0ull >> 8;
	pairs_add(pairs, held, held->tid == t->tid && t->newest == t->freed);
	place_unlock(&held->word, 0);
	place_unlock(&pairs->word, 0);
	return true;
}

/* Whether the thread's free of @addr is settled with the block's birth. */
static __always_inline bool settle_pair(struct thread_state *t, union probe_cookie cookie,
					__u64 addr)
{
	__u64 word = held_word(addr, cookie);
	held_birth *held = held_place(word);

	return (word_of(&held->word) & ~HELD_NEWEST) == word && held_end(t, held, word);
}

/* What a free is that was not settled: the model cannot see what is held. */
static __always_inline enum event_kind free_kind(const struct thread_state *t, __u64 addr)
{
	addr &= ~0ull >> 8;
	if (t->newest == addr)
		return EV_FREE;
	return t->freed == addr ? EV_FREE_AGAIN : EV_FREE_LATER;
}

/* Tells of the block at @addr, if it is held: its thread goes on with it. */
static __noinline int held_tell_block(__u64 cookie_value, __u64 addr)
{
	union probe_cookie cookie = { .value = cookie_value };
	__u64 word = held_word(addr, cookie);
	held_birth *held = held_place(word);

	if ((word_of(&held->word) & ~HELD_NEWEST) != word || held_tell(held, word))
		return 0;
	if (held_take(held, word)) {
		place_unlock(&held->word, 0);
		count(COUNT_DROP_ALLOC);
	}
	return 0;
}

#endif
