// SPDX-License-Identifier: GPL-2.0-or-later
/* What has become of blocks of musl's; see window_musl.h. */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

#include "base/cleanup.h"
#include "capture/cost/window_musl.h"
#include "capture/ledger/musl_heap.h"

#define HEAD_BYTES 8u		/* read before a block */
#define READINGS 3		/* of a heap that changes while it is read */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/*
 * Reads what is before the blocks at @count addresses, until one cannot be read: how
 * many could be is returned. Below 0: the process is gone.
 */
static int read_heads(uint32_t pid, const uint64_t *addrs, int count, uint64_t *heads)
{
	struct iovec local = { heads, (size_t)count * HEAD_BYTES }, remote[BATCH];
	ssize_t len;

	for (int i = 0; i < count; i++)
		remote[i] = (struct iovec){ (void *)(uintptr_t)(addrs[i] - HEAD_BYTES),
					    HEAD_BYTES };
	len = process_vm_readv((pid_t)pid, &local, 1, remote, (unsigned long)count, 0);
	if (len < 0)
		return errno == EFAULT ? 0 : -1;
	return (int)(len / HEAD_BYTES);
}

/* --- what is followed --- */

/* What was never looked at is found in its group first. */
static void judge_first(struct poll *poll, const struct musl_heap *heap,
			const struct followed *f, uint64_t head)
{
	uint32_t slot = 0;
	const struct musl_group *group = musl_group_at(heap, f->addr, &slot);
	struct followed first = *f;

	if (!group) {
		followed_vec_push(&poll->ended, *f);
		return;
	}
	first.head = group->stride;
	first.word0 = musl_head_mark(head);
	followed_vec_push(&poll->first, first);
	if (!musl_head_is_block(head, group, slot, f->addr) ||
	    (!f->control && !f->head &&
	     !musl_head_fits_request(head, group, slot, f->addr, f->size)))
		polls_end(poll, f, &first);
}

static void judge(struct poll *poll, const struct musl_heap *heap, const struct followed *f,
		  uint64_t head)
{
	if (!f->word0)
		judge_first(poll, heap, f, head);
	else if (musl_head_mark(head) != f->word0)
		polls_end(poll, f, f);
}

static bool look_at(struct poll *poll, const struct musl_heap *heap, const struct followed *all,
		    size_t count)
{
	uint64_t addrs[BATCH], heads[BATCH];

	for (size_t at = 0; at < count;) {
		int want = count - at < BATCH ? (int)(count - at) : BATCH, done;

		for (int i = 0; i < want; i++)
			addrs[i] = all[at + (size_t)i].addr;
		done = read_heads(poll->pid, addrs, want, heads);
		if (done < 0)
			return false;
		for (int i = 0; i < done; i++)
			judge(poll, heap, &all[at + (size_t)i], heads[i]);
		/* Its memory is gone, and it with it. */
		if (done < want)
			followed_vec_push(&poll->ended, all[at + (size_t)done++]);
		at += (size_t)done;
	}
	return true;
}

static bool has_new(const struct followed *all, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!all[i].word0)
			return true;
	return false;
}

bool musl_polls_look(struct poll *poll, const struct followed *all, size_t count)
{
	__cleanup(musl_heap_deinit) struct musl_heap heap = { 0 };

	/* All that is followed began before: so did its group, if it is still there. */
	if (has_new(all, count) &&
	    !musl_heap_read(poll->pid, poll->evidence->descriptions, &heap))
		return false;
	return look_at(poll, &heap, all, count);
}

/* --- the heap as a whole --- */

struct slot { uint64_t start, stride; };

DEFINE_VEC(slot_vec, struct slot);

static uint64_t count_census(const struct musl_heap *heap, struct heap_census *ret)
{
	uint64_t blocks = 0;

	memset(ret, 0, sizeof(*ret));
	vec_for_each(group, &heap->groups) {
		uint32_t in_use = (uint32_t)__builtin_popcount(group->in_use);

		ret->bytes[window_class(group->stride)] += (double)(group->stride * in_use);
		blocks += in_use;
	}
	return blocks;
}

/* Every @stride-th, beginning anywhere: groups are in no order that a program has a hand in. */
static void sample_slots(const struct musl_heap *heap, uint64_t stride, struct slot_vec *ret)
{
	uint64_t at = now_ns() % stride;

	vec_for_each(group, &heap->groups)
		for (uint32_t slot = 0; slot < group->slots; slot++) {
			if (!(group->in_use >> slot & 1) || at++ % stride)
				continue;
			slot_vec_push(ret, (struct slot){ musl_slot_start(group, slot),
							  group->stride });
		}
}

static void follow(struct windows *windows, const struct slot *slots, const uint64_t *heads,
		   int count, double weight)
{
	uint64_t now = now_ns();

	for (int i = 0; i < count; i++)
		windows_add_older(windows, musl_block_in_slot(heads[i], slots[i].start),
				  slots[i].stride, weight, now);
}

static void follow_older(uint32_t pid, const struct musl_heap *heap, uint64_t blocks,
			 struct windows *windows, pthread_mutex_t *lock)
{
	__cleanup(slot_vec_deinit) struct slot_vec slots = { 0 };
	uint64_t stride = blocks / OLDER_MAX + 1;
	uint64_t addrs[BATCH], heads[BATCH];

	sample_slots(heap, stride, &slots);
	for (size_t at = 0; at < slots.len;) {
		int want = slots.len - at < BATCH ? (int)(slots.len - at) : BATCH, done;

		for (int i = 0; i < want; i++)
			addrs[i] = slots.data[at + (size_t)i].start;
		done = read_heads(pid, addrs, want, heads);
		if (done < 0)
			return;
		pthread_mutex_lock(lock);
		follow(windows, &slots.data[at], heads, done, (double)stride);
		pthread_mutex_unlock(lock);
		at += (size_t)done + (done < want);
	}
}

/* Pages of descriptions are only ever added: a torn reading is one of bad luck. */
static bool read_whole(uint32_t pid, struct poll_evidence *evidence, struct musl_heap *ret)
{
	if (!evidence->descriptions && !musl_heap_find(pid, &evidence->descriptions))
		return false;
	for (int i = 0; i < READINGS; i++) {
		if (musl_heap_read(pid, evidence->descriptions, ret))
			return true;
		musl_heap_deinit(ret);
	}
	return false;
}

bool musl_polls_read_heap(uint32_t pid, struct windows *windows, pthread_mutex_t *lock,
			  struct poll_evidence *evidence, bool first, struct heap_census *ret)
{
	__cleanup(musl_heap_deinit) struct musl_heap heap = { 0 };
	uint64_t blocks;

	if (!read_whole(pid, evidence, &heap))
		return false;
	blocks = count_census(&heap, ret);
	if (first)
		follow_older(pid, &heap, blocks, windows, lock);
	return true;
}
