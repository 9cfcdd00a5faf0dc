// SPDX-License-Identifier: GPL-2.0-or-later
/* What windows show, and what is followed after them; see windows.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/windows_private.h"

#define BLOCKS_MAX 200000	/* followed at once; beyond, every second goes */
#define CONTROLS_MAX 20000
#define CONTROLS_A_WINDOW 100
#define SWEEP_MIN 1024

static void windows_init(struct windows *w, uint64_t start_ns)
{
	*w = (struct windows){
		.start_ns = start_ns, .census_stride = 1, .chunk_bytes = window_chunk_bytes,
	};
	birth_row_vec_push(&w->rows, (struct birth_row){ 0 });
}

static void windows_deinit(struct windows *w)
{
	follow_vec_deinit(&w->blocks);
	follow_vec_deinit(&w->controls);
	map64_deinit(&w->block_at);
	map64_deinit(&w->control_at);
	birth_row_vec_deinit(&w->rows);
	map64_deinit(&w->row_of);
	map64_deinit(&w->known_row_of);
	map64_deinit(&w->exact_row_of);
	row_number_vec_deinit(&w->touched);
	cell_vec_deinit(&w->cells);
	map64_deinit(&w->cell_of);
	thread_now_vec_deinit(&w->threads);
	map64_deinit(&w->thread_of);
	mapped_deinit(w);
	large_deinit(w);
	free(w->census);
}

struct windows *windows_create(uint64_t start_ns)
{
	struct windows *w = xcalloc(1, sizeof(*w));

	windows_init(w, start_ns);
	return w;
}

void windows_destroy(struct windows *w)
{
	if (!w)
		return;
	windows_deinit(w);
	free(w);
}

/* Serial numbers go on: whoever still has one must not take another thing for it. */
void windows_clear(struct windows *w, uint64_t start_ns)
{
	uint64_t serial = w->serial;
	bool by_contents = w->by_contents;
	uint64_t (*chunk_bytes)(uint64_t size) = w->chunk_bytes;

	windows_deinit(w);
	windows_init(w, start_ns);
	w->serial = serial;
	w->by_contents = by_contents;
	w->chunk_bytes = chunk_bytes;
}

void windows_follow_contents(struct windows *w)
{
	w->by_contents = true;
}

void windows_set_sizing(struct windows *w, uint64_t (*chunk_bytes)(uint64_t size))
{
	w->chunk_bytes = chunk_bytes;
}

int window_class(uint64_t chunk_bytes)
{
	int octave;

	if (chunk_bytes <= 1040)
		return (int)(chunk_bytes / 16);
	octave = 63 - __builtin_clzll(chunk_bytes);
	octave = 66 + (octave - 10) * 16 + (int)(chunk_bytes >> (octave - 4) & 15);
	return octave < WINDOW_CLASSES ? octave : WINDOW_CLASSES - 1;
}

uint64_t window_chunk_bytes(uint64_t size)
{
	uint64_t bytes = (size + CHUNK_HEAD + 15) & ~15ull;

	return bytes < 32 ? 32 : bytes;
}

void draw_sum_add(struct draw_sum *sum, double z)
{
	sum->y += z;
	sum->squares += z * z;
	sum->largest = fmax(sum->largest, z);
}

static uint64_t untag(uint64_t addr)
{
	return addr & (UINT64_MAX >> 8);
}

static struct birth_row *row_in(struct windows *w, struct map64 *rows, uint64_t stack_id,
				uint32_t *number_ret)
{
	uint32_t number = map64_get(rows, stack_id);

	if (!number) {
		number = w->rows.len;
		birth_row_vec_push(&w->rows, (struct birth_row){ .stack_id = stack_id });
		map64_set(rows, stack_id, number);
	}
	*number_ret = number;
	return &w->rows.data[number];
}

struct birth_row *windows_row_of(struct windows *w, uint64_t stack_id, uint32_t *number_ret)
{
	return row_in(w, &w->row_of, stack_id, number_ret);
}

struct birth_row *windows_exact_row_of(struct windows *w, uint64_t stack_id,
				       uint32_t *number_ret)
{
	struct birth_row *row = row_in(w, &w->exact_row_of, stack_id, number_ret);

	row->exact = true;
	return row;
}

static uint32_t cell_of(struct windows *w, uint32_t row, uint16_t class)
{
	uint64_t key = (uint64_t)row << 16 | class;
	uint32_t number = map64_get(&w->cell_of, key);

	if (!number) {
		cell_vec_push(&w->cells, (struct cell){ .row = row, .class = class });
		number = w->cells.len;
		map64_set(&w->cell_of, key, number);
	}
	return number - 1;
}

static struct thread_now *thread_of(struct windows *w, uint32_t tid)
{
	uint32_t number = map64_get(&w->thread_of, tid);

	if (!number) {
		thread_now_vec_push(&w->threads, (struct thread_now){ .tid = tid });
		number = w->threads.len;
		map64_set(&w->thread_of, tid, number);
	}
	return &w->threads.data[number - 1];
}

/* What is followed at @addr and has not ended, or NULL. */
static struct follow *find(const struct map64 *map, const struct follow_vec *all, uint64_t addr)
{
	uint32_t i = map64_get(map, addr);

	return i && !all->data[i - 1].ended ? &all->data[i - 1] : NULL;
}

static void end_block(struct windows *w, struct follow *block, uint64_t now_ns)
{
	struct cell *cell = &w->cells.data[block->cell];

	large_note_end(w, block);
	if (block->f.since_ns <= w->census_ns)
		w->gone_squares += pow(block->weight * (double)block->size, 2);
	cell->noticed[fate_bin(age_s(block->f.since_ns, now_ns))] += block->stands_for;
	block->ended = true;
	w->ended++;
	map64_remove(&w->block_at, block->f.addr);
}

static void end_control(struct windows *w, struct follow *control, uint64_t now_ns)
{
	struct fate_counts *counts = &w->delays[control_kind(control)][control->class];

	counts->noticed[fate_bin(age_s(control->f.since_ns, now_ns))]++;
	control->ended = true;
	w->ended++;
	map64_remove(&w->control_at, control->f.addr);
}

/* Born in the open window, and of it: what is told of its end is no news of an older one. */
static bool is_open_windows(const struct windows *w, const struct follow *block)
{
	return block->window == w->number && !block->exact;
}

/* What an older window left at an address of which something is heard now. */
static void end_older(struct windows *w, uint64_t addr, uint64_t now_ns)
{
	struct follow *block = find(&w->block_at, &w->blocks, addr);
	struct follow *control = find(&w->control_at, &w->controls, addr);

	if (block && !is_open_windows(w, block))
		end_block(w, block, now_ns);
	if (control && control->window != w->number)
		end_control(w, control, now_ns);
}

void windows_end_at(struct windows *w, uint64_t addr, uint64_t now_ns)
{
	struct follow *block = find(&w->block_at, &w->blocks, addr);

	/* Of the open window nothing is settled yet. */
	if (block && block->weight)
		end_block(w, block, now_ns);
}

/* --- records --- */

/* A draw by its number, which has nothing to do with the order of calls. */
static bool draw_late(uint64_t serial)
{
	return serial * 0x9e3779b97f4a7c15u >> 62 & 1;
}

static void add_control(struct windows *w, uint64_t addr, uint64_t now_ns)
{
	uint64_t serial = ++w->serial;
	size_t count = w->controls.len - w->controls_first;
	struct follow control = {
		.f = { .addr = addr, .serial = serial, .since_ns = now_ns, .control = true,
		       .late = draw_late(serial) },
		.window = w->number,
		.stands_for = 1,
	};

	if (find(&w->control_at, &w->controls, addr) || count >= CONTROLS_A_WINDOW)
		return;
	follow_vec_push(&w->controls, control);
	map64_set(&w->control_at, addr, w->controls.len);
}

/* A row that the open window has something to say of. */
static struct birth_row *touch(struct windows *w, uint32_t number)
{
	struct birth_row *row = &w->rows.data[number];

	if (!row->touched)
		row_number_vec_push(&w->touched, number);
	row->touched = true;
	return row;
}

/* Of births that are all told, which of them are short is still what windows show. */
static void count_temporary(struct windows *w, const struct follow *block)
{
	uint32_t number;

	windows_row_of(w, w->rows.data[block->row].stack_id, &number);
	touch(w, number)->now_temporary++;
}

/* A block ends in the open window; @by its thread. True if it also began there. */
static bool on_free(struct windows *w, uint64_t addr, struct thread_now *by, uint64_t now_ns)
{
	struct follow *block = find(&w->block_at, &w->blocks, addr);
	const struct mapped *mapped = mapped_at(w, addr);
	bool born_in_it = block && block->window == w->number;

	if (mapped) {
		/* Its end is told by the call. */
		touch(w, mapped->row)->now_temporary += by->last == addr;
		return false;
	}
	if (block && is_open_windows(w, block)) {
		struct birth_row *row = &w->rows.data[block->row];

		row->now_temporary += by && by->last == addr;
		block->ended = true;
		map64_remove(&w->block_at, addr);
		return true;
	}
	if (block && block->exact && by && by->last == addr)
		count_temporary(w, block);
	end_older(w, addr, now_ns);
	if (!born_in_it)
		add_control(w, addr, now_ns);
	return false;
}

/* One of the open window: what an older one left was ended before. */
static void drop_control(struct windows *w, uint64_t addr)
{
	struct follow *control = find(&w->control_at, &w->controls, addr);

	if (!control)
		return;
	control->ended = true;
	w->ended++;
	map64_remove(&w->control_at, addr);
}

static void on_alloc(struct windows *w, const struct ev_alloc *ev)
{
	struct thread_now *thread = thread_of(w, ev->h.tid);
	uint16_t class = (uint16_t)window_class(w->chunk_bytes(ev->size));
	uint64_t addr = untag(ev->addr);
	struct mapped *mapped;
	struct birth_row *row;
	uint32_t number;

	if (!addr)
		return;
	end_older(w, addr, ev->h.time_ns);
	thread->last = addr;
	thread->births++;
	w->now_births[class]++;
	mapped = mapped_at(w, addr);
	if (mapped) {
		mapped_give(w, mapped, ev->stack_id);
		return;
	}
	if (w->by_contents)
		drop_control(w, addr);
	if (large_is_told(w, ev->size) &&
	    large_take(w, ev->h.tid, addr, ev->size, ev->h.time_ns))
		return;
	windows_row_of(w, ev->stack_id, &number);
	row = touch(w, number);
	row->now_bytes += (double)ev->size;
	row->now_count++;
	follow_vec_push(&w->blocks, (struct follow){
		.f = { .addr = addr, .serial = ++w->serial, .since_ns = ev->h.time_ns,
		       .size = ev->size < UINT32_MAX ? (uint32_t)ev->size : UINT32_MAX },
		.size = ev->size,
		.row = number,
		.window = w->number,
		.class = class,
		.chunk_class = class,
		.stands_for = 1,
	});
	map64_set(&w->block_at, addr, w->blocks.len);
}

void follow_exact(struct windows *w, const struct exact_block *block)
{
	uint16_t class = (uint16_t)window_class(w->chunk_bytes(block->size));

	follow_vec_push(&w->blocks, (struct follow){
		.f = { .addr = block->addr, .serial = ++w->serial, .since_ns = block->since_ns,
		       .head = block->chunk_bytes,
		       .size = block->size < UINT32_MAX ? (uint32_t)block->size : UINT32_MAX },
		.size = block->size,
		.row = block->row,
		.class = class,
		.chunk_class = class,
		.cell = cell_of(w, block->row, class),
		.window = w->number,
		.weight = 1,
		.stands_for = 1,
		.born_ns = block->born_ns,
		.exact = true,
		.doubt = (float)block->doubt,
	});
	map64_set(&w->block_at, block->addr, w->blocks.len);
}

bool follow_meets(struct windows *w, uint64_t addr, uint64_t chunk_bytes, uint64_t now_ns)
{
	struct follow *block = find(&w->block_at, &w->blocks, addr);

	if (!block)
		return false;
	/* Of the open window nothing is settled yet. */
	if (!block->weight || !block->f.head || (block->f.head & ~7ull) == chunk_bytes)
		return true;
	end_block(w, block, now_ns);
	return false;
}

/* A birth that is told whether or not a window is open: it stands for itself alone. */
static void on_exact(struct windows *w, const struct ev_alloc *ev)
{
	uint64_t addr = untag(ev->addr);
	struct mapped *mapped = mapped_at(w, addr);
	struct birth_row *row;
	uint32_t number;

	if (!addr)
		return;
	end_older(w, addr, ev->h.time_ns);
	if (w->by_contents)
		drop_control(w, addr);
	large_forget(w, ev->h.tid, ev->size);
	row = windows_exact_row_of(w, ev->stack_id, &number);
	row->told_bytes += (double)ev->size;
	row->told_count++;
	if (mapped) {
		/* It is counted by its call already. */
		mapped_give(w, mapped, ev->stack_id);
		return;
	}
	row->bytes.y += (double)ev->size;
	row->count.y++;
	follow_exact(w, &(struct exact_block){
		.addr = addr, .size = ev->size, .row = number,
		.since_ns = ev->h.time_ns, .born_ns = ev->h.time_ns,
	});
}

/* The old block is taken for ended until the realloc has failed. */
static void on_realloc_begin(struct windows *w, const struct ev_free *ev)
{
	struct thread_now *thread = thread_of(w, ev->h.tid);
	uint64_t addr = untag(ev->addr);

	thread->pending = map64_get(&w->block_at, addr);
	thread->pending_ended = on_free(w, addr, thread, ev->h.time_ns);
}

/*
 * A large block has more room where it is. No birth was told of that, and it stays its
 * stack's; if nobody knew of it, so it is now.
 */
static bool has_room_in_place(struct windows *w, const struct thread_now *thread,
			      const struct ev_realloc *ev)
{
	uint64_t addr = untag(ev->a.addr), now = ev->a.h.time_ns;
	struct follow *old;

	if (!addr || addr != untag(ev->old_addr) || !large_is_told(w, ev->a.size) ||
	    mapped_at(w, addr))
		return false;
	old = thread->pending ? &w->blocks.data[thread->pending - 1] : NULL;
	if (old && !old->exact)
		return false;
	if (old)
		follow_exact(w, &(struct exact_block){
			.addr = addr, .size = ev->a.size, .row = old->row,
			.since_ns = now, .born_ns = old->born_ns,
		});
	return true;
}

/* A block of this window that a failed realloc left where it was lives again. */
static void on_realloc(struct windows *w, const struct ev_realloc *ev)
{
	struct thread_now *thread = thread_of(w, ev->a.h.tid);
	bool in_place = has_room_in_place(w, thread, ev);

	if (!ev->a.addr && ev->a.size && thread->pending && thread->pending_ended) {
		struct follow *block = &w->blocks.data[thread->pending - 1];

		block->ended = false;
		map64_set(&w->block_at, block->f.addr, (uint32_t)thread->pending);
	}
	thread->pending = 0;
	if (in_place)
		return;
	if (ev->a.addr && ev->a.stack_id)
		on_alloc(w, &ev->a);
	else if (ev->a.addr)
		end_older(w, untag(ev->a.addr), ev->a.h.time_ns);
}

bool windows_takes(uint16_t kind)
{
	return kind == EV_ALLOC || kind == EV_FOCUS || kind == EV_FREE ||
	       kind == EV_REALLOC_BEGIN || kind == EV_REALLOC;
}

void windows_feed(struct windows *w, const void *record, size_t size)
{
	const struct ev_header *h = record;

	if (!w->open && h->kind != EV_FOCUS) {
		w->told_late++;
		return;
	}
	switch (h->kind) {
	case EV_ALLOC:
		if (size < sizeof(struct ev_alloc))
			return;
		w->hits += 2;
		on_alloc(w, record);
		break;
	case EV_FOCUS:
		if (size >= sizeof(struct ev_alloc))
			on_exact(w, record);
		break;
	case EV_FREE:
	case EV_REALLOC_BEGIN: {
		const struct ev_free *ev = record;

		if (size < sizeof(*ev))
			return;
		if (h->kind == EV_REALLOC_BEGIN) {
			on_realloc_begin(w, ev);
			break;
		}
		w->hits++;
		on_free(w, untag(ev->addr), thread_of(w, h->tid), h->time_ns);
		break;
	}
	case EV_REALLOC:
		if (size < sizeof(struct ev_realloc))
			return;
		w->hits += 2;
		on_realloc(w, record);
		break;
	}
}

static uint32_t busiest_of(const struct windows *w)
{
	uint32_t most = 0, tid = w->busiest;

	vec_for_each(thread, &w->threads)
		if (thread->births > most) {
			most = thread->births;
			tid = thread->tid;
		}
	return tid;
}

size_t windows_threads(const struct windows *w)
{
	return w->threads.len;
}

uint32_t windows_busiest_thread(const struct windows *w)
{
	return w->busiest;
}

uint64_t windows_hits(const struct windows *w)
{
	return w->hits;
}

/* --- windows --- */

void windows_open(struct windows *w)
{
	w->number++;
	w->open = true;
	w->hits = 0;
	w->window_first = w->blocks.len;
	w->controls_first = w->controls.len;
}

static void add_kept(struct kept *kept, double weight, uint32_t window)
{
	double z = weight * kept->now;

	draw_sum_add(&kept->sum, z);
	kept->lately = z + kept->lately * pow(LATELY_KEEPS, window - kept->lately_window);
	kept->lately_window = window;
	kept->now = 0;
}

static void note_births(struct windows *w, double weight)
{
	vec_for_each(number, &w->touched) {
		struct birth_row *row = &w->rows.data[*number];

		draw_sum_add(&row->bytes, weight * row->now_bytes);
		draw_sum_add(&row->count, weight * row->now_count);
		draw_sum_add(&row->temporary, weight * row->now_temporary);
		for (int i = 0; i < KEPT_SIZES; i++)
			add_kept(&row->kept[i], weight, w->number);
		row->now_bytes = row->now_count = row->now_temporary = 0;
		row->touched = false;
	}
	w->touched.len = 0;
	for (int i = 0; i < WINDOW_CLASSES; i++)
		w->births[i] += weight * w->now_births[i];
	memset(w->now_births, 0, sizeof(w->now_births));
}

static void note_kept(struct windows *w, const struct follow *block, double weight)
{
	struct cell *cell = &w->cells.data[block->cell];

	w->rows.data[block->row].kept[kept_size_of(block->class)].now += (double)block->size;
	cell->kept_count += weight;
	cell->kept_bytes += weight * (double)block->size;
}

/* Those that outlived the window close ranks; from now on they are followed. */
static void keep_survivors(struct windows *w, uint64_t now_ns, double weight)
{
	size_t kept = w->window_first;

	for (size_t i = w->window_first; i < w->blocks.len; i++) {
		struct follow *block = &w->blocks.data[kept];

		if (w->blocks.data[i].ended)
			continue;
		*block = w->blocks.data[i];
		if (!block->exact) {
			block->f.since_ns = block->born_ns = now_ns;
			block->weight = (float)weight;
			block->cell = cell_of(w, block->row, block->class);
			note_kept(w, block, weight);
		}
		map64_set(&w->block_at, block->f.addr, (uint32_t)++kept);
	}
	w->blocks.len = kept;
}

/* Drops what has ended; the order stays. */
static void sweep(struct follow_vec *all, struct map64 *map)
{
	size_t kept = 0;

	map64_deinit(map);
	*map = (struct map64){ 0 };
	vec_for_each(follow, all)
		if (!follow->ended) {
			all->data[kept] = *follow;
			map64_set(map, follow->f.addr, (uint32_t)++kept);
		}
	all->len = kept;
}

static bool toss(uint64_t serial)
{
	return serial * 0x9e3779b97f4a7c15u >> 63;
}

/* Half of the blocks go, chosen at random; the others stand for them. */
static void thin_blocks(struct windows *w)
{
	vec_for_each(block, &w->blocks) {
		block->ended |= toss(block->f.serial);
		block->stands_for *= 2;
		block->weight *= 2;
		/* Or the same would be chosen the next time. */
		block->f.serial = block->f.serial * 2 + 1;
	}
	sweep(&w->blocks, &w->block_at);
}

/* The same of controls, which simply are not watched any longer. */
static void thin_controls(struct windows *w, uint64_t now_ns)
{
	vec_for_each(control, &w->controls) {
		if (control->ended || !toss(control->f.serial + w->number))
			continue;
		control->ended = true;
		w->delays[control_kind(control)][control->class].waiting[LOOKS_UNKNOWN][
			fate_bin(age_s(control->f.since_ns, now_ns))]++;
	}
	sweep(&w->controls, &w->control_at);
}

static void tidy(struct windows *w, uint64_t now_ns)
{
	size_t all = w->blocks.len + w->controls.len;

	if (w->ended > SWEEP_MIN && w->ended > all / 4) {
		sweep(&w->blocks, &w->block_at);
		sweep(&w->controls, &w->control_at);
		w->ended = 0;
	}
	if (w->blocks.len > BLOCKS_MAX)
		thin_blocks(w);
	if (w->controls.len > CONTROLS_MAX)
		thin_controls(w, now_ns);
}

void windows_shut(struct windows *w, const struct window_facts *facts)
{
	if (!w->first_ns)
		w->first_ns = facts->open_ns;
	w->open_total_ns += facts->shut_ns - facts->open_ns;
	w->shut_ns = facts->shut_ns;
	w->chances += 1 / facts->weight;
	w->busiest = busiest_of(w);
	w->truncated += facts->truncated;
	keep_survivors(w, facts->shut_ns, facts->weight);
	note_births(w, facts->weight);
	tidy(w, facts->shut_ns);
	w->threads.len = 0;
	map64_deinit(&w->thread_of);
	w->thread_of = (struct map64){ 0 };
	w->open = false;
	w->large.above = w->large.wanted;
}

/* --- what is followed --- */

/*
 * Of the open window nothing is settled yet; neither are its controls: what is looked at
 * sooner than blocks are says nothing of these.
 */
static bool is_settled(const struct windows *w, const struct follow *follow)
{
	return follow->f.control ? !(w->open && follow->window == w->number) : follow->weight > 0;
}

/* They stand in the order in which it began. */
static void append_since(const struct windows *w, const struct follow_vec *all,
			 uint64_t since_ns, struct followed_vec *ret)
{
	for (size_t i = all->len; i-- > 0;) {
		const struct follow *follow = &all->data[i];

		if (!is_settled(w, follow) || (since_ns && follow->f.late && follow->f.head))
			continue;
		if (follow->f.since_ns < since_ns)
			return;
		if (!follow->ended)
			followed_vec_push(ret, follow->f);
	}
}

void windows_followed_since(struct windows *w, uint64_t since_ns, struct followed_vec *ret)
{
	append_since(w, &w->blocks, since_ns, ret);
	append_since(w, &w->controls, since_ns, ret);
}

void windows_followed(struct windows *w, struct followed_vec *ret)
{
	followed_vec_reserve(ret, ret->len + w->blocks.len + w->controls.len);
	windows_followed_since(w, 0, ret);
}

static struct follow *find_followed(struct windows *w, const struct followed *f)
{
	struct follow *found = f->control ? find(&w->control_at, &w->controls, f->addr)
					  : find(&w->block_at, &w->blocks, f->addr);

	return found && found->f.serial == f->serial ? found : NULL;
}

void windows_note_first(struct windows *w, const struct followed *f)
{
	struct follow *found = find_followed(w, f);

	if (!found)
		return;
	found->f.head = f->head;
	found->f.word0 = f->word0;
	found->f.print = f->print;
	found->f.look = f->look;
	/* What is told by its contents has no chunk; such controls stand for all. */
	if (f->head <= 7)
		return;
	found->chunk_class = (uint16_t)window_class(f->head & ~7ull);
	if (found->f.control)
		found->class = found->chunk_class;
}

void windows_note_look(struct windows *w, const struct followed *f)
{
	struct follow *found = find_followed(w, f);

	if (found)
		found->f.look = f->look;
}

void windows_note_end(struct windows *w, const struct followed *f, uint64_t now_ns)
{
	struct follow *found = find_followed(w, f);

	/* Of the open window nothing is settled yet. */
	if (!found || (!found->f.control && !found->weight))
		return;
	if (found->f.control)
		end_control(w, found, now_ns);
	else
		end_block(w, found, now_ns);
}

void windows_note_walk(struct windows *w, const struct followed *f, bool in_use, uint64_t now_ns)
{
	struct follow *found = find_followed(w, f);

	if (!found)
		return;
	if (!in_use && found->missed)
		windows_note_end(w, f, now_ns);
	else
		found->missed = !in_use;
}

void windows_add_older(struct windows *w, uint64_t addr, uint64_t chunk_bytes, double weight,
		       uint64_t now_ns)
{
	uint16_t class = (uint16_t)window_class(chunk_bytes);

	if (find(&w->block_at, &w->blocks, addr) || mapped_at(w, addr))
		return;
	follow_vec_push(&w->blocks, (struct follow){
		.f = { .addr = addr, .serial = ++w->serial, .since_ns = now_ns,
		       .head = chunk_bytes,
		       .size = chunk_bytes < UINT32_MAX ? (uint32_t)chunk_bytes : UINT32_MAX },
		.size = chunk_bytes,
		.row = OLDER_ROW,
		.class = class,
		.chunk_class = class,
		.cell = cell_of(w, OLDER_ROW, class),
		.weight = (float)weight,
		.stands_for = 1,
	});
	map64_set(&w->block_at, addr, w->blocks.len);
}

static struct birth_row *known_row(struct windows *w, uint64_t stack_id, uint32_t *number_ret)
{
	struct birth_row *row = row_in(w, &w->known_row_of, stack_id, number_ret);

	row->known = true;
	return row;
}

static void add_estimated(struct draw_sum *sum, double value, double variance)
{
	sum->y += value;
	sum->squares += variance;
	sum->largest = fmax(sum->largest, sqrt(variance));
}

void windows_add_known(struct windows *w, const struct given_block *known, uint64_t stride,
		       uint64_t now_ns)
{
	uint64_t size = known->bytes / known->count;
	uint16_t class = (uint16_t)window_class(w->chunk_bytes(size));
	struct birth_row *row;
	uint32_t number;

	row = known_row(w, known->stack_id, &number);
	add_estimated(&row->bytes, (double)known->bytes, known->variance.bytes);
	add_estimated(&row->count, (double)known->count, known->variance.count);
	if (!stride)
		return;
	follow_vec_push(&w->blocks, (struct follow){
		.f = { .addr = known->addr, .serial = ++w->serial, .since_ns = now_ns,
		       .size = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX },
		.size = size,
		.row = number,
		.class = class,
		.chunk_class = class,
		.cell = cell_of(w, number, class),
		.weight = (float)(stride * known->count),
		.stands_for = 1,
		.born_ns = known->birth_ns,
		.known = true,
	});
	map64_set(&w->block_at, known->addr, w->blocks.len);
}

void windows_note_peak(struct windows *w, uint64_t stack_id, double bytes)
{
	uint32_t number;

	known_row(w, stack_id, &number)->peak_live += bytes;
	w->peak_live += bytes;
}

void windows_note_census(struct windows *w, const struct heap_census *census, uint64_t now_ns)
{
	if (!w->census)
		w->census = xcalloc(1, sizeof(*w->census));
	*w->census = *census;
	w->census_ns = now_ns;
	windows_sum_followed(w, &w->then);
	w->gone_squares = 0;
	map64_deinit(&w->strangers_before);
	w->strangers_before = w->strangers;
	w->strangers = (struct map64){ 0 };
	if (w->census_calls++ % w->census_stride)
		return;
	if (w->censuses_len == CENSUSES_MAX) {
		for (size_t i = 0; i < CENSUSES_MAX / 2; i++)
			w->censuses[i] = w->censuses[2 * i];
		w->censuses_len = CENSUSES_MAX / 2;
		w->census_stride *= 2;
	}
	w->censuses[w->censuses_len] = (struct census_mark){ now_ns, *census };
	mapped_add_to(w, &w->censuses[w->censuses_len++].census);
}
