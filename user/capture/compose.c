// SPDX-License-Identifier: GPL-2.0-or-later
/* Snapshots of a live session; see session_private.h. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/reader.h"
#include "base/intern.h"
#include "base/strpool.h"
#include "base/version.h"
#include "capture/ledger/memory.h"
#include "capture/session_private.h"
#include "heapsonde.skel.h"
#include "model/estimate.h"

int64_t session_count(const struct session *s, enum bpf_counter counter)
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

/*
 * Runs that the kernel itself skipped, e.g. because a program recursed. Not of
 * the ledger's, which run for every task of the machine (memory.bpf.c).
 */
static int64_t missed_runs(const struct session *s)
{
	const struct bpf_program *progs[] = {
		s->programs.free, s->programs.session, s->programs.entry, s->programs.returns,
	};
	int64_t missed = 0;

	for (size_t i = 0; i < sizeof(progs) / sizeof(progs[0]); i++) {
		struct bpf_prog_info info = { 0 };
		uint32_t len = sizeof(info);
		int fd = progs[i] ? bpf_program__fd(progs[i]) : -1;

		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len))
			missed += info.recursion_misses;
	}
	return missed;
}

void session_loss(const struct session *s, const struct model_totals *totals,
		      struct snapshot_loss *ret)
{
	ret->dropped_events = session_count(s, COUNT_DROP_ALLOC) +
			      session_count(s, COUNT_DROP_FREE) +
			      session_count(s, COUNT_DROP_REALLOC) +
			      session_count(s, COUNT_DROP_MAP) +
			      session_count(s, COUNT_DROP_MEMORY) +
			      session_count(s, COUNT_DROP_PROCESS) + totals->malformed;
	ret->dropped_stacks = session_count(s, COUNT_DROP_STACK);
	ret->untracked_allocs = session_count(s, COUNT_NO_THREAD_STATE) +
				session_count(s, COUNT_READ_FAULT) +
				session_count(s, COUNT_NO_SAMPLE_ROOM) + s->untold_ends +
				totals->untracked_allocs + totals->untracked_pages;
	ret->missed_probes = session_count(s, COUNT_LOST_RETURN) + missed_runs(s) + s->blind_times;
	ret->complete = !ret->dropped_events && !ret->dropped_stacks &&
			!ret->untracked_allocs && !ret->missed_probes;
}

static const struct image *find_image(const struct session *s, const struct model_image *wanted)
{
	vec_for_each(image, &s->images)
		if (image->pid == wanted->tgid && image->generation == wanted->generation)
			return image;
	return NULL;
}

static const char *intern(struct strpool *strings, const char *s)
{
	return s ? strpool_intern(strings, s) : NULL;
}

static void add_frame(struct frame_vec *frames, struct strpool *strings, uint64_t pc,
		      const struct symbol_frame *named)
{
	*frame_vec_append(frames) = (struct frame){
		.pc = pc,
		.offset = named->symbol.offset,
		.function = intern(strings, named->symbol.function),
		.raw = intern(strings, named->symbol.raw),
		.module = intern(strings, named->symbol.module),
		.path = intern(strings, named->symbol.path),
		.build_id = intern(strings, named->symbol.build_id),
		.file = intern(strings, named->file),
		.type = intern(strings, named->type),
		.line = named->line,
		.column = named->column,
		.start_line = named->start_line,
		.inlined = named->inlined,
	};
}

/* Appends the names of @pcs, innermost first. */
static void symbolize(const struct session *s, struct frame_vec *frames,
		      struct strpool *strings, const struct address_space *names,
		      const uint64_t *pcs, uint32_t pc_count)
{
	for (uint32_t i = 0; i < pc_count; i++) {
		struct symbol_frame named[SYMBOL_FRAMES_MAX] = {
			{ .symbol = { .module = "", .path = "", .build_id = "" } },
		};
		size_t count = 1;

		if (names && (s->settings.no_symbols || s->memory_short))
			address_space_locate(names, pcs[i], true, &named[0].symbol);
		else if (names)
			count = address_space_symbolize_frames(names, pcs[i], true, named,
							       SYMBOL_FRAMES_MAX);
		for (size_t k = 0; k < count; k++)
			add_frame(frames, strings, pcs[i], &named[k]);
	}
}

void session_name_frame(struct session *s, struct object *object, const struct frame *frame)
{
	const struct symbol at = { .module = frame->module, .path = frame->path,
				   .build_id = frame->build_id, .offset = frame->offset };
	struct symbol_frame named[SYMBOL_FRAMES_MAX];
	size_t count = object_symbolize_frames(object, &at, true, named, SYMBOL_FRAMES_MAX);

	for (size_t k = 0; k < count; k++)
		add_frame(&s->scratch, frame_store_strings(s->store), frame->pc, &named[k]);
}

static uint64_t stack_key(uint64_t id, const struct image *image)
{
	return id ^ ((uint64_t)image->pid << 32 | image->generation) * 0x9e3779b97f4a7c15;
}

bool session_is_named(const struct session *s, const struct image *image, uint64_t id)
{
	return map64_get(&s->named, stack_key(id, image));
}

const struct named_stack *session_named_stack(const struct session *s, const struct image *image,
					      uint64_t id)
{
	uint32_t nr = map64_get(&s->named, stack_key(id, image));

	return nr ? &s->named_stacks.data[nr - 1] : NULL;
}

/* Code that is generated gets its names later. */
static bool has_unnamed_code(const struct frame_vec *frames)
{
	vec_for_each(frame, frames)
		if (!frame->function && !*frame->build_id)
			return true;
	return false;
}

void session_name_stack(struct session *s, const struct image *image,
			const struct fresh_stack *fresh)
{
	uint64_t key = stack_key(fresh->id, image);

	if (map64_get(&s->named, key))
		return;
	s->scratch.len = 0;
	symbolize(s, &s->scratch, frame_store_strings(s->store), image->names, fresh->pcs,
		  fresh->count);
	named_stack_vec_push(&s->named_stacks, (struct named_stack){
		.frames = frame_store_add(s->store, s->scratch.data, s->scratch.len),
		.count = s->scratch.len,
		.late = has_unnamed_code(&s->scratch),
	});
	map64_set(&s->named, key, s->named_stacks.len);
}

/*
 * Names that were found when the stack was new, because its addresses may lie
 * in another file by now; else those that are found now.
 */
static void set_frames(const struct session *s, struct snapshot *snap,
		       struct snapshot_stack *stack, const struct image *image,
		       const struct model_row *row)
{
	const struct named_stack *named =
		image ? session_named_stack(s, image, row->stack_id) : NULL;

	if (named && (!named->late || s->memory_short)) {
		stack->shared_frames = named->frames;
		stack->frame_count = named->count;
		return;
	}
	stack->frame_first = snap->frames.len;
	symbolize(s, &snap->frames, snap->strings, image ? image->names : NULL, row->pcs,
		  row->pc_count);
	stack->frame_count = snap->frames.len - stack->frame_first;
}

/*
 * Frame pointers end where the C library's start code begins, which has none;
 * a walk by them alone that ended right there has seen everything.
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

static void judge_status(const struct session *s, struct snapshot *snap,
			 struct snapshot_stack *stack)
{
	const struct frame *frames = snapshot_frames(snap, stack);

	if (!s->settings.frame_pointers)
		return;
	if (stack->status == UNWIND_NO_CFI)
		stack->status = UNWIND_GUESSED;
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

/* What can only be located while memory is short gets its names later. */
static bool wants_names(struct session *s, const struct model_row *row,
			const struct image *image, unsigned int flags)
{
	uint64_t key = row->stack_id + row->image;
	bool told;

	if (!(flags & (SNAPSHOT_NAMES | SNAPSHOT_NEW_NAMES)))
		return false;
	told = map64_get(&s->told, key);
	if (!s->memory_short || (image && session_is_named(s, image, row->stack_id)))
		map64_set(&s->told, key, 1);
	return !told || (flags & SNAPSHOT_NAMES);
}

/* What is held and cannot be given to any stack, as a line like others. */
static void name_unattributed(struct snapshot *snap, struct snapshot_stack *stack)
{
	stack->status = UNWIND_COMPLETE;
	stack->frame_first = snap->frames.len;
	stack->frame_count = 1;
	*frame_vec_append(&snap->frames) = (struct frame){
		.function = "[unattributed]", .module = "", .path = "", .build_id = "",
	};
}

#define NO_PLACE UINT32_MAX
#define GROWTH_ROW_BYTES (64 << 10)

/* A program's start alone has a thousand call paths that touched a page or two. */
static bool is_minor(const struct snapshot *snap, const struct model_row *row)
{
	return row->kind == MEMORY_GROWTH && !snapshot_is_growth(snap) &&
	       row->m.resident_bytes + row->m.mapped_bytes < GROWTH_ROW_BYTES;
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
	/* Who touches new memory is not who leaks, and must not be ranked among those. */
	if (row->kind == MEMORY_GROWTH && !snapshot_is_growth(snap))
		stack->m.growth_bytes_per_s = stack->m.growth_confidence = 0;
	if (!row->stack_id) {
		name_unattributed(snap, stack);
	} else if (wants_names(s, row, image, flags)) {
		set_frames(s, snap, stack, image, row);
		judge_status(s, snap, stack);
	}
	count_status(&snap->unwind, stack->status);
}

/* The call paths of the profile that a Go program keeps of itself. */
static void add_profile(struct session *s, struct snapshot *snap, const struct image *image,
			unsigned int flags)
{
	const struct go_profile *profile = &image->profile;

	vec_for_each(row, &profile->rows) {
		const struct model_row as_row = {
			.kind = MEMORY_PROFILE,
			.stack_id = row->stack_id,
			.status = row->count ? UNWIND_COMPLETE : UNWIND_LOST,
			.pcs = profile->pcs.data + row->first,
			.pc_count = row->count,
			.m = row->m,
		};

		if (profile->rate && row->m.alloc_count)
			add_row(s, snap, &as_row, image - s->images.data, image, flags);
	}
}

static void add_target(struct snapshot *snap, const struct image *image)
{
	struct target_state state = { 0 };

	if (!image->ended)
		target_state(image->pid, &state);
	snapshot_target_vec_push(&snap->targets, (struct snapshot_target){
		.pid = image->pid,
		.comm = snapshot_string(snap, image->id.comm),
		.exe = snapshot_string(snap, image->id.exe),
		.cmdline = snapshot_string(snap, image->id.cmdline),
		.exited = image->ended,
		.exit_reason = snapshot_string(snap, image->exit_reason),
		.oom_killed = image->ended && image->oom_reason,
		.stopped = state.stopped,
		.uptime_s = state.uptime_s,
	});
}

static void fill_runtime(const struct session *s, struct snapshot *snap)
{
	snap->runtime = s->runtime;
	snap->runtime.version = snapshot_string(snap, s->runtime.version);
	for (int i = 1; i < GO_SIZE_CLASSES && s->runtime.language; i++)
		runtime_size_vec_push(&snap->sizes, s->sizes[i]);
}

/* Now: by heapsonde, or by the programs themselves and nobody else. */
static bool is_sampled(const struct session *s)
{
	return s->sample_bytes || (s->watches_reports && !s->watches_functions);
}

/* A Go program without C's allocator is watched by its runtime's books alone. */
const char *session_level(const struct session *s)
{
	if (session_has_profile(s, NULL) || session_samples_go(s, NULL))
		return "sampled";
	if (s->settings.growth ||
	    (s->runtime.language && !session_has_probes(s) && !session_tracks_go(s)))
		return "growth";
	if (s->governor)
		return "windows";
	return is_sampled(s) ? "sampled" : "exact";
}

void session_note_level(struct session *s, const char *before)
{
	const char *now = session_level(s);

	if (!strcmp(now, before))
		return;
	if (!s->levels.len)
		snapshot_level_vec_push(&s->levels, (struct snapshot_level){ 0, before });
	snapshot_level_vec_push(&s->levels,
				(struct snapshot_level){ session_watched_s(s), now });
}

static void fill_levels(const struct session *s, struct snapshot *snap)
{
	vec_for_each(level, &s->levels)
		snapshot_level_vec_push(&snap->levels, *level);
	if (!snap->levels.len)
		snapshot_level_vec_push(&snap->levels,
					(struct snapshot_level){ 0, session_level(s) });
}

static int64_t sample_bytes(const struct session *s)
{
	int64_t rate = -1;

	if (s->sample_bytes)
		return (int64_t)s->sample_bytes;
	if (!session_has_profile(s, &rate))
		session_samples_go(s, &rate);
	return rate;
}

/*
 * Of the program's own memory, which is as of now: what the kernel side holds back
 * is told seldom, and may be nearly all of it.
 */
static int64_t settled_pairs(const struct session *s)
{
	const size_t len = sizeof(s->skel->bss->settled) / sizeof(s->skel->bss->settled[0]);
	int64_t pairs = s->pairs;

	for (size_t i = 0; s->skel->rodata->cfg_hold && i < len; i++)
		pairs += *(volatile uint32_t *)&s->skel->bss->settled[i].count;
	return pairs;
}

int64_t session_hits(const struct session *s)
{
	static const int hits[EVENT_KINDS_COUNT] = {
#define X(kind, hits, text) hits,
		EVENT_KINDS(X)
#undef X
	};
	int64_t sum = session_count(s, COUNT_QUIET_HITS) + session_count(s, COUNT_DROP_FREE) +
		      2 * session_count(s, COUNT_DROP_ALLOC);

	for (int kind = 0; kind < EVENT_KINDS_COUNT; kind++)
		sum += hits[kind] * s->records[kind];
	return sum + 3 * settled_pairs(s);
}

/* Other system calls of targets that ours made slower: counted while timing. */
static int64_t slowed_calls(const struct session *s)
{
	double timed_s = session_timed_s(s);

	if (s->growth.programs.calls != CALLS_AT_TRACEPOINT || timed_s <= 0)
		return 0;
	return llround((double)s->skel->bss->timed_other_calls * session_watched_s(s) / timed_s);
}

void session_update_cost(struct session *s)
{
	cost_update(&s->cost, &(struct cost_counts){
		.hits = session_hits(s),
		.stepped = session_count(s, COUNT_STEPPED_HITS),
		.returns = s->records[EV_ALLOC] + s->records[EV_HELD] +
			   s->records[EV_HELD_LATER] + settled_pairs(s) + s->records[EV_REALLOC] +
			   session_count(s, COUNT_DROP_ALLOC) +
			   session_count(s, COUNT_DROP_REALLOC),
		.timed_hits = s->skel->bss->timed_hits,
		.timed_ns = s->skel->bss->timed_ns,
		.large = s->records[EV_LARGE],
		.large_timed_hits = s->skel->bss->large_timed_hits,
		.large_timed_ns = s->skel->bss->large_timed_ns,
		.ledger_hits = session_count(s, COUNT_LEDGER_HITS),
		.ledger_timed_hits = s->skel->bss->ledger_timed_hits,
		.ledger_timed_ns = s->skel->bss->ledger_timed_ns,
		.slowed_calls = slowed_calls(s),
	});
}

double session_ledger_ns(const struct session *s)
{
	double per_hit = fmax(s->cost.ledger_ns_per_hit, 0);

	return per_hit * (double)session_count(s, COUNT_LEDGER_HITS) +
	       s->cost.kernel.call_ns * (double)slowed_calls(s);
}

static void fill_cost(const struct session *s, struct snapshot_cost *ret)
{
	ret->probe_hits = session_hits(s);
	ret->probe_ns_per_hit = s->cost.ns_per_hit;
	ret->target_cpu_share = s->cost.share;
	ret->ledger_hits = s->cost.counts.ledger_hits;
	ret->ledger_ns_per_hit = s->cost.ledger_ns_per_hit;
	ret->slowed_calls = s->cost.counts.slowed_calls;
	ret->ns_per_slowed_call = s->growth.price_known ? s->growth.price.call_ns : -1;
	ret->own_cpu_s = session_own_cpu_s() - s->own_cpu_start_s;
	ret->own_rss_bytes = memory_rss_bytes(getpid());
	ret->own_memory_bytes = s->thrift.most_bytes;
	ret->memory_limit_bytes = s->thrift.limit_bytes;
	session_add_go_cost(s, ret);
}

/* In words, from the firmest to the weakest. */
static const char *evidence(struct snapshot *snap, const struct window_quality *q)
{
	struct strbuf text __cleanup_strbuf = { 0 };

	if (q->has_mapped)
		strbuf_addstr(&text, "system calls, ");
	if (q->told_above)
		strbuf_addstr(&text, "large requests, ");
	strbuf_addf(&text, "windows, %s",
		    q->by_contents ? "contents of blocks" : "chunk headers");
	if (q->has_census)
		strbuf_addf(&text, ", %s", q->old_census ? EVIDENCE_OLD_WALK : "heap walk");
	return snapshot_string(snap, text.data);
}

static void fill_windows(const struct session *s, const struct window_estimate *estimate,
			 struct snapshot *snap)
{
	const struct window_quality *q = &estimate->quality;

	snap->windows = (struct snapshot_windows){
		.since_s = s->windows_since_s,
		.windows = (int64_t)q->windows, .truncated = (int64_t)q->truncated,
		.window_s = estimate->window_s, .period_s = estimate->period_s,
		.covered_share = q->covered, .outside_hits = estimate->outside,
		.samples = (int64_t)q->samples, .controls = (int64_t)q->controls,
		.ghost_share = q->ghost_share, .ghost_s = q->ghost_s,
		.detectable_count = (int64_t)ceil(q->detectable_count),
		.held_bytes = (int64_t)q->held, .older_bytes = (int64_t)q->older,
		.unattributed_bytes = (int64_t)q->unattributed,
		.told_above_bytes = q->told_above ? (int64_t)q->told_above - CHUNK_HEAD : 0,
		.evidence = evidence(snap, q),
	};
}

/*
 * As long as no sample was drawn, no block tells how far the estimates may be off:
 * as many bytes may have passed by, and no more blocks than probes were hit.
 */
static void admit_unseen(const struct session *s, struct metrics *m)
{
	double bytes = estimate_error(0, 0, (double)s->sample_bytes);
	double count = fmin(bytes, (double)session_hits(s));

	if (!count || m->alloc_bytes_error > 0)
		return;
#define X(name, unit) m->name##_error = unit == UNIT_BYTES ? bytes : count;
	ESTIMATED_METRICS(X)
#undef X
}

/* Frees of what is no sample, or of a size that is ignored, are of unknown blocks, too. */
static bool knows_all_blocks(const struct session *s)
{
	return !s->sampled && !is_sampled(s) && !s->governor && !s->settings.min_size &&
	       s->settings.max_size == UINT64_MAX;
}

static void fill_totals(const struct session *s, const struct model_totals *totals,
			struct snapshot_totals *ret)
{
	ret->m = totals->m;
	admit_unseen(s, &ret->m);
	ret->unknown_free_count = knows_all_blocks(s) ? totals->unknown_free_count : -1;
	ret->failed_alloc_count = totals->failed_alloc_count;
	ret->ignored_count = session_count(s, COUNT_IGNORED);
}

/* Stacks that turned out to be one become one row. With the lock held. */
static void add_window_rows(struct session *s, const struct window_estimate *estimate,
			    struct model_row_vec *rows)
{
	uint32_t image = model_image_number(s->model, governor_pid(s->governor));
	struct map64 known = { 0 };

	vec_for_each(from, &estimate->rows) {
		struct model_row row = { 0 };
		uint32_t at;

		if (from->stack_id)
			model_describe_stack(s->model, from->stack_id, &row);
		at = map64_get(&known, row.stack_id);
		if (at) {
			metrics_combine(&rows->data[at - 1].m, &from->m);
			continue;
		}
		row.image = image;
		row.kind = MEMORY_HEAP;
		row.m = from->m;
		model_row_vec_push(rows, row);
		map64_set(&known, row.stack_id, rows->len);
	}
	map64_deinit(&known);
}

/* The index of each model image's target; the caller frees. */
static uint32_t *targets_of_images(const struct session *s, const struct model_image *images,
				   size_t count)
{
	uint32_t *targets = xcalloc(count, sizeof(*targets));

	for (size_t i = 0; i < count; i++) {
		const struct image *image = find_image(s, &images[i]);

		targets[i] = image ? (uint32_t)(image - s->images.data) : 0;
	}
	return targets;
}

/* Shares follow their rows; those of rows that are gone go with them. */
static void move_shares(struct model_share_vec *shares, const uint32_t *place)
{
	size_t kept = 0;

	vec_for_each(share, shares) {
		if (place[share->row] == NO_PLACE)
			continue;
		shares->data[kept] = *share;
		shares->data[kept++].row = place[share->row];
	}
	shares->len = kept;
}

/*
 * Leaves out what is minor, and makes one row of what the model keeps apart: what
 * comes of a process after its end was told, as what was still to be settled of a Go
 * program's samples, is another image's to it, of the same target. (Nothing of that
 * has shares.)
 */
static void choose_rows(const struct snapshot *snap, const uint32_t *target_of_image,
			struct model_row_vec *rows, struct model_share_vec *shares)
{
	struct row_key { uint64_t stack_id; uint32_t target, kind; };
	uint32_t *place __cleanup_free = xcalloc(rows->len, sizeof(*place));
	struct intern known;
	size_t kept = 0;

	intern_init(&known, sizeof(struct row_key));
	for (size_t i = 0; i < rows->len; i++) {
		const struct model_row *row = &rows->data[i];
		struct row_key key = {
			.stack_id = row->stack_id,
			.target = target_of_image[row->image],
			.kind = row->kind,
		};
		bool is_new;
		size_t at;

		place[i] = NO_PLACE;
		if (is_minor(snap, row))
			continue;
		at = intern_put(&known, &key, &is_new);
		if (is_new) {
			place[i] = (uint32_t)kept;
			rows->data[kept++] = *row;
		} else {
			metrics_combine(&rows->data[at].m, &row->m);
		}
	}
	rows->len = kept;
	intern_deinit(&known);
	move_shares(shares, place);
}

struct error *session_snapshot(struct session *s, unsigned int flags, struct snapshot **ret)
{
	__cleanup(snapshot_destroyp) struct snapshot *snap = snapshot_create();
	__cleanup(model_row_vec_deinit) struct model_row_vec rows = { 0 };
	__cleanup(model_share_vec_deinit) struct model_share_vec shares = { 0 };
	__cleanup_free struct model_image *images = NULL;
	__cleanup_free uint32_t *target_of_image = NULL;
	const struct model_image *borrowed;
	struct model_totals totals;
	const struct window_estimate *estimate = NULL;
	size_t images_count;

	if (!s->end_ns)
		session_settle(s);
	if (s->governor)
		estimate = governor_estimate(s->governor, s->end_ns ? s->end_ns : session_now_ns(),
					     s->end_ns);
	pthread_mutex_lock(&s->lock);
	model_rows_and_shares(s->model, s->end_ns ? s->end_ns : session_now_ns(),
			      flags & SNAPSHOT_OLDEST ? MODEL_OLDEST : 0, &rows,
			      flags & SNAPSHOT_SHARES ? &shares : NULL, &totals);
	if (estimate) {
		add_window_rows(s, estimate, &rows);
		metrics_combine(&totals.m, &estimate->total);
	}
	images_count = model_images(s->model, &borrowed);
	images = xcalloc(images_count, sizeof(*images));
	memcpy(images, borrowed, images_count * sizeof(*images));
	pthread_mutex_unlock(&s->lock);
	/* Every image that the rows speak of is known after this. */
	session_follow_names(s);

	snap->store = frame_store_ref(s->store);
	snap->version = snapshot_string(snap, heapsonde_version);
	snap->duration_s = session_watched_s(s);
	snap->mode = snapshot_string(snap, session_level(s));
	snap->stack_mode = snapshot_string(snap, s->settings.frame_pointers ? "fp" : "dwarf");
	snap->sample_bytes = sample_bytes(s);
	vec_for_each(image, &s->images)
		add_target(snap, image);
	target_of_image = targets_of_images(s, images, images_count);
	choose_rows(snap, target_of_image, &rows, &shares);
	vec_for_each(row, &rows) {
		const struct image *image = find_image(s, &images[row->image]);

		add_row(s, snap, row, target_of_image[row->image], image, flags);
	}
	if (flags & SNAPSHOT_SHARES)
		session_add_shares(s, snap, &shares, target_of_image);
	vec_for_each(image, &s->images)
		add_profile(s, snap, image, flags);
	session_add_profile_totals(s, &totals.m);
	fill_totals(s, &totals, &snap->totals);
	session_loss(s, &totals, &snap->loss);
	ledger_fill(&s->ledger, snap);
	if (session_all_ended(s))
		snap->memory.seconds_to_limit = -1;
	fill_runtime(s, snap);
	fill_levels(s, snap);
	if (estimate)
		fill_windows(s, estimate, snap);
	session_add_focus(s, estimate, snap);
	session_add_reclaims(s, snap);
	fill_cost(s, &snap->cost);
	snap->unwind.unreadable_files = reader_failures();
	vec_for_each(sample, &s->timeline)
		snapshot_sample_vec_push(&snap->timeline, *sample);
	*ret = steal_ptr(snap);
	return NULL;
}
