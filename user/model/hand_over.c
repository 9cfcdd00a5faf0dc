// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Live blocks are given away, to be followed elsewhere, and taken back; see
 * model_hand_over() in sink.h.
 */
#include <math.h>

#include "model/model.h"

struct handing {
	struct model *model;
	struct image *image;
	const struct model_heir *heir;
};

/* Marks from before know nothing of blocks that come or go now. */
static void forget_growth(struct model *model)
{
	growth_deinit(&model->growth);
	model->growth = (struct growth){ 0 };
}

static uint64_t stack_of(const struct model *model, uint32_t row)
{
	uint32_t stack = model->agg.paths.data[model->agg.rows[row].path].stack;

	return model->stacks.list.data[stacks_real(&model->stacks, stack)].id;
}

static void give_block(void *arg, uint64_t addr, const struct block *block)
{
	struct handing *h = arg;

	pools_remove(&h->image->pools, addr);
	h->heir->block(h->heir->arg, &(struct given_block){
		.addr = addr, .bytes = block->bytes, .count = block->count,
		.stack_id = stack_of(h->model, block->row),
		.birth_ns = model_birth_ns(h->model, block->birth),
		.variance = block->variance,
	});
	/* As if it had never been here: who has it now counts its birth as well. */
	agg_reweigh(&h->model->agg, block->row, -(int64_t)block->bytes, -(int64_t)block->count);
	spread_take(&h->model->agg.spreads[block->row], block->variance);
}

static void give_peaks(struct model *model, const struct image *image,
		       const struct model_heir *heir)
{
	map64_for_each(slot, &image->rows[MEMORY_HEAP]) {
		const struct agg_row *row = &model->agg.rows[slot->value];

		heir->peak(heir->arg, stack_of(model, slot->value),
			   agg_row_peak(&model->agg, row));
	}
}

size_t model_live_count(struct model *model, uint32_t tgid)
{
	const struct image *image;

	model_drain(model);
	image = model_running_image(model, tgid);
	return image ? image->blocks.len : 0;
}

void model_hand_over(struct model *model, uint32_t tgid, const struct model_heir *heir)
{
	struct handing h = { .model = model, .heir = heir };

	model_drain(model);
	h.image = model_running_image(model, tgid);
	if (!h.image)
		return;
	give_peaks(model, h.image, heir);
	threads_forget_last(&h.image->threads);
	blocks_drain(&h.image->blocks, give_block, &h);
	model->agg.peak = model->agg.live;
	model->agg.peak_seq++;
	forget_growth(model);
}

/* --- taking back --- */

/* Of a stack whose threads and sizes are not told apart. */
static uint32_t row_of(struct model *model, uint32_t tgid, uint64_t stack_id)
{
	const struct origin origin = { .stack_id = stack_id, .size_class = SIZE_CLASS_ANY };
	struct image *image = model_image_of(model, tgid);

	return image ? model_row_of(model, image, &origin, MEMORY_HEAP) : 0;
}

/* Until the end no maximum is noted: one that is known is higher than what is on its way. */
void model_begin_taking(struct model *model)
{
	model_drain(model);
	model->agg.peak = INT64_MAX;
	model->agg.peak_seq++;
}

static uint64_t whole(double value)
{
	return value > 0 ? (uint64_t)llround(value) : 0;
}

/* All of it has been freed until its live blocks come. */
void model_take_row(struct model *model, uint32_t tgid, const struct given_row *given)
{
	uint32_t row = row_of(model, tgid, given->stack_id);
	struct agg *agg = &model->agg;

	if (!row) {
		model->counts.untracked_allocs++;
		return;
	}
	agg_pass(agg, row, whole(given->alloc_bytes), whole(given->alloc_count),
		 whole(given->temporary_count));
	spread_add(&agg->spreads[row], &given->spread);
	agg->rows[row].peak_live = (int64_t)whole(given->peak_bytes);
	agg->rows[row].peak_seq = agg->peak_seq;
}

/* Not freed after all; allocated as well, where that was not in the row's sums. */
static void revive(struct agg *agg, uint32_t i, uint64_t bytes, uint64_t count)
{
	struct agg_row *row = agg_row_before_change(agg, i);
	uint64_t more_bytes = bytes > row->free_bytes ? bytes - row->free_bytes : 0;
	uint64_t more_count = count > row->free_count ? count - row->free_count : 0;

	row->alloc_bytes += more_bytes;
	row->alloc_count += more_count;
	row->free_bytes -= bytes - more_bytes;
	row->free_count -= count - more_count;
	agg->live += (int64_t)bytes;
}

void model_take_block(struct model *model, uint32_t tgid, const struct given_block *given)
{
	uint32_t row = row_of(model, tgid, given->stack_id);
	const struct block block = {
		.bytes = given->bytes, .count = given->count, .row = row,
		.birth = model_birth(model, given->birth_ns), .variance = given->variance,
	};
	struct spread *spread = &model->agg.spreads[row];
	struct block old;

	if (!row || !model_take_room(model, ROOM_OF_BLOCK)) {
		model->counts.untracked_allocs++;
		return;
	}
	/* Two that were followed at one address cannot be. */
	if (blocks_put(&model_image_of(model, tgid)->blocks, given->addr, &block, &old)) {
		agg_free(&model->agg, old.row, old.bytes, old.count, 0);
		spread_free(&model->agg.spreads[old.row], old.variance, false);
	}
	revive(&model->agg, row, block.bytes, block.count);
	spread->live_bytes += block.variance.bytes;
	spread->live_count += block.variance.count;
}

void model_end_taking(struct model *model, double peak_bytes)
{
	int64_t peak = (int64_t)whole(peak_bytes);

	model->agg.peak = peak;
	if (model->agg.live > peak) {
		model->agg.peak = model->agg.live;
		model->agg.peak_seq++;
	}
	forget_growth(model);
}
