// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The processes that a session watches, and which of their functions it probes: when a
 * process is met, and whenever it has mapped another object. See session_private.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <link.h>
#include <stddef.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/log.h"
#include "capture/cost/choice.h"
#include "capture/discovery/candidate.h"
#include "capture/discovery/confined.h"
#include "capture/discovery/discovery.h"
#include "capture/session_private.h"
#include "heapsonde.skel.h"

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

void session_retire_probes(struct session *s, struct watched *w)
{
	attachment_move(&s->retired, &w->attachment);
	attachment_move(&s->retired, &w->heap);
	attachment_move(&s->retired, &w->go);
	attachment_move(&s->retired, &w->go_refill);
	attachment_move(&s->retired, &w->go_births);
}

void session_detach(struct session *s)
{
	vec_for_each(w, &s->watched)
		session_retire_probes(s, w);
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

void session_drop_probes(struct session *s, struct watched *w)
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

static struct error *attach_heap(struct session *s, struct watched *w,
				 const struct attach_job *job)
{
	struct error *err = NULL;

	if (in_windows(s)) {
		if (choice_has_malloc(job->object))
			governor_add_probes(s->governor, job);
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

/* Or that there is none any more: another program may have been executed. */
static struct error *publish_allocator(struct session *s, uint32_t pid,
				       const struct probe_plan *plan)
{
	vec_for_each(object, &plan->objects)
		if (choice_maps_through_library(object))
			return attach_publish_allocator(&s->programs, object, pid);
	bpf_map_delete_elem(bpf_map__fd(s->programs.allocator_texts), &pid);
	return NULL;
}

static bool is_named(const struct session *s, uint32_t pid)
{
	for (size_t i = 0; i < s->settings.pids_count; i++)
		if (s->settings.pids[i] == pid)
			return true;
	return false;
}

/*
 * What a running process lacks was described wrongly; a command, or what a
 * process forks, may load it yet.
 */
static struct error *check_choice(const struct session *s, const struct image *image,
				  const struct probe_plan *plan)
{
	const struct allocator_choice *choice = s->settings.allocators;
	struct error *err;

	if (!choice || !is_named(s, image->pid))
		return NULL;
	if (choice->prefix && !plan->prefixed)
		log_warn("process %" PRIu32 " (%s): no allocator in it has a %smalloc and a %sfree",
			 image->pid, image->id.comm, choice->prefix, choice->prefix);
	err = probe_plan_check(plan, choice);
	if (!err || !s->settings.children)
		return err;
	log_warn("process %" PRIu32 " (%s): %s", image->pid, image->id.comm, err->message);
	error_destroy(err);
	return NULL;
}

struct error *session_probe_objects(struct session *s, const struct image *image)
{
	__cleanup(probe_plan_deinit) struct probe_plan plan = { 0 };
	struct watched *w = session_watched(s, image->pid);
	struct error *err = probe_plan_init(&plan, image->names, s->settings.allocators,
					    may_have_return_probes(s, image->pid));
	bool frees_nest, reports;

	if (!err && !image->generation && !w->probed.len)
		err = check_choice(s, image, &plan);
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
		session_drop_probes(s, w);
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
	err = publish_allocator(s, image->pid, &plan);
	if (err)
		return err;
	if (in_windows(s))
		vec_for_each(object, &plan.objects)
			governor_note_allocator(s->governor, image->pid, object);
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

/* As in process.bpf.c. */
struct loader {
	uint64_t state;
	uint32_t deleting, changes;
};

uint32_t session_loader_changes(const struct session *s, uint32_t pid)
{
	struct loader loader = { 0 };

	bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.loaders), &pid, &loader);
	return loader.changes;
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
	return session_probe_objects(s, image);
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
	struct error *err = session_probe_objects(s, session_image(s, pid));

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
