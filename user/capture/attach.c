// SPDX-License-Identifier: GPL-2.0-or-later
/* Setting and removing probes; see attach.h. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "capture/aside.h"
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

/* By a return probe, or at each of its exits. */
static bool is_awaited(const struct planned_probe *probe)
{
	return probe->returns || probe->by_exits;
}

bool attach_frees_nest(const struct probe_plan *plan)
{
	vec_for_each(object, &plan->objects)
		vec_for_each(probe, &object->probes)
			if (probe->function->kind == PROBE_FREE &&
			    (probe->returns || probe->by_exits))
				return true;
	return false;
}

static bool is_report(const struct planned_probe *probe)
{
	return probe->function->kind == PROBE_REPORT_ALLOC ||
	       probe->function->kind == PROBE_REPORT_FREE;
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
	cookie.awaited = is_awaited(probe);
	cookie.nests = job->frees_nest;
	cookie.stepped = !probe->placement.emulated;
	cookie.func = probe->func;
	cookie.lane = job->lane;
	cookie.object = job->object_nr;
	if (is_report(probe))
		cookie.site = probe - job->object->probes.data;
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
	case PROBE_REPORT_FREE:
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
	ROLE_REPORTS,		/* the program's own probes */
	ROLE_EXITS,		/* return instructions */
	ROLE_CALLS,		/* calls whose return counts, at their entry */
	ROLE_RETURNS,		/* and at their return */
	ROLE_WINDOW,		/* frees and calls in one: see window_probes_create() */
	ROLE_WINDOW_ENTRIES,	/* the rest of a window: calls that end at ROLE_EXITS */
};

static bool is_mapping(const struct planned_probe *probe)
{
	return probe->function->kind >= PROBE_MMAP && probe->function->kind <= PROBE_BRK;
}

static bool is_windowed(const struct planned_probe *probe)
{
	return probe->function->kind <= PROBE_FREE;
}

/*
 * By the name without what an allocator puts before it. C++'s operators are in no plan but
 * that of an allocator which has its own, and are known by the name that they share an
 * address with.
 */
static bool is_hit_often(const struct planned_probe *probe)
{
	static const char *const symbols[] = {
		"malloc", "free", "calloc", "realloc", "zalloc", "malloc_small", "zalloc_small",
		"mallocx", "dallocx", "sdallocx", "_Znwm", "_Znam", "_ZdlPv", "_ZdlPvm", "_ZdaPv",
		"new", "newarray", "delete", "delete_sized", "delete_nothrow", "deletearray",
	};
	const char *symbol = probe->function->symbol;

	for (size_t i = 0; i < allocator_prefixes_count; i++) {
		size_t len = strlen(allocator_prefixes[i]);

		if (len && !strncmp(symbol, allocator_prefixes[i], len)) {
			symbol += len;
			break;
		}
	}
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++)
		if (!strcmp(symbol, symbols[i]))
			return true;
	return false;
}

bool attach_windows_blind(const struct probe_plan *plan)
{
	vec_for_each(object, &plan->objects)
		vec_for_each(probe, &object->probes)
			if (probe->function->group == GROUP_MALLOC && is_hit_often(probe) &&
			    probe->exits.len)
				return true;
	return false;
}

static bool in_part(const struct attach_job *job, const struct planned_probe *probe)
{
	switch (job->part) {
	case ATTACH_ALL:
		return true;
	case ATTACH_MAPPINGS:
		return is_mapping(probe);
	case ATTACH_HEAP:
		return !is_mapping(probe);
	default:
		return is_windowed(probe) &&
		       is_hit_often(probe) == (job->part == ATTACH_OFTEN);
	}
}

static bool has_role(const struct attach_job *job, const struct planned_probe *probe,
		     enum probe_role role)
{
	bool plain_free = probe->function->kind == PROBE_FREE && !job->frees_nest;

	if (is_report(probe))
		return role == ROLE_REPORTS && job->reports && job->part <= ATTACH_HEAP &&
		       job->part != ATTACH_MAPPINGS;
	if (!in_part(job, probe))
		return false;
	switch (role) {
	case ROLE_REPORTS:
		return false;
	case ROLE_WINDOW:
		return !probe->exits.len;
	case ROLE_WINDOW_ENTRIES:
		return probe->exits.len;
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

/*
 * What tells a function's return instructions, of which none is emulated, from its
 * entry; or @tail: a jump into what will return its first argument.
 */
static union probe_cookie exit_cookie(const struct attach_job *job, bool tail)
{
	union probe_cookie cookie = { 0 };

	cookie.tgid = job->pid;
	cookie.kind = PROBE_EXIT;
	cookie.ptr_arg = tail ? 0 : PROBE_NO_ARG;
	cookie.stepped = !tail;
	return cookie;
}

/* Offsets and cookies in attach order; in memory of aside_alloc(). */
struct probe_arrays {
	uint64_t *offsets, *cookies, *semaphores;
	uint32_t count;
};

static void probe_arrays_add(struct probe_arrays *arrays, uint64_t offset, uint64_t semaphore,
			     union probe_cookie cookie)
{
	arrays->offsets[arrays->count] = offset;
	arrays->semaphores[arrays->count] = semaphore;
	arrays->cookies[arrays->count++] = cookie.value;
}

static void probe_arrays_deinit(struct probe_arrays *arrays)
{
	aside_free(arrays->offsets);
	aside_free(arrays->cookies);
	aside_free(arrays->semaphores);
}

static void probe_arrays_reserve(struct probe_arrays *arrays, size_t most)
{
	arrays->offsets = aside_alloc(most, sizeof(uint64_t));
	arrays->cookies = aside_alloc(most, sizeof(uint64_t));
	arrays->semaphores = aside_alloc(most, sizeof(uint64_t));
	arrays->count = 0;
}

static void probe_arrays_add_exits(struct probe_arrays *arrays, const struct attach_job *job)
{
	vec_for_each(probe, &job->object->probes) {
		if (!in_part(job, probe))
			continue;
		vec_for_each(offset, &probe->exits)
			probe_arrays_add(arrays, *offset, 0, exit_cookie(job, false));
		vec_for_each(offset, &probe->tails)
			probe_arrays_add(arrays, *offset, 0, exit_cookie(job, true));
	}
}

static void probe_arrays_init(struct probe_arrays *arrays, const struct attach_job *job,
			      enum probe_role role)
{
	size_t most = job->object->probes.len;

	vec_for_each(probe, &job->object->probes)
		most += probe->exits.len + probe->tails.len;
	probe_arrays_reserve(arrays, most);
	if (role == ROLE_EXITS)
		probe_arrays_add_exits(arrays, job);
	for (int rank = 0; rank < ATTACH_RANKS; rank++) {
		vec_for_each(probe, &job->object->probes) {
			if (attach_rank(probe) != rank || !has_role(job, probe, role))
				continue;
			probe_arrays_add(arrays, probe->file_offset, probe->semaphore,
					 probe_cookie(job, probe));
		}
	}
}

/*
 * A link to be made. All that it takes is prepared, because where links are
 * made no memory can be had (aside.h).
 */
struct link_request {
	int prog_fd;
	uint32_t attach_type;		/* 0: a single uprobe, the first of the arrays */
	bool is_return;
	struct probe_arrays arrays;
	int fd;				/* what came of it, or -errno */
};

/* Links to be made one after the other, in one file of one process; in that memory too. */
struct link_batch {
	char path[32];
	uint32_t pid;
	size_t len, cap;
	struct link_request *requests;
};

static void link_batch_destroy(struct link_batch *batch)
{
	if (!batch)
		return;
	for (size_t i = 0; i < batch->len; i++)
		probe_arrays_deinit(&batch->requests[i].arrays);
	aside_free(batch->requests);
	aside_free(batch);
}
DEFINE_CLEANUP(struct link_batch *, link_batch_destroy);

/* The kernel opens the very file that is mapped, whatever became of its name. */
static struct link_batch *link_batch_create(const struct object *object, uint32_t pid)
{
	struct link_batch *batch = aside_alloc(1, sizeof(*batch));

	batch->pid = pid;
	snprintf(batch->path, sizeof(batch->path), "/proc/self/fd/%d", object->fd);
	return batch;
}

/* Not made yet. */
static void link_batch_add(struct link_batch *batch, struct link_request request)
{
	struct link_request *before = batch->requests;

	if (batch->len == batch->cap) {
		batch->cap = 2 * batch->cap + 8;
		batch->requests = aside_alloc(batch->cap, sizeof(request));
		if (batch->len)
			memcpy(batch->requests, before, batch->len * sizeof(request));
		aside_free(before);
	}
	request.fd = -ECANCELED;
	batch->requests[batch->len++] = request;
}

static int make_link(const struct link_batch *batch, const struct link_request *request)
{
	if (!request->attach_type)
		return uprobe_single_link(request->prog_fd, &(struct uprobe_single){
			.path = batch->path,
			.offset = request->arrays.offsets[0],
			.cookie = request->arrays.cookies[0],
			.semaphore = request->arrays.semaphores[0],
			.pid = batch->pid,
			.is_return = request->is_return,
		});
	return uprobe_multi_link(request->prog_fd, request->attach_type, &(struct uprobe_multi){
		.path = batch->path,
		.offsets = request->arrays.offsets,
		.cookies = request->arrays.cookies,
		.semaphores = request->arrays.semaphores,
		.count = request->arrays.count,
		.flags = request->is_return ? UPROBE_MULTI_RETURN : 0,
		.pid = batch->pid,
	});
}

/*
 * The kernel reads what it probes from the file, and is cross with itself (a
 * warning of ext4's) should that have to come from the disk.
 */
static void read_code(const struct link_batch *batch, const struct link_request *request)
{
	int fd __cleanup_close = open(batch->path, O_RDONLY | O_CLOEXEC);
	char c;

	for (uint32_t i = 0; fd >= 0 && i < request->arrays.count; i++)
		if (pread(fd, &c, 1, (off_t)request->arrays.offsets[i]) < 0)
			return;
}

static void make_links(void *arg)
{
	struct link_batch *batch = arg;

	for (size_t i = 0; i < batch->len; i++) {
		read_code(batch, &batch->requests[i]);
		batch->requests[i].fd = make_link(batch, &batch->requests[i]);
		if (batch->requests[i].fd < 0)
			return;
	}
}

/* Makes the links, and says with what error number that ended. */
static int link_batch_make(struct link_batch *batch, struct attachment *att)
{
	run_aside(make_links, batch);
	for (size_t i = 0; i < batch->len; i++) {
		if (batch->requests[i].fd < 0)
			return -batch->requests[i].fd;
		link_fd_vec_push(&att->links, batch->requests[i].fd);
	}
	return 0;
}

/* The @i-th of the arrays by itself. */
static void request_single(struct link_batch *batch, const struct bpf_program *prog,
			   const struct probe_arrays *arrays, uint32_t i, bool is_return)
{
	struct link_request request = {
		.prog_fd = bpf_program__fd(prog),
		.is_return = is_return,
	};

	probe_arrays_reserve(&request.arrays, 1);
	probe_arrays_add(&request.arrays, arrays->offsets[i], arrays->semaphores[i],
			 (union probe_cookie){ .value = arrays->cookies[i] });
	link_batch_add(batch, request);
}

/* All of @arrays, which it takes over, in one link where the kernel has such. */
static void request_arrays(struct link_batch *batch, const struct bpf_program *prog,
			   uint32_t attach_type, struct probe_arrays *arrays, bool is_return)
{
	if (attach_type && arrays->count) {
		link_batch_add(batch, (struct link_request){
			bpf_program__fd(prog), attach_type, is_return, *arrays, 0 });
		return;
	}
	for (uint32_t i = 0; i < arrays->count; i++)
		request_single(batch, prog, arrays, i, is_return);
	probe_arrays_deinit(arrays);
}

static void request_role(struct link_batch *batch, const struct bpf_program *prog,
			 uint32_t attach_type, const struct attach_job *job, enum probe_role role)
{
	struct probe_arrays arrays;

	probe_arrays_init(&arrays, job, role);
	request_arrays(batch, prog, job->method == ATTACH_SINGLE ? 0 : attach_type, &arrays,
		       role == ROLE_RETURNS);
}

/*
 * Frees first, as above. Returns and exits before entries: a call remembered
 * at its entry must find its return watched, and a return without an entry is
 * ignored. A session at an exit does no harm: with its return instruction the
 * function is over.
 */
static void request_all(struct link_batch *batch, const struct attach_programs *programs,
			const struct attach_job *job)
{
	const uint32_t multi = ATTACH_TYPE_UPROBE_MULTI, session = ATTACH_TYPE_UPROBE_SESSION;

	request_role(batch, programs->free, multi, job, ROLE_FREES);
	request_role(batch, programs->report, multi, job, ROLE_REPORTS);
	if (job->method == ATTACH_SESSION) {
		request_role(batch, programs->session, session, job, ROLE_EXITS);
		request_role(batch, programs->entry, multi, job, ROLE_ENTRIES);
		request_role(batch, programs->session, session, job, ROLE_CALLS);
		return;
	}
	request_role(batch, programs->returns, multi, job, ROLE_EXITS);
	request_role(batch, programs->entry, multi, job, ROLE_ENTRIES);
	request_role(batch, programs->returns, multi, job, ROLE_RETURNS);
	request_role(batch, programs->entry, multi, job, ROLE_CALLS);
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

struct error *attach_publish_allocator(const struct attach_programs *programs,
				       const struct object_plan *object, uint32_t pid)
{
	vec_for_each(probe, &object->probes) {
		uint64_t at = object->bias + probe->symbol.vaddr + probe->placement.offset;
		uint64_t range[2] = { at - probe->text_before, at + probe->text_after };

		if (probe->function->group != GROUP_MALLOC)
			continue;
		if (bpf_map_update_elem(bpf_map__fd(programs->allocator_texts), &pid, range,
					BPF_ANY))
			return error_errno(errno, "handing an allocator's text to the kernel");
		break;
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

static struct error *publish_operands(const struct attach_programs *programs,
				      const struct attach_job *job)
{
	vec_for_each(probe, &job->object->probes) {
		uint64_t key = probe_cookie(job, probe).value;

		if (is_report(probe) &&
		    bpf_map_update_elem(bpf_map__fd(programs->operands), &key,
					&probe->operands, BPF_ANY))
			return error_errno(errno, "handing a probe's operands to the kernel");
	}
	return NULL;
}

struct error *attach_object(struct attachment *att, const struct attach_programs *programs,
			    const struct attach_job *job)
{
	struct link_batch *batch __cleanup(link_batch_destroyp) = NULL;
	struct error *err;
	int errnum;

	err = publish_texts(programs, job);
	if (!err)
		err = publish_variables(programs, job);
	if (!err)
		err = publish_operands(programs, job);
	if (err)
		return err;
	batch = link_batch_create(job->object->object, job->pid);
	request_all(batch, programs, job);
	att->probes += job->object->probes.len;
	errnum = link_batch_make(batch, att);
	if (errnum == ESRCH)
		return error_create(ERROR_GONE, "it ended before all of its probes were set");
	return errnum ? error_errno(errnum, "setting probes in %s", job->object->object->path)
		      : NULL;
}

#define LINKS_MAX 24
#define LINKS_OF_OBJECT 8	/* at most */

/* In which links are set: what costs most is the last to come. */
enum window_turn {
	TURN_SELDOM,	/* what is hit seldom */
	TURN_OFTEN,
	TURN_STEPPED,	/* return instructions: ten times as dear as all others */
};

/* A batch of one link. */
struct window_link {
	struct link_batch *batch;
	enum window_turn turn;
};

struct window_probes {
	struct window_link links[LINKS_MAX];
	size_t len;
};

struct window_probes *window_probes_create(void)
{
	return aside_alloc(1, sizeof(struct window_probes));
}

void window_probes_destroy(struct window_probes *probes)
{
	if (!probes)
		return;
	for (size_t i = 0; i < probes->len; i++)
		link_batch_destroy(probes->links[i].batch);
	aside_free(probes);
}

static bool add_link(struct window_probes *probes, const struct bpf_program *prog,
		     uint32_t attach_type, const struct attach_job *job, enum probe_role role)
{
	struct link_batch *batch __cleanup(link_batch_destroyp) =
		link_batch_create(job->object->object, job->pid);

	request_role(batch, prog, attach_type, job, role);
	if (!batch->len || !batch->requests[0].arrays.count)
		return false;
	read_code(batch, &batch->requests[0]);
	batch->requests[0].fd = -ECANCELED;
	probes->links[probes->len++] = (struct window_link){
		steal_ptr(batch),
		job->part == ATTACH_SELDOM ? TURN_SELDOM :
		role == ROLE_EXITS ? TURN_STEPPED : TURN_OFTEN,
	};
	return true;
}

/*
 * One link where there are sessions and nothing may throw. Frees are in it: their
 * return is waived, and that of free may be probed in any process without harm.
 */
static bool add_part(struct window_probes *probes, const struct attach_programs *programs,
		     const struct attach_job *job, enum attach_part part)
{
	const uint32_t multi = ATTACH_TYPE_UPROBE_MULTI, session = ATTACH_TYPE_UPROBE_SESSION;
	struct attach_job of_part = *job;

	of_part.part = part;
	if (job->method == ATTACH_SESSION) {
		add_link(probes, programs->session, session, &of_part, ROLE_EXITS);
		add_link(probes, programs->entry, multi, &of_part, ROLE_WINDOW_ENTRIES);
		return add_link(probes, programs->session, session, &of_part, ROLE_WINDOW);
	}
	add_link(probes, programs->returns, multi, &of_part, ROLE_EXITS);
	add_link(probes, programs->entry, multi, &of_part, ROLE_WINDOW_ENTRIES);
	add_link(probes, programs->returns, multi, &of_part, ROLE_RETURNS);
	return add_link(probes, programs->entry, multi, &of_part, ROLE_WINDOW);
}

bool window_probes_add(struct window_probes *probes, const struct attach_programs *programs,
		       const struct attach_job *job)
{
	bool often;

	if (probes->len + LINKS_OF_OBJECT > LINKS_MAX)
		return false;
	often = add_part(probes, programs, job, ATTACH_OFTEN);
	return add_part(probes, programs, job, ATTACH_SELDOM) || often;
}

static void set_link(struct link_batch *batch)
{
	batch->requests[0].fd = make_link(batch, &batch->requests[0]);
}

static void unset_link(struct link_batch *batch)
{
	if (batch->requests[0].fd >= 0)
		close(batch->requests[0].fd);
	batch->requests[0].fd = -ECANCELED;
}

/*
 * Does it at once to all links of turns from @first to @last: each waits for a grace
 * period of the kernel, and whatever is set meanwhile costs.
 */
static void each_at_once(struct window_probes *probes, int first, int last,
			 void (*fn)(struct link_batch *batch))
{
	struct window_link *own = NULL;
	pid_t pids[LINKS_MAX] = { 0 };

	for (size_t i = 0; i < probes->len; i++) {
		struct window_link *link = &probes->links[i];

		if ((int)link->turn < first || (int)link->turn > last)
			continue;
		if (!own) {
			own = link;
			continue;
		}
		pids[i] = aside_fork();
		if (pids[i] <= 0)
			fn(link->batch);
		if (!pids[i])
			_exit(0);
	}
	if (own)
		fn(own->batch);
	for (size_t i = 0; i < probes->len; i++)
		while (pids[i] > 0 && waitpid(pids[i], NULL, __WALL) < 0 && errno == EINTR)
			;
}

/* After all turns up to @last: if one of them was in vain, none is left. */
static int judge_set(struct window_probes *probes, enum window_turn last)
{
	int errnum = 0;

	for (size_t i = 0; i < probes->len; i++)
		if (probes->links[i].turn <= last && probes->links[i].batch->requests[0].fd < 0)
			errnum = -probes->links[i].batch->requests[0].fd;
	if (errnum)
		window_probes_remove(probes);
	return errnum;
}

int window_probes_set(struct window_probes *probes)
{
	each_at_once(probes, TURN_SELDOM, TURN_SELDOM, set_link);
	each_at_once(probes, TURN_OFTEN, TURN_OFTEN, set_link);
	return judge_set(probes, TURN_OFTEN);
}

int window_probes_set_stepped(struct window_probes *probes)
{
	each_at_once(probes, TURN_STEPPED, TURN_STEPPED, set_link);
	return judge_set(probes, TURN_STEPPED);
}

/* What is hit often, or is dear, is the last to come and the first to go: each waits for locks. */
void window_probes_remove(struct window_probes *probes)
{
	each_at_once(probes, TURN_OFTEN, TURN_STEPPED, unset_link);
	each_at_once(probes, TURN_SELDOM, TURN_SELDOM, unset_link);
}

bool attach_places(struct attachment *att, enum attach_method method, struct bpf_program *prog,
		   const struct object *object, uint32_t pid,
		   const struct attach_place *places, size_t count)
{
	struct link_batch *batch __cleanup(link_batch_destroyp) = link_batch_create(object, pid);
	struct probe_arrays arrays;

	probe_arrays_reserve(&arrays, count);
	for (size_t i = 0; i < count; i++)
		probe_arrays_add(&arrays, places[i].offset, 0,
				 (union probe_cookie){ .value = places[i].cookie });
	request_arrays(batch, prog, method == ATTACH_SINGLE ? 0 : ATTACH_TYPE_UPROBE_MULTI,
		       &arrays, false);
	return !link_batch_make(batch, att);
}

bool attach_function(struct attachment *att, struct bpf_program *prog,
		     const struct object *object, uint64_t offset, uint32_t pid)
{
	return attach_places(att, ATTACH_SINGLE, prog, object, pid,
			     &(struct attach_place){ offset, pid }, 1);
}

void attachment_move(struct attachment *to, struct attachment *from)
{
	vec_for_each(link, &from->links)
		link_fd_vec_push(&to->links, *link);
	to->probes += from->probes;
	link_fd_vec_deinit(&from->links);
	from->probes = 0;
}

static void close_link(void *fd)
{
	close((int)(intptr_t)fd);
}

static void *remove_link(void *arg)
{
	run_aside(close_link, arg);
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
		void *fd = (void *)(intptr_t)att->links.data[i];

		started[i] = !pthread_create(&threads[i], NULL, remove_link, fd);
		if (!started[i])
			remove_link(fd);
	}
	for (size_t i = 0; i < att->links.len; i++)
		if (started[i])
			pthread_join(threads[i], NULL);
	free(threads);
	free(started);
	link_fd_vec_deinit(&att->links);
	att->probes = 0;
}
