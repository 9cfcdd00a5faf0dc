/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel side needs to know of a Go target, and which of its objects
 * it watches; values of go.bpf.c's maps, which user space fills and sizes.
 */
#ifndef HEAPSONDE_GO_H
#define HEAPSONDE_GO_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define GO_SPAN_BYTES 256	/* room for a runtime.mspan ... */
#define GO_SPAN_READ 128	/* ... of which so much is read: all fields lie in there */

/* Offsets in runtime.mspan, and where the heap's arenas are described. */
struct go_target {
	__u64 mean;		/* bytes between samples; up to GO_MEAN_MAX */
	__u64 refill_mean;	/* the same while the probe of refills stands */
	__u64 arenas;		/* address of the table of heapArenas */
	__u64 crosscall, crosscall_bytes;	/* the function by which C calls Go */
	__u32 arena_inline_marks;	/* offset in one; 0: spans have no inline marks */
	__u16 span_start, span_nelems, span_free_index, span_alloc_count, span_elemsize;
	__u16 span_alloc_cache, span_alloc_bits, span_mark_bits;
	__u16 wide;		/* nelems and freeindex have 8 bytes instead of 2 */
	__u16 pad;
};

#define GO_MEAN_MAX (1ull << 31)

/* An object that is watched until the collector finds it dead. */
struct go_sample {
	__u64 owner;		/* tgid; 0: nothing here */
	__u64 addr;		/* 0: not filled in yet */
	__u64 span;		/* of the runtime.mspan */
	__u64 inline_mark;	/* address of the byte with its mark bit, or 0 */
	__u64 weight;		/* bytes that it stands for if all of the span's room is used */
	__u32 index;		/* number of the object in its span */
	__u16 taken, room;	/* objects in the span that were allocated, that were not */
	__u8 used;		/* what was used is known: weight is what it stands for */
	__u8 dead;		/* and nobody could be told yet */
	__u16 pad;
};

/* Four times as many as are wanted to be alive. */
#define GO_SAMPLES 4096

#endif
