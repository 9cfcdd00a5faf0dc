/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which allocations are samples (--mode sampled), and which blocks are samples
 * that live.
 */
#ifndef HEAPSONDE_SAMPLING_BPF_H
#define HEAPSONDE_SAMPLING_BPF_H

#include "bpf/sample.h"
#include "bpf/thread.bpf.h"

#define EEXIST 17

/* Set while sampling: mean bytes between samples. 0: every allocation is recorded. */
__u64 sample_bytes;

/*
 * Set while sampling has begun and user space still chooses which of the blocks
 * it knows become samples: until then every block's end is told.
 */
bool sampling_begins;

/* Samples that live: the only blocks whose frees are told while sampling. */
struct sample_key {
	__u64 addr;		/* without arm64's tag */
	__u32 tgid, pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);		/* sized by user space */
	__type(key, struct sample_key);
	__type(value, __u8);
} live_samples SEC(".maps");

/*
 * How many live samples there are by a hash of their address: nearly all frees
 * are told here that they are of none, out of memory that stays in the cache.
 */
#define SAMPLE_FILTER_BITS 14

__u32 sample_filter[1 << SAMPLE_FILTER_BITS];

/*
 * Functions that others call from inside: their unsampled calls are awaited
 * too, or the inner call would have a second chance to be sampled. Nobody tells
 * which they are, so that the first calls of each are awaited to find out.
 */
#define CALLS_WATCHED 8

struct {
	__u8 calls, wraps;
} functions_seen[PROBE_FUNCS_MAX];

/*
 * Whether this call of @size bytes is a sample, as a weight; 0 if it is not. A
 * block of no bytes has the chance of one byte, or there would be none of them.
 */
static __noinline __u64 draw_sample(struct thread_state *t, __u64 size)
{
	__u64 mean = sample_bytes;

	size |= !size;
	mean = mean ? mean : 1;		/* switched off just now */
	if (t->sampled_mean != mean) {
		t->sampled_mean = mean;
		t->until_sample = sample_interval(mean, bpf_get_prandom_u32(),
						  bpf_get_prandom_u32());
	}
	if (size <= t->until_sample) {
		t->until_sample -= size;
		return 0;
	}
	/* Exponential intervals remember nothing: the next one begins behind this block. */
	t->until_sample = sample_interval(mean, bpf_get_prandom_u32(), bpf_get_prandom_u32());
	return sample_weight(size, mean);
}

/* Whether the end of a call that is no sample matters all the same. */
static __always_inline bool may_wrap(union probe_cookie cookie)
{
	__u32 func = cookie.func & (PROBE_FUNCS_MAX - 1);

	if (functions_seen[func].calls < CALLS_WATCHED) {
		functions_seen[func].calls++;
		return true;
	}
	return functions_seen[func].wraps;
}

/* A call was entered inside of the pending one. */
static __always_inline void note_nested(struct thread_state *t, union probe_cookie inner)
{
	if (inner.kind <= PROBE_RESIZE)
		functions_seen[t->call.cookie.func & (PROBE_FUNCS_MAX - 1)].wraps = 1;
}

static __always_inline __u32 *filter_of(__u64 addr)
{
	__u64 hash = (addr & ~0ull >> 8) * 0x9e3779b97f4a7c15;

	return &sample_filter[hash >> (64 - SAMPLE_FILTER_BITS)];
}

static __always_inline struct sample_key sample_key(__u64 addr, __u32 tgid)
{
	return (struct sample_key){ .addr = addr & ~0ull >> 8, .tgid = tgid };
}

static __noinline bool is_live_sample(__u64 addr, __u32 tgid)
{
	struct sample_key key = sample_key(addr, tgid);

	return *filter_of(addr) && bpf_map_lookup_elem(&live_samples, &key);
}

static __noinline int forget_sample(__u64 addr, __u32 tgid)
{
	struct sample_key key = sample_key(addr, tgid);

	if (!bpf_map_delete_elem(&live_samples, &key))
		__sync_fetch_and_add(filter_of(addr), -1);
	return 0;
}

/*
 * False if there is no room: then the block's end would not be told. One that
 * is there already has ended unseen.
 */
static __noinline bool remember_sample(__u64 addr, __u32 tgid)
{
	struct sample_key key = sample_key(addr, tgid);
	long err;
	__u8 value = 1;

	/* Counted first, or a free in between would miss it. */
	__sync_fetch_and_add(filter_of(addr), 1);
	err = bpf_map_update_elem(&live_samples, &key, &value, BPF_NOEXIST);
	if (!err)
		return true;
	__sync_fetch_and_add(filter_of(addr), -1);
	if (err == -EEXIST)
		return true;
	count(COUNT_NO_SAMPLE_ROOM);
	return false;
}

#endif
