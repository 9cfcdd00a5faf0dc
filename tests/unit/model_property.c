// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Random records of several threads and processes, many of them absurd, fed
 * to the model and to a slow reference that keeps plain arrays. Both must
 * agree on every row to the byte, all the time. A failure names its seed:
 *
 *	MODEL_SEED=1234 build/tests/unit/model_property
 */
#include "tests/unit/model_records.h"

#define TGIDS 3
#define TIDS 5
#define ADDRS 24
#define STACKS 5
#define BLOCKS_MAX (ADDRS + 1)
#define ROWS_MAX 20000
#define IMAGES_REF_MAX 600
#define CELL 16ull
#define PAGE_CELLS 256
#define CELLS (12 * PAGE_CELLS)
#define AREA 0x7f0000000000ull

struct ref_row {
	uint32_t image;
	uint64_t stack;
	enum memory_kind kind;
	int64_t alloc_bytes, alloc_count, free_bytes, free_count, temporary, peak;
};

struct ref_block {
	uint64_t addr, bytes, count, birth_ns;
	uint32_t row, tid, serial;	/* the serial-th allocation of thread tid */
};

struct ref_thread {
	uint32_t serial;
	bool pending, known;
	uint64_t pending_addr, freed;
	struct ref_block block;
};

struct ref_mapping {
	uint32_t row, cells;
	uint64_t birth_ns;
};

struct ref_image {
	uint32_t tgid;
	bool ended;
	uint64_t ended_ns;
	struct ref_block blocks[BLOCKS_MAX];
	size_t blocks_len;
	struct ref_thread threads[TIDS];
	uint16_t *cells;		/* mapping + 1 */
	struct ref_mapping *mappings;
	size_t mappings_len;
};

static struct ref {
	struct ref_row rows[ROWS_MAX];
	uint32_t rows_len;
	struct ref_image images[IMAGES_REF_MAX];
	uint32_t images_len;
	int64_t live, peak;
	int64_t unknown, failed, reused, untracked;
} ref;

static uint64_t rng_state;

static uint64_t rng(uint64_t below)
{
	rng_state = rng_state * 6364136223846793005u + 1442695040888963407u;
	return (rng_state >> 33) % below;
}

static void ref_reset(void)
{
	for (uint32_t i = 0; i < ref.images_len; i++) {
		free(ref.images[i].cells);
		free(ref.images[i].mappings);
	}
	memset(&ref, 0, sizeof(ref));
}

static uint32_t ref_row(struct ref_image *image, uint64_t stack, enum memory_kind kind)
{
	uint32_t number = image - ref.images, i;

	for (i = 0; i < ref.rows_len; i++) {
		if (ref.rows[i].image == number && ref.rows[i].stack == stack &&
		    ref.rows[i].kind == kind)
			return i;
	}
	if (ref.rows_len == ROWS_MAX)
		test_fail("the reference is full");
	ref.rows[i] = (struct ref_row){ .image = number, .stack = stack, .kind = kind };
	return ref.rows_len++;
}

static void ref_count_alloc(uint32_t i, int64_t bytes, int64_t count)
{
	ref.rows[i].alloc_bytes += bytes;
	ref.rows[i].alloc_count += count;
	ref.live += bytes;
	if (ref.live <= ref.peak)
		return;
	ref.peak = ref.live;
	for (uint32_t r = 0; r < ref.rows_len; r++)
		ref.rows[r].peak = ref.images[ref.rows[r].image].ended ? 0 :
				   ref.rows[r].alloc_bytes - ref.rows[r].free_bytes;
}

static void ref_count_free(uint32_t i, int64_t bytes, int64_t count, int64_t temporary)
{
	ref.rows[i].free_bytes += bytes;
	ref.rows[i].free_count += count;
	ref.rows[i].temporary += temporary;
	ref.live -= bytes;
}

static bool ref_take(struct ref_image *image, uint64_t addr, struct ref_block *ret)
{
	for (size_t i = 0; i < image->blocks_len; i++) {
		if (image->blocks[i].addr == addr) {
			*ret = image->blocks[i];
			image->blocks[i] = image->blocks[--image->blocks_len];
			return true;
		}
	}
	return false;
}

static void ref_settle(struct ref_thread *thread)
{
	if (!thread->pending)
		return;
	if (thread->known)
		ref_count_free(thread->block.row, thread->block.bytes, thread->block.count, 0);
	ref.untracked++;
	thread->pending = false;
}

/* Weights are whole multiples of sizes here. */
static int64_t ref_counted(const struct ev_alloc *ev)
{
	return ev->size ? (int64_t)(ev->weight / ev->size) : 1;
}

static void ref_put(struct ref_image *image, const struct ev_alloc *ev, uint64_t stack)
{
	struct ref_thread *thread = &image->threads[ev->h.tid];
	struct ref_block old, block = {
		.addr = ev->addr, .bytes = ev->weight, .birth_ns = ev->h.time_ns,
		.count = ref_counted(ev), .tid = ev->h.tid,
	};

	block.serial = ++thread->serial;
	thread->freed = 0;
	if (ref_take(image, ev->addr, &old)) {
		ref_count_free(old.row, old.bytes, old.count, 0);
		ref.reused++;
	}
	if (!stack)
		return;
	block.row = ref_row(image, stack, MEMORY_HEAP);
	image->blocks[image->blocks_len++] = block;
	ref_count_alloc(block.row, block.bytes, block.count);
}

static bool is_temporary(struct ref_image *image, const struct ref_block *block, uint32_t tid)
{
	return block->tid == tid && block->serial == image->threads[tid].serial;
}

static void ref_free_block(struct ref_image *image, const struct ref_block *block, uint32_t tid)
{
	ref_count_free(block->row, block->bytes, block->count,
		       is_temporary(image, block, tid) ? block->count : 0);
}

static void ref_alloc(struct ref_image *image, const struct ev_alloc *ev)
{
	ref_settle(&image->threads[ev->h.tid]);
	if (ev->addr)
		ref_put(image, ev, ev->stack_id);
	else
		ref.failed += ref_counted(ev);
}

static void ref_free(struct ref_image *image, const struct ev_free *ev)
{
	struct ref_thread *thread = &image->threads[ev->h.tid];
	struct ref_block block;

	if (thread->pending && thread->pending_addr == ev->addr)
		return;
	ref_settle(thread);
	if (ref_take(image, ev->addr, &block))
		ref_free_block(image, &block, ev->h.tid);
	else if (thread->freed != ev->addr)
		ref.unknown++;
	thread->freed = ev->addr;
}

static void ref_begin(struct ref_image *image, const struct ev_free *ev)
{
	struct ref_thread *thread = &image->threads[ev->h.tid];

	if (thread->pending && thread->pending_addr == ev->addr)
		return;
	ref_settle(thread);
	thread->pending = true;
	thread->pending_addr = ev->addr;
	thread->known = ref_take(image, ev->addr, &thread->block);
}

static void ref_failed_realloc(struct ref_image *image, const struct ref_block *old, uint32_t tid)
{
	struct ref_block newer;

	if (ref_take(image, old->addr, &newer)) {
		image->blocks[image->blocks_len++] = newer;
		ref_count_free(old->row, old->bytes, old->count, 0);
		ref.reused++;
		return;
	}
	image->blocks[image->blocks_len++] = *old;
	if (!is_temporary(image, old, tid))
		image->blocks[image->blocks_len - 1].serial = 0;
}

static void ref_realloc(struct ref_image *image, const struct ev_realloc *ev)
{
	uint32_t tid = ev->a.h.tid;
	struct ref_thread *thread = &image->threads[tid];
	struct ref_block old;
	bool known;

	if (thread->pending && thread->pending_addr == ev->old_addr) {
		thread->pending = false;
		old = thread->block;
		known = thread->known;
	} else {
		ref_settle(thread);
		known = ref_take(image, ev->old_addr, &old);
	}
	if (!ev->a.addr && ev->a.size) {
		ref.failed += ref_counted(&ev->a);
		if (known)
			ref_failed_realloc(image, &old, tid);
		return;
	}
	if (known)
		ref_free_block(image, &old, tid);
	else if (ev->old_addr)
		ref.unknown++;
	if (ev->a.addr)
		ref_put(image, &ev->a, ev->a.stack_id);
}

static void ref_cut(struct ref_image *image, uint64_t first, uint64_t end)
{
	end = (end + PAGE_CELLS - 1) / PAGE_CELLS * PAGE_CELLS;
	for (uint64_t cell = first; cell < end; cell++) {
		struct ref_mapping *mapping;

		if (!image->cells[cell])
			continue;
		mapping = &image->mappings[image->cells[cell] - 1];
		ref_count_free(mapping->row, CELL, !--mapping->cells, 0);
		image->cells[cell] = 0;
	}
}

static void ref_map(struct ref_image *image, const struct ev_map *ev, bool unmap)
{
	uint64_t first = (ev->addr - AREA) / CELL, end = first + ev->size / CELL;
	struct ref_mapping mapping = { .birth_ns = ev->h.time_ns, .cells = end - first };

	if (!image->cells) {
		image->cells = calloc(CELLS + PAGE_CELLS, sizeof(*image->cells));
		image->mappings = calloc(UINT16_MAX, sizeof(*image->mappings));
	}
	ref_cut(image, first, end);
	if (unmap)
		return;
	mapping.row = ref_row(image, ev->stack_id, ev->is_brk ? MEMORY_BRK : MEMORY_MMAP);
	image->mappings[image->mappings_len++] = mapping;
	for (uint64_t cell = first; cell < end; cell++)
		image->cells[cell] = image->mappings_len;
	ref_count_alloc(mapping.row, ev->size, 1);
}

static struct ref_image *ref_find_image(uint32_t tgid)
{
	for (uint32_t i = ref.images_len; i--;) {
		if (ref.images[i].tgid == tgid)
			return ref.images[i].ended ? NULL : &ref.images[i];
	}
	return NULL;
}

static struct ref_image *ref_begin_image(uint32_t tgid)
{
	if (ref.images_len == IMAGES_REF_MAX)
		test_fail("too many images for the reference");
	ref.images[ref.images_len].tgid = tgid;
	return &ref.images[ref.images_len++];
}

static void ref_end_image(struct ref_image *image, uint64_t time_ns)
{
	uint32_t number = image - ref.images;

	image->ended = true;
	image->ended_ns = time_ns;
	for (uint32_t i = 0; i < ref.rows_len; i++) {
		if (ref.rows[i].image == number)
			ref.live -= ref.rows[i].alloc_bytes - ref.rows[i].free_bytes;
	}
}

static void ref_replace(uint32_t tgid, uint64_t time_ns)
{
	struct ref_image *image = ref_find_image(tgid);

	if (image)
		ref_end_image(image, time_ns);
	ref_begin_image(tgid);
}

static struct ev_header random_header(uint16_t kind)
{
	m_now += rng(100) ? rng(1000000) : rng(3 * SECOND);
	return (struct ev_header){ .kind = kind, .tgid = 1 + rng(TGIDS), .tid = rng(TIDS),
				   .time_ns = m_now };
}

static struct ref_image *image_for(const struct ev_header *h)
{
	struct ref_image *image = ref_find_image(h->tgid);

	return image ? image : ref_begin_image(h->tgid);
}

static uint64_t random_addr(void)
{
	return 0x7f1200000000 + 16 * (1 + rng(ADDRS));
}

/* Mostly small; now and then one that fits no entry of the table, or a sample. */
static struct ev_alloc random_alloc(uint16_t kind)
{
	struct ev_alloc ev = { .h = random_header(kind), .addr = random_addr(),
			       .size = rng(5000), .stack_id = 1 + rng(STACKS) };

	if (!rng(20))
		ev.addr = 0;
	if (!rng(30))
		ev.size = rng(2) ? 0 : UINT32_MAX - 2 + rng(5);
	ev.weight = ev.size * (rng(15) ? 1 : 1 + rng(9));
	return ev;
}

static void do_alloc(void)
{
	struct ev_alloc ev = random_alloc(EV_ALLOC);

	ref_alloc(image_for(&ev.h), &ev);
	model_feed(m, &ev, sizeof(ev));
}

static void do_free(uint16_t kind)
{
	struct ev_free ev = { random_header(kind), random_addr() };

	if (kind == EV_FREE)
		ref_free(image_for(&ev.h), &ev);
	else
		ref_begin(image_for(&ev.h), &ev);
	model_feed(m, &ev, sizeof(ev));
}

/* Half of them settle what their thread has pending, the others are strays. */
static void do_realloc(void)
{
	struct ev_realloc ev = { random_alloc(EV_REALLOC), random_addr() };
	struct ref_image *image = image_for(&ev.a.h);
	struct ref_thread *thread = &image->threads[ev.a.h.tid];

	if (thread->pending && rng(4))
		ev.old_addr = thread->pending_addr;
	else if (!rng(8))
		ev.old_addr = 0;
	if (!rng(20))
		ev.a.stack_id = 0;
	ref_realloc(image, &ev);
	model_feed(m, &ev, sizeof(ev));
}

static void do_region(uint16_t kind)
{
	struct ev_map ev = { .h = random_header(kind), .is_brk = !rng(3) };
	uint64_t first = rng(CELLS - 1);

	if (rng(3))
		first -= first % PAGE_CELLS;
	ev.addr = AREA + first * CELL;
	ev.size = CELL * (1 + rng(CELLS - first));
	ev.stack_id = 1 + rng(STACKS);
	ref_map(image_for(&ev.h), &ev, kind == EV_UNMAP);
	model_feed(m, &ev, sizeof(ev));
}

static void do_process(uint16_t kind)
{
	struct ev_process ev = { .h = random_header(kind), .child = 1 + rng(TGIDS) };

	if (kind == EV_EXIT) {
		ref_end_image(image_for(&ev.h), ev.h.time_ns);
	} else if (kind == EV_EXEC) {
		ref_replace(ev.h.tgid, ev.h.time_ns);
	} else {
		image_for(&ev.h);
		ref_replace(ev.child, ev.h.time_ns);
	}
	model_feed(m, &ev, sizeof(ev));
}

static void do_loss(void)
{
	model_note_loss(m, 1 + rng(10));
	for (uint32_t i = 0; i < ref.images_len; i++) {
		for (int tid = 0; tid < TIDS; tid++)
			ref.images[i].threads[tid].serial++;
	}
}

static void step(void)
{
	uint64_t dice = rng(1000);

	if (dice < 400)
		do_alloc();
	else if (dice < 700)
		do_free(EV_FREE);
	else if (dice < 790)
		do_free(EV_REALLOC_BEGIN);
	else if (dice < 900)
		do_realloc();
	else if (dice < 950)
		do_region(EV_MAP);
	else if (dice < 990)
		do_region(EV_UNMAP);
	else if (dice < 993)
		do_loss();
	else if (!rng(10))
		do_process(EV_EXEC + rng(3));
}

static void note_oldest(uint64_t *births, uint32_t row, uint64_t birth_ns)
{
	if (!births[row] || birth_ns < births[row])
		births[row] = birth_ns;
}

/* The births of the oldest blocks by row; 0 where there is none. */
static void ref_births(uint64_t *births)
{
	memset(births, 0, ref.rows_len * sizeof(*births));
	for (uint32_t i = 0; i < ref.images_len; i++) {
		const struct ref_image *image = &ref.images[i];

		for (size_t b = 0; b < image->blocks_len; b++)
			note_oldest(births, image->blocks[b].row, image->blocks[b].birth_ns);
		for (int tid = 0; tid < TIDS; tid++) {
			if (image->threads[tid].pending && image->threads[tid].known)
				note_oldest(births, image->threads[tid].block.row,
					    image->threads[tid].block.birth_ns);
		}
		for (size_t k = 0; k < image->mappings_len; k++) {
			if (image->mappings[k].cells)
				note_oldest(births, image->mappings[k].row,
					    image->mappings[k].birth_ns);
		}
	}
}

#define same(got, want)								\
	do {									\
		if ((got) != (want))						\
			test_fail("MODEL_SEED=%llu step %d: row %u: %s is %lld, not %lld", \
				  (unsigned long long)seed, n, i, #want,	\
				  (long long)(got), (long long)(want));		\
	} while (0)

static void compare_rows(uint64_t seed, int n)
{
	static uint64_t births[ROWS_MAX];
	struct model_row_vec rows = { 0 };
	double epoch_s = 0.0011 + (m_now - 5 * SECOND) / 32768.0 / SECOND;

	model_rows(m, m_now, MODEL_OLDEST, &rows, NULL);
	ref_births(births);
	for (uint32_t i = 0; i < rows.len || i < ref.rows_len; i++) {
		const struct model_row *row = &rows.data[i];
		const struct ref_row *want = &ref.rows[i];
		const struct ref_image *image = &ref.images[want->image];
		double age = births[i] ? ((image->ended ? image->ended_ns : m_now) -
					  births[i]) / (double)SECOND : 0;

		same(rows.len > i, ref.rows_len > i);
		same(row->image, want->image);
		same(row->stack_id, want->stack);
		same(row->kind, want->kind);
		same(row->m.alloc_bytes, want->alloc_bytes);
		same(row->m.alloc_count, want->alloc_count);
		same(row->m.free_bytes, want->free_bytes);
		same(row->m.free_count, want->free_count);
		same(row->m.temporary_count, want->temporary);
		same(row->m.live_bytes, want->alloc_bytes - want->free_bytes);
		same(row->m.live_count, want->alloc_count - want->free_count);
		same(row->m.peak_live_bytes, want->peak);
		same(row->m.oldest_live_s >= age && row->m.oldest_live_s <= age + epoch_s, true);
	}
	model_row_vec_deinit(&rows);
}

static void compare_totals(uint64_t seed, int n)
{
	struct model_totals totals;
	int64_t shares = 0;
	uint32_t i = 0;

	model_rows(m, m_now, 0, NULL, &totals);
	same(totals.unknown_free_count, ref.unknown);
	same(totals.failed_alloc_count, ref.failed);
	same(totals.settled_by_reuse, ref.reused);
	same(totals.untracked_allocs, ref.untracked);
	same(totals.malformed, 0);
	same(totals.m.peak_live_bytes, ref.peak);
	for (i = 0; i < ref.rows_len; i++)
		shares += ref.rows[i].peak;
	same(totals.m.peak_live_bytes, shares);
}

static void run(uint64_t seed, int steps, int every)
{
	m_begin();
	ref_reset();
	rng_state = seed * 0x9e3779b97f4a7c15u;
	for (int n = 1; n <= steps; n++) {
		step();
		if (n % every == 0 || n == steps) {
			compare_rows(seed, n);
			compare_totals(seed, n);
		}
	}
}

/* MODEL_SEED=N runs that one alone. */
static bool one_seed(uint64_t *ret)
{
	const char *text = getenv("MODEL_SEED");

	if (text)
		*ret = strtoull(text, NULL, 10);
	return text;
}

TEST(model_equals_reference_at_every_step)
{
	uint64_t seed;

	if (one_seed(&seed)) {
		run(seed, 20000, 1);
		return;
	}
	for (seed = 1; seed <= 40; seed++)
		run(seed, 1000, 1);
}

TEST(model_equals_reference_over_long_runs)
{
	uint64_t seed;

	if (one_seed(&seed))
		return;
	for (seed = 1000; seed < 1040; seed++)
		run(seed, 20000, 997);
	model_destroy(m);
	m = NULL;
	ref_reset();
}
