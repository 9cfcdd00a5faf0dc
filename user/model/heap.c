// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What allocations, frees and reallocations do to an image's live blocks, also
 * when records between them were lost. A realloc is a free of the old block
 * and an allocation of the new one.
 */
#include "model/model.h"

/* arm64 pointers may carry tags in their top byte; a block has but one address. */
static uint64_t untag(uint64_t addr)
{
	return addr & (UINT64_MAX >> 8);
}

static void block_freed(struct model *model, const struct block *block, bool temporary)
{
	agg_free(&model->agg, block->row, block->bytes, block->count,
		 temporary ? block->count : 0);
	if (block->variance.count > 0)
		spread_free(&model->agg.spreads[block->row], block->variance, temporary);
}

/* Enters a block. One that is there already was freed, and that record was lost. */
static void put_block(struct model *model, struct image *image, uint64_t addr,
		      const struct block *block)
{
	struct block old;

	if (blocks_put(&image->blocks, addr, block, &old)) {
		pools_remove(&image->pools, addr);
		block_freed(model, &old, false);
		model->counts.settled_by_reuse++;
	}
}

/* Takes the block at @addr out, if it is known, and from its pool. */
static bool take_block(struct image *image, uint64_t addr, struct block *ret)
{
	if (!blocks_take(&image->blocks, addr, ret))
		return false;
	pools_remove(&image->pools, addr);
	return true;
}

/*
 * The thread has gone on without a word of how its realloc ended: the record
 * was lost. The old block is taken for freed and the new one is not known.
 */
static void settle_lost_realloc(struct model *model, struct thread *thread)
{
	if (!thread->pending)
		return;
	thread->pending = false;
	if (thread->pending_known)
		block_freed(model, &thread->pending_block, false);
	model->counts.untracked_allocs++;
}

static struct thread *add_thread(struct model *model, struct image *image, uint32_t tid)
{
	if (threads_crowded(&image->threads)) {
		vec_for_each(thread, &image->threads.list) {
			if (!thread->active)
				settle_lost_realloc(model, thread);
		}
		threads_sweep(&image->threads);
	}
	return threads_add(&image->threads, tid);
}

static struct thread *thread_of(struct model *model, struct image *image, uint32_t tid)
{
	struct thread *thread = threads_find(&image->threads, tid);

	if (!thread)
		thread = add_thread(model, image, tid);
	thread->active = true;
	return thread;
}

/*
 * 32 random bits (splitmix64; Steele, Lea and Flood, 2014), the same for the same
 * records. Not made from a record: a thread that is given one address again and
 * again would have one draw for all of a clock tick's.
 */
static uint32_t draw(struct model *model)
{
	uint64_t x = model->draws += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return (uint32_t)(x >> 32);
}

/*
 * How many allocations a record stands for: weight / size, rounded up or down by
 * a draw that is right on average. A record stands for at least its own.
 */
static uint64_t counted(struct model *model, const struct ev_alloc *ev)
{
	if (ev->weight <= ev->size)
		return 1;
	if (!ev->size)
		return ev->weight;
	return ev->weight / ev->size + (draw(model) % ev->size < ev->weight % ev->size);
}

static struct block block_of(struct model *model, struct image *image, const struct ev_alloc *ev)
{
	const struct origin origin = origin_of(ev);
	struct block block = {
		.bytes = ev->size,
		.count = counted(model, ev),
		.row = model_row_of(model, image, &origin, MEMORY_HEAP),
		.birth = model_birth(model, ev->h.time_ns),
		.variance = sample_variance(ev->size, ev->weight),
	};

	if (ev->weight > ev->size && ev->size)
		block.bytes = ev->weight;
	return block;
}

/* Another block lies there that is not held: what was held in its place is gone. */
static void forget_place(struct model *model, struct image *image, uint64_t addr)
{
	struct block old;

	if (take_block(image, addr, &old)) {
		block_freed(model, &old, false);
		model->counts.settled_by_reuse++;
	}
}

/* False if it cannot be held. */
static bool enter_block(struct model *model, struct image *image, const struct ev_alloc *ev)
{
	uint64_t addr = untag(ev->addr);
	struct block block = block_of(model, image, ev);

	if (!block.row || !model_take_room(model, ROOM_OF_BLOCK)) {
		model->counts.untracked_allocs++;
		forget_place(model, image, addr);
		return false;
	}
	put_block(model, image, addr, &block);
	agg_alloc(&model->agg, block.row, block.bytes, block.count);
	if (block.variance.count > 0)
		spread_alloc(&model->agg.spreads[block.row], block.variance);
	if (image->reported.len)
		map64_remove(&image->reported, addr);
	return true;
}

void model_may_miss(struct model *model, const struct ev_alloc *ev)
{
	struct image *image = model_running_image(model, ev->h.tgid);
	const struct origin origin = origin_of(ev);
	uint32_t row = image ? model_row_of(model, image, &origin, MEMORY_HEAP) : 0;

	if (row)
		spread_missed(&model->agg.spreads[row], sample_variance(ev->size, ev->weight));
}

static void allocated(struct model *model, struct image *image, struct thread *thread,
		      const struct ev_alloc *ev)
{
	bool held = enter_block(model, image, ev);

	threads_set_last(&image->threads, thread, held ? untag(ev->addr) : 0);
}

/* A block outside the size limits. */
static void allocated_ignored(struct model *model, struct image *image, struct thread *thread,
			      uint64_t addr)
{
	forget_place(model, image, addr);
	threads_set_last(&image->threads, thread, 0);
}

void heap_on_alloc(struct model *model, struct image *image, const struct ev_alloc *ev)
{
	struct thread *thread = thread_of(model, image, ev->h.tid);

	settle_lost_realloc(model, thread);
	if (untag(ev->addr))
		allocated(model, image, thread, ev);
	else
		model->counts.failed_alloc_count += (int64_t)counted(model, ev);
}

/*
 * Told a moment after it happened, and perhaps by another thread: of its own one
 * it says no more than whether that had another block since.
 */
void heap_on_held(struct model *model, struct image *image, const struct ev_alloc *ev)
{
	if (enter_block(model, image, ev))
		threads_set_last(&image->threads, thread_of(model, image, ev->h.tid),
				 untag(ev->addr));
}

void heap_on_held_later(struct model *model, struct image *image, const struct ev_alloc *ev)
{
	if (enter_block(model, image, ev))
		threads_disown(&image->threads, untag(ev->addr));
}

/* One of them was live at least; that all were at once is not said. */
void heap_on_pairs(struct model *model, struct image *image, const struct ev_pairs *ev)
{
	const struct origin origin = { ev->stack_id, ev->h.tid, size_class(ev->size) };
	uint32_t row;

	if (!ev->count) {
		model->counts.malformed++;
		return;
	}
	row = model_row_of(model, image, &origin, MEMORY_HEAP);
	if (!row) {
		model->counts.untracked_allocs += ev->count;
		return;
	}
	agg_alloc(&model->agg, row, ev->size, 1);
	agg_free(&model->agg, row, ev->size, 1, 0);
	agg_pass(&model->agg, row, ev->size * (ev->count - 1), ev->count - 1, ev->temporary);
}

/* Some frees pass on to another that is probed as well, and the first was settled. */
void heap_on_free_again(struct model *model, struct image *image, const struct ev_free *ev)
{
	thread_of(model, image, ev->h.tid)->freed = untag(ev->addr);
	heap_on_free_later(model, image, ev);
}

void heap_on_free_later(struct model *model, struct image *image, const struct ev_free *ev)
{
	threads_disown(&image->threads, untag(ev->addr));
	heap_on_free(model, image, ev);
}

void heap_on_free(struct model *model, struct image *image, const struct ev_free *ev)
{
	struct thread *thread = thread_of(model, image, ev->h.tid);
	uint64_t addr = untag(ev->addr);
	struct block block;

	/* realloc(p, 0) of the C library calls free(p) itself: EV_REALLOC tells of it. */
	if (thread->pending && thread->pending_addr == addr)
		return;
	settle_lost_realloc(model, thread);
	if (!addr)
		return;
	/*
	 * Some frees pass on to another that is probed as well: one call, told
	 * twice. If somebody else had been given the block in between, it were known.
	 */
	if (take_block(image, addr, &block))
		block_freed(model, &block, thread->last == addr);
	else if (thread->freed != addr)
		model->counts.unknown_free_count++;
	thread->freed = addr;
}

void heap_on_realloc_begin_later(struct model *model, struct image *image,
				 const struct ev_free *ev)
{
	threads_disown(&image->threads, untag(ev->addr));
	heap_on_realloc_begin(model, image, ev);
}

void heap_on_realloc_begin(struct model *model, struct image *image, const struct ev_free *ev)
{
	struct thread *thread = thread_of(model, image, ev->h.tid);
	uint64_t addr = untag(ev->addr);

	/* reallocarray becomes realloc by a jump: one call, announced twice. */
	if (thread->pending && thread->pending_addr == addr)
		return;
	settle_lost_realloc(model, thread);
	if (!addr)
		return;
	/*
	 * Out of the table, because from now on another thread may be given
	 * this address; its bytes stay live until the outcome is known.
	 */
	thread->pending = true;
	thread->pending_addr = addr;
	thread->pending_known = blocks_take(&image->blocks, addr, &thread->pending_block);
	thread->pending_pool = pools_remove(&image->pools, addr);
	thread->pending_last = thread->last == addr;
}

/* Takes the block that is being reallocated; false if it is unknown. */
static bool take_old(struct model *model, struct image *image, struct thread *thread,
		     uint64_t addr, struct block *ret, bool *last_ret)
{
	if (thread->pending && thread->pending_addr == addr) {
		thread->pending = false;
		*ret = thread->pending_block;
		*last_ret = thread->pending_last;
		return thread->pending_known;
	}
	/* EV_REALLOC_BEGIN of this one was lost, and perhaps EV_REALLOC of another. */
	settle_lost_realloc(model, thread);
	*last_ret = thread->last == addr;
	thread->pending_pool = pools_remove(&image->pools, addr);
	return addr && blocks_take(&image->blocks, addr, ret);
}

/*
 * The realloc failed: the old block lives on where it was. @last says whether
 * it is still its thread's last allocation; of other threads that is not known,
 * for others may have used the address in the meantime.
 */
static void put_back(struct model *model, struct image *image, struct thread *thread,
		     uint64_t addr, const struct block *block, bool last)
{
	struct block newer;

	if (blocks_put(&image->blocks, addr, block, &newer)) {
		/* Its place was given away since, so it was freed unseen. */
		blocks_put(&image->blocks, addr, &newer, &(struct block){ 0 });
		block_freed(model, block, false);
		model->counts.settled_by_reuse++;
		return;
	}
	if (thread->pending_pool)
		pools_add(&image->pools, thread->pending_pool, addr);
	if (last)
		threads_set_last(&image->threads, thread, addr);
	else
		threads_disown(&image->threads, addr);
}

void heap_on_realloc(struct model *model, struct image *image, const struct ev_realloc *ev)
{
	struct thread *thread = thread_of(model, image, ev->a.h.tid);
	uint64_t old_addr = untag(ev->old_addr);
	struct block old;
	bool last, known;

	known = take_old(model, image, thread, old_addr, &old, &last);
	if (!untag(ev->a.addr) && ev->a.size) {
		model->counts.failed_alloc_count += (int64_t)counted(model, &ev->a);
		if (known)
			put_back(model, image, thread, old_addr, &old, last);
		return;
	}
	if (known)
		block_freed(model, &old, last);
	else if (old_addr)
		model->counts.unknown_free_count++;
	if (!untag(ev->a.addr))
		return;
	if (!ev->a.stack_id) {
		allocated_ignored(model, image, thread, untag(ev->a.addr));
		return;
	}
	allocated(model, image, thread, &ev->a);
	if (thread->pending_pool)
		pools_add(&image->pools, thread->pending_pool, untag(ev->a.addr));
}

void heap_on_pool_add(struct model *model, struct image *image, const struct ev_pool *ev)
{
	pools_add(&image->pools, ev->pool, untag(ev->addr));
}

struct clearing {
	struct model *model;
	struct image *image;
	struct thread *thread;
};

static void clear_block(void *arg, uint64_t addr)
{
	struct clearing *c = arg;
	struct block block;

	if (blocks_take(&c->image->blocks, addr, &block))
		block_freed(c->model, &block, c->thread->last == addr);
}

void heap_on_pool_clear(struct model *model, struct image *image, const struct ev_pool *ev)
{
	struct clearing c = { model, image, thread_of(model, image, ev->h.tid) };

	settle_lost_realloc(model, c.thread);
	pools_clear(&image->pools, ev->pool, clear_block, &c);
}

#define HEADER_MAX 64		/* that a sampler puts before the blocks it wraps */
#define HEADER_STEP 16

/*
 * Whether a probed function gave the block that is told of, perhaps with a
 * header before it: then it counts there, and the report adds nothing.
 */
static bool is_counted(const struct image *image, uint64_t addr, uint64_t size)
{
	for (uint64_t header = 0; header <= HEADER_MAX; header += HEADER_STEP) {
		uint64_t bytes;

		if (!map64_get(&image->reported, addr - header) &&
		    blocks_find(&image->blocks, addr - header, &bytes) &&
		    bytes >= size + header && bytes <= size + header + HEADER_MAX)
			return true;
	}
	return false;
}

/* The sampler's weight is the sum that its samples are to come to, also below the size. */
void heap_on_report_alloc(struct model *model, struct image *image, const struct ev_alloc *ev)
{
	uint64_t addr = untag(ev->addr);
	struct block block;

	if (!addr || is_counted(image, addr, ev->size))
		return;
	block = block_of(model, image, ev);
	if (ev->size)
		block.bytes = ev->weight;
	if (!block.row || !model_take_room(model, ROOM_OF_BLOCK)) {
		model->counts.untracked_allocs++;
		return;
	}
	put_block(model, image, addr, &block);
	map64_set(&image->reported, addr, 1);
	agg_alloc(&model->agg, block.row, block.bytes, block.count);
	if (block.variance.count > 0)
		spread_alloc(&model->agg.spreads[block.row], block.variance);
}

/* Of other blocks their function's record tells. */
void heap_on_report_free(struct model *model, struct image *image, const struct ev_free *ev)
{
	uint64_t addr = untag(ev->addr);
	struct block block;

	if (!map64_get(&image->reported, addr))
		return;
	map64_remove(&image->reported, addr);
	if (take_block(image, addr, &block))
		block_freed(model, &block, false);
}
