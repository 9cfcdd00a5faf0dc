// SPDX-License-Identifier: GPL-2.0-or-later
/* Who has which share of a stack, and what those threads are called; see session_private.h. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "capture/session_private.h"

#define PID_INIT_INO 0xeffffffcu	/* linux/proc_ns.h: the whole machine's namespace */
#define NAME_AGAIN_S 0.25		/* threads name themselves soon after they began, ... */
#define NAME_AGAIN_MAX_S 30.0		/* ... and seldom later */

/* The ring's thread ids are the whole machine's; /proc here has only those of our namespace. */
static bool sees_all_threads(void)
{
	struct stat st;

	return !stat("/proc/self/ns/pid", &st) && st.st_ino == PID_INIT_INO;
}

/* Threads that the model has met since the last call. */
static void take_new_threads(struct session *s)
{
	const struct model_thread_vec *threads;
	const struct model_image *images;

	pthread_mutex_lock(&s->lock);
	threads = model_threads(s->model);
	model_images(s->model, &images);
	for (size_t i = s->threads.len; i < threads->len; i++) {
		const struct model_thread *thread = &threads->data[i];

		watched_thread_vec_push(&s->threads, (struct watched_thread){
			.image = thread->image, .tid = thread->tid,
			.tgid = i ? images[thread->image].tgid : 0,
			.next_s = i ? 0 : INFINITY,
		});
	}
	pthread_mutex_unlock(&s->lock);
}

/* Of one that has ended, the last name stays. */
static void read_name(struct watched_thread *thread, double now_s)
{
	char path[64], name[sizeof(thread->name)];
	FILE *f __cleanup_fclose = NULL;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/task/%" PRIu32 "/comm", thread->tgid,
		 thread->tid);
	f = fopen(path, "re");
	if (!f || !fgets(name, sizeof(name), f)) {
		thread->next_s = INFINITY;
		return;
	}
	name[strcspn(name, "\n")] = 0;
	memcpy(thread->name, name, sizeof(name));
	thread->pause_s = fmin(NAME_AGAIN_MAX_S, fmax(NAME_AGAIN_S, 2 * thread->pause_s));
	thread->next_s = now_s + thread->pause_s;
}

void session_name_threads(struct session *s)
{
	double now_s = session_watched_s(s);

	take_new_threads(s);
	if (!sees_all_threads())
		return;
	vec_for_each(thread, &s->threads)
		if (thread->next_s <= now_s)
			read_name(thread, now_s);
}

static int compare_shares(const void *a, const void *b)
{
	const struct snapshot_share *x = a, *y = b;

	if (x->thread != y->thread)
		return x->thread < y->thread ? -1 : 1;
	return (x->size_class > y->size_class) - (x->size_class < y->size_class);
}

/* Those of each stack side by side. @shares are of the snapshot's first stacks, by index. */
static void sort_shares(struct snapshot *snap, const struct model_share_vec *shares)
{
	uint32_t first = 0;

	vec_for_each(share, shares)
		snap->stacks.data[share->row].share_count++;
	vec_for_each(stack, &snap->stacks) {
		stack->share_first = first;
		first += stack->share_count;
		stack->share_count = 0;
	}
	snapshot_share_vec_reserve(&snap->shares, shares->len);
	snap->shares.len = shares->len;
	vec_for_each(share, shares) {
		struct snapshot_stack *stack = &snap->stacks.data[share->row];

		snap->shares.data[stack->share_first + stack->share_count++] = share->share;
	}
	vec_for_each(stack, &snap->stacks)
		if (stack->share_count > 1)
			qsort(snap->shares.data + stack->share_first, stack->share_count,
			      sizeof(struct snapshot_share), compare_shares);
}

void session_add_shares(struct session *s, struct snapshot *snap,
			const struct model_share_vec *shares, const uint32_t *target_of_image)
{
	session_name_threads(s);
	vec_for_each(thread, &s->threads)
		snapshot_thread_vec_push(&snap->threads, (struct snapshot_thread){
			.target = target_of_image[thread->image],
			.tid = thread->tid,
			.name = snapshot_string(snap, *thread->name ? thread->name : NULL),
		});
	snap->threads_full = s->threads.len > MODEL_THREADS_MAX;
	snap->shares_full = model_rows_are_coarse(s->model);
	sort_shares(snap, shares);
}
