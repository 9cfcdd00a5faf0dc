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

enum attach_method attach_method_best(const struct features *features)
{
	if (features->uprobe_session)
		return ATTACH_SESSION;
	if (features->uprobe_multi)
		return ATTACH_MULTI;
	return ATTACH_SINGLE;
}

static union probe_cookie probe_cookie(const struct planned_probe *probe, uint32_t pid)
{
	union probe_cookie cookie = { 0 };

	cookie.tgid = pid;
	cookie.kind = probe->function->kind;
	cookie.size_arg = probe->function->size_arg;
	cookie.count_arg = probe->function->count_arg;
	cookie.ptr_arg = probe->function->ptr_arg;
	cookie.returns = probe->returns;
	cookie.func = probe->func;
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

/* Offsets and cookies in attach order; @returns_only leaves out entry-only probes. */
struct probe_arrays {
	uint64_t *offsets, *cookies;
	uint32_t count;
};

static void probe_arrays_deinit(struct probe_arrays *arrays)
{
	free(arrays->offsets);
	free(arrays->cookies);
}

static void probe_arrays_init(struct probe_arrays *arrays, const struct object_plan *object,
			      uint32_t pid, bool returns_only)
{
	arrays->offsets = xcalloc(object->probes.len, sizeof(uint64_t));
	arrays->cookies = xcalloc(object->probes.len, sizeof(uint64_t));
	arrays->count = 0;
	for (int rank = 0; rank < ATTACH_RANKS; rank++) {
		vec_for_each(probe, &object->probes) {
			if (attach_rank(probe) != rank || (returns_only && !probe->returns))
				continue;
			arrays->offsets[arrays->count] = probe->file_offset;
			arrays->cookies[arrays->count++] = probe_cookie(probe, pid).value;
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
				  uint32_t attach_type, uint32_t pid,
				  const struct object_plan *object, bool returns_only)
{
	__cleanup(probe_arrays_deinit) struct probe_arrays arrays = { 0 };
	char path[32];
	int fd;

	probe_arrays_init(&arrays, object, pid, returns_only);
	if (!arrays.count)
		return NULL;
	object_fd_path(object, path);
	fd = uprobe_multi_link(bpf_program__fd(prog), attach_type,
			       &(struct uprobe_multi){
				       .path = path,
				       .offsets = arrays.offsets,
				       .cookies = arrays.cookies,
				       .count = arrays.count,
				       .flags = returns_only ? UPROBE_MULTI_RETURN : 0,
				       .pid = pid,
			       });
	if (fd < 0)
		return attach_error(-fd, object);
	probe_link_vec_push(&att->links, (struct probe_link){ .fd = fd });
	return NULL;
}

static struct error *attach_singles(struct attachment *att, struct bpf_program *prog,
				    uint32_t pid, const struct object_plan *object,
				    bool returns_only)
{
	__cleanup(probe_arrays_deinit) struct probe_arrays arrays = { 0 };
	char path[32];

	probe_arrays_init(&arrays, object, pid, returns_only);
	object_fd_path(object, path);
	for (uint32_t i = 0; i < arrays.count; i++) {
		LIBBPF_OPTS(bpf_uprobe_opts, opts, .bpf_cookie = arrays.cookies[i],
			    .retprobe = returns_only);
		struct bpf_link *link = bpf_program__attach_uprobe_opts(
			prog, pid, path, arrays.offsets[i], &opts);

		if (!link)
			return attach_error(errno, object);
		probe_link_vec_push(&att->links, (struct probe_link){ .fd = -1, .single = link });
	}
	return NULL;
}

/* For probes that tell callers inside the C library from the program's own. */
static struct error *publish_texts(const struct attach_programs *programs, uint32_t pid,
				   const struct object_plan *object)
{
	vec_for_each(probe, &object->probes) {
		uint64_t around[2] = { probe->text_before, probe->text_after };
		uint64_t key = probe_cookie(probe, pid).value;

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

struct error *attach_object(struct attachment *att, const struct attach_programs *programs,
			    enum attach_method method, uint32_t pid,
			    const struct object_plan *object)
{
	struct error *err = publish_texts(programs, pid, object);

	if (err)
		return err;
	/*
	 * Returns before entries: a call remembered at its entry must find its
	 * return watched; a return without an entry is ignored.
	 */
	switch (method) {
	case ATTACH_SESSION:
		err = attach_multi(att, programs->session, ATTACH_TYPE_UPROBE_SESSION, pid,
				   object, false);
		break;
	case ATTACH_MULTI:
		err = attach_multi(att, programs->returns, ATTACH_TYPE_UPROBE_MULTI, pid,
				   object, true);
		if (!err)
			err = attach_multi(att, programs->entry, ATTACH_TYPE_UPROBE_MULTI, pid,
					   object, false);
		break;
	default:
		err = attach_singles(att, programs->returns, pid, object, true);
		if (!err)
			err = attach_singles(att, programs->entry, pid, object, false);
		break;
	}
	if (!err)
		att->probes += object->probes.len;
	return err;
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
