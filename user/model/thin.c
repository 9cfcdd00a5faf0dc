// SPDX-License-Identifier: GPL-2.0-or-later
/* From all live blocks to a sample of them; see model_thin() in sink.h. */
#include <math.h>

#include "model/model.h"

struct thinning {
	struct model *model;
	struct image *image;
	uint64_t mean;
	void (*kept)(void *arg, uint32_t tgid, uint64_t addr);
	void *arg;
};

/* In [0, 1), from the block itself: a model fed the same way thins the same way. */
static double draw(uint64_t addr, uint64_t salt)
{
	uint64_t x = (addr ^ salt * 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u;

	x = (x ^ x >> 31) * 0x94d049bb133111ebu;
	return (double)((x ^ x >> 29) >> 11) / (1ull << 53);
}

/* What @exact is as a sample. The number of blocks is rounded by a draw of its own. */
static struct block as_sample(const struct block *exact, uint64_t weight, double rounding)
{
	double size = exact->bytes ? (double)exact->bytes : 1;
	struct block block = *exact;

	block.bytes = exact->bytes ? weight : 0;
	block.count = (uint64_t)((double)weight / size + rounding);
	block.variance = sample_variance(exact->bytes, weight);
	return block;
}

static void keep(struct thinning *t, uint64_t addr, const struct block *block)
{
	struct block none;

	blocks_put(&t->image->blocks, addr, block, &none);
	t->kept(t->arg, t->model->infos.data[t->image->number].tgid, addr);
}

static void forget(struct thinning *t, uint64_t addr, const struct block *block)
{
	pools_remove(&t->image->pools, addr);
	threads_disown(&t->image->threads, addr);
	agg_reweigh(&t->model->agg, block->row, -(int64_t)block->bytes, -1);
}

static void thin_block(void *arg, uint64_t addr, const struct block *block)
{
	struct thinning *t = arg;
	uint64_t salt = t->model->start_ns + block->birth;
	/* A block of no bytes has the chance of one byte; as in bpf/sample.h. */
	double size = block->bytes ? (double)block->bytes : 1;
	double chance = -expm1(-size / (double)t->mean);
	struct block sample;

	if (block->variance.count > 0) {
		keep(t, addr, block);
		return;
	}
	if (draw(addr, salt) >= chance) {
		forget(t, addr, block);
		return;
	}
	sample = as_sample(block, (uint64_t)(size / chance), draw(addr, salt + 1));
	agg_reweigh(&t->model->agg, block->row, (int64_t)(sample.bytes - block->bytes),
		    (int64_t)(sample.count - block->count));
	if (sample.variance.count > 0)
		spread_alloc(&t->model->agg.spreads[block->row], sample.variance);
	keep(t, addr, &sample);
}

void model_thin(struct model *model, uint64_t mean,
		void (*kept)(void *arg, uint32_t tgid, uint64_t addr), void *arg)
{
	model_drain(model);
	vec_for_each(image, &model->images) {
		struct thinning t = { model, *image, mean, kept, arg };

		if (!model->infos.data[(*image)->number].ended)
			blocks_drain(&(*image)->blocks, thin_block, &t);
	}
}
