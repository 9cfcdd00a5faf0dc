// SPDX-License-Identifier: GPL-2.0-or-later
/* Watching live processes; see session.h. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/log.h"
#include "capture/bpf_syscall.h"
#include "capture/features.h"
#include "capture/memory.h"
#include "capture/session.h"
#include "capture/spawn.h"
#include "capture/target.h"
#include "heapsonde.skel.h"
#include "model/sink.h"

#define NS_PER_S 1000000000ull
#define READER_POLL_MS 20	/* the ring is never left alone longer */
#define CALLER_POLL_S 0.05	/* exec, exit and unknown addresses are seen within */
#define SLICE_RECORDS 65536	/* fed under one lock, so that others get it */

/* One program image of a target; a process that execs has several. */
struct image {
	uint32_t pid;
	uint32_t generation;	/* counts the execs of this pid */
	struct address_space *names;
	struct target_identity id;
	bool ended;
	char *exit_reason;	/* NULL while it runs */
};

DEFINE_VEC(image_vec, struct image);

/* An object that carries probes already: exec maps it again, they stay. */
struct probed_object { uint32_t pid; uint64_t dev, ino; };

DEFINE_VEC(probed_object_vec, struct probed_object);
DEFINE_VEC(process_event_vec, struct ev_process);

struct session {
	struct session_settings settings;
	struct heapsonde_bpf *skel;
	struct attachment attachment;
	enum attach_method method;
	struct probed_object_vec probed;
	struct image_vec images;
	pid_t command_pid;		/* 0: none */
	int command_status;		/* -1 until it ended */

	/* Shared with the reader thread, under lock. */
	pthread_mutex_t lock;
	struct model *model;
	struct process_event_vec process_events;
	bool new_stacks;		/* since names were last refreshed */
	bool frozen;			/* what comes now is no longer counted */
	uint32_t slice;

	struct ring_buffer *ring;
	pthread_t reader;
	bool reader_started;
	volatile bool reader_stop;

	uint64_t start_ns, end_ns;	/* end_ns 0 while watching */
	double next_sample_s;
	double own_cpu_start_s;
	int64_t noted_loss;		/* already told to the model */
	struct snapshot_sample_vec timeline;
	struct snapshot_memory memory;	/* of the last target that could be read */
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static double since_start_s(const struct session *s)
{
	uint64_t end = s->end_ns ? s->end_ns : now_ns();

	return (double)(end - s->start_ns) / NS_PER_S;
}

static double own_cpu_s(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* --- images ------------------------------------------------------------ */

static void image_deinit(struct image *image)
{
	address_space_destroy(image->names);
	target_identity_deinit(&image->id);
	free(image->exit_reason);
}

static struct image *current_image(struct session *s, uint32_t pid)
{
	for (size_t i = s->images.len; i-- > 0;)
		if (s->images.data[i].pid == pid)
			return &s->images.data[i];
	return NULL;
}

static struct image *add_image(struct session *s, uint32_t pid)
{
	struct image *before = current_image(s, pid);
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

static const struct image *find_image(const struct session *s, const struct model_image *wanted)
{
	vec_for_each(image, &s->images)
		if (image->pid == wanted->tgid && image->generation == wanted->generation)
			return image;
	return NULL;
}

static bool all_ended(const struct session *s)
{
	vec_for_each(image, &s->images)
		if (!image->ended)
			return false;
	return true;
}

/* --- probes ------------------------------------------------------------ */

static bool is_probed(const struct session *s, uint32_t pid, const struct object *object)
{
	vec_for_each(probed, &s->probed)
		if (probed->pid == pid && probed->dev == object->dev && probed->ino == object->ino)
			return true;
	return false;
}

static struct error *attach_new_objects(struct session *s, const struct image *image)
{
	const struct attach_programs programs = {
		.session = s->skel->progs.alloc_session,
		.entry = s->skel->progs.alloc_entry,
		.returns = s->skel->progs.alloc_return,
		.texts = s->skel->maps.texts,
	};
	__cleanup(probe_plan_deinit) struct probe_plan plan = { 0 };
	struct error *err = probe_plan_init(&plan, image->names);

	if (err)
		return err;
	vec_for_each(object, &plan.objects) {
		if (is_probed(s, image->pid, object->object))
			continue;
		err = attach_object(&s->attachment, &programs, s->method, image->pid, object);
		if (err)
			return err;
		probed_object_vec_push(&s->probed, (struct probed_object){
			image->pid, object->object->dev, object->object->ino });
	}
	return NULL;
}

static bool has_probes(const struct session *s, uint32_t pid)
{
	vec_for_each(probed, &s->probed)
		if (probed->pid == pid)
			return true;
	return false;
}

static struct error *watch_pid(struct session *s, uint32_t pid)
{
	uint32_t yes = 1;

	if (bpf_map_update_elem(bpf_map__fd(s->skel->maps.targets), &pid, &yes, BPF_ANY))
		return error_errno(errno, "adding process %" PRIu32, pid);
	return NULL;
}

static struct error *attach_pid(struct session *s, uint32_t pid)
{
	struct error *err = target_check(pid);
	struct image *image;

	if (err)
		return err;
	err = watch_pid(s, pid);
	if (err)
		return err;
	image = add_image(s, pid);
	err = address_space_refresh(image->names, NULL);
	if (!err)
		err = attach_new_objects(s, image);
	if (err)
		return error_wrap(err, "process %" PRIu32, pid);
	if (!has_probes(s, pid))
		return error_create(ERROR_UNSUPPORTED,
				    "process %" PRIu32 " (%s): no known allocator is mapped in it: see 'heapsonde doctor -p %" PRIu32 "'",
				    pid, image->id.comm, pid);
	return NULL;
}

/* --- the ring and its reader ------------------------------------------- */

static int on_record(void *arg, void *data, size_t size)
{
	struct session *s = arg;
	const struct ev_header *h = data;

	if (s->frozen)
		return 0;
	model_feed(s->model, data, size);
	switch (h->kind) {
	case EV_STACK:
		s->new_stacks = true;
		break;
	case EV_EXEC:
	case EV_EXIT:
	case EV_FORK:
		process_event_vec_push(&s->process_events, *(const struct ev_process *)data);
		break;
	}
	/* A negative result ends this round of the library's loop, nothing more. */
	return ++s->slice % SLICE_RECORDS ? 0 : -EAGAIN;
}

/* Feeds what is in the ring now; a target that never pauses cannot hold us here. */
static void drain(struct session *s)
{
	int ret;

	do {
		pthread_mutex_lock(&s->lock);
		ret = ring_buffer__consume(s->ring);
		pthread_mutex_unlock(&s->lock);
	} while (ret == -EAGAIN && !s->reader_stop);
}

static void *reader_main(void *arg)
{
	struct session *s = arg;
	struct epoll_event event;

	while (!s->reader_stop) {
		epoll_wait(ring_buffer__epoll_fd(s->ring), &event, 1, READER_POLL_MS);
		drain(s);
	}
	return NULL;
}

static struct error *start_reader(struct session *s)
{
	sigset_t all, before;
	int ret;

	s->ring = ring_buffer__new(bpf_map__fd(s->skel->maps.events), on_record, s, NULL);
	if (!s->ring)
		return error_errno(errno, "mapping the ring buffer");
	/* Signals are the caller's. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	ret = pthread_create(&s->reader, NULL, reader_main, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (ret)
		return error_errno(ret, "starting the reader thread");
	s->reader_started = true;
	return NULL;
}

/* --- losses and counters ----------------------------------------------- */

static int64_t bpf_count(const struct session *s, enum bpf_counter counter)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *values = xcalloc(cpus, sizeof(*values));
	uint32_t key = counter;
	int64_t sum = 0;

	if (!bpf_map_lookup_elem(bpf_map__fd(s->skel->maps.counters), &key, values))
		for (int i = 0; i < cpus; i++)
			sum += values[i];
	free(values);
	return sum;
}

/* Runs that the kernel itself skipped, e.g. because a program recursed. */
static int64_t missed_runs(const struct session *s)
{
	const struct bpf_program *progs[] = {
		s->skel->progs.alloc_session, s->skel->progs.alloc_entry,
		s->skel->progs.alloc_return,
	};
	int64_t missed = 0;

	for (size_t i = 0; i < sizeof(progs) / sizeof(progs[0]); i++) {
		struct bpf_prog_info info = { 0 };
		uint32_t len = sizeof(info);
		int fd = bpf_program__fd(progs[i]);

		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len))
			missed += info.recursion_misses;
	}
	return missed;
}

static void fill_loss(const struct session *s, const struct model_totals *totals,
		      struct snapshot_loss *ret)
{
	ret->dropped_events = bpf_count(s, COUNT_DROP_ALLOC) + bpf_count(s, COUNT_DROP_FREE) +
			      bpf_count(s, COUNT_DROP_REALLOC) + bpf_count(s, COUNT_DROP_MAP) +
			      bpf_count(s, COUNT_DROP_PROCESS) + totals->malformed;
	ret->dropped_stacks = bpf_count(s, COUNT_DROP_STACK);
	ret->untracked_allocs = bpf_count(s, COUNT_NO_THREAD_STATE) +
				bpf_count(s, COUNT_READ_FAULT) + totals->untracked_allocs;
	ret->missed_probes = bpf_count(s, COUNT_LOST_RETURN) + missed_runs(s);
	ret->complete = !ret->dropped_events && !ret->dropped_stacks &&
			!ret->untracked_allocs && !ret->missed_probes;
}

static void note_loss(struct session *s)
{
	const struct model_totals none = { 0 };
	struct snapshot_loss loss;

	fill_loss(s, &none, &loss);
	if (loss.dropped_events > s->noted_loss) {
		pthread_mutex_lock(&s->lock);
		model_note_loss(s->model, loss.dropped_events - s->noted_loss);
		pthread_mutex_unlock(&s->lock);
		s->noted_loss = loss.dropped_events;
	}
}

/* --- the life of the targets ------------------------------------------- */

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

static void forget_probes(struct session *s, uint32_t pid)
{
	size_t kept = 0;

	vec_for_each(probed, &s->probed)
		if (probed->pid != pid)
			s->probed.data[kept++] = *probed;
	s->probed.len = kept;
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
	if (ev->child != ev->h.tgid)
		forget_probes(s, ev->h.tgid);
	err = address_space_refresh(image->names, NULL);
	if (!err)
		err = attach_new_objects(s, image);
	if (err && err->code != ERROR_GONE)
		log_warn("process %" PRIu32 " replaced its program and cannot be followed: %s",
			 ev->h.tgid, err->message);
	error_destroy(err);
}

static void handle_process_event(struct session *s, const struct ev_process *ev)
{
	struct image *image = current_image(s, ev->h.tgid);

	switch (ev->h.kind) {
	case EV_EXEC:
		follow_exec(s, ev);
		break;
	case EV_EXIT:
		if (image)
			end_image(image, describe_exit(ev->exit_code));
		break;
	}
}

static void handle_process_events(struct session *s)
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

/*
 * New stacks may run through objects that were mapped since: take them over
 * while they are mapped, and probe the allocators among them.
 */
static void refresh_names(struct session *s)
{
	bool new_stacks;

	pthread_mutex_lock(&s->lock);
	new_stacks = s->new_stacks;
	s->new_stacks = false;
	pthread_mutex_unlock(&s->lock);
	if (!new_stacks)
		return;
	vec_for_each(image, &s->images) {
		struct error *err;
		bool changed = false;

		if (image->ended)
			continue;
		err = address_space_refresh(image->names, &changed);
		if (!err && changed)
			err = attach_new_objects(s, image);
		if (err && err->code != ERROR_GONE)
			log_warn("process %" PRIu32 ": %s", image->pid, err->message);
		error_destroy(err);
	}
}

/* The command is our child: nobody else will collect it. */
static void reap_command(struct session *s)
{
	int status;

	if (s->command_pid && s->command_status < 0 &&
	    waitpid(s->command_pid, &status, WNOHANG) == s->command_pid)
		s->command_status = status;
}

/* A process that vanished without its EV_EXIT (dropped) has ended all the same. */
static void check_alive(struct session *s)
{
	vec_for_each(image, &s->images)
		if (!image->ended && kill(image->pid, 0) && errno == ESRCH)
			end_image(image, xstrdup("gone"));
}

/* --- the timeline ------------------------------------------------------ */

static int64_t rss_of_all(const struct session *s)
{
	int64_t sum = 0;

	vec_for_each(image, &s->images) {
		int64_t rss = image->ended ? -1 : memory_rss_bytes(image->pid);

		if (rss > 0)
			sum += rss;
	}
	return sum;
}

static void read_memory(struct session *s)
{
	vec_for_each(image, &s->images) {
		struct snapshot_memory memory;

		if (image->ended)
			continue;
		memory_read(image->pid, &memory);
		if (memory.rss_bytes >= 0)
			s->memory = memory;
	}
}

#define TIMELINE_MAX 4096

/* For long watches the timeline is thinned, not cut. */
static void thin_timeline(struct snapshot_sample_vec *timeline)
{
	size_t kept = 0;

	if (timeline->len < TIMELINE_MAX)
		return;
	for (size_t i = 0; i < timeline->len; i += 2)
		timeline->data[kept++] = timeline->data[i];
	timeline->len = kept;
}

static void take_sample(struct session *s)
{
	struct model_totals totals;
	uint64_t now = now_ns();
	int64_t rss = rss_of_all(s);

	pthread_mutex_lock(&s->lock);
	model_mark_time(s->model, now);
	model_rows(s->model, now, 0, NULL, &totals);
	pthread_mutex_unlock(&s->lock);
	read_memory(s);
	thin_timeline(&s->timeline);
	snapshot_sample_vec_push(&s->timeline, (struct snapshot_sample){
		.t_s = (double)(now - s->start_ns) / NS_PER_S,
		.live_bytes = totals.m.live_bytes,
		.rss_bytes = rss,
		.alloc_bytes = totals.m.alloc_bytes,
		.free_bytes = totals.m.free_bytes,
	});
}

struct error *session_run(struct session *s, double seconds,
			  const volatile sig_atomic_t *interrupted, enum session_state *ret)
{
	double until = seconds < 0 ? -1 : since_start_s(s) + seconds;

	for (;;) {
		double now = since_start_s(s), pause = CALLER_POLL_S;

		handle_process_events(s);
		refresh_names(s);
		reap_command(s);
		check_alive(s);
		note_loss(s);
		if (now >= s->next_sample_s) {
			take_sample(s);
			s->next_sample_s += s->settings.interval_s;
			if (s->next_sample_s < now)
				s->next_sample_s = now + s->settings.interval_s;
		}
		if (all_ended(s)) {
			*ret = SESSION_ENDED;
			return NULL;
		}
		if (*interrupted) {
			*ret = SESSION_INTERRUPTED;
			return NULL;
		}
		if (until >= 0 && now >= until) {
			*ret = SESSION_RUNNING;
			return NULL;
		}
		if (until >= 0 && until - now < pause)
			pause = until - now;
		if (s->next_sample_s - now < pause)
			pause = s->next_sample_s - now;
		/* A signal ends the sleep: *interrupted is looked at then. */
		if (pause > 0)
			usleep((useconds_t)(pause * 1e6) + 1);
	}
}

void session_stop(struct session *s)
{
	if (s->end_ns)
		return;
	drain(s);
	pthread_mutex_lock(&s->lock);
	s->frozen = true;
	pthread_mutex_unlock(&s->lock);
	handle_process_events(s);
	refresh_names(s);
	reap_command(s);
	take_sample(s);
	s->end_ns = now_ns();
	attachment_deinit(&s->attachment);
}

/* --- snapshots --------------------------------------------------------- */

static void add_frames(struct snapshot *snap, struct snapshot_stack *stack,
		       const struct address_space *names, const struct model_row *row)
{
	stack->frame_first = snap->frames.len;
	stack->frame_count = row->pc_count;
	for (uint32_t i = 0; i < row->pc_count; i++) {
		struct frame *frame = frame_vec_append(&snap->frames);
		struct symbol symbol = { .module = "", .path = "", .build_id = "" };

		if (names)
			address_space_symbolize(names, row->pcs[i], true, &symbol);
		*frame = (struct frame){
			.pc = row->pcs[i],
			.offset = symbol.offset,
			.function = snapshot_string(snap, symbol.function),
			.raw = snapshot_string(snap, symbol.raw),
			.module = snapshot_string(snap, symbol.module),
			.path = snapshot_string(snap, symbol.path),
			.build_id = snapshot_string(snap, symbol.build_id),
		};
	}
}

/*
 * Frame pointers end where the C library's start code begins, which has none;
 * a walk that ended right there has seen everything.
 */
static bool is_thread_start(const struct frame *frame)
{
	static const char *const starts[] = {
		"_start", "__libc_start_main", "__libc_start_call_main", "__libc_init_first",
		"start_thread", "clone", "clone3", "__clone", "__clone3",
	};

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (frame->raw && !strncmp(frame->raw, starts[i], strlen(starts[i])))
			return true;
	return false;
}

static void judge_status(struct snapshot *snap, struct snapshot_stack *stack)
{
	const struct frame *frames = snapshot_frames(snap, stack);

	if (stack->status == UNWIND_GUESSED && stack->frame_count &&
	    is_thread_start(&frames[stack->frame_count - 1]))
		stack->status = UNWIND_COMPLETE;
}

static void count_status(struct snapshot_unwind *unwind, uint32_t status)
{
	switch (status) {
	case UNWIND_COMPLETE:
		unwind->complete++;
		break;
	case UNWIND_TRUNCATED:
		unwind->truncated++;
		break;
	case UNWIND_GUESSED:
		unwind->guessed++;
		break;
	default:
		unwind->failed++;
	}
}

static void add_row(struct session *s, struct snapshot *snap, const struct model_row *row,
		    uint32_t target, const struct image *image, unsigned int flags)
{
	struct snapshot_stack *stack = snapshot_stack_vec_append(&snap->stacks);

	*stack = (struct snapshot_stack){
		.id = row->stack_id,
		.target = target,
		.kind = row->kind,
		.status = row->status,
		.m = row->m,
	};
	if (flags & SNAPSHOT_NAMES) {
		add_frames(snap, stack, image ? image->names : NULL, row);
		judge_status(snap, stack);
	}
	count_status(&snap->unwind, stack->status);
}

static void add_target(struct snapshot *snap, const struct image *image)
{
	snapshot_target_vec_push(&snap->targets, (struct snapshot_target){
		.pid = image->pid,
		.comm = snapshot_string(snap, image->id.comm),
		.exe = snapshot_string(snap, image->id.exe),
		.cmdline = snapshot_string(snap, image->id.cmdline),
		.exited = image->ended,
		.exit_reason = snapshot_string(snap, image->exit_reason),
	});
}

static void fill_account(struct snapshot *snap)
{
	const struct snapshot_memory *m = &snap->memory;
	int64_t explained = 0;

	if (m->rss_bytes < 0)
		return;
	if (m->file_bytes >= 0) {
		snapshot_account_vec_push(&snap->account,
					  (struct snapshot_account){ "file", m->file_bytes });
		explained += m->file_bytes;
	}
	if (m->shmem_bytes >= 0) {
		snapshot_account_vec_push(&snap->account,
					  (struct snapshot_account){ "shmem", m->shmem_bytes });
		explained += m->shmem_bytes;
	}
	snapshot_account_vec_push(&snap->account, (struct snapshot_account){
		"unexplained", m->rss_bytes - explained });
}

/* Slope between the ends of the timeline; the forecast proper belongs to the ledger. */
static void fill_memory(const struct session *s, struct snapshot *snap)
{
	const struct snapshot_sample_vec *t = &s->timeline;

	snap->memory = s->memory;
	snap->memory.limit_kind = snapshot_string(snap, s->memory.limit_kind);
	snap->memory.growth_bytes_per_s = 0;
	snap->memory.seconds_to_limit = -1;
	if (t->len > 1 && t->data[t->len - 1].rss_bytes && t->data[0].rss_bytes) {
		double span = t->data[t->len - 1].t_s - t->data[0].t_s;
		double grown = t->data[t->len - 1].rss_bytes - t->data[0].rss_bytes;

		if (span > 0)
			snap->memory.growth_bytes_per_s = grown / span;
	}
	if (snap->memory.growth_bytes_per_s > 0 && snap->memory.limit_bytes >= 0 &&
	    snap->memory.rss_bytes >= 0)
		snap->memory.seconds_to_limit =
			(snap->memory.limit_bytes - snap->memory.rss_bytes) /
			snap->memory.growth_bytes_per_s;
	fill_account(snap);
}

static void fill_cost(const struct session *s, struct snapshot_cost *ret)
{
	ret->probe_hits = bpf_count(s, COUNT_PROBE_HITS);
	ret->probe_ns_per_hit = -1;
	ret->target_cpu_share = -1;
	ret->own_cpu_s = own_cpu_s() - s->own_cpu_start_s;
	ret->own_rss_bytes = memory_rss_bytes(getpid());
}

static void fill_totals(const struct session *s, const struct model_totals *totals,
			struct snapshot_totals *ret)
{
	ret->m = totals->m;
	ret->unknown_free_count = totals->unknown_free_count;
	ret->failed_alloc_count = totals->failed_alloc_count;
	ret->ignored_count = bpf_count(s, COUNT_IGNORED);
}

struct error *session_snapshot(struct session *s, unsigned int flags, struct snapshot **ret)
{
	__cleanup(snapshot_destroyp) struct snapshot *snap = snapshot_create();
	__cleanup(model_row_vec_deinit) struct model_row_vec rows = { 0 };
	__cleanup_free struct model_image *images = NULL;
	const struct model_image *borrowed;
	struct model_totals totals;
	size_t images_count;

	if (!s->end_ns)
		drain(s);
	pthread_mutex_lock(&s->lock);
	model_rows(s->model, s->end_ns ? s->end_ns : now_ns(),
		   flags & SNAPSHOT_OLDEST ? MODEL_OLDEST : 0, &rows, &totals);
	images_count = model_images(s->model, &borrowed);
	images = xcalloc(images_count, sizeof(*images));
	memcpy(images, borrowed, images_count * sizeof(*images));
	pthread_mutex_unlock(&s->lock);
	/* Every image that the rows speak of is known after this. */
	handle_process_events(s);
	refresh_names(s);

	snap->version = snapshot_string(snap, HEAPSONDE_VERSION);
	snap->duration_s = since_start_s(s);
	snap->mode = snapshot_string(snap, "exact");
	snap->stack_mode = snapshot_string(snap, "fp");
	snap->sample_bytes = -1;
	vec_for_each(image, &s->images)
		add_target(snap, image);
	vec_for_each(row, &rows) {
		const struct image *image = find_image(s, &images[row->image]);

		add_row(s, snap, row, image ? image - s->images.data : 0, image, flags);
	}
	fill_totals(s, &totals, &snap->totals);
	fill_loss(s, &totals, &snap->loss);
	fill_memory(s, snap);
	fill_cost(s, &snap->cost);
	vec_for_each(sample, &s->timeline)
		snapshot_sample_vec_push(&snap->timeline, *sample);
	*ret = steal_ptr(snap);
	return NULL;
}

/* --- beginning and end ------------------------------------------------- */

static uint64_t ring_size(uint64_t wanted)
{
	uint64_t size = sysconf(_SC_PAGESIZE);

	while (size < (wanted ? wanted : SESSION_RING_BYTES))
		size *= 2;
	return size;
}

static struct error *pid_namespace(uint32_t *ret)
{
	struct stat st;

	if (stat("/proc/self/ns/pid", &st))
		return error_errno(errno, "reading /proc/self/ns/pid (is /proc mounted?)");
	*ret = st.st_ino;
	return NULL;
}

static void choose_programs(struct session *s)
{
	bool session = s->method == ATTACH_SESSION;
	enum bpf_attach_type multi = s->method == ATTACH_MULTI ? ATTACH_TYPE_UPROBE_MULTI : 0;

	bpf_program__set_autoload(s->skel->progs.alloc_session, session);
	bpf_program__set_autoload(s->skel->progs.alloc_entry, !session);
	bpf_program__set_autoload(s->skel->progs.alloc_return, !session);
	bpf_program__set_expected_attach_type(s->skel->progs.alloc_session,
					      (enum bpf_attach_type)ATTACH_TYPE_UPROBE_SESSION);
	bpf_program__set_expected_attach_type(s->skel->progs.alloc_entry, multi);
	bpf_program__set_expected_attach_type(s->skel->progs.alloc_return, multi);
}

static struct error *load(struct session *s)
{
	const struct session_settings *settings = &s->settings;
	uint64_t ring = ring_size(settings->ring_bytes);
	struct features features;
	struct error *err = features_detect(&features);
	int ret;

	if (err)
		return err;
	if (!features.btf)
		return error_create(ERROR_UNSUPPORTED,
				    "this kernel has no type information (CONFIG_DEBUG_INFO_BTF), which the programs need");
	s->method = settings->method == ATTACH_BEST ? attach_method_best(&features)
						    : settings->method;
	s->skel = heapsonde_bpf__open();
	if (!s->skel)
		return error_errno(errno, "opening the BPF programs");
	s->skel->rodata->cfg_min_size = settings->min_size;
	s->skel->rodata->cfg_max_size = settings->max_size;
	s->skel->rodata->cfg_max_depth = settings->max_depth;
	s->skel->rodata->cfg_wake_bytes = ring / 4;
	s->skel->rodata->cfg_preempt_guard = features.preempt_guard;
	err = pid_namespace((uint32_t *)&s->skel->rodata->cfg_pid_namespace);
	if (err)
		return err;
	bpf_map__set_max_entries(s->skel->maps.events, ring);
	choose_programs(s);
	ret = heapsonde_bpf__load(s->skel);
	if (ret)
		return error_errno(-ret, "loading the BPF programs (see 'heapsonde doctor')");
	s->skel->links.process_exec = bpf_program__attach(s->skel->progs.process_exec);
	s->skel->links.process_exit = bpf_program__attach(s->skel->progs.process_exit);
	s->skel->links.process_fork = bpf_program__attach(s->skel->progs.process_fork);
	if (!s->skel->links.process_exec || !s->skel->links.process_exit ||
	    !s->skel->links.process_fork)
		return error_errno(errno, "attaching to the process tracepoints");
	return NULL;
}

/*
 * spawn()'s callback: the command is stopped with something new mapped. A
 * program without a dynamic loader has all it will ever have.
 */
static struct error *command_mapped(pid_t pid, void *arg, bool *done)
{
	struct session *s = arg;
	struct image *image = current_image(s, pid);
	struct error *err;

	if (!image) {
		err = watch_pid(s, pid);
		if (err)
			return err;
		image = add_image(s, pid);
	}
	err = address_space_refresh(image->names, NULL);
	if (!err)
		err = attach_new_objects(s, image);
	*done = has_probes(s, pid) || !target_has_loader(pid);
	return err;
}

static struct error *attach_targets(struct session *s)
{
	const struct session_settings *settings = &s->settings;

	if (settings->command)
		return spawn(settings->command, command_mapped, s, &s->command_pid);
	for (size_t i = 0; i < settings->pids_count; i++) {
		struct error *err = attach_pid(s, settings->pids[i]);

		if (err)
			return err;
	}
	return NULL;
}

static int quiet_libbpf(enum libbpf_print_level level, const char *fmt, va_list args)
{
	return 0;
}

struct error *session_create(const struct session_settings *settings, struct session **ret)
{
	__cleanup(session_destroyp) struct session *s = xcalloc(1, sizeof(*s));
	struct error *err;

	s->settings = *settings;
	s->command_status = -1;
	s->own_cpu_start_s = own_cpu_s();
	pthread_mutex_init(&s->lock, NULL);
	s->model = model_create();
	libbpf_set_print(quiet_libbpf);
	for (size_t i = 0; i < settings->pids_count; i++) {
		err = target_check(settings->pids[i]);
		if (err)
			return err;
	}
	err = load(s);
	if (!err)
		err = start_reader(s);
	if (err)
		return err;
	s->start_ns = now_ns();
	err = attach_targets(s);
	if (err)
		return err;
	*ret = steal_ptr(s);
	return NULL;
}

void session_destroy(struct session *s)
{
	if (!s)
		return;
	attachment_deinit(&s->attachment);
	s->reader_stop = true;
	if (s->reader_started)
		pthread_join(s->reader, NULL);
	ring_buffer__free(s->ring);
	heapsonde_bpf__destroy(s->skel);
	vec_for_each(image, &s->images)
		image_deinit(image);
	image_vec_deinit(&s->images);
	probed_object_vec_deinit(&s->probed);
	process_event_vec_deinit(&s->process_events);
	snapshot_sample_vec_deinit(&s->timeline);
	model_destroy(s->model);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

int session_exit_status(const struct session *s)
{
	return s->command_status;
}

void session_signal(const struct session *s, int sig)
{
	if (s->command_pid && s->command_status < 0)
		kill(s->command_pid, sig);
}
