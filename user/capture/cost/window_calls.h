/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blocks that malloc does not cut from its heap but maps by themselves: known
 * exactly, between windows too, by the system calls that the kernel's ledger tells
 * (bpf/memory.bpf.c).
 *
 *	EV_MEMORY -> was it malloc's? -> model/windows.h: windows_map(), _unmap()
 *	EV_LARGE  -> whose is it?     -> windows_large()
 *
 * It was, if its call path goes through malloc or its kin and through no other function
 * that gives memory. Their frames, and what they call, are cut off, so that the path is
 * the one that a probe on them sees. So are those of large requests, told from within malloc.
 */
#ifndef HEAPSONDE_CAPTURE_COST_WINDOW_CALLS_H
#define HEAPSONDE_CAPTURE_COST_WINDOW_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/vec.h"
#include "bpf/events.h"
#include "capture/discovery/discovery.h"
#include "model/map64.h"

struct code_range { uint64_t start, end; };

/*
 * Where malloc and its kin are in a target. Functions of theirs that have no symbol lie
 * between those that have: they come from one source file.
 */
struct allocator_text {
	struct code_range all;		/* empty: not known */
	struct code_range plain[3];	/* whose blocks begin right behind the chunk's head */
};

/* Of the GNU C library's malloc in @object; empty if it has none, or it is spread too far. */
struct allocator_text allocator_text_of(const struct object_plan *object);

/*
 * How many frames of a stack, leaf first, are the allocator's or what it calls; 0 if it
 * is none of that. @plain_ret: whether the block will begin where it does by default.
 */
uint32_t allocator_frames(const struct allocator_text *text, const uint64_t *pcs,
			  uint32_t count, bool *plain_ret);

/* The id of stack @id without its first @skip frames; 0: the frames are not that stack's. */
uint64_t stack_id_without(uint64_t id, const uint64_t *pcs, uint32_t count, uint32_t skip);

struct call_owner {
	uint64_t stack_id;	/* of malloc's caller; 0: the call was not malloc's */
	bool plain;
};

DEFINE_VEC(call_owner_vec, struct call_owner);

/* Under the session's lock. A zeroed struct takes nothing. */
struct window_calls {
	uint32_t pid;
	struct allocator_text text;
	struct map64 known;		/* stack -> index + 1 of owners */
	struct call_owner_vec owners;
};

void window_calls_deinit(struct window_calls *calls);
/* The process runs this program. Ignored if it is known already. */
void window_calls_begin(struct window_calls *calls, uint32_t pid,
			const struct allocator_text *text);
/* It runs another one, of which nothing is known yet. */
void window_calls_forget(struct window_calls *calls);

struct session;
struct windows;

/* A system call, told by the ring; others than the process's are ignored. */
void window_calls_feed(struct window_calls *calls, struct session *session,
		       struct windows *windows, const struct ev_memory *ev);

/*
 * A large request. If its block will not begin where it does by default, its chunk will be
 * another one than was looked for: then windows alone tell of it.
 */
void window_calls_feed_large(struct window_calls *calls, struct session *session,
			     struct windows *windows, const struct ev_alloc *ev);

#endif
