// SPDX-License-Identifier: GPL-2.0-or-later
/* What has become of blocks of jemalloc's; see window_jemalloc.h. */
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "capture/cost/window_jemalloc.h"

_Static_assert(BATCH <= JEMALLOC_BATCH, "looked up at once");

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* --- what is followed --- */

static bool begins_ended(const struct followed *f, const struct jemalloc_extent *extent)
{
	return !f->control && !f->head && f->size > extent->block_bytes;
}

/* False when the process is gone. */
static bool judge_first(struct poll *poll, const struct followed *f,
			const struct jemalloc_extent *extent, bool in_use)
{
	struct followed first = *f;

	first.head = extent->block_bytes;
	first.word0 = CONTENT_READ;
	if (!polls_take_content(poll, &first))
		return false;
	followed_vec_push(&poll->first, first);
	if (!in_use || begins_ended(f, extent))
		polls_end(poll, f, &first);
	return true;
}

/* The same. */
static bool judge(struct poll *poll, const struct followed *f,
		  const struct jemalloc_extent *extent)
{
	bool in_use = jemalloc_has_block(extent, f->addr);

	if (extent->bytes && !f->word0)
		return judge_first(poll, f, extent, in_use);
	if (in_use && f->head == extent->block_bytes)
		return polls_judge_content(poll, f);
	followed_vec_push(&poll->ended, *f);
	return true;
}

bool jemalloc_polls_look(struct poll *poll, const struct followed *all, size_t count)
{
	struct jemalloc_extent extents[BATCH];
	uint64_t addrs[BATCH];

	for (size_t at = 0; at < count; at += BATCH) {
		int want = count - at < BATCH ? (int)(count - at) : BATCH;

		for (int i = 0; i < want; i++)
			addrs[i] = all[at + (size_t)i].addr;
		if (!jemalloc_look_up(poll->pid, &poll->evidence->tree, addrs, want, extents))
			return false;
		for (int i = 0; i < want; i++)
			if (!judge(poll, &all[at + (size_t)i], &extents[i]))
				return false;
	}
	return true;
}

/* --- the heap as a whole --- */

static uint64_t count_census(const struct jemalloc_extent_vec *extents, struct heap_census *ret)
{
	uint64_t blocks = 0;

	memset(ret, 0, sizeof(*ret));
	vec_for_each(extent, extents) {
		uint64_t in_use = extent->blocks - extent->free_blocks;

		ret->bytes[window_class(extent->block_bytes)] +=
			(double)(extent->block_bytes * in_use);
		blocks += in_use;
	}
	return blocks;
}

/* Every @stride-th block, beginning anywhere. */
static void follow_older(const struct jemalloc_extent_vec *extents, uint64_t stride,
			 struct windows *windows)
{
	uint64_t now = now_ns(), at = now % stride;

	vec_for_each(extent, extents)
		for (uint32_t i = 0; i < extent->blocks; i++)
			if (!jemalloc_is_free(extent, i) && !(at++ % stride))
				windows_add_older(windows,
						  extent->addr + i * extent->block_bytes,
						  extent->block_bytes, (double)stride, now);
}

bool jemalloc_polls_read_heap(uint32_t pid, struct windows *windows, pthread_mutex_t *lock,
			      struct poll_evidence *evidence, bool first,
			      struct heap_census *ret)
{
	__cleanup(jemalloc_extent_vec_deinit) struct jemalloc_extent_vec extents = { 0 };
	uint64_t blocks;

	if (!evidence->tree.root && !jemalloc_find(pid, &evidence->tree))
		return false;
	if (!jemalloc_read(pid, &evidence->tree, &extents))
		return false;
	blocks = count_census(&extents, ret);
	if (first) {
		pthread_mutex_lock(lock);
		follow_older(&extents, blocks / OLDER_MAX + 1, windows);
		pthread_mutex_unlock(lock);
	}
	return true;
}
