/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the model knows of each thread of an image: the address it allocated
 * last (a free of just that is a temporary allocation) and the block it is
 * reallocating.
 *
 * Thread ends are not reported, so states of the dead must go otherwise:
 * when the table is crowded, those that were idle since it was crowded last
 * are swept out. It holds at most twice the threads that were active in between.
 */
#ifndef HEAPSONDE_MODEL_THREADS_H
#define HEAPSONDE_MODEL_THREADS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"
#include "model/blocks.h"
#include "model/map64.h"

#define THREADS_CROWD 1024	/* states at which sweeping begins */

struct thread {
	uint64_t last;		/* where its last allocation was, freed or not; 0: unknown */
	uint64_t freed;		/* what it freed since, last; 0: nothing */
	uint32_t tid;
	bool active;		/* since the last sweep */
	bool pending;		/* between EV_REALLOC_BEGIN and EV_REALLOC */
	bool pending_known;	/* the old block was in the table and is now below */
	bool pending_last;	/* ... and was the thread's last allocation */
	uint64_t pending_addr;
	uint64_t pending_pool;	/* that the old block was of; 0: none */
	struct block pending_block;
};

DEFINE_VEC(thread_vec, struct thread);

/* A zeroed struct is an empty table. */
struct threads {
	struct map64 by_tid;		/* tid -> index + 1 */
	struct map64 by_last;		/* last -> index + 1; at most one thread each */
	struct thread_vec list;
	size_t crowd;			/* length at which it is crowded */
};

void threads_deinit(struct threads *threads);

/* NULL if there is none. Pointers die at the next add or sweep. */
static inline struct thread *threads_find(struct threads *threads, uint32_t tid)
{
	uint32_t i = map64_get(&threads->by_tid, tid);

	return i ? &threads->list.data[i - 1] : NULL;
}

/* Enters a thread that is not there. */
struct thread *threads_add(struct threads *threads, uint32_t tid);
/* Whether threads_sweep() is due before the next threads_add(). */
bool threads_crowded(const struct threads *threads);
/* Drops the idle, whose pending blocks the caller has settled before. */
void threads_sweep(struct threads *threads);

/*
 * @thread allocated @addr (0: a block that is not tracked): whoever had it as
 * last allocation has lost it, for the block that will be freed there next is
 * another one.
 */
void threads_set_last(struct threads *threads, struct thread *thread, uint64_t addr);
/* What is at @addr is no thread's last allocation. */
void threads_disown(struct threads *threads, uint64_t addr);
/* No free from here on is known to be of a thread's last allocation. */
void threads_forget_last(struct threads *threads);

#endif
