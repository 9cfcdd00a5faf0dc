// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which images and probes a session has as its targets live on: attach, exec,
 * dlopen, exit. See session_private.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/log.h"
#include "capture/discovery.h"
#include "capture/session_private.h"
#include "heapsonde.skel.h"

#define LOOK_PAUSE 50	/* times what a look at the mappings took */

static void image_deinit(struct image *image)
{
	address_space_destroy(image->names);
	target_identity_deinit(&image->id);
	free(image->exit_reason);
}

struct image *session_image(struct session *s, uint32_t pid)
{
	for (size_t i = s->images.len; i-- > 0;)
		if (s->images.data[i].pid == pid)
			return &s->images.data[i];
	return NULL;
}

static struct image *add_image(struct session *s, uint32_t pid)
{
	struct image *before = session_image(s, pid);
	uint32_t generation = before ? before->generation + 1 : 0;
	struct image *image = image_vec_append(&s->images);

	*image = (struct image){
		.pid = pid,
		.generation = generation,
		.names = address_space_create(pid),
	};
	target_identity_init(&image->id, pid);
	return image;
}

void session_detach(struct session *s)
{
	vec_for_each(w, &s->watched)
		attachment_deinit(&w->attachment);
}

void session_free_targets(struct session *s)
{
	vec_for_each(w, &s->watched)
		file_id_vec_deinit(&w->probed);
	watched_vec_deinit(&s->watched);
	vec_for_each(image, &s->images)
		image_deinit(image);
	image_vec_deinit(&s->images);
}

bool session_all_ended(const struct session *s)
{
	vec_for_each(image, &s->images)
		if (!image->ended)
			return false;
	return true;
}

static struct watched *watched_process(struct session *s, uint32_t pid)
{
	struct watched *w;

	vec_for_each(known, &s->watched)
		if (known->pid == pid)
			return known;
	w = watched_vec_append(&s->watched);
	*w = (struct watched){ .pid = pid };
	return w;
}

static bool is_probed(const struct watched *w, const struct object *object)
{
	vec_for_each(probed, &w->probed)
		if (probed->dev == object->dev && probed->ino == object->ino)
			return true;
	return false;
}

/* For probes that no longer serve; what the target does meanwhile is missed. */
static void drop_probes(struct session *s, struct watched *w)
{
	if (!w->probed.len)
		return;
	attachment_deinit(&w->attachment);
	w->probed.len = 0;
	s->blind_times++;
}

/*
 * Whether the loader is still at work: a program that has one and not yet a C
 * library. Which allocator stands in front of which can only be said, and
 * probed for, when all are there. Nothing of the program runs before.
 */
static bool is_loading(const struct session *s, const struct image *image,
		       const struct probe_plan *plan)
{
	if (!s->settings.command && !image->generation)
		return false;
	vec_for_each(object, &plan->objects)
		vec_for_each(probe, &object->probes)
			if (probe->function->kind == PROBE_MMAP)
				return false;
	return target_loader(image->pid);
}

static struct error *attach_new_objects(struct session *s, const struct image *image)
{
	__cleanup(probe_plan_deinit) struct probe_plan plan = { 0 };
	struct watched *w = watched_process(s, image->pid);
	struct error *err = probe_plan_init(&plan, image->names, s->settings.allocators);
	bool frees_nest;

	/* What a running process lacks was described wrongly; others may load it yet. */
	if (!err && !s->settings.command && !image->generation && !w->probed.len)
		err = probe_plan_check(&plan, s->settings.allocators);
	if (err || is_loading(s, image, &plan))
		return err;
	/* What a command execs later may have an allocator in front of the C library's. */
	frees_nest = s->settings.command || attach_frees_nest(&plan);
	if (frees_nest != w->frees_nest)
		drop_probes(s, w);
	w->frees_nest = frees_nest;
	vec_for_each(object, &plan.objects) {
		const struct attach_job job = {
			.object = object,
			.pid = image->pid,
			.method = s->method,
			.frees_nest = frees_nest,
			.object_nr = w->probed.len,
		};

		if (is_probed(w, object->object))
			continue;
		err = attach_object(&w->attachment, &s->programs, &job);
		if (err)
			return err;
		file_id_vec_push(&w->probed, (struct file_id){ object->object->dev,
							       object->object->ino });
	}
	return NULL;
}

static bool has_probes(struct session *s, uint32_t pid)
{
	return watched_process(s, pid)->probed.len;
}

static struct error *watch_pid(struct session *s, uint32_t pid)
{
	uint32_t yes = 1;

	if (bpf_map_update_elem(bpf_map__fd(s->skel->maps.targets), &pid, &yes, BPF_ANY))
		return error_errno(errno, "adding process %" PRIu32, pid);
	return NULL;
}

/* What is mapped now: to the walker, and probes to the allocators among it. */
static struct error *take_over_mappings(struct session *s, const struct image *image)
{
	struct error *err = unwinder_publish(s->unwinder, image->pid, image->names);

	return err ? err : attach_new_objects(s, image);
}

struct error *session_add_pid(struct session *s, uint32_t pid)
{
	struct error *err = target_check(pid);
	struct image *image;

	if (err)
		return err;
	image = add_image(s, pid);
	err = address_space_refresh(image->names, NULL);
	if (err)
		return error_wrap(err, "process %" PRIu32, pid);
	unwinder_compile(s->unwinder, image->names);
	return NULL;
}

struct error *session_attach_pid(struct session *s, uint32_t pid)
{
	struct image *image = session_image(s, pid);
	struct error *err = watch_pid(s, pid);

	if (err)
		return err;
	err = take_over_mappings(s, image);
	if (err)
		return error_wrap(err, "process %" PRIu32, pid);
	if (!has_probes(s, pid))
		return error_create(ERROR_UNSUPPORTED,
				    "process %" PRIu32 " (%s): no known allocator is mapped in it: "
				    "see 'heapsonde doctor -p %" PRIu32 "'",
				    pid, image->id.comm, pid);
	return NULL;
}

struct error *session_command_mapped(pid_t pid, void *arg)
{
	struct session *s = arg;
	struct image *image = session_image(s, pid);
	struct error *err;

	if (!image) {
		err = watch_pid(s, pid);
		if (err)
			return err;
		image = add_image(s, pid);
	}
	err = address_space_refresh(image->names, NULL);
	return err ? err : take_over_mappings(s, image);
}

/*
 * A program without a loader has all it will ever have. One whose loader is
 * its C library (musl) cannot be told from it: its probes are set already.
 */
bool session_command_started(pid_t pid, uint64_t ip, void *arg)
{
	struct session *s = arg;
	const struct image *image = session_image(s, pid);
	uint64_t loader = target_loader(pid);
	const struct mapping *at = image ? address_space_find(image->names, ip) : NULL;

	if (!image)
		return false;
	if (!loader || !at || at->bias != loader)
		return true;
	return is_probed(watched_process(s, pid), at->object);
}

static char *describe_exit(int status)
{
	if (WIFSIGNALED(status))
		return xasprintf("killed by signal %d (%s)%s", WTERMSIG(status),
				 sigabbrev_np(WTERMSIG(status)) ?: "?",
				 WCOREDUMP(status) ? ", core dumped" : "");
	return xasprintf("exited with status %d", WEXITSTATUS(status));
}

static void end_image(struct image *image, char *reason)
{
	if (image->ended) {
		free(reason);
		return;
	}
	image->ended = true;
	image->exit_reason = reason;
}

void session_end_pid(struct session *s, uint32_t pid, int status)
{
	struct image *image = session_image(s, pid);

	if (image)
		end_image(image, describe_exit(status));
}

/*
 * The probes' links follow the process into its new image, for the objects
 * that it maps again. Not so when a thread other than the first called exec:
 * it takes over the PID, and the links still mean the task that it replaced.
 */
static void follow_exec(struct session *s, const struct ev_process *ev)
{
	struct image *image = add_image(s, ev->h.tgid);
	struct error *err;

	for (struct image *old = s->images.data; old < image; old++)
		if (old->pid == ev->h.tgid)
			end_image(old, xasprintf("replaced by exec of %s", image->id.exe));
	unwinder_forget(s->unwinder, ev->h.tgid);
	if (ev->child != ev->h.tgid)
		drop_probes(s, watched_process(s, ev->h.tgid));
	err = address_space_refresh(image->names, NULL);
	if (!err)
		err = take_over_mappings(s, image);
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
		s->forks++;
		break;
	case EV_EXIT:
		session_end_pid(s, ev->h.tgid, ev->exit_code);
		break;
	}
}

void session_follow_events(struct session *s)
{
	struct process_event_vec events;

	pthread_mutex_lock(&s->lock);
	events = s->process_events;
	s->process_events = (struct process_event_vec){ 0 };
	pthread_mutex_unlock(&s->lock);
	vec_for_each(ev, &events)
		handle_process_event(s, ev);
	process_event_vec_deinit(&events);
}

static void name_stacks(struct session *s, struct fresh_stack_vec *fresh)
{
	vec_for_each(stack, fresh) {
		const struct image *image = session_image(s, stack->tgid);

		if (image)
			session_name_stack(s, image, stack);
		free(stack->pcs);
	}
	fresh_stack_vec_deinit(fresh);
}

static void follow_image(struct session *s, struct image *image)
{
	bool changed = false;
	struct error *err = address_space_refresh(image->names, &changed);

	if (!err)
		err = unwinder_publish(s->unwinder, image->pid, image->names);
	if (!err && changed)
		err = attach_new_objects(s, image);
	if (err && err->code != ERROR_GONE)
		log_warn("process %" PRIu32 ": %s", image->pid, err->message);
	error_destroy(err);
}

/*
 * New stacks may run through objects that were mapped since: take them over
 * while they are mapped, probe the allocators among them, and name the stacks
 * before anything else can be mapped in their place.
 */
void session_follow_mappings(struct session *s)
{
	double begin = session_watched_s(s), now;
	struct fresh_stack_vec fresh;

	pthread_mutex_lock(&s->lock);
	fresh = s->fresh_stacks;
	s->fresh_stacks = (struct fresh_stack_vec){ 0 };
	pthread_mutex_unlock(&s->lock);
	if (!fresh.len && begin < s->next_look_s)
		return;
	vec_for_each(image, &s->images)
		if (!image->ended)
			follow_image(s, image);
	name_stacks(s, &fresh);
	/* Also when nothing is new, but never for more than a small part of the time. */
	now = session_watched_s(s);
	s->next_look_s = now + LOOK_PAUSE * (now - begin);
}

static bool has_vanished(const struct image *image)
{
	return !image->ended && kill(image->pid, 0) && errno == ESRCH;
}

/* A process that vanished without its EV_EXIT (dropped) has ended all the same. */
void session_follow_exits(struct session *s)
{
	for (size_t i = 0; i < s->images.len; i++) {
		if (!has_vanished(&s->images.data[i]))
			continue;
		/* It may well be in the ring. This may add images. */
		session_drain(s);
		session_follow_events(s);
		end_image(&s->images.data[i], xstrdup("gone"));
	}
}
