// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where records enter: they are checked, wait in a short queue while what
 * they will touch is prefetched, and are dispatched in order. See sink.h.
 */
#include <stdlib.h>
#include <string.h>

#include "model/model.h"

#define EPOCH_SHIFT_MIN 20	/* 1 ms; 65536 of them last a minute */

struct model *model_create(void)
{
	struct model *model = xcalloc(1, sizeof(*model));

	model->epoch_shift = EPOCH_SHIFT_MIN;
	model->room_bytes = INT64_MAX;
	agg_init(&model->agg);
	agg_init(&model->touched);
	model_thread_vec_push(&model->thread_list, (struct model_thread){ 0 });
	stacks_init(&model->stacks);
	return model;
}

void model_set_room(struct model *model, int64_t bytes)
{
	model->room_bytes = bytes;
}

static void image_drop_tables(struct image *image)
{
	blocks_deinit(&image->blocks);
	regions_deinit(&image->regions);
	threads_deinit(&image->threads);
	pools_deinit(&image->pools);
	map64_deinit(&image->reported);
	residence_deinit(&image->residence);
	map64_deinit(&image->thread_numbers);
	for (int kind = 0; kind < MEMORY_KINDS_COUNT; kind++) {
		map64_deinit(&image->paths[kind]);
		map64_deinit(&image->rows[kind]);
	}
}

void model_destroy(struct model *model)
{
	if (!model)
		return;
	vec_for_each(image, &model->images) {
		image_drop_tables(*image);
		row_birth_vec_deinit(&(*image)->oldest);
		free(*image);
	}
	image_vec_deinit(&model->images);
	image_info_vec_deinit(&model->infos);
	map64_deinit(&model->by_tgid);
	agg_deinit(&model->agg);
	agg_deinit(&model->touched);
	growth_deinit(&model->touched_growth);
	mapped_vec_deinit(&model->mapped);
	model_thread_vec_deinit(&model->thread_list);
	stacks_deinit(&model->stacks);
	growth_deinit(&model->growth);
	reclaim_log_deinit(&model->reclaims);
	region_cut_vec_deinit(&model->cuts);
	free(model);
}

/* 0 for those that come after MODEL_THREADS_MAX others. */
static uint32_t thread_number(struct model *model, struct image *image, uint32_t tid)
{
	uint32_t number = map64_get(&image->thread_numbers, tid);

	if (number || model->thread_list.len > MODEL_THREADS_MAX)
		return number;
	model_thread_vec_push(&model->thread_list, (struct model_thread){ image->number, tid });
	number = (uint32_t)model->thread_list.len - 1;
	map64_set(&image->thread_numbers, tid, number);
	return number;
}

static uint32_t path_of(struct model *model, struct image *image, uint64_t stack_id,
			enum memory_kind kind)
{
	uint32_t path = map64_get(&image->paths[kind], stack_id), stack;

	if (path)
		return path;
	stack = stacks_intern(&model->stacks, stack_id);
	if (!stack)
		return 0;
	path = agg_add_path(&model->agg, stack, image->number, kind);
	map64_set(&image->paths[kind], stack_id, path);
	return path;
}

bool model_rows_are_coarse(const struct model *model)
{
	return model->agg.len > AGG_DETAILED_ROWS_MAX;
}

/* A row for an origin without one of its own, which may be one that others share. */
static uint32_t add_row(struct model *model, struct image *image, struct origin origin,
			enum memory_kind kind)
{
	bool detailed = !model_rows_are_coarse(model) && origin.size_class != SIZE_CLASS_ANY;
	uint32_t thread = detailed ? thread_number(model, image, origin.tid) : 0, path, row;

	if (!thread)
		origin.tid = 0;
	if (!detailed)
		origin.size_class = SIZE_CLASS_ANY;
	row = map64_get(&image->rows[kind], origin_key(&origin));
	if (row)
		return row;
	if (!model_take_room(model, ROOM_OF_ROW))
		return 0;
	path = path_of(model, image, origin.stack_id, kind);
	row = path ? agg_add_row(&model->agg, path, thread, origin.size_class) : 0;
	if (row)
		map64_set(&image->rows[kind], origin_key(&origin), row);
	return row;
}

uint32_t model_row_of(struct model *model, struct image *image, const struct origin *origin,
		      enum memory_kind kind)
{
	uint32_t row = map64_get(&image->rows[kind], origin_key(origin));

	return row ? row : add_row(model, image, *origin, kind);
}

/* Makes epochs 1 << @shift times as long, and births as much smaller. */
static void coarsen_births(struct model *model, unsigned int shift)
{
	model->epoch_shift += shift;
	vec_for_each(image, &model->images) {
		if (model->infos.data[(*image)->number].ended)
			continue;
		blocks_coarsen(&(*image)->blocks, shift);
		vec_for_each(thread, &(*image)->threads.list)
			thread->pending_block.birth >>= shift;
	}
}

uint16_t model_birth(struct model *model, uint64_t time_ns)
{
	uint64_t since = time_ns > model->start_ns ? time_ns - model->start_ns : 0;
	unsigned int shift = 0;

	if (!model->started) {
		model->started = true;
		model->start_ns = time_ns;
		return 0;
	}
	while (since >> (model->epoch_shift + shift) > UINT16_MAX)
		shift++;
	if (shift)
		coarsen_births(model, shift);
	return since >> model->epoch_shift;
}

void image_each_oldest(const struct model *model, struct image *image,
		       void (*fn)(void *arg, uint32_t row, uint64_t birth_ns), void *arg)
{
	uint16_t *oldest = xmalloc(model->agg.len * sizeof(*oldest));

	memset(oldest, 0xff, model->agg.len * sizeof(*oldest));
	blocks_oldest(&image->blocks, oldest);
	map64_for_each(slot, &image->rows[MEMORY_HEAP]) {
		const struct agg_row *row = &model->agg.rows[slot->value];

		if (row->alloc_count > row->free_count)
			fn(arg, slot->value, model_birth_ns(model, oldest[slot->value]));
	}
	free(oldest);
	/* Blocks in the middle of a realloc are in no table. */
	vec_for_each(thread, &image->threads.list) {
		const struct block *block = &thread->pending_block;

		if (thread->pending && thread->pending_known)
			fn(arg, block->row, model_birth_ns(model, block->birth));
	}
	vec_for_each(piece, &image->regions.pieces) {
		const struct region_mapping *mapping =
			&image->regions.mappings.data[piece->mapping];

		fn(arg, mapping->row, mapping->birth_ns);
	}
}

static void keep_oldest(void *arg, uint32_t row, uint64_t birth_ns)
{
	row_birth_vec_push(arg, (struct row_birth){ row, birth_ns });
}

/* The image is over: what is live in it stays so in its rows, its tables go. */
static void end_image(struct model *model, struct image *image, uint64_t time_ns)
{
	model->infos.data[image->number].ended = true;
	if (model->recent == image)
		model->recent = NULL;
	image_each_oldest(model, image, keep_oldest, &image->oldest);
	image->ended_ns = time_ns;
	image->ended_seq = model->agg.peak_seq;
	for (int kind = 0; kind < MEMORY_KINDS_COUNT; kind++) {
		map64_for_each(slot, &image->rows[kind])
			model->agg.live -= agg_row_live(&model->agg.rows[slot->value]);
	}
	image_drop_tables(image);
}

/* Begins an image of @tgid; NULL if there are too many. */
static struct image *begin_image(struct model *model, uint32_t tgid, const char comm[16])
{
	uint32_t before = map64_get(&model->by_tgid, tgid);
	struct model_image info = { .tgid = tgid };
	struct image *image;

	if (model->images.len >= IMAGES_MAX)
		return NULL;
	if (before)
		info.generation = model->infos.data[before - 1].generation + 1;
	memcpy(info.comm, comm, sizeof(info.comm) - 1);
	image = xcalloc(1, sizeof(*image));
	image->number = model->images.len;
	blocks_init(&image->blocks);
	image_vec_push(&model->images, image);
	image_info_vec_push(&model->infos, info);
	map64_set(&model->by_tgid, tgid, model->images.len);
	return image;
}

struct image *model_running_image(struct model *model, uint32_t tgid)
{
	uint32_t number;

	if (model->recent && model->recent_tgid == tgid)
		return model->recent;
	number = map64_get(&model->by_tgid, tgid);
	if (!number || model->infos.data[number - 1].ended)
		return NULL;
	model->recent = model->images.data[number - 1];
	model->recent_tgid = tgid;
	return model->recent;
}

int64_t model_live_block(struct model *model, uint32_t tgid, uint64_t addr)
{
	struct image *image = model_running_image(model, tgid);
	uint64_t bytes;

	return image && blocks_find(&image->blocks, addr, &bytes) ? (int64_t)bytes : -1;
}

_Static_assert(MODEL_PARTS == BLOCKS_PARTS, "the model's parts are those of its tables");

struct live_visit {
	const struct agg *agg;
	void (*fn)(void *arg, uint64_t addr, uint64_t bytes);
	void *arg;
};

static void visit_block(void *arg, uint64_t addr, uint64_t bytes, uint32_t row)
{
	const struct live_visit *visit = arg;

	if (visit->agg->paths.data[visit->agg->rows[row].path].kind == MEMORY_HEAP)
		visit->fn(visit->arg, addr, bytes);
}

void model_each_live_block(struct model *model, uint32_t tgid, unsigned int part,
			   void (*fn)(void *arg, uint64_t addr, uint64_t bytes), void *arg)
{
	struct image *image = model_running_image(model, tgid);
	struct live_visit visit = { &model->agg, fn, arg };

	if (image)
		blocks_each(&image->blocks, part, visit_block, &visit);
}

struct image *model_image_of(struct model *model, uint32_t tgid)
{
	struct image *image = model_running_image(model, tgid);

	return image ? image : begin_image(model, tgid, (char[16]){ 0 });
}

uint32_t model_image_number(struct model *model, uint32_t tgid)
{
	uint32_t number;
	struct image *begun;

	model_drain(model);
	number = map64_get(&model->by_tgid, tgid);
	if (number)
		return number - 1;
	begun = begin_image(model, tgid, (char[16]){ 0 });
	return begun ? begun->number : 0;
}

/* A new program in @tgid; what still ran there is over. */
static void replace_image(struct model *model, uint32_t tgid, const struct ev_process *ev)
{
	struct image *image = model_running_image(model, tgid);

	if (image)
		end_image(model, image, ev->h.time_ns);
	begin_image(model, tgid, ev->comm);
}

static void on_exit_event(struct model *model, struct image *image, const struct ev_process *ev)
{
	struct model_image *info = &model->infos.data[image->number];

	info->exited = true;
	info->exit_code = ev->exit_code;
	end_image(model, image, ev->h.time_ns);
}

static bool is_alloc(uint16_t kind)
{
	return kind == EV_ALLOC || kind == EV_HELD || kind == EV_HELD_LATER ||
	       kind == EV_REALLOC || kind == EV_REPORT_ALLOC;
}

/* No address space holds a block of that size; as a failed request it is possible. */
static bool is_impossible(const struct ev_alloc *ev)
{
	return ev->addr && (ev->size >> 56 || ev->weight >> 56);
}

static void dispatch_to_image(struct model *model, struct image *image, const union record *rec)
{
	switch (rec->h.kind) {
	case EV_ALLOC:
		heap_on_alloc(model, image, &rec->alloc);
		break;
	case EV_HELD:
		heap_on_held(model, image, &rec->alloc);
		break;
	case EV_HELD_LATER:
		heap_on_held_later(model, image, &rec->alloc);
		break;
	case EV_PAIRS:
		heap_on_pairs(model, image, &rec->pairs);
		break;
	case EV_FREE_AGAIN:
		heap_on_free_again(model, image, &rec->free);
		break;
	case EV_FREE:
		heap_on_free(model, image, &rec->free);
		break;
	case EV_FREE_LATER:
		heap_on_free_later(model, image, &rec->free);
		break;
	case EV_REALLOC_BEGIN:
		heap_on_realloc_begin(model, image, &rec->free);
		break;
	case EV_REALLOC_BEGIN_LATER:
		heap_on_realloc_begin_later(model, image, &rec->free);
		break;
	case EV_REALLOC:
		heap_on_realloc(model, image, &rec->realloc);
		break;
	case EV_POOL_ADD:
		heap_on_pool_add(model, image, &rec->pool);
		break;
	case EV_POOL_CLEAR:
		heap_on_pool_clear(model, image, &rec->pool);
		break;
	case EV_REPORT_ALLOC:
		heap_on_report_alloc(model, image, &rec->alloc);
		break;
	case EV_REPORT_FREE:
		heap_on_report_free(model, image, &rec->free);
		break;
	case EV_MAP:
		mapping_on_map(model, image, &rec->map);
		break;
	case EV_UNMAP:
		mapping_on_unmap(model, image, &rec->map);
		break;
	case EV_MEMORY:
		residence_on_memory(model, image, &rec->memory);
		break;
	case EV_TOUCH:
		residence_on_touch(model, image, &rec->touch);
		break;
	case EV_RECLAIM:
		residence_on_reclaim(model, &rec->reclaim);
		break;
	case EV_EXIT:
		on_exit_event(model, image, &rec->process);
		break;
	}
}

/* What it has in its memory is as its parent's; not so where they share it. */
static void set_parent(struct model *model, uint32_t child, uint32_t parent)
{
	struct image *image = model_running_image(model, child);

	if (image)
		image->parent = parent;
}

static void dispatch(struct model *model, const union record *rec)
{
	struct image *image;

	if (rec->h.kind == EV_EXEC) {
		replace_image(model, rec->h.tgid, &rec->process);
		return;
	}
	image = model_image_of(model, rec->h.tgid);
	if (rec->h.kind == EV_FORK) {
		/* If something still runs under the child's number, its exit was lost. */
		replace_image(model, rec->process.child, &rec->process);
		if (!rec->process.exit_code)
			set_parent(model, rec->process.child, rec->h.tgid);
		return;
	}
	if (is_alloc(rec->h.kind) && is_impossible(&rec->alloc))
		model->counts.malformed++;
	else if (image)
		dispatch_to_image(model, image, rec);
	else if (is_alloc(rec->h.kind) || rec->h.kind == EV_MAP)
		model->counts.untracked_allocs++;
}

/* The @i-th record in the queue. */
static union record *queued(struct model *model, unsigned int i)
{
	return &model->queue[(model->queue_first + i) % QUEUE_LEN];
}

static void dispatch_first(struct model *model)
{
	const union record *rec = &model->queue[model->queue_first];

	model->queue_first = (model->queue_first + 1) % QUEUE_LEN;
	model->queue_len--;
	dispatch(model, rec);
}

void model_drain(struct model *model)
{
	while (model->queue_len)
		dispatch_first(model);
}

/*
 * Asks for the memory that the record just queued will touch. Inlined for
 * blocks_prefetch()'s reason.
 */
static inline __attribute__((always_inline))
void prefetch_places(struct model *model, const union record *rec)
{
	const struct image *image = model->recent;

	if (!image || model->recent_tgid != rec->h.tgid)
		return;
	if (is_alloc(rec->h.kind)) {
		const struct origin origin = origin_of(&rec->alloc);

		blocks_prefetch(&image->blocks, rec->alloc.addr);
		map64_prefetch(&image->rows[MEMORY_HEAP], origin_key(&origin));
	} else if (rec->h.kind >= EV_FREE && rec->h.kind <= EV_REALLOC_BEGIN_LATER) {
		blocks_prefetch(&image->blocks, rec->free.addr);
	}
}

/* The same for its row, once the place that leads there has come: half a queue later. */
static inline __attribute__((always_inline))
void prefetch_row(struct model *model, const union record *rec)
{
	const struct image *image = model->recent;

	if (!image || model->recent_tgid != rec->h.tgid)
		return;
	if (is_alloc(rec->h.kind)) {
		const struct origin origin = origin_of(&rec->alloc);

		__builtin_prefetch(&model->agg.rows[map64_get(&image->rows[MEMORY_HEAP],
							     origin_key(&origin))], 1);
	} else if (rec->h.kind >= EV_FREE && rec->h.kind <= EV_REALLOC_BEGIN_LATER) {
		__builtin_prefetch(&model->agg.rows[blocks_row(&image->blocks,
							      rec->free.addr)], 1);
	}
}

/* Frames belong to an id and not to a moment, so they need not wait. */
static void feed_stack(struct model *model, const void *record, size_t size)
{
	struct ev_stack ev;

	memcpy(&ev, record, sizeof(ev));
	if (ev.count > MAX_DEPTH || size - sizeof(ev) < ev.count * sizeof(ev.pcs[0]) ||
	    ev.status >= UNWIND_STATUSES_COUNT || (!ev.count && ev.status != UNWIND_LOST)) {
		model->counts.malformed++;
		return;
	}
	stacks_set_frames(&model->stacks, ev.stack_id, (const char *)record + sizeof(ev),
			  ev.count, ev.status);
}

/* Bytes of each kind, without a stack's frames. */
static const uint8_t record_bytes[EVENT_KINDS_COUNT] = {
	[EV_STACK] = sizeof(struct ev_stack),
	[EV_ALLOC] = sizeof(struct ev_alloc),
	[EV_HELD] = sizeof(struct ev_alloc),
	[EV_HELD_LATER] = sizeof(struct ev_alloc),
	[EV_PAIRS] = sizeof(struct ev_pairs),
	[EV_FREE] = sizeof(struct ev_free),
	[EV_FREE_LATER] = sizeof(struct ev_free),
	[EV_FREE_AGAIN] = sizeof(struct ev_free),
	[EV_REALLOC_BEGIN] = sizeof(struct ev_free),
	[EV_REALLOC_BEGIN_LATER] = sizeof(struct ev_free),
	[EV_REALLOC] = sizeof(struct ev_realloc),
	[EV_REPORT_ALLOC] = sizeof(struct ev_alloc),
	[EV_REPORT_FREE] = sizeof(struct ev_free),
	[EV_POOL_ADD] = sizeof(struct ev_pool),
	[EV_POOL_CLEAR] = sizeof(struct ev_pool),
	[EV_MAP] = sizeof(struct ev_map),
	[EV_UNMAP] = sizeof(struct ev_map),
	[EV_MEMORY] = sizeof(struct ev_memory),
	[EV_TOUCH] = sizeof(struct ev_touch),
	[EV_RECLAIM] = sizeof(struct ev_reclaim),
	[EV_EXEC] = sizeof(struct ev_process),
	[EV_EXIT] = sizeof(struct ev_process),
	[EV_FORK] = sizeof(struct ev_process),
};

/* All kinds that are queued have 32 to 64 bytes: two copies of 32, which may overlap. */
static inline void copy_record(void *to, const void *from, size_t bytes)
{
	memcpy(to, from, 32);
	memcpy((char *)to + bytes - 32, (const char *)from + bytes - 32, 32);
}

void model_feed(struct model *model, const void *record, size_t size)
{
	union record *rec;
	uint16_t kind;

	if (size >= sizeof(kind))
		memcpy(&kind, record, sizeof(kind));
	if (size < sizeof(kind) || kind >= EVENT_KINDS_COUNT || !record_bytes[kind] ||
	    size < record_bytes[kind]) {
		model->counts.malformed++;
		return;
	}
	if (kind == EV_STACK) {
		feed_stack(model, record, size);
		return;
	}
	if (model->queue_len == QUEUE_LEN)
		dispatch_first(model);
	rec = queued(model, model->queue_len++);
	copy_record(rec, record, record_bytes[kind]);
	prefetch_places(model, rec);
	if (model->queue_len > QUEUE_LEN / 2)
		prefetch_row(model, queued(model, model->queue_len - 1 - QUEUE_LEN / 2));
}

void model_rename_stack(struct model *model, uint64_t id, uint64_t real)
{
	stacks_rename(&model->stacks, id, real);
}

void model_reclaim(struct model *model, const struct reclaim_event *event)
{
	reclaim_log_add(&model->reclaims, event);
}

/*
 * What was a thread's last allocation may no longer be: the loss may hide a
 * later one. Pending reallocs need nothing, the thread's next record settles them.
 */
void model_note_loss(struct model *model, uint64_t count)
{
	model_drain(model);
	model->lost += count;
	vec_for_each(image, &model->images) {
		if (count && !model->infos.data[(*image)->number].ended)
			threads_forget_last(&(*image)->threads);
	}
}
