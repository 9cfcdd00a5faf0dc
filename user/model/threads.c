// SPDX-License-Identifier: GPL-2.0-or-later
/* Per-thread state of an image; see threads.h. */
#include "model/threads.h"

void threads_deinit(struct threads *threads)
{
	map64_deinit(&threads->by_tid);
	map64_deinit(&threads->by_last);
	thread_vec_deinit(&threads->list);
	*threads = (struct threads){ 0 };
}

struct thread *threads_add(struct threads *threads, uint32_t tid)
{
	struct thread *thread = thread_vec_append(&threads->list);

	*thread = (struct thread){ .tid = tid, .active = true };
	map64_set(&threads->by_tid, tid, threads->list.len);
	return thread;
}

bool threads_crowded(const struct threads *threads)
{
	return threads->list.len >= (threads->crowd ? threads->crowd : THREADS_CROWD);
}

void threads_sweep(struct threads *threads)
{
	struct threads kept = { 0 };

	vec_for_each(thread, &threads->list) {
		if (!thread->active)
			continue;
		thread_vec_push(&kept.list, *thread);
		kept.list.data[kept.list.len - 1].active = false;
		map64_set(&kept.by_tid, thread->tid, kept.list.len);
		if (thread->last)
			map64_set(&kept.by_last, thread->last, kept.list.len);
	}
	kept.crowd = 2 * kept.list.len;
	if (kept.crowd < THREADS_CROWD)
		kept.crowd = THREADS_CROWD;
	threads_deinit(threads);
	*threads = kept;
}

void threads_set_last(struct threads *threads, struct thread *thread, uint64_t addr)
{
	uint32_t self = thread - threads->list.data + 1, other;

	thread->freed = 0;
	if (thread->last == addr)
		return;
	if (thread->last)
		map64_remove(&threads->by_last, thread->last);
	thread->last = addr;
	if (!addr)
		return;
	other = map64_get(&threads->by_last, addr);
	if (other)
		threads->list.data[other - 1].last = 0;
	map64_set(&threads->by_last, addr, self);
}

void threads_disown(struct threads *threads, uint64_t addr)
{
	uint32_t owner = map64_get(&threads->by_last, addr);

	if (!owner)
		return;
	threads->list.data[owner - 1].last = 0;
	map64_remove(&threads->by_last, addr);
}

void threads_forget_last(struct threads *threads)
{
	vec_for_each(thread, &threads->list) {
		thread->last = 0;
		thread->pending_last = false;
	}
	map64_deinit(&threads->by_last);
}
