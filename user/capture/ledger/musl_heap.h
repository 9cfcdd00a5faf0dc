/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The heap of musl's allocator (mallocng, in musl since 1.2.1; 64 bits), read from outside.
 *
 * Blocks are slots of groups, up to 32 of one size in each. What is known of a group, and
 * which of its slots are free, stands in pages of their own, of which each names the next
 * and bears the process's secret number. Four bytes before each block tell its slot, and
 * how much of that it leaves; free() marks them. A group of small slots lies in a slot
 * of a larger one. (src/malloc/mallocng there: meta.h, malloc.c.)
 */
#ifndef HEAPSONDE_CAPTURE_LEDGER_MUSL_HEAP_H
#define HEAPSONDE_CAPTURE_LEDGER_MUSL_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/vec.h"

#define MUSL_PAGE 4096u

struct musl_group {
	uint64_t mem;		/* its slots begin behind 16 bytes of its own */
	uint64_t stride;	/* bytes of a slot */
	uint32_t slots;
	uint32_t in_use;	/* a bit for each slot that is a block */
	uint32_t parent;	/* index + 1 of the group in whose slot it lies; 0: none */
};

DEFINE_VEC(musl_group_vec, struct musl_group);

/* In the order of their addresses, after musl_groups_order(). */
struct musl_heap {
	struct musl_group_vec groups;
};

void musl_heap_deinit(struct musl_heap *heap);

/*
 * Where process @pid has its first page of descriptions. Only if each of the groups in it
 * says that it is described there. False: no such allocator, or it has no block yet.
 */
bool musl_heap_find(uint32_t pid, uint64_t *first_ret);
/* Reads all from there on into an empty @ret; false if it makes no sense any more. */
bool musl_heap_read(uint32_t pid, uint64_t first, struct musl_heap *ret);

/*
 * Takes the groups that are described in a page; @next_ret is the page after it, or 0.
 * False if it is none: @secret is what its first word must be, 0 for any.
 */
bool musl_groups_add_page(struct musl_heap *heap, const void *page, uint64_t secret,
			  uint64_t *next_ret);
/* When all are there: what lies in what. Slots that hold a group are no blocks then. */
void musl_groups_order(struct musl_heap *heap);

/* The innermost group of which @addr lies in a slot; NULL: none. */
const struct musl_group *musl_group_at(const struct musl_heap *heap, uint64_t addr,
				       uint32_t *slot_ret);
uint64_t musl_slot_start(const struct musl_group *group, uint32_t slot);

/*
 * @head is the 8 bytes before a block. Whether a block is given out that begins
 * just at @addr, in that slot ...
 */
bool musl_head_is_block(uint64_t head, const struct musl_group *group, uint32_t slot,
			uint64_t addr);
/* ... and whether it is as long as was asked for. */
bool musl_head_fits_request(uint64_t head, const struct musl_group *group, uint32_t slot,
			    uint64_t addr, uint64_t size);
/* Of the 8 bytes, what is the block's own: another owner's are likely others. Never 0. */
uint64_t musl_head_mark(uint64_t head);
/* Where the block in a slot begins; @head is the 8 bytes before the slot's start. */
uint64_t musl_block_in_slot(uint64_t head, uint64_t start);

/* The slot that a request is given. */
uint64_t musl_slot_bytes(uint64_t request);

#endif
