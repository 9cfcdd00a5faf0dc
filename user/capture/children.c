// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Processes that come into being under watch: the command that was started,
 * and what targets fork. See session_private.h.
 *
 * What the ring tells decides which images there are. The command and its
 * children are held at their birth (spawn.h), so that the ring's word is heeded
 * before they run; the children of a process that was attached to are not
 * held, and what they allocate in the first moment is not seen.
 */
#include <inttypes.h>

#include "base/log.h"
#include "capture/session_private.h"

/* Follows what the ring told of the process that is being held. */
static struct image *told_image(struct session *s, pid_t pid)
{
	session_follow_news(s);
	return session_image(s, pid);
}

static struct error *on_mapped(pid_t pid, void *arg)
{
	struct session *s = arg;
	struct image *image = told_image(s, pid);
	struct error *err;

	if (!image) {
		err = session_watch_pid(s, pid);
		if (err)
			return err;
		image = session_add_image(s, pid);
		cost_watch(&s->cost, pid, true);
	}
	err = address_space_refresh(image->names, NULL);
	return err ? err : session_take_over(s, image);
}

static struct error *on_forked(pid_t pid, void *arg)
{
	told_image(arg, pid);
	return NULL;
}

static void on_ended(pid_t pid, int status, void *arg)
{
	struct session *s = arg;

	told_image(s, pid);
	if (!s->command || pid == spawned_pid(s->command))
		s->command_status = status;
	session_end_pid(s, pid, status);
}

struct error *session_start_command(struct session *s)
{
	const struct spawn_watcher watcher = {
		.mapped = on_mapped,
		.started = session_has_started,
		.forked = s->settings.children ? on_forked : NULL,
		.ended = on_ended,
		.arg = s,
	};

	return spawn(s->settings.command, &watcher, &s->command);
}

void session_serve_command(struct session *s)
{
	struct error *err = s->command ? spawned_serve(s->command) : NULL;

	if (err && err->code != ERROR_GONE)
		log_warn("a child process cannot be watched from its start: %s", err->message);
	error_destroy(err);
}

/* One that runs in its parent's memory (vfork) execs next, and is probed then. */
static struct error *begin_child(struct session *s, const struct ev_process *ev)
{
	struct image *image = session_add_image(s, ev->child);
	struct error *err;

	cost_watch(&s->cost, ev->child, true);
	if (ev->exit_code)
		return NULL;
	err = address_space_refresh(image->names, NULL);
	return err ? err : session_take_over(s, image);
}

void session_on_fork(struct session *s, const struct ev_process *ev)
{
	struct error *err;

	if (!s->settings.children || !ev->child) {
		s->forks++;
		return;
	}
	err = begin_child(s, ev);
	if (err && err->code != ERROR_GONE)
		log_warn("process %" PRIu32 ", a child of %" PRIu32 ", cannot be watched: %s",
			 ev->child, ev->h.tgid, err->message);
	error_destroy(err);
}

void session_retire(struct session *s, uint32_t pid)
{
	for (size_t i = 0; i < s->watched.len; i++) {
		struct watched *w = &s->watched.data[i];

		if (w->pid != pid)
			continue;
		session_retire_probes(s, w);
		file_id_vec_deinit(&w->probed);
		*w = s->watched.data[--s->watched.len];
		break;
	}
	unwinder_drop(s->unwinder, pid);
}

static void *remove_probes(void *arg)
{
	struct removal *removal = arg;

	attachment_deinit(&removal->attachment);
	removal->done = true;
	return NULL;
}

/*
 * Removing a probe waits for the kernel, and an ended process does not; but
 * all that share a file's probes pay for each that is left there.
 */
void session_remove_retired(struct session *s)
{
	struct removal *removal = &s->removal;

	if (removal->started && removal->done) {
		pthread_join(removal->thread, NULL);
		removal->started = false;
	}
	if (removal->started || !s->retired.links.len)
		return;
	attachment_move(&removal->attachment, &s->retired);
	removal->done = false;
	removal->started = !pthread_create(&removal->thread, NULL, remove_probes, removal);
	if (!removal->started)
		remove_probes(removal);
}

void session_finish_removal(struct session *s)
{
	if (s->removal.started)
		pthread_join(s->removal.thread, NULL);
	s->removal.started = false;
	attachment_deinit(&s->retired);
}
