// SPDX-License-Identifier: GPL-2.0-or-later
/* What system calls and page faults do to the kernel's ledger; see residence.h. */
#include <string.h>

#include "base/cleanup.h"
#include "model/model.h"

/* Of the kernel's user API; sys/mman.h has not all of them everywhere. */
enum advice {
	ADVICE_DONTNEED = 4, ADVICE_FREE = 8, ADVICE_REMOVE = 9, ADVICE_HUGEPAGE = 14,
	ADVICE_NOHUGEPAGE = 15, ADVICE_COLD = 20, ADVICE_PAGEOUT = 21, ADVICE_POPULATE_READ = 22,
	ADVICE_POPULATE_WRITE = 23, ADVICE_DONTNEED_LOCKED = 24,
};

#define POPULATE_PAGES_MAX (1u << 20)	/* told as touched by one call */

void residence_deinit(struct residence *residence)
{
	regions_deinit(&residence->accessible);
	regions_deinit(&residence->reserved);
	page_set_deinit(&residence->pages);
	map64_deinit(&residence->rows);
}

static uint64_t page_up(uint64_t addr)
{
	return (addr + PAGE_BYTES - 1) & -PAGE_BYTES;
}

static uint32_t row_of(struct model *model, struct image *image, uint64_t stack_id)
{
	uint32_t row = map64_get(&image->residence.rows, stack_id), stack;

	if (row || !stack_id)
		return row;
	stack = stacks_intern(&model->stacks, stack_id);
	if (!stack)
		return 0;
	row = agg_add_row(&model->touched, agg_add_path(&model->touched, stack, image->number,
							MEMORY_GROWTH), 0, SIZE_CLASS_ANY);
	if (!row)
		return 0;
	map64_set(&image->residence.rows, stack_id, row);
	while (model->mapped.len <= row)
		mapped_vec_push(&model->mapped, 0);
	return row;
}

/* Adds to the mapped bytes of the region's row, which may be none. */
static void count_mapped(struct model *model, uint32_t region_row, int64_t bytes)
{
	uint32_t row = region_row & ~REGION_BITS;

	if (row)
		model->mapped.data[row] += bytes;
}

/* What a range held that is no longer mapped, or whose pages are given back. */
struct given_back {
	struct model *model;
	int64_t touched;	/* bytes of pages that were seen to become resident */
	int64_t older;		/* bytes that were resident before the watch */
};

static void on_dropped(void *arg, uint64_t addr, const struct page *page)
{
	struct given_back *back = arg;
	uint64_t bytes = page->weight * PAGE_BYTES;

	if (page->flags & PAGE_AWAY)
		return;
	agg_free(&back->model->touched, page->row, bytes, page->weight, 0);
	back->touched += (int64_t)bytes;
}

DEFINE_VEC(span_vec, struct region_piece);	/* mapping: the region's row */

/* The pieces of @regions that lie in [start, end), cut to it. */
static void spans_in(const struct regions *regions, uint64_t start, uint64_t end,
		     struct span_vec *ret)
{
	for (size_t i = regions_behind(regions, start);
	     i < regions->pieces.len && regions->pieces.data[i].start < end; i++) {
		struct region_piece span = regions->pieces.data[i];

		span.start = span.start > start ? span.start : start;
		span.end = span.end < end ? span.end : end;
		span.mapping = regions->mappings.data[span.mapping].row;
		span_vec_push(ret, span);
	}
}

static struct given_back drop_pages(struct model *model, struct image *image, uint64_t start,
				    uint64_t end)
{
	struct given_back back = { .model = model };

	page_set_drop(&image->residence.pages, start, end, on_dropped, &back);
	back.older = (int64_t)(page_set_drop_older(&image->residence.pages, start, end) *
			       PAGE_BYTES);
	return back;
}

/* Takes [start, end) out of what is mapped; the rows lose it. */
static void forget_mapped(struct model *model, struct image *image, uint64_t start, uint64_t end)
{
	struct residence *residence = &image->residence;

	model->cuts.len = 0;
	regions_cut(&residence->accessible, start, end, &model->cuts);
	vec_for_each(cut, &model->cuts)
		count_mapped(model, cut->row, -(int64_t)cut->bytes);
	model->cuts.len = 0;
	regions_cut(&residence->reserved, start, end, &model->cuts);
}

static void add_mapped(struct model *model, struct image *image, uint64_t start, uint64_t end,
		       uint32_t region_row, uint64_t time_ns)
{
	if (start >= end)
		return;
	regions_add(&image->residence.accessible, start, end, region_row, time_ns);
	count_mapped(model, region_row, (int64_t)(end - start));
}

static void note(struct model *model, const struct ev_memory *ev, enum reclaim_kind kind,
		 const struct given_back *back)
{
	if (!back->touched && !back->older)
		return;
	model_reclaim(model, &(struct reclaim_event){
		.kind = kind,
		.tgid = ev->h.tgid,
		.time_ns = ev->h.time_ns,
		.bytes = back->touched + back->older,
		.stack_id = ev->stack_id,
		.detail = back->older > back->touched ? "older than the watch" : NULL,
	});
}

static void remember_discard(struct residence *residence, uint64_t start, uint64_t end,
			     uint64_t time_ns, const char *how)
{
	residence->discards[residence->discards_next++ % DISCARDS_KEPT] =
		(struct discard){ start, end, time_ns, how };
}

void residence_touch(struct model *model, struct image *image, uint64_t addr, struct page page)
{
	if (!page_set_get(&image->residence.pages, addr)) {
		model->counts.untracked_pages += page.weight;
		return;
	}
	page_set_set(&image->residence.pages, addr, page);
	agg_alloc(&model->touched, page.row, page.weight * PAGE_BYTES, page.weight);
}

/* The call has made all of a range resident. */
static void populate(struct model *model, struct image *image, uint64_t start, uint64_t end,
		     uint32_t row)
{
	if (end - start > POPULATE_PAGES_MAX * PAGE_BYTES)
		end = start + POPULATE_PAGES_MAX * PAGE_BYTES;
	for (uint64_t addr = start; row && addr < end; addr += PAGE_BYTES) {
		const struct page *page = page_set_find(&image->residence.pages, addr);

		if (!page || !page->row)
			residence_touch(model, image, addr, (struct page){ row, 1, PAGE_FRESH });
	}
}

static uint32_t region_bits(uint64_t flags)
{
	return (flags & MEMORY_FILE ? REGION_FILE : 0) |
	       (flags & MEMORY_SHARED ? REGION_SHARED : 0);
}

static void on_mmap(struct model *model, struct image *image, const struct ev_memory *ev)
{
	uint64_t end = page_up(ev->addr + ev->size);
	uint32_t row = row_of(model, image, ev->stack_id);
	/* MAP_FIXED replaces what was there without a word. */
	struct given_back back = drop_pages(model, image, ev->addr, end);

	forget_mapped(model, image, ev->addr, end);
	note(model, ev, RECLAIM_MUNMAP, &back);
	if (!(ev->arg & MEMORY_ACCESSIBLE)) {
		regions_add(&image->residence.reserved, ev->addr, end, row, ev->h.time_ns);
		return;
	}
	add_mapped(model, image, ev->addr, end, row | region_bits(ev->arg),
		   ev->h.time_ns);
	if (ev->arg & MEMORY_POPULATE)
		populate(model, image, ev->addr, end, row);
}

static void on_munmap(struct model *model, struct image *image, const struct ev_memory *ev)
{
	uint64_t end = page_up(ev->addr + ev->size);
	struct given_back back = drop_pages(model, image, ev->addr, end);

	forget_mapped(model, image, ev->addr, end);
	note(model, ev, RECLAIM_MUNMAP, &back);
}

/* Mappings keep their rows where they go; what is new is the caller's. */
static void on_mremap(struct model *model, struct image *image, const struct ev_memory *ev)
{
	uint64_t old_end = page_up(ev->old_addr + ev->arg), end = page_up(ev->addr + ev->size);
	uint64_t old_size = old_end - ev->old_addr, size = end - ev->addr;
	struct span_vec spans __cleanup(span_vec_deinit) = { 0 };
	uint64_t kept = size < old_size ? size : old_size;
	struct given_back back = { 0 };

	if (size < old_size)
		back = drop_pages(model, image, ev->old_addr + size, old_end);
	spans_in(&image->residence.accessible, ev->old_addr, ev->old_addr + kept, &spans);
	forget_mapped(model, image, ev->old_addr, old_end);
	if (ev->addr != ev->old_addr) {
		drop_pages(model, image, ev->addr, end);
		forget_mapped(model, image, ev->addr, end);
		page_set_move(&image->residence.pages, ev->old_addr, ev->addr, kept);
	}
	vec_for_each(span, &spans)
		add_mapped(model, image, span->start - ev->old_addr + ev->addr,
			   span->end - ev->old_addr + ev->addr, span->mapping, ev->h.time_ns);
	if (size > old_size) {
		forget_mapped(model, image, ev->addr + old_size, end);
		add_mapped(model, image, ev->addr + old_size, end,
			   row_of(model, image, ev->stack_id), ev->h.time_ns);
	}
	note(model, ev, RECLAIM_MREMAP, &back);
}

static void on_brk(struct model *model, struct image *image, const struct ev_memory *ev)
{
	uint64_t old = page_up(image->residence.brk), now = page_up(ev->addr);
	struct given_back back;

	image->residence.brk = ev->addr;
	if (!old || now == old)
		return;
	if (now > old) {
		forget_mapped(model, image, old, now);
		add_mapped(model, image, old, now, row_of(model, image, ev->stack_id),
			   ev->h.time_ns);
		return;
	}
	back = drop_pages(model, image, now, old);
	forget_mapped(model, image, now, old);
	remember_discard(&image->residence, now, old, ev->h.time_ns, "brk");
	note(model, ev, RECLAIM_BRK, &back);
}

/* Reserved memory becomes usable, or the other way round; its pages stay. */
static void on_mprotect(struct model *model, struct image *image, const struct ev_memory *ev)
{
	bool accessible = ev->arg & MEMORY_ACCESSIBLE;
	struct regions *from = accessible ? &image->residence.reserved :
			       &image->residence.accessible;
	struct span_vec spans __cleanup(span_vec_deinit) = { 0 };
	uint64_t end = page_up(ev->addr + ev->size);
	uint32_t row = row_of(model, image, ev->stack_id);

	spans_in(from, ev->addr, end, &spans);
	vec_for_each(span, &spans) {
		forget_mapped(model, image, span->start, span->end);
		if (accessible)
			add_mapped(model, image, span->start, span->end, row, ev->h.time_ns);
		else
			regions_add(&image->residence.reserved, span->start, span->end, row,
				    ev->h.time_ns);
	}
}

static enum reclaim_kind kind_of_advice(uint64_t advice)
{
	switch (advice) {
	case ADVICE_FREE:
		return RECLAIM_FREE;
	case ADVICE_REMOVE:
		return RECLAIM_REMOVE;
	case ADVICE_COLD:
		return RECLAIM_COLD;
	case ADVICE_PAGEOUT:
		return RECLAIM_PAGEOUT;
	}
	return RECLAIM_DONTNEED;
}

static void add_touched(void *arg, uint64_t addr, const struct page *page)
{
	struct given_back *back = arg;

	back->touched += page->flags & PAGE_AWAY ? 0 : (int64_t)(page->weight * PAGE_BYTES);
}

/* What the range holds, which stays there for now. */
static struct given_back measure(struct model *model, struct image *image, uint64_t start,
				 uint64_t end)
{
	struct given_back back = { .model = model };

	page_set_each(&image->residence.pages, start, end, add_touched, &back);
	back.older = (int64_t)(page_set_count_older(&image->residence.pages, start, end) *
			       PAGE_BYTES);
	return back;
}

/* The range stays whose it is; for the kernel to fill with huge pages, or not. */
static void advise_huge(struct model *model, struct image *image, const struct ev_memory *ev)
{
	uint32_t bit = ev->arg == ADVICE_HUGEPAGE ? REGION_HUGE : REGION_SMALL;
	struct span_vec spans __cleanup(span_vec_deinit) = { 0 };

	spans_in(&image->residence.accessible, ev->addr, page_up(ev->addr + ev->size), &spans);
	vec_for_each(span, &spans) {
		forget_mapped(model, image, span->start, span->end);
		add_mapped(model, image, span->start, span->end,
			   (span->mapping & ~(REGION_HUGE | REGION_SMALL)) | bit, ev->h.time_ns);
	}
}

static void on_madvise(struct model *model, struct image *image, const struct ev_memory *ev)
{
	enum reclaim_kind kind = kind_of_advice(ev->arg);
	uint64_t end = page_up(ev->addr + ev->size);
	struct given_back back;

	if (ev->arg == ADVICE_HUGEPAGE || ev->arg == ADVICE_NOHUGEPAGE) {
		advise_huge(model, image, ev);
		return;
	}
	if (ev->arg == ADVICE_POPULATE_READ || ev->arg == ADVICE_POPULATE_WRITE) {
		populate(model, image, ev->addr, end, row_of(model, image, ev->stack_id));
		return;
	}
	if (kind == RECLAIM_DONTNEED || kind == RECLAIM_REMOVE) {
		back = drop_pages(model, image, ev->addr, end);
	} else {
		/* The kernel takes them when it likes; the look at the pages will tell. */
		back = measure(model, image, ev->addr, end);
	}
	remember_discard(&image->residence, ev->addr, end, ev->h.time_ns, reclaim_kind_name(kind));
	note(model, ev, kind, &back);
}

/* Of several ranges nothing is known but the sum. */
static void on_process_madvise(struct model *model, struct image *image,
			       const struct ev_memory *ev)
{
	const struct given_back back = { .touched = (int64_t)ev->size };

	if (ev->addr)
		on_madvise(model, image, ev);
	else
		note(model, ev, kind_of_advice(ev->arg), &back);
}

static bool is_range(const struct ev_memory *ev)
{
	uint64_t limit = UINT64_MAX - PAGE_BYTES;

	return !(ev->addr & (PAGE_BYTES - 1)) && ev->addr + ev->size >= ev->addr &&
	       ev->addr + ev->size <= limit && ev->old_addr + ev->arg >= ev->old_addr &&
	       (ev->call != CALL_MREMAP || ev->old_addr + ev->arg <= limit);
}

static void inherit_block(struct residence *to, const struct page_block *block)
{
	uint64_t bits[PAGES_PER_BLOCK / 64] = { 0 };

	for (unsigned int i = 0; i < PAGES_PER_BLOCK; i++)
		if (block->pages[i].row && !(block->pages[i].flags & PAGE_AWAY))
			bits[i / 64] |= 1ull << i % 64;
	if (block->used)
		page_set_add_older(&to->pages, block->start, bits);
}

static void inherit_regions(struct regions *to, const struct regions *from)
{
	vec_for_each(piece, &from->pieces)
		regions_add(to, piece->start, piece->end,
			    from->mappings.data[piece->mapping].row & REGION_BITS, 0);
}

/*
 * A forked child has what its parent has, and none of it is of its making. Done when
 * the child is first heard of, for of most nothing ever is.
 */
static void inherit(struct model *model, struct image *image)
{
	struct image *parent = image->parent ? model_running_image(model, image->parent) : NULL;

	image->parent = 0;
	if (!parent || parent == image)
		return;
	inherit_regions(&image->residence.accessible, &parent->residence.accessible);
	inherit_regions(&image->residence.reserved, &parent->residence.reserved);
	image->residence.brk = parent->residence.brk;
	image->residence.huge_pages = parent->residence.huge_pages;
	vec_for_each(older, &parent->residence.pages.older)
		page_set_add_older(&image->residence.pages, older->start, older->bits);
	vec_for_each(block, &parent->residence.pages.blocks)
		inherit_block(&image->residence, *block);
}

void residence_on_memory(struct model *model, struct image *image, const struct ev_memory *ev)
{
	static void (*const handlers[])(struct model *, struct image *,
					const struct ev_memory *) = {
		[CALL_MMAP] = on_mmap,
		[CALL_MUNMAP] = on_munmap,
		[CALL_MREMAP] = on_mremap,
		[CALL_BRK] = on_brk,
		[CALL_MPROTECT] = on_mprotect,
		[CALL_MADVISE] = on_madvise,
		[CALL_PROCESS_MADVISE] = on_process_madvise,
	};

	if (ev->call >= MEMORY_CALLS_COUNT || !handlers[ev->call] ||
	    (ev->call != CALL_BRK && !is_range(ev))) {
		model->counts.malformed++;
		return;
	}
	inherit(model, image);
	handlers[ev->call](model, image, ev);
}

static void note_refault(struct model *model, struct image *image, const struct ev_touch *ev)
{
	const struct discard *discards = image->residence.discards;

	for (size_t i = 0; i < DISCARDS_KEPT; i++) {
		const struct discard *discard = &discards[i];

		if (ev->addr < discard->start || ev->addr >= discard->end ||
		    ev->h.time_ns - discard->time_ns > REFAULT_SOON_NS)
			continue;
		model_reclaim(model, &(struct reclaim_event){
			.kind = RECLAIM_REFAULT,
			.tgid = ev->h.tgid,
			.time_ns = ev->h.time_ns,
			.bytes = (int64_t)(ev->weight * PAGE_BYTES),
			.stack_id = ev->stack_id,
			.detail = discard->how,
		});
		return;
	}
}

/* REGION_ bits of what lies at @addr; 0 as well if nobody knows. */
static uint32_t region_bits_at(const struct regions *regions, uint64_t addr)
{
	size_t i = regions_behind(regions, addr);
	const struct region_piece *piece;

	if (i == regions->pieces.len)
		return 0;
	piece = &regions->pieces.data[i];
	return piece->start > addr ? 0 : regions->mappings.data[piece->mapping].row & REGION_BITS;
}

/* Whether the fault makes a page resident that was not there, or a copy of one. */
static bool is_new(struct image *image, const struct ev_touch *ev)
{
	uint32_t bits = region_bits_at(&image->residence.accessible, ev->addr);
	bool writes = ev->flags & TOUCH_WRITE;

	/* Private memory that is only read shows a page of zeros, which is nobody's. */
	if (!writes && !bits)
		return false;
	if (!page_set_is_older(&image->residence.pages, ev->addr))
		return true;
	return writes && ev->flags & TOUCH_PRESENT && !(bits & REGION_SHARED);
}

/* Whether the kernel fills the block of @addr at once, as far as one can tell beforehand. */
static bool fills_block(struct image *image, uint64_t addr)
{
	struct residence *residence = &image->residence;
	uint32_t bits = region_bits_at(&residence->accessible, addr);
	uint64_t start = addr & -PAGE_BLOCK_BYTES;

	if (bits & (REGION_FILE | REGION_SHARED | REGION_SMALL) ||
	    residence->huge_pages < (bits & REGION_HUGE ? HUGE_ADVISED : HUGE_ALWAYS))
		return false;
	return regions_have_both(&residence->accessible, start, start + PAGE_BLOCK_BYTES - 1) &&
	       !page_set_holds(&residence->pages, start);
}

void residence_on_touch(struct model *model, struct image *image, const struct ev_touch *ev)
{
	uint64_t addr = ev->addr & -PAGE_BYTES;
	struct page *page = page_set_find(&image->residence.pages, addr);
	uint64_t end = addr + PAGE_BYTES;
	size_t copied;
	uint32_t row;

	if (!ev->weight || ev->weight > UINT16_MAX) {
		model->counts.malformed++;
		return;
	}
	inherit(model, image);
	if (page && page->row) {
		/* It comes back, to whom it belonged. */
		if (page->flags & PAGE_AWAY)
			agg_alloc(&model->touched, page->row, page->weight * PAGE_BYTES,
				  page->weight);
		page->flags &= (uint16_t)~PAGE_AWAY;
		return;
	}
	if (!is_new(image, ev))
		return;
	row = row_of(model, image, ev->stack_id);
	if (!row) {
		model->counts.untracked_pages += ev->weight;
		return;
	}
	if (fills_block(image, addr)) {
		addr &= -PAGE_BLOCK_BYTES;
		end = addr + PAGE_BLOCK_BYTES;
	}
	copied = page_set_drop_older(&image->residence.pages, addr, end);
	for (; addr < end; addr += PAGE_BYTES)
		residence_touch(model, image, addr, (struct page){ row, (uint16_t)ev->weight,
				PAGE_FRESH | (copied ? PAGE_COPIED : 0) });
	note_refault(model, image, ev);
}

void residence_on_reclaim(struct model *model, const struct ev_reclaim *ev)
{
	model_reclaim(model, &(struct reclaim_event){
		.kind = ev->in_cgroup ? RECLAIM_CGROUP : RECLAIM_DIRECT,
		.tgid = ev->h.tgid,
		.time_ns = ev->h.time_ns,
		.bytes = (int64_t)ev->bytes,
		.detail = ev->by_target ? "by the process itself, which waited for it" :
			  "by another process of the cgroup",
	});
}

void model_add_older_pages(struct model *model, uint32_t tgid, uint64_t start,
			   const uint64_t resident[PAGES_PER_BLOCK / 64])
{
	struct image *image;
	uint64_t bits[PAGES_PER_BLOCK / 64];
	const struct page *page;

	model_drain(model);
	image = model_image_of(model, tgid);
	if (!image)
		return;
	inherit(model, image);
	memcpy(bits, resident, sizeof(bits));
	/* What has been told of since is no older. */
	for (unsigned int i = 0; i < PAGES_PER_BLOCK; i++) {
		page = page_set_find(&image->residence.pages, start + i * PAGE_BYTES);
		if (!page)
			break;
		if (page->row)
			bits[i / 64] &= ~(1ull << i % 64);
	}
	page_set_add_older(&image->residence.pages, start, bits);
}

void model_set_huge_pages(struct model *model, uint32_t tgid, enum huge_pages when)
{
	struct image *image;

	/* What is told of the process's birth comes first. */
	model_drain(model);
	image = model_image_of(model, tgid);
	if (image)
		image->residence.huge_pages = when;
}

/* Fills the gaps between what is known. */
static void add_gaps(struct regions *to, const struct span_vec *known, uint64_t start,
		     uint64_t end, uint32_t row)
{
	vec_for_each(span, known) {
		if (span->start > start)
			regions_add(to, start, span->start, row, 0);
		start = span->end;
	}
	if (start < end)
		regions_add(to, start, end, row, 0);
}

void model_add_older(struct model *model, uint32_t tgid, const struct older_mapping *mapping)
{
	struct span_vec known __cleanup(span_vec_deinit) = { 0 };
	struct residence *residence;
	struct image *image;

	model_drain(model);
	image = model_image_of(model, tgid);
	if (!image)
		return;
	inherit(model, image);
	residence = &image->residence;
	if (mapping->is_break && !residence->brk)
		residence->brk = mapping->end;
	spans_in(&residence->accessible, mapping->start, mapping->end, &known);
	if (!known.len)
		spans_in(&residence->reserved, mapping->start, mapping->end, &known);
	add_gaps(mapping->accessible ? &residence->accessible : &residence->reserved, &known,
		 mapping->start, mapping->end,
		 (mapping->file ? REGION_FILE : 0) | (mapping->shared ? REGION_SHARED : 0));
}
