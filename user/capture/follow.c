// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a session does as its targets live on: exec, dlopen, exit. See
 * session_private.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "capture/ledger/pagemap.h"
#include "capture/session_private.h"
#include "heapsonde.skel.h"

#define LOOK_PAUSE 50	/* times what a look at the mappings took */

/*
 * The first name of an object costs all of its symbols. A command that has just
 * loaded one is likely to load the next: names wait so long after that.
 */
#define NAMES_WAIT_S 1.0

static void end_image(struct image *image, char *reason)
{
	if (image->ended) {
		free(reason);
		return;
	}
	image->ended = true;
	pagemap_forget(image->pid);
	image->exit_reason = reason;
}

void session_end_pid(struct session *s, uint32_t pid, int status)
{
	struct image *image = session_image(s, pid);

	if (!image || image->ended)
		return;
	end_image(image, session_describe_exit(s, image, status));
	session_retire(s, pid);
}

void session_lose_pid(struct session *s, uint32_t pid)
{
	struct image *image = session_image(s, pid);

	if (image->ended)
		return;
	end_image(image, xstrdup("ended while it was attached to"));
	session_retire(s, pid);
}

/*
 * The probes' links follow the process into its new image, for the objects
 * that it maps again. Not so when a thread other than the first called exec:
 * it takes over the PID, and the links still mean the task that it replaced.
 */
static void follow_exec(struct session *s, const struct ev_process *ev)
{
	struct image *image = session_add_image(s, ev->h.tgid);
	struct error *err;

	for (struct image *old = s->images.data; old < image; old++)
		if (old->pid == ev->h.tgid)
			end_image(old, xasprintf("replaced by exec of %s", image->id.exe));
	unwinder_forget(s->unwinder, ev->h.tgid);
	if (ev->child != ev->h.tgid)
		session_drop_probes(s, session_watched(s, ev->h.tgid));
	err = address_space_refresh(image->names, NULL);
	if (!err)
		err = session_take_over(s, image);
	if (err && err->code != ERROR_GONE)
		log_warn("process %" PRIu32 " replaced its program and cannot be followed: %s",
			 ev->h.tgid, err->message);
	error_destroy(err);
}

static void handle_process_event(struct session *s, const struct ev_process *ev)
{
	switch (ev->h.kind) {
	case EV_EXEC:
		follow_exec(s, ev);
		break;
	case EV_FORK:
		session_on_fork(s, ev);
		break;
	case EV_EXIT:
		cost_end(&s->cost, ev->h.tgid, ev->cpu_ns);
		session_end_pid(s, ev->h.tgid, ev->exit_code);
		break;
	case EV_OOM_VICTIM:
		session_note_victim(s, session_image(s, ev->h.tgid));
		break;
	case EV_UNLOADING:
		unwinder_forget(s->unwinder, ev->h.tgid);
		break;
	}
}

#define LOOKS_MAX 3	/* at mappings that keep changing */

static struct error *look_at_mappings(struct session *s, struct image *image, bool *new_ret)
{
	uint32_t generation = unwinder_generation(s->unwinder);
	struct error *err;

	for (int i = 0; i < LOOKS_MAX; i++) {
		uint32_t changes = session_loader_changes(s, image->pid);
		bool found = false;

		err = address_space_refresh(image->names, &found);
		*new_ret |= found;
		if (!err)
			err = unwinder_publish(s->unwinder, image->pid, image->names);
		if (err || session_loader_changes(s, image->pid) == changes)
			break;
		unwinder_forget(s->unwinder, image->pid);
	}
	if (!s->settings.frame_pointers && unwinder_generation(s->unwinder) != generation)
		s->skel->bss->walks_to_leave = WALKS_TO_LEAVE;
	return err;
}

static void follow_image(struct session *s, struct image *image)
{
	bool found = false;
	struct error *err = look_at_mappings(s, image, &found);

	if (!err && found)
		err = session_probe_objects(s, image);
	if (err && err->code != ERROR_GONE)
		log_warn("process %" PRIu32 ": %s", image->pid, err->message);
	error_destroy(err);
}

static void follow_mappings(struct session *s)
{
	double begin = session_watched_s(s), now;

	vec_for_each(image, &s->images)
		if (!image->ended)
			follow_image(s, image);
	/* Also when nothing is new, but never for more than a small part of the time. */
	now = session_watched_s(s);
	s->next_look_s = now + LOOK_PAUSE * (now - begin);
}

#define COMPLETIONS_MAX 8	/* tables made whole for one stack */

/* Walks by the tables that the kernel has, made whole where a signal interrupted. */
static bool walk_by_tables(struct session *s, const struct image *image,
			   const struct left_walk *walk, struct walked_stack *ret)
{
	struct walk_tables tables;

	for (int i = 0;; i++) {
		if (!unwinder_tables(s->unwinder, image->pid, &tables))
			return false;
		rewalk(walk, &tables, s->settings.max_depth, i == COMPLETIONS_MAX, ret);
		if (!ret->inexact_pc)
			return true;
		if (unwinder_complete(s->unwinder, image->names, ret->inexact_pc))
			error_destroy(unwinder_publish(s->unwinder, image->pid, image->names));
		else
			i = COMPLETIONS_MAX - 1;
	}
}

/* Names are slow: they wait until all that cannot wait is done. */
static void name_later(struct session *s, const struct image *image, uint64_t id,
		       const uint64_t *pcs, uint32_t count)
{
	unnamed_stack_vec_push(&s->unnamed, (struct unnamed_stack){
		.image = image - s->images.data,
		.stack = { .tgid = image->pid, .id = id, .count = count,
			   .pcs = memcpy(xcalloc(count + 1, sizeof(*pcs)), pcs,
					 count * sizeof(*pcs)) },
	});
}

/* Gives a stack that the kernel side left to us its frames and its true id. */
static void finish_walk(struct session *s, struct image *image, const struct left_walk *walk)
{
	struct walked_stack found;
	struct ev_stack *ev;
	size_t size;

	if (!walk_by_tables(s, image, walk, &found) || !found.count)
		return;
	size = sizeof(*ev) + found.count * sizeof(found.pcs[0]);
	ev = xcalloc(1, size);
	ev->h = walk->begin.h;
	ev->h.kind = EV_STACK;
	ev->stack_id = found.id;
	ev->count = found.count;
	ev->status = found.status;
	memcpy(ev->pcs, found.pcs, found.count * sizeof(found.pcs[0]));
	pthread_mutex_lock(&s->lock);
	model_feed(s->model, ev, size);
	model_rename_stack(s->model, walk->begin.stack_id, found.id);
	pthread_mutex_unlock(&s->lock);
	free(ev);
	if (!session_is_named(s, image, found.id))
		name_later(s, image, found.id, found.pcs, found.count);
}

/* Addresses may mean something else from here on. */
static bool is_change(const struct news *news)
{
	return news->kind == EV_EXEC || news->kind == EV_UNLOADING;
}

static void finish(struct session *s, const struct left_walk *walk)
{
	struct image *image = session_image(s, walk->begin.h.tgid);

	if (image)
		finish_walk(s, image, walk);
}

#define LATE_MAX 512	/* of some 20 KiB each */

/*
 * Walks from where the kernel's ledger found a thread take whole tables. Making one may
 * last longer than a short program lives, whose mappings must be read meanwhile: so
 * they come last, all of them or until something else is urgent.
 */
static void settle_late(struct session *s, bool all)
{
	size_t done = 0;

	for (; done < s->late.len; done++) {
		if (!all && s->late.len - done <= LATE_MAX && session_is_called(s))
			break;
		finish(s, &s->late.data[done].walk);
		left_walk_deinit(&s->late.data[done].walk);
	}
	s->late.len -= done;
	memmove(s->late.data, s->late.data + done, s->late.len * sizeof(*s->late.data));
}

/* A walk's pieces are taken, if it has to wait. */
static void settle(struct session *s, struct news *news)
{
	struct image *image;

	if (news->kind == EV_STACK) {
		image = session_image(s, news->stack.tgid);
		if (image)
			name_later(s, image, news->stack.id, news->stack.pcs,
				   news->stack.count);
	} else if (news->kind == EV_UNFINISHED && news->walk.begin.start == UNWIND_AT_PC) {
		news_vec_push(&s->late, *news);
		news->walk = (struct left_walk){ 0 };
	} else if (news->kind == EV_UNFINISHED) {
		finish(s, &news->walk);
	} else {
		/* After it their addresses may mean something else, or nothing. */
		if (is_change(news) || news->kind == EV_EXIT)
			settle_late(s, true);
		handle_process_event(s, &news->process);
	}
}

/* Names the stacks that wait for it, all or until something else is urgent. */
static void name_stacks(struct session *s, bool all)
{
	size_t done = 0;

	while (done < s->unnamed.len && (all || !session_is_called(s))) {
		struct unnamed_stack *u = &s->unnamed.data[done++];

		session_name_stack(s, &s->images.data[u->image], &u->stack);
		free(u->stack.pcs);
	}
	s->unnamed.len -= done;
	memmove(s->unnamed.data, s->unnamed.data + done,
		s->unnamed.len * sizeof(*s->unnamed.data));
}

static void free_news(struct news_vec *all)
{
	vec_for_each(news, all) {
		if (news->kind == EV_STACK)
			free(news->stack.pcs);
		else if (news->kind == EV_UNFINISHED)
			left_walk_deinit(&news->walk);
	}
	news_vec_deinit(all);
}

void session_free_news(struct session *s)
{
	free_news(&s->news);
	vec_for_each(piece, &s->pieces)
		free(piece->bytes);
	stack_piece_vec_deinit(&s->pieces);
	free_news(&s->late);
	vec_for_each(u, &s->unnamed)
		free(u->stack.pcs);
	unnamed_stack_vec_deinit(&s->unnamed);
}

/*
 * Behind the last news after which addresses may mean something else. What
 * stands before it is settled by what was known until now.
 */
static size_t last_change(const struct news_vec *all)
{
	for (size_t i = all->len; i-- > 0;)
		if (is_change(&all->data[i]))
			return i + 1;
	return 0;
}

/* Appends what the ring has told until now. */
static void take_news(struct session *s, struct news_vec *all)
{
	eventfd_read(s->wake_fd, &(eventfd_t){ 0 });
	session_drain(s);
	pthread_mutex_lock(&s->lock);
	vec_for_each(news, &s->news)
		news_vec_push(all, *news);
	s->news.len = 0;
	pthread_mutex_unlock(&s->lock);
}

#define ROUNDS_MAX 8

/*
 * The mappings are read right after the ring, which tells of each unmapping
 * before it happens: else what stands there by then would be taken for what
 * the stacks ran through. A stack between two unmappings that are told at once
 * ran through nobody knows what: it stays lost.
 */
void session_follow_news(struct session *s)
{
	struct news_vec all = { 0 };
	bool stale = false;	/* mappings have changed since they were last read */
	size_t done = 0;

	for (int i = 0; i < ROUNDS_MAX; i++) {
		size_t change;

		take_news(s, &all);
		change = last_change(&all);
		if (change <= done)
			break;
		for (; done < change; done++)
			if (!stale || all.data[done].kind != EV_UNFINISHED) {
				stale |= is_change(&all.data[done]);
				settle(s, &all.data[done]);
			}
		name_stacks(s, true);
	}
	if (all.len || session_watched_s(s) >= s->next_look_s)
		follow_mappings(s);
	for (; done < all.len; done++)
		settle(s, &all.data[done]);
	free_news(&all);
}

/*
 * New stacks may run through objects that were mapped since: take them over
 * while they are mapped, probe the allocators among them, and name the stacks
 * before anything else can be mapped in their place.
 */
void session_follow(struct session *s)
{
	do {
		if (session_is_called(s))
			s->called_s = session_watched_s(s);
		session_follow_news(s);
		if (s->settings.command && session_watched_s(s) - s->called_s < NAMES_WAIT_S &&
		    s->late.len <= LATE_MAX)
			return;
		settle_late(s, false);
		if (!s->memory_short)
			name_stacks(s, false);
	} while ((s->unnamed.len && !s->memory_short) || s->late.len);
}

void session_follow_names(struct session *s)
{
	session_follow(s);
	settle_late(s, true);
	if (!s->memory_short)
		name_stacks(s, true);
}

/* Also of one that nobody has waited for; and not while any thread of it lives. */
static bool has_vanished(const struct image *image)
{
	struct pollfd pidfd = { .events = POLLIN };
	bool ended;

	if (image->ended)
		return false;
	pidfd.fd = (int)syscall(SYS_pidfd_open, image->pid, 0);
	if (pidfd.fd < 0)
		return errno == ESRCH;
	ended = poll(&pidfd, 1, 0) > 0;
	close(pidfd.fd);
	return ended;
}

/*
 * A process that vanished without its EV_EXIT, which was dropped, or came before
 * anybody listened, has ended all the same.
 */
void session_follow_exits(struct session *s)
{
	for (size_t i = 0; i < s->images.len; i++) {
		if (!has_vanished(&s->images.data[i]))
			continue;
		/* It may well be in the ring. This may add images. */
		session_drain(s);
		session_follow(s);
		if (s->images.data[i].ended)
			continue;
		settle_late(s, true);
		cost_end(&s->cost, s->images.data[i].pid, 0);
		end_image(&s->images.data[i], xstrdup("gone"));
		session_retire(s, s->images.data[i].pid);
	}
}
