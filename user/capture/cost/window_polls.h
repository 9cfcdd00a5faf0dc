/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads from outside what has become of blocks that windows have shown
 * (model/windows.h), and what the heap holds as a whole. Nothing is stopped or
 * locked for it: /proc and process_vm_readv() alone.
 *
 * The GNU C library's heap can be read, and only when a look at it makes
 * sense from its first chunk to its last, and a thread's cache proves where
 * freed blocks bear their mark; and musl's (window_musl.h), once its groups and
 * their descriptions name each other, and jemalloc's (window_jemalloc.h), once its extents say
 * of themselves what its tree says. Of other allocators' blocks the first bytes are
 * compared with what they were: a block of which less than half is the same
 * belongs to somebody else by now.
 */
#ifndef HEAPSONDE_CAPTURE_COST_WINDOW_POLLS_H
#define HEAPSONDE_CAPTURE_COST_WINDOW_POLLS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "capture/ledger/glibc_chunk.h"
#include "capture/ledger/jemalloc_heap.h"
#include "model/windows.h"

/* Whose blocks are followed. */
enum poll_allocator { POLL_GLIBC, POLL_MUSL, POLL_JEMALLOC, POLL_ANY };

/* What of the target can be read: its heap, or contents of blocks alone. */
struct poll_evidence {
	enum poll_allocator allocator;
	bool heap;
	struct tcache_key key;		/* glibc's */
	uint64_t descriptions;		/* musl's: musl_heap_find() */
	struct jemalloc_tree tree;	/* jemalloc's; no root: not found yet */
};

/*
 * Reads the heap of @pid into @ret, and tells @windows which of those that are
 * followed have a chunk in it. The @first time all blocks go there as older ones, a
 * sample of them if they are many. @lock is held for that. Chunks that windows list
 * (windows_lists_large(), glibc's alone) are in @large_ret. False if it is no heap of that
 * allocator's, or could not be read whole.
 */
bool polls_read_heap(uint32_t pid, struct windows *windows, pthread_mutex_t *lock,
		     struct poll_evidence *evidence, bool first, struct heap_census *ret,
		     struct large_chunk_vec *large_ret);

/*
 * Looks at what is followed since @since_ns (0: at all), or of that only at what it
 * never looked at, and tells @windows what has ended. Returns how many these were.
 */
size_t polls_look(uint32_t pid, struct windows *windows, pthread_mutex_t *lock,
		  const struct poll_evidence *evidence, uint64_t since_ns, bool only_new);

/* Reads the heads of all blocks that windows know by system calls, and tells what is there. */
void polls_look_at_mapped(uint32_t pid, struct windows *windows, pthread_mutex_t *lock);

#endif
