// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is resident in truth, against what faults have told: every page of a known
 * block that the kernel shows belongs to somebody then. See residence.h.
 */
#include "model/model.h"

struct pages_look { page_look_fn *fn; void *arg; };

static bool bit_of(const uint64_t bits[PAGES_PER_BLOCK / 64], unsigned int i)
{
	return bits && bits[i / 64] >> i % 64 & 1;
}

/* Brings the page to what it counts for in truth. */
static void settle_page(struct model *model, struct page *page, bool resident, uint16_t weight)
{
	bool was = !(page->flags & PAGE_AWAY);

	if (was == resident && page->weight == weight)
		return;
	if (was)
		agg_free(&model->touched, page->row, page->weight * PAGE_BYTES, page->weight, 0);
	if (resident)
		agg_alloc(&model->touched, page->row, weight * PAGE_BYTES, weight);
	page->weight = weight;
	page->flags ^= was == resident ? 0 : PAGE_AWAY;
}

/*
 * A huge page that was mapped alone came by one fault, and its like elsewhere by others
 * that were not told: @keeps, it goes on counting for those. So does a copy of an older
 * page, for the kernel does not say which others were copied.
 */
static void settle_known(struct model *model, struct page_block *block,
			 const struct page_truth *truth, bool keeps)
{
	for (unsigned int i = 0; i < PAGES_PER_BLOCK; i++) {
		struct page *page = &block->pages[i];
		uint16_t weight = keeps || page->flags & PAGE_COPIED ? page->weight : 1;

		if (!page->row)
			continue;
		/* Its fault was told before it was served, which may be going on. */
		if (bit_of(truth->resident, i) || !(page->flags & PAGE_FRESH))
			settle_page(model, page, bit_of(truth->resident, i), weight);
		page->flags &= (uint16_t)~PAGE_FRESH;
	}
}

/* Pages that nobody is known for belong to the one before them, at the start to the one behind. */
static void spread(struct model *model, struct page_block *block, const uint64_t *older,
		   const struct page_truth *truth, bool keeps)
{
	struct page from = { 0 };

	for (unsigned int i = 0; i < PAGES_PER_BLOCK && !from.row; i++)
		from = block->pages[i];
	for (unsigned int i = 0; i < PAGES_PER_BLOCK; i++) {
		struct page *page = &block->pages[i];

		if (page->row) {
			from = *page;
			continue;
		}
		if (!bit_of(truth->resident, i) || bit_of(older, i))
			continue;
		*page = (struct page){ from.row, keeps ? from.weight : 1, 0 };
		block->used++;
		agg_alloc(&model->touched, page->row, page->weight * PAGE_BYTES, page->weight);
	}
}

static uint32_t first_row(const struct page_block *block)
{
	for (unsigned int i = 0; i < PAGES_PER_BLOCK; i++)
		if (block->pages[i].row)
			return block->pages[i].row;
	return 0;
}

static uint32_t last_row(const struct page_block *block)
{
	for (unsigned int i = PAGES_PER_BLOCK; i-- > 0;)
		if (block->pages[i].row)
			return block->pages[i].row;
	return 0;
}

/*
 * Where faults are so many that a whole block goes by between two that are told, a page
 * of the block at @start gets the row of its neighbour, which begins or ends at @edge;
 * it is looked at in its turn.
 */
static void spread_to(struct model *model, struct image *image, uint64_t start, uint64_t edge,
		      uint32_t row, const struct pages_look *look)
{
	struct residence *residence = &image->residence;
	struct page_truth truth = { 0 };

	if (!row || page_set_find(&residence->pages, start) ||
	    !regions_have_both(&residence->accessible, edge - 1, edge) ||
	    !look->fn(look->arg, start, &truth))
		return;
	for (unsigned int i = 0; i < PAGES_PER_BLOCK; i++) {
		uint64_t addr = start + i * PAGE_BYTES;

		if (!bit_of(truth.resident, i) || page_set_is_older(&residence->pages, addr) ||
		    !regions_have_both(&residence->accessible, addr < edge ? addr : edge,
				addr < edge ? edge : addr))
			continue;
		residence_touch(model, image, addr, (struct page){ row, 1, 0 });
		return;
	}
}

static void check_block(struct model *model, struct image *image, struct page_block *block,
			const struct pages_look *look)
{
	const struct older_block *older = page_set_older(&image->residence.pages, block->start);
	uint64_t start = block->start, end = start + PAGE_BLOCK_BYTES;
	const struct regions *accessible = &image->residence.accessible;
	struct page_truth truth = { 0 };
	uint32_t first, last;
	bool keeps;

	if (!block->used || !look->fn(look->arg, start, &truth))
		return;
	keeps = truth.huge && !regions_have_both(accessible, start - 1, start) &&
		!regions_have_both(accessible, end - 1, end);
	settle_known(model, block, &truth, keeps);
	spread(model, block, older ? older->bits : NULL, &truth, keeps);
	first = first_row(block);
	last = last_row(block);
	spread_to(model, image, start - PAGE_BLOCK_BYTES, start, first, look);
	spread_to(model, image, end, end, last, look);
}

size_t model_check_pages(struct model *model, uint32_t tgid, size_t from, size_t count,
			 page_look_fn *look, void *arg)
{
	struct image *image;

	model_drain(model);
	image = model_running_image(model, tgid);
	for (; image && count && from < image->residence.pages.blocks.len; from++, count--)
		check_block(model, image, image->residence.pages.blocks.data[from],
			    &(struct pages_look){ look, arg });
	return image && from < image->residence.pages.blocks.len ? from : 0;
}

