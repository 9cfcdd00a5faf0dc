// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which images and probes a session has as its targets live on: attach, exec,
 * dlopen, exit. See session_private.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/log.h"
#include "capture/cost/choice.h"
#include "capture/discovery/candidate.h"
#include "capture/discovery/confined.h"
#include "capture/discovery/discovery.h"
#include "capture/ledger/pagemap.h"
#include "capture/session_private.h"
#include "heapsonde.skel.h"

#define LOOK_PAUSE 50	/* times what a look at the mappings took */

/*
 * The first name of an object costs all of its symbols. A command that has just
 * loaded one is likely to load the next: names wait so long after that.
 */
#define NAMES_WAIT_S 1.0

/* As in process.bpf.c. */
struct loader {
	uint64_t state;
	uint32_t deleting, changes;
};

static void image_deinit(struct image *image)
{
	address_space_destroy(image->names);
	go_runtime_close(image->go);
	go_profile_deinit(&image->profile);
	target_identity_deinit(&image->id);
	free(image->exit_reason);
	free(image->oom_reason);
}

struct image *session_image(struct session *s, uint32_t pid)
{
	for (size_t i = s->images.len; i-- > 0;)
		if (s->images.data[i].pid == pid)
			return &s->images.data[i];
	return NULL;
}

struct image *session_add_image(struct session *s, uint32_t pid)
{
	struct image *before = session_image(s, pid);
	uint32_t generation = before ? before->generation + 1 : 0;
	struct image *image = image_vec_append(&s->images);

	*image = (struct image){
		.pid = pid,
		.generation = generation,
		.names = address_space_create(pid),
		.swap_bytes = session_swapped_bytes(pid),
	};
	address_space_share(image->names, s->objects);
	target_identity_init(&image->id, pid);
	return image;
}

void session_detach(struct session *s)
{
	vec_for_each(w, &s->watched) {
		attachment_move(&s->retired, &w->attachment);
		attachment_move(&s->retired, &w->heap);
		attachment_move(&s->retired, &w->go);
		attachment_move(&s->retired, &w->go_refill);
		attachment_move(&s->retired, &w->go_births);
	}
	session_finish_removal(s);
}

void session_free_targets(struct session *s)
{
	vec_for_each(w, &s->watched)
		file_id_vec_deinit(&w->probed);
	watched_vec_deinit(&s->watched);
	vec_for_each(image, &s->images)
		image_deinit(image);
	image_vec_deinit(&s->images);
	object_store_destroy(s->objects);
}

/* A command's end is what counts, whatever its children still do. */
bool session_all_ended(const struct session *s)
{
	if (s->command)
		return s->command_status >= 0;
	vec_for_each(image, &s->images)
		if (!image->ended)
			return false;
	return true;
}

struct watched *session_watched(struct session *s, uint32_t pid)
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
	pthread_mutex_lock(&s->warden.heap_lock);
	attachment_deinit(&w->heap);
	pthread_mutex_unlock(&s->warden.heap_lock);
	w->probed.len = 0;
	w->loader_probed = false;
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

/*
 * In the growth level nothing is probed, unless the kernel has no other way to
 * tell of system calls: then the functions that map memory.
 */
static void keep_mapping_functions(const struct session *s, struct probe_plan *plan)
{
	bool any = s->growth.programs.calls == CALLS_AT_LIBRARY;

	vec_for_each(object, &plan->objects) {
		size_t kept = 0;

		vec_for_each(probe, &object->probes)
			if (any && probe->function->kind >= PROBE_MMAP &&
			    probe->function->kind <= PROBE_BRK)
				object->probes.data[kept++] = *probe;
		object->probes.len = kept;
	}
}

static bool is_planned(const struct probe_plan *plan, const struct object *object)
{
	vec_for_each(planned, &plan->objects)
		if (planned->object == object)
			return true;
	return false;
}

/*
 * Walks from page faults and system calls begin anywhere. Most begin in the
 * program itself or in what is probed; and those that pass a pending return probe
 * must not be left to user space, which cannot know what it replaced. So the
 * tables of these are whole; others become so when a walk asks for it.
 */
static struct error *complete_tables(struct session *s, const struct image *image,
				     const struct probe_plan *plan)
{
	bool changed = false;

	vec_for_each(mapping, address_space_mappings(image->names))
		if (is_planned(plan, mapping->object) ||
		    !strcmp(mapping->object->path, image->id.exe))
			changed |= unwinder_complete(s->unwinder, image->names, mapping->start);
	return changed ? unwinder_publish(s->unwinder, image->pid, image->names) : NULL;
}

/* Whether probes that are set now are windows'. */
static bool in_windows(const struct session *s)
{
	return s->governor && !s->auto_state.rising;
}

/*
 * What the program tells of by itself is also what its functions' probes see.
 * Told twice it counts once, but not so while these see a sample of their own.
 */
static bool wants_reports(const struct session *s, const struct probe_plan *plan)
{
	if (in_windows(s) || !probe_plan_has_reports(plan))
		return false;
	if (!s->programs.report) {
		log_warn("an object that was loaded since tells of its own samples ("
			 REPORTS_NAME "), which are left out: start anew to see them");
		return false;
	}
	if (!s->settings.sample_bytes || !probe_plan_has_heap(plan))
		return true;
	log_info("the program's own samples (" REPORTS_NAME ") are left out: "
		 "--allocator " REPORTS_NAME " takes them alone");
	return false;
}

static struct error *attach_part_to(struct session *s, struct attachment *att,
				    const struct attach_job *job, enum attach_part part)
{
	struct attach_job of_part = *job;

	of_part.part = part;
	return attach_object(att, &s->programs, &of_part);
}

/* C++'s operator new is not probed in windows; it calls malloc. */
static struct error *attach_heap(struct session *s, struct watched *w,
				 const struct attach_job *job)
{
	struct error *err = NULL;

	if (in_windows(s)) {
		if (choice_has_malloc(job->object))
			governor_add_probes(s->governor, job, s->foreign);
		return NULL;
	}
	pthread_mutex_lock(&s->warden.heap_lock);
	/* What has become too dear is not set again. */
	if (!s->warden.cut)
		err = attach_part_to(s, &w->heap, job, ATTACH_HEAP);
	pthread_mutex_unlock(&s->warden.heap_lock);
	return err;
}

/*
 * With windows, only what maps memory is probed all the time, unless it would be
 * an allocator that maps it: its calls are not seen between windows.
 */
static struct error *attach_mappings(struct session *s, struct watched *w,
				     const struct attach_job *job)
{
	if (in_windows(s) && s->foreign)
		return NULL;
	return attach_part_to(s, &w->attachment, job, ATTACH_MAPPINGS);
}

static struct error *attach_new_object(struct session *s, struct watched *w,
				       const struct attach_job *job)
{
	const struct object *object = job->object->object;
	bool known = is_probed(w, object);
	struct error *err;

	if ((known && !w->heap_unset) || !job->object->probes.len)
		return NULL;
	if (!in_windows(s) && !session_may_move(s)) {
		err = attach_object(&w->attachment, &s->programs, job);
	} else {
		err = attach_heap(s, w, job);
		if (!err && !known)
			err = attach_mappings(s, w, job);
	}
	if (err)
		return err;
	if (!known)
		file_id_vec_push(&w->probed, (struct file_id){ object->dev, object->ino });
	return NULL;
}

/* Of what has just been started, nobody knows yet whether it will confine itself. */
static bool may_have_return_probes(const struct session *s, uint32_t pid)
{
	return confined_allows_returns(&s->features, target_seccomp(pid),
				       s->settings.command || s->settings.children);
}

/* Of those that live, the first that nobody has; 0 if all are taken. */
static uint32_t free_lane(const struct session *s)
{
	uint32_t taken = 1;

	if (!s->skel->rodata->cfg_hold)
		return 0;
	vec_for_each(w, &s->watched)
		taken |= 1u << w->lane;
	return taken == UINT32_MAX ? 0 : (uint32_t)__builtin_ctz(~taken);
}

/*
 * Who clears a pool, or hears what the program tells by itself, asks for blocks
 * by the model's word.
 */
static bool may_hold(const struct probe_plan *plan, bool reports)
{
	vec_for_each(object, &plan->objects)
		vec_for_each(probe, &object->probes)
			if (probe->function->kind == PROBE_CLEAR)
				return false;
	return !reports;
}

bool session_suits_windows(struct session *s, uint32_t pid)
{
	__cleanup(probe_plan_deinit) struct probe_plan plan = { 0 };
	const struct image *image = session_image(s, pid);
	struct error *err = probe_plan_init(&plan, image->names, s->settings.allocators,
					    may_have_return_probes(s, pid));
	bool suits = !err && !choice_no_windows(&plan, s->method);

	/* What is wrong with it is told when it is attached to. */
	error_destroy(err);
	return suits;
}

static struct error *attach_new_objects(struct session *s, const struct image *image)
{
	__cleanup(probe_plan_deinit) struct probe_plan plan = { 0 };
	struct watched *w = session_watched(s, image->pid);
	struct error *err = probe_plan_init(&plan, image->names, s->settings.allocators,
					    may_have_return_probes(s, image->pid));
	bool frees_nest, reports;

	/* What a running process lacks was described wrongly; others may load it yet. */
	if (!err && !s->settings.command && !image->generation && !w->probed.len)
		err = probe_plan_check(&plan, s->settings.allocators);
	if (err || is_loading(s, image, &plan))
		return err;
	if (in_windows(s) && attach_windows_blind(&plan))
		return error_create(ERROR_UNSUPPORTED,
				    "--mode windows cannot follow malloc where no return probe "
				    "may be set (Go code, or a process confined by seccomp): "
				    "use --mode sampled");
	if (s->settings.growth)
		keep_mapping_functions(s, &plan);
	err = complete_tables(s, image, &plan);
	if (err)
		return err;
	/* What a command execs later may have an allocator in front of the C library's. */
	frees_nest = s->settings.command || attach_frees_nest(&plan);
	if (frees_nest != w->frees_nest)
		drop_probes(s, w);
	w->frees_nest = frees_nest;
	reports = wants_reports(s, &plan);
	s->foreign |= choice_is_foreign(&plan);
	s->watches_functions |= probe_plan_has_heap(&plan);
	s->watches_reports |= reports;
	if (!may_hold(&plan, reports))
		s->skel->bss->hold_births = false;
	if (!w->lane && !w->probed.len)
		w->lane = free_lane(s);
	s->skel->bss->reports_yield = s->watches_functions;
	vec_for_each(object, &plan.objects) {
		const struct attach_job job = {
			.object = object,
			.pid = image->pid,
			.method = s->method,
			.frees_nest = frees_nest,
			.lane = in_windows(s) ? 0 : w->lane,
			.reports = reports,
			.object_nr = w->probed.len,
		};

		err = attach_new_object(s, w, &job);
		if (err)
			return err;
	}
	return NULL;
}

static bool has_probes(struct session *s, uint32_t pid)
{
	return session_watched(s, pid)->probed.len;
}

struct error *session_watch_pid(struct session *s, uint32_t pid)
{
	uint32_t yes = 1;

	if (bpf_map_update_elem(bpf_map__fd(s->skel->maps.targets), &pid, &yes, BPF_ANY))
		return error_errno(errno, "adding process %" PRIu32, pid);
	s->skel->bss->targets_epoch++;
	return NULL;
}

static const struct mapping *loader_mapping(const struct image *image)
{
	uint64_t base = target_loader(image->pid);

	vec_for_each(mapping, address_space_mappings(image->names))
		if (base && mapping->bias == base)
			return mapping;
	return NULL;
}

/*
 * Has the loader tell what it maps and unmaps, by the function and the state
 * that it keeps for debuggers. Without, both are noticed a little later.
 */
static void follow_loader(struct session *s, const struct image *image)
{
	const struct mapping *mapping = loader_mapping(image);
	struct watched *w = session_watched(s, image->pid);
	struct loader loader = { .changes = 1 };
	struct object_symbol function;
	uint64_t offset, debug;
	uint32_t pid = image->pid;

	if (s->settings.frame_pointers || !mapping ||
	    !object_find_exported(mapping->object, "_dl_debug_state", &function, 1) ||
	    !object_find_variable(mapping->object, "_r_debug", &debug) ||
	    !object_vaddr_to_offset(mapping->object, function.vaddr, &offset))
		return;
	loader.state = mapping->bias + debug + offsetof(struct r_debug, r_state);
	if (bpf_map_update_elem(bpf_map__fd(s->skel->maps.loaders), &pid, &loader, BPF_ANY))
		return;
	if (!w->loader_probed)
		w->loader_probed = attach_function(&w->attachment,
						   s->skel->progs.loader_changed,
						   mapping->object, offset, pid);
}

struct error *session_take_over(struct session *s, const struct image *image)
{
	struct error *err = unwinder_publish(s->unwinder, image->pid, image->names);

	if (err)
		return err;
	session_seed_growth(s, image->pid);
	follow_loader(s, image);
	return attach_new_objects(s, image);
}

void session_unset_heap(struct session *s, uint32_t pid)
{
	struct watched *w = session_watched(s, pid);

	pthread_mutex_lock(&s->warden.heap_lock);
	attachment_deinit(&w->heap);
	pthread_mutex_unlock(&s->warden.heap_lock);
	w->heap_unset = true;
}

struct error *session_set_heap(struct session *s, uint32_t pid)
{
	struct watched *w = session_watched(s, pid);
	struct error *err = attach_new_objects(s, session_image(s, pid));

	w->heap_unset = false;
	return err;
}

struct error *session_add_pid(struct session *s, uint32_t pid)
{
	struct error *err = target_check(pid);
	struct image *image;

	if (err)
		return err;
	image = session_add_image(s, pid);
	err = address_space_refresh(image->names, NULL);
	if (err)
		return error_wrap(err, "process %" PRIu32, pid);
	if (!s->settings.growth)
		candidates_expect(image->names);
	unwinder_compile(s->unwinder, image->names);
	return NULL;
}

bool session_has_probes(const struct session *s)
{
	vec_for_each(w, &s->watched)
		if (w->probed.len)
			return true;
	return false;
}

struct error *session_find_runtime(struct image *image)
{
	/* Before exec is through there is nothing to look at. */
	if (image->looked_for_go || !address_space_mappings(image->names)->len)
		return NULL;
	image->looked_for_go = true;
	return go_runtime_open(image->pid, image->names, &image->go);
}

/* What of a Go program's memory will be seen, and what not. */
static void note_runtime(const struct session *s, const struct image *image,
			 const struct error *err)
{
	const char *seen = "only what its runtime knows is shown, its allocations are not traced";

	if (err) {
		log_warn("process %" PRIu32 " (%s): its C allocations are seen, but it is %s",
			 image->pid, image->id.comm, err->message);
		return;
	}
	if (!image->go)
		return;
	if (image->heap_watched)
		seen = session_tracks_go(s) ? "each of its blocks is recorded" :
		       "its allocations are sampled, and what the collector leaves is live";
	else if (image->profile.rate)
		seen = "the heap profile that it keeps of itself is shown";
	log_info("process %" PRIu32 " (%s) is a Go program (%s): %s", image->pid, image->id.comm,
		 go_runtime_version(image->go), seen);
}

struct error *session_attach_pid(struct session *s, uint32_t pid)
{
	struct image *image = session_image(s, pid);
	struct error *err = session_watch_pid(s, pid);

	if (err)
		return err;
	err = session_take_over(s, image);
	if (err)
		return error_wrap(err, "process %" PRIu32, pid);
	cost_watch(&s->cost, pid, false);
	err = session_find_runtime(image);
	if (s->settings.growth) {
		error_destroy(err);
		return NULL;
	}
	if (!err)
		err = session_begin_runtime(s, image);
	if (has_probes(s, pid) || image->go) {
		note_runtime(s, image, err);
		error_destroy(err);
		return NULL;
	}
	if (!err)
		err = error_create(ERROR_UNSUPPORTED,
				   "process %" PRIu32 " (%s): no known allocator is mapped in it: "
				   "see 'heapsonde doctor -p %" PRIu32 "'",
				   pid, image->id.comm, pid);
	else
		err = error_wrap(err, "process %" PRIu32 " (%s): no allocator of C is mapped "
				 "in it, and it is", pid, image->id.comm);
	return err;
}

/*
 * A program without a loader has all it will ever have. One whose loader is
 * its C library (musl) cannot be told from it: its probes are set already.
 */
bool session_has_started(pid_t pid, uint64_t ip, void *arg)
{
	struct session *s = arg;
	const struct image *image = session_image(s, pid);
	uint64_t loader = target_loader(pid);
	const struct mapping *at = image ? address_space_find(image->names, ip) : NULL;

	if (!image)
		return false;
	/* Nothing is to be set. */
	if (s->settings.growth)
		return true;
	if (!loader || !at || at->bias != loader)
		return true;
	return is_probed(session_watched(s, pid), at->object);
}

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
		drop_probes(s, session_watched(s, ev->h.tgid));
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

/*
 * How often the loader of @pid has changed what is mapped. What is read of the
 * mappings counts only if that is the same before and after.
 */
static uint32_t loader_changes(const struct session *s, uint32_t pid)
{
	struct loader loader = { 0 };

	bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.loaders), &pid, &loader);
	return loader.changes;
}

#define LOOKS_MAX 3	/* at mappings that keep changing */

static struct error *look_at_mappings(struct session *s, struct image *image, bool *new_ret)
{
	uint32_t generation = unwinder_generation(s->unwinder);
	struct error *err;

	for (int i = 0; i < LOOKS_MAX; i++) {
		uint32_t changes = loader_changes(s, image->pid);
		bool found = false;

		err = address_space_refresh(image->names, &found);
		*new_ret |= found;
		if (!err)
			err = unwinder_publish(s->unwinder, image->pid, image->names);
		if (err || loader_changes(s, image->pid) == changes)
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
		err = attach_new_objects(s, image);
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
		name_stacks(s, false);
	} while (s->unnamed.len || s->late.len);
}

void session_follow_names(struct session *s)
{
	session_follow(s);
	settle_late(s, true);
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
