// SPDX-License-Identifier: GPL-2.0-or-later
/* Live blocks are given away, to be followed elsewhere; see model_hand_over() in sink.h. */
#include "model/model.h"

struct handing {
	struct model *model;
	struct image *image;
	const struct model_heir *heir;
};

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
		.addr = addr, .bytes = block->bytes,
		.stack_id = stack_of(h->model, block->row),
		.birth_ns = model_birth_ns(h->model, block->birth),
	});
	/* As if it had never been here: who has it now counts its birth as well. */
	agg_reweigh(&h->model->agg, block->row, -(int64_t)block->bytes, -1);
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
}
