// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What maps and unmaps do to an image's regions. Bytes are those asked for; a
 * page that is unmapped takes with it what was asked for of it. Temporary
 * allocations are a matter of blocks and not counted here.
 */
#include "model/model.h"

#define PAGE_BYTES 4096ull

static bool range_is_valid(const struct ev_map *ev)
{
	return ev->addr + ev->size >= ev->addr &&
	       ev->addr + ev->size <= UINT64_MAX - PAGE_BYTES;
}

/* Takes the range out, its last page whole. */
static void cut(struct model *model, struct image *image, const struct ev_map *ev)
{
	uint64_t end = (ev->addr + ev->size + PAGE_BYTES - 1) & -PAGE_BYTES;

	model->cuts.len = 0;
	regions_cut(&image->regions, ev->addr, end, &model->cuts);
	vec_for_each(cut, &model->cuts)
		agg_free(&model->agg, cut->row, cut->bytes, cut->last, 0);
}

void mapping_on_map(struct model *model, struct image *image, const struct ev_map *ev)
{
	const struct origin origin = { ev->stack_id, ev->h.tid, size_class(ev->size) };
	enum memory_kind kind = ev->is_brk ? MEMORY_BRK : MEMORY_MMAP;
	uint32_t row;

	if (!ev->size || !range_is_valid(ev)) {
		model->counts.malformed++;
		return;
	}
	/* MAP_FIXED replaces what was there without a word. */
	cut(model, image, ev);
	row = model_row_of(model, image, &origin, kind);
	if (!row) {
		model->counts.untracked_allocs++;
		return;
	}
	regions_add(&image->regions, ev->addr, ev->addr + ev->size, row, ev->h.time_ns);
	agg_alloc(&model->agg, row, ev->size, 1);
}

void mapping_on_unmap(struct model *model, struct image *image, const struct ev_map *ev)
{
	if (range_is_valid(ev))
		cut(model, image, ev);
	else
		model->counts.malformed++;
}
