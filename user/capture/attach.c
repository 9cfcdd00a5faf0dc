// SPDX-License-Identifier: GPL-2.0-or-later
/* Setting and removing probes; see attach.h. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "capture/attach.h"
#include "capture/bpf_syscall.h"

static const char *const method_names[] = {
#define X(method, name, text) [method] = name,
	ATTACH_METHODS(X)
#undef X
};

const char *attach_method_name(enum attach_method method)
{
	return method_names[method];
}

bool attach_method_there(enum attach_method method, const struct features *features)
{
	switch (method) {
	case ATTACH_SESSION:
		return features->uprobe_session;
	case ATTACH_MULTI:
		return features->uprobe_multi;
	default:
		return true;
	}
}

enum attach_method attach_method_best(const struct features *features)
{
	enum attach_method method = ATTACH_SESSION;

	while (!attach_method_there(method, features))
		method++;
	return method;
}

bool attach_frees_nest(const struct probe_plan *plan)
{
	vec_for_each(object, &plan->objects)
		vec_for_each(probe, &object->probes)
			if (probe->function->kind == PROBE_FREE && probe->returns)
				return true;
	return false;
}

static union probe_cookie probe_cookie(const struct attach_job *job,
				       const struct planned_probe *probe)
{
	union probe_cookie cookie = { 0 };

	cookie.tgid = job->pid;
	cookie.kind = probe->function->kind;
	cookie.size_arg = probe->function->size_arg;
	cookie.count_arg = probe->function->count_arg;
	cookie.ptr_arg = probe->function->ptr_arg;
	cookie.pool_arg = probe->function->pool_arg;
	cookie.returns = probe->returns;
	cookie.nests = job->frees_nest;
	cookie.func = probe->func;
	cookie.object = job->object_nr;
	return cookie;
}

/*
 * Probes go live one after the other. What ends a block must be watched
 * before what begins one, else a block could be born seen and die unseen.
 */
static int attach_rank(const struct planned_probe *probe)
{
	switch (probe->function->kind) {
	case PROBE_LEAVE:
		return 0;
	case PROBE_FREE:
	case PROBE_CLEAR:
	case PROBE_MUNMAP:
		return 1;
	case PROBE_REALLOC:
	case PROBE_MREMAP:
		return 2;
	default:
		return 3;
	}
}

#define ATTACH_RANKS 4

/*
 * Which probes of an object a program is for. Session probes are for calls
 * whose return counts, and for nothing else: whoever has one on a function,
 * in whatever process, makes the kernel probe that function's return in every
 * process that has a breakpoint there, as its handler can only waive the
 * return for the process that it is for.
 */
enum probe_role {
	ROLE_FREES,		/* frees that need nothing but their argument */
	ROLE_ENTRIES,		/* all others whose return is not probed */
	ROLE_EXITS,		/* return instructions */
	ROLE_CALLS,		/* calls whose return counts, at their entry */
	ROLE_RETURNS,		/* and at their return */
};

static bool has_role(const struct attach_job *job, const struct planned_probe *probe,
		     enum probe_role role)
{
	bool plain_free = probe->function->kind == PROBE_FREE && !job->frees_nest;

	switch (role) {
	case ROLE_FREES:
		return plain_free;
	case ROLE_ENTRIES:
		return !plain_free && !probe->returns;
	case ROLE_EXITS:
		return false;
	default:
		return !plain_free && probe->returns;
	}
}

/* What tells a function's return instructions from its entry. */
static union probe_cookie exit_cookie(const struct attach_job *job)
{
	union probe_cookie cookie = { 0 };

	cookie.tgid = job->pid;
	cookie.kind = PROBE_EXIT;
	return cookie;
}

/* Offsets and cookies in attach order. */
struct probe_arrays {
	uint64_t *offsets, *cookies;
	uint32_t count;
};

static void probe_arrays_add(struct probe_arrays *arrays, uint64_t offset,
			     union probe_cookie cookie)
{
	arrays->offsets[arrays->count] = offset;
	arrays->cookies[arrays->count++] = cookie.value;
}

static void probe_arrays_deinit(struct probe_arrays *arrays)
{
	free(arrays->offsets);
	free(arrays->cookies);
}

static void probe_arrays_init(struct probe_arrays *arrays, const struct attach_job *job,
			      enum probe_role role)
{
	size_t most = job->object->probes.len;

	vec_for_each(probe, &job->object->probes)
		most += probe->exits.len;
	arrays->offsets = xcalloc(most, sizeof(uint64_t));
	arrays->cookies = xcalloc(most, sizeof(uint64_t));
	arrays->count = 0;
	vec_for_each(probe, &job->object->probes)
		for (size_t i = 0; i < probe->exits.len && role == ROLE_EXITS; i++)
			probe_arrays_add(arrays, probe->exits.data[i], exit_cookie(job));
	for (int rank = 0; rank < ATTACH_RANKS; rank++) {
		vec_for_each(probe, &job->object->probes) {
			if (attach_rank(probe) != rank || !has_role(job, probe, role))
				continue;
			probe_arrays_add(arrays, probe->file_offset, probe_cookie(job, probe));
		}
	}
}

/* The kernel opens the very file that is mapped, whatever became of its name. */
static void object_fd_path(const struct object_plan *object, char path[static 32])
{
	snprintf(path, 32, "/proc/self/fd/%d", object->object->fd);
}

static struct error *attach_error(int errnum, const struct object_plan *object)
{
	return error_errno(errnum, "setting probes in %s", object->object->path);
}

static struct error *attach_multi(struct attachment *att, struct bpf_program *prog,
				  uint32_t attach_type, const struct attach_job *job,
				  enum probe_role role)
{
	__cleanup(probe_arrays_deinit) struct probe_arrays arrays = { 0 };
	char path[32];
	int fd;

	probe_arrays_init(&arrays, job, role);
	if (!arrays.count)
		return NULL;
	object_fd_path(job->object, path);
	fd = uprobe_multi_link(bpf_program__fd(prog), attach_type,
			       &(struct uprobe_multi){
				       .path = path,
				       .offsets = arrays.offsets,
				       .cookies = arrays.cookies,
				       .count = arrays.count,
				       .flags = role == ROLE_RETURNS ? UPROBE_MULTI_RETURN : 0,
				       .pid = job->pid,
			       });
	if (fd < 0)
		return attach_error(-fd, job->object);
	probe_link_vec_push(&att->links, (struct probe_link){ .fd = fd });
	return NULL;
}

static struct error *attach_singles(struct attachment *att, struct bpf_program *prog,
				    const struct attach_job *job, enum probe_role role)
{
	__cleanup(probe_arrays_deinit) struct probe_arrays arrays = { 0 };
	char path[32];

	probe_arrays_init(&arrays, job, role);
	object_fd_path(job->object, path);
	for (uint32_t i = 0; i < arrays.count; i++) {
		LIBBPF_OPTS(bpf_uprobe_opts, opts, .bpf_cookie = arrays.cookies[i],
			    .retprobe = role == ROLE_RETURNS);
		struct bpf_link *link = bpf_program__attach_uprobe_opts(
			prog, job->pid, path, arrays.offsets[i], &opts);

		if (!link)
			return attach_error(errno, job->object);
		probe_link_vec_push(&att->links, (struct probe_link){ .fd = -1, .single = link });
	}
	return NULL;
}

static struct error *attach_role(struct attachment *att, struct bpf_program *prog,
				 const struct attach_job *job, enum probe_role role)
{
	if (job->method == ATTACH_SINGLE)
		return attach_singles(att, prog, job, role);
	return attach_multi(att, prog, ATTACH_TYPE_UPROBE_MULTI, job, role);
}

/* For probes that tell callers inside the C library from the program's own. */
static struct error *publish_texts(const struct attach_programs *programs,
				   const struct attach_job *job)
{
	vec_for_each(probe, &job->object->probes) {
		uint64_t around[2] = { probe->text_before, probe->text_after };
		uint64_t key = probe_cookie(job, probe).value;

		switch (probe->function->kind) {
		case PROBE_MMAP:
		case PROBE_MUNMAP:
		case PROBE_MREMAP:
		case PROBE_BRK:
			if (bpf_map_update_elem(bpf_map__fd(programs->texts), &key, around,
						BPF_ANY))
				return error_errno(errno, "handing text ranges to the kernel");
			break;
		default:
			break;
		}
	}
	return NULL;
}

static struct error *publish_variables(const struct attach_programs *programs,
				       const struct attach_job *job)
{
	vec_for_each(probe, &job->object->probes) {
		uint64_t key = probe_cookie(job, probe).value;

		if (probe->variable &&
		    bpf_map_update_elem(bpf_map__fd(programs->variables), &key,
					&probe->variable, BPF_ANY))
			return error_errno(errno, "handing a variable's address to the kernel");
	}
	return NULL;
}

struct error *attach_object(struct attachment *att, const struct attach_programs *programs,
			    const struct attach_job *job)
{
	struct error *err = publish_texts(programs, job);

	if (!err)
		err = publish_variables(programs, job);
	if (err)
		return err;
	att->probes += job->object->probes.len;
	/*
	 * Frees first, as above. Returns and exits before entries: a call
	 * remembered at its entry must find its return watched, and a return
	 * without an entry is ignored. A session at an exit does no harm: with
	 * its return instruction the function is over.
	 */
	err = attach_role(att, programs->free, job, ROLE_FREES);
	if (!err && job->method == ATTACH_SESSION)
		err = attach_multi(att, programs->session, ATTACH_TYPE_UPROBE_SESSION, job,
				   ROLE_EXITS);
	else if (!err)
		err = attach_role(att, programs->returns, job, ROLE_EXITS);
	if (!err)
		err = attach_role(att, programs->entry, job, ROLE_ENTRIES);
	if (!err && job->method == ATTACH_SESSION)
		return attach_multi(att, programs->session, ATTACH_TYPE_UPROBE_SESSION, job,
				    ROLE_CALLS);
	if (!err)
		err = attach_role(att, programs->returns, job, ROLE_RETURNS);
	if (!err)
		err = attach_role(att, programs->entry, job, ROLE_CALLS);
	return err;
}

bool attach_function(struct attachment *att, struct bpf_program *prog,
		     const struct object *object, uint64_t offset, uint32_t pid)
{
	LIBBPF_OPTS(bpf_uprobe_opts, opts, .bpf_cookie = pid);
	struct bpf_link *link;
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", object->fd);
	link = bpf_program__attach_uprobe_opts(prog, pid, path, offset, &opts);
	if (link)
		probe_link_vec_push(&att->links, (struct probe_link){ .fd = -1, .single = link });
	return link;
}

void attachment_move(struct attachment *to, struct attachment *from)
{
	vec_for_each(link, &from->links)
		probe_link_vec_push(&to->links, *link);
	to->probes += from->probes;
	probe_link_vec_deinit(&from->links);
	from->probes = 0;
}

static void *remove_link(void *arg)
{
	struct probe_link *link = arg;

	if (link->single)
		bpf_link__destroy(link->single);
	else
		close(link->fd);
	return NULL;
}

/*
 * Each removal waits for a grace period of the kernel; in parallel they share
 * it. Entries, which were set last, go first: no call is remembered in vain.
 */
void attachment_deinit(struct attachment *att)
{
	pthread_t *threads = xcalloc(att->links.len, sizeof(*threads));
	bool *started = xcalloc(att->links.len, sizeof(*started));

	for (size_t i = att->links.len; i-- > 0;) {
		started[i] = !pthread_create(&threads[i], NULL, remove_link,
					     &att->links.data[i]);
		if (!started[i])
			remove_link(&att->links.data[i]);
	}
	for (size_t i = 0; i < att->links.len; i++)
		if (started[i])
			pthread_join(threads[i], NULL);
	free(threads);
	free(started);
	probe_link_vec_deinit(&att->links);
	att->probes = 0;
}
