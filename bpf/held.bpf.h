/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Births that are held back for a moment, because most blocks are freed in it:
 * such a pair is counted here, with all pairs like it, and costs no record.
 *
 *	birth -> held_births, by address -> its free -> settled, by stack, size, thread
 *	              |                                     |
 *	              EV_HELD[_LATER]                       EV_PAIRS
 *
 * A birth is told of after all when its thread has had HELD_LATEST more, when
 * another one needs its place, when it is reallocated, when its program ends,
 * and whenever user space wants to know of everything (held_tell_all).
 *
 * Any thread may free a block, so places are found by address, and each has
 * one word that is its lock and its name. Nobody waits for it: who finds it
 * taken tells what there is to tell in the ring. A birth has its room in the
 * ring before it is taken out of its place; a free that does not find it there
 * any more is told behind it.
 */
#ifndef HEAPSONDE_HELD_BPF_H
#define HEAPSONDE_HELD_BPF_H

#include "bpf/header.bpf.h"

#define HELD_BITS 11
#define HELD_PLACES (1 << HELD_BITS)
#define HELD_BYTES_MAX 1024	/* larger blocks are seldom, and what is held no peak sees */
#define SETTLED_BITS 10
#define SETTLED_PLACES (1 << SETTLED_BITS)

/* The word of a place: 0 none, PLACE_BUSY, or lane and address of the block. */
#define PLACE_BUSY 1ull
#define HELD_NEWEST (1ull << 63)	/* its thread has had no other since */
#define HELD_LANE_SHIFT 56

/* Nameless, because the skeleton, which shows them to user space, has no types. */
struct {
	__u64 word;
	__u64 size, stack_id, time_ns;
	union probe_cookie cookie;
	__u32 tid;
	__u32 nr;		/* of the thread's births */
	__u64 pad[2];		/* to a cache line */
} held_births[HELD_PLACES] __weak;

/* Pairs that are alike, since they were told last. */
struct {
	__u64 word;		/* 0 or PLACE_BUSY */
	__u64 size, stack_id, time_ns;
	union probe_cookie cookie;
	__u32 tid;
	__u32 count, temporary;
	__u32 pad[3];
} settled[SETTLED_PLACES] __weak;

typedef __typeof__(held_births[0]) held_birth;
typedef __typeof__(settled[0]) settled_pairs;

/* Set by user space, where nothing asks for blocks that were not told of yet. */
bool hold_births __weak;

static __always_inline __u64 word_of(const __u64 *word)
{
	return *(volatile const __u64 *)word;
}

static __always_inline bool place_lock(__u64 *word, __u64 expected)
{
	return __sync_val_compare_and_swap(word, expected, PLACE_BUSY) == expected;
}

/* An exchange, because it orders what was written before. */
static __always_inline void place_unlock(__u64 *word, __u64 value)
{
	(void)__sync_lock_test_and_set(word, value);
}

static __always_inline __u64 held_word(__u64 addr, union probe_cookie cookie)
{
	return (addr & ~0ull >> 8) | (__u64)cookie.lane << HELD_LANE_SHIFT;
}

static __always_inline held_birth *held_place(__u64 word)
{
	return &held_births[word * 0x9e3779b97f4a7c15 >> (64 - HELD_BITS)];
}

/* The word it had, its place now busy; 0 if it is not there. */
static __always_inline __u64 held_take(held_birth *held, __u64 word)
{
	__u64 seen = word_of(&held->word);

	if ((seen & ~HELD_NEWEST) != word)
		return 0;
	if (place_lock(&held->word, seen))
		return seen;
	/* Its thread may just have had another one. */
	return place_lock(&held->word, word) ? word : 0;
}

/* False if it could not be told, for want of room. */
static __noinline bool held_tell(held_birth *held, __u64 word)
{
	struct ev_alloc *ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);
	__u64 taken;

	if (!ev)
		return false;
	taken = held_take(held, word);
	if (!taken) {
		bpf_ringbuf_discard(ev, BPF_RB_NO_WAKEUP);
		return true;
	}
	fill_header(&ev->h, taken & HELD_NEWEST ? EV_HELD : EV_HELD_LATER, held->cookie,
		    held->tid);
	ev->h.time_ns = held->time_ns;
	ev->addr = word & ~0ull >> 8;
	ev->size = ev->weight = held->size;
	ev->stack_id = held->stack_id;
	place_unlock(&held->word, 0);
	bpf_ringbuf_submit(ev, BPF_RB_NO_WAKEUP);
	return true;
}

static __noinline bool pairs_tell(settled_pairs *pairs)
{
	struct ev_pairs *ev = bpf_ringbuf_reserve(&events, sizeof(*ev), 0);

	if (!ev)
		return false;
	fill_header(&ev->h, EV_PAIRS, pairs->cookie, pairs->tid);
	ev->h.time_ns = pairs->time_ns;
	ev->size = pairs->size;
	ev->stack_id = pairs->stack_id;
	ev->count = pairs->count;
	ev->temporary = pairs->temporary;
	pairs->count = 0;
	bpf_ringbuf_submit(ev, BPF_RB_NO_WAKEUP);
	return true;
}

#define PAIRS_TRIES 64

/* The callbacks of bpf_loop(): *@tgid is whose, 0 all. */
static long held_tell_place(__u32 i, __u32 *tgid)
{
	held_birth *held = &held_births[i & (HELD_PLACES - 1)];
	__u64 word = word_of(&held->word) & ~HELD_NEWEST;

	if (word > PLACE_BUSY && (!*tgid || held->cookie.tgid == *tgid))
		held_tell(held, word);
	return 0;
}

static long pairs_tell_place(__u32 i, __u32 *tgid)
{
	settled_pairs *pairs = &settled[i & (SETTLED_PLACES - 1)];

	if (!*(volatile __u32 *)&pairs->count || (*tgid && pairs->cookie.tgid != *tgid))
		return 0;
	/* Whoever has it is done within a microsecond. */
	for (int tries = 0; tries < PAIRS_TRIES; tries++) {
		if (!place_lock(&pairs->word, 0))
			continue;
		if (pairs->count)
			pairs_tell(pairs);
		place_unlock(&pairs->word, 0);
		break;
	}
	return 0;
}

static __always_inline void held_tell_of(__u32 tgid)
{
	__u32 whose = tgid;

	bpf_loop(HELD_PLACES, held_tell_place, &whose, 0);
	bpf_loop(SETTLED_PLACES, pairs_tell_place, &whose, 0);
}

#endif
