// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Metrics out: rows and totals as of now. Records still in the queue are
 * dispatched first, which is why functions that promise not to change the
 * model take the const away: what one sees from outside does not change.
 */
#include <stdlib.h>

#include "model/model.h"

#define NS_PER_S 1e9

static struct model *settled(const struct model *model)
{
	struct model *writable = (struct model *)model;

	model_drain(writable);
	return writable;
}

size_t model_images(const struct model *model, const struct model_image **ret)
{
	const struct model *current = settled(model);

	*ret = current->infos.data;
	return current->infos.len;
}

size_t model_reclaims(const struct model *model, const struct reclaim_entry **ret)
{
	const struct model *current = settled(model);

	*ret = current->reclaims.entries.data;
	return current->reclaims.entries.len;
}

uint64_t model_real_stack(const struct model *model, uint64_t id)
{
	uint32_t stack = map64_get(&model->stacks.index, id);

	return stack ? model->stacks.list.data[stacks_real(&model->stacks, stack)].id : id;
}

void model_mark_time(struct model *model, uint64_t time_ns)
{
	model_drain(model);
	growth_mark(&model->growth, time_ns, &model->agg);
	growth_mark(&model->touched_growth, time_ns, &model->touched);
}

size_t model_block_bytes(const struct model *model)
{
	const struct model *current = settled(model);
	size_t bytes = 0;

	vec_for_each(image, &current->images)
		bytes += blocks_bytes(&(*image)->blocks);
	return bytes;
}

int64_t model_live_bytes(const struct model *model)
{
	const struct model *current = settled(model);
	int64_t sum = 0;

	for (uint32_t i = 1; i < current->agg.len; i++)
		sum += agg_row_live(&current->agg.rows[i]);
	return sum;
}

/* Ages of the oldest blocks by row, in ns, as of a moment. */
struct ages {
	uint64_t *of_row;
	uint64_t now_ns;
};

static void note_age(void *arg, uint32_t row, uint64_t birth_ns)
{
	struct ages *ages = arg;
	uint64_t age = ages->now_ns > birth_ns ? ages->now_ns - birth_ns : 0;

	if (age > ages->of_row[row])
		ages->of_row[row] = age;
}

/* The caller frees. Blocks of an image that has ended aged until then. */
static uint64_t *ages_of_rows(struct model *model, uint64_t now_ns)
{
	struct ages ages = { xcalloc(model->agg.len, sizeof(uint64_t)), now_ns };

	vec_for_each(slot, &model->images) {
		struct image *image = *slot;

		if (model->infos.data[image->number].ended) {
			ages.now_ns = image->ended_ns;
			vec_for_each(oldest, &image->oldest)
				note_age(&ages, oldest->row, oldest->birth_ns);
		} else {
			ages.now_ns = now_ns;
			image_each_oldest(model, image, note_age, &ages);
		}
	}
	return ages.of_row;
}

/* A row's share of the peak; nothing if its image ended before that moment. */
static int64_t peak_of_row(const struct model *model, const struct agg_row *row)
{
	uint32_t number = model->agg.paths.data[row->path].image;
	const struct image *image = model->images.data[number];

	if (model->infos.data[number].ended && model->agg.peak_seq != image->ended_seq)
		return 0;
	return agg_row_peak(&model->agg, row);
}

static struct metrics metrics_of_row(const struct model *model, const struct agg_row *row)
{
	return (struct metrics){
		.live_bytes = agg_row_live(row),
		.live_count = (int64_t)(row->alloc_count - row->free_count),
		.alloc_bytes = (int64_t)row->alloc_bytes,
		.alloc_count = (int64_t)row->alloc_count,
		.free_bytes = (int64_t)row->free_bytes,
		.free_count = (int64_t)row->free_count,
		.temporary_count = (int64_t)row->temporary_count,
		.peak_live_bytes = peak_of_row(model, row),
	};
}

/*
 * What was freed and what is live are different blocks, so their variances add
 * up to that of all. Of the peak nothing was kept: its blocks are taken for as
 * large as all.
 */
static void set_errors(struct metrics *m, const struct spread *s)
{
	double bytes = s->heaviest_bytes, count = s->heaviest_count;
	double share = m->alloc_bytes > 0 ?
		(double)m->peak_live_bytes / (double)m->alloc_bytes : 0;

#define ERROR(metric, variance, heaviest) \
	m->metric##_error = estimate_error((double)m->metric, variance, heaviest)
	ERROR(live_bytes, s->live_bytes, s->heaviest_live_bytes);
	ERROR(live_count, s->live_count, s->heaviest_live_count);
	ERROR(alloc_bytes, s->alloc_bytes, bytes);
	ERROR(alloc_count, s->alloc_count, count);
	ERROR(free_bytes, s->alloc_bytes - s->live_bytes, bytes);
	ERROR(free_count, s->alloc_count - s->live_count, count);
	ERROR(temporary_count, s->temporary_count, count);
	ERROR(peak_live_bytes, s->alloc_bytes * share, bytes);
#undef ERROR
}

static void set_growth(struct metrics *m, struct trend trend)
{
	m->growth_bytes_per_s = trend.per_s;
	m->growth_confidence = trend.confidence;
}

static struct model_row row_of_stack(const struct model *model, uint32_t index)
{
	const struct stack *stack = &model->stacks.list.data[stacks_real(&model->stacks, index)];

	return (struct model_row){
		.stack_id = stack->id,
		.status = stack->status,
		.pcs = stack->pcs,
		.pc_count = stack->count,
	};
}

void model_describe_stack(struct model *model, uint64_t id, struct model_row *row)
{
	uint32_t index = stacks_intern(&model->stacks, id);

	*row = (struct model_row){ .stack_id = id, .status = UNWIND_LOST };
	if (index)
		*row = row_of_stack(model, index);
}

/* Adds what adds up; the oldest of all is the oldest of any. */
static void totals_add(struct metrics *sum, const struct metrics *m)
{
	sum->live_bytes += m->live_bytes;
	sum->live_count += m->live_count;
	sum->alloc_bytes += m->alloc_bytes;
	sum->alloc_count += m->alloc_count;
	sum->free_bytes += m->free_bytes;
	sum->free_count += m->free_count;
	sum->temporary_count += m->temporary_count;
	sum->mapped_bytes += m->mapped_bytes;
	sum->resident_bytes += m->resident_bytes;
	if (m->oldest_live_s > sum->oldest_live_s)
		sum->oldest_live_s = m->oldest_live_s;
}

static struct snapshot_share share_of(const struct agg_row *row, const struct metrics *m)
{
	return (struct snapshot_share){
		.thread = row->thread, .size_class = row->size_class,
		.live_bytes = m->live_bytes, .live_count = m->live_count,
		.alloc_bytes = m->alloc_bytes, .alloc_count = m->alloc_count,
		.temporary_count = m->temporary_count, .peak_live_bytes = m->peak_live_bytes,
		.oldest_live_s = (float)m->oldest_live_s,
		.live_bytes_error = (float)m->live_bytes_error,
		.live_count_error = (float)m->live_count_error,
		.alloc_bytes_error = (float)m->alloc_bytes_error,
		.alloc_count_error = (float)m->alloc_count_error,
	};
}

DEFINE_VEC(spread_vec, struct spread);

/*
 * Sums the aggregate's rows up by path. Paths of what turned out to be one
 * stack become one, whose growth is that of the path that bears the stack's
 * own name, for the others stand for a moment only.
 */
struct summing {
	const struct model *model;
	const struct agg *agg;
	const struct growth *growth;
	uint32_t *row_of_path;		/* index + 1; 0: none yet */
	struct map64 same;		/* image, kind and stack -> index + 1 */
	struct model_row_vec *rows;
	struct spread_vec spreads;	/* as rows */
};

static void add_output_row(struct summing *summing, const struct agg_path *path)
{
	struct model_row row = row_of_stack(summing->model, path->stack);

	row.image = path->image;
	row.kind = path->kind;
	model_row_vec_push(summing->rows, row);
	spread_vec_push(&summing->spreads, (struct spread){ 0 });
}

/* The index of the row that path @i is summed up in. */
static uint32_t output_row(struct summing *summing, uint32_t i)
{
	const struct model *model = summing->model;
	const struct agg_path *path = &summing->agg->paths.data[i];
	uint32_t stack = stacks_real(&model->stacks, path->stack), row = summing->row_of_path[i];
	uint64_t key = (uint64_t)path->image << 35 | (uint64_t)path->kind << 32 | stack;

	if (row)
		return row - 1;
	row = model->stacks.renamed ? map64_get(&summing->same, key) : 0;
	if (!row) {
		add_output_row(summing, path);
		row = (uint32_t)summing->rows->len;
		if (model->stacks.renamed)
			map64_set(&summing->same, key, row);
	}
	summing->row_of_path[i] = row;
	if (stack == path->stack)
		set_growth(&summing->rows->data[row - 1].m, growth_of_path(summing->growth, i));
	return row - 1;
}

static void add_to_row(struct summing *summing, uint32_t row, const struct metrics *m,
		       const struct spread *spread)
{
	struct metrics *sum = &summing->rows->data[row].m;

	totals_add(sum, m);
	sum->peak_live_bytes += m->peak_live_bytes;
	spread_add(&summing->spreads.data[row], spread);
}

static struct summing begin_summing(const struct model *model, const struct agg *agg,
				    const struct growth *growth, struct model_row_vec *rows)
{
	struct summing summing = { .model = model, .agg = agg, .growth = growth, .rows = rows };

	if (rows)
		summing.row_of_path = xcalloc(agg->paths.len, sizeof(uint32_t));
	return summing;
}

static void end_summing(struct summing *summing)
{
	free(summing->row_of_path);
	map64_deinit(&summing->same);
	spread_vec_deinit(&summing->spreads);
}

/* The kernel's ledger: rows that have nothing of the allocators' metrics. */
static void residence_rows(const struct model *model, struct model_row_vec *rows,
			   struct metrics *sum)
{
	struct summing summing = begin_summing(model, &model->touched, &model->touched_growth,
					       rows);

	for (uint32_t i = 1; i < model->touched.len; i++) {
		const struct agg_row *row = &model->touched.rows[i];
		struct metrics m = {
			.mapped_bytes = model->mapped.data[i],
			.resident_bytes = agg_row_live(row),
		};

		uint32_t to;

		totals_add(sum, &m);
		if (!rows)
			continue;
		/* First, for it may move the rows. */
		to = output_row(&summing, row->path);
		totals_add(&rows->data[to].m, &m);
	}
	end_summing(&summing);
}

void model_rows_and_shares(const struct model *model, uint64_t now_ns, unsigned int flags,
			   struct model_row_vec *rows, struct model_share_vec *shares,
			   struct model_totals *totals)
{
	struct model *current = settled(model);
	uint64_t *ages __cleanup_free = flags & MODEL_OLDEST ? ages_of_rows(current, now_ns) : NULL;
	struct summing summing = begin_summing(current, &current->agg, &current->growth, rows);
	struct metrics sum = { 0 };
	struct spread spread = { 0 };

	for (uint32_t i = 1; i < current->agg.len; i++) {
		const struct agg_row *row = &current->agg.rows[i];
		struct metrics m = metrics_of_row(current, row);
		uint32_t to;

		if (ages)
			m.oldest_live_s = (double)ages[i] / NS_PER_S;
		totals_add(&sum, &m);
		spread_add(&spread, &current->agg.spreads[i]);
		if (!rows)
			continue;
		to = output_row(&summing, row->path);
		add_to_row(&summing, to, &m, &current->agg.spreads[i]);
		if (!shares)
			continue;
		set_errors(&m, &current->agg.spreads[i]);
		model_share_vec_push(shares, (struct model_share){ to, share_of(row, &m) });
	}
	for (size_t i = 0; i < summing.spreads.len; i++)
		set_errors(&rows->data[i].m, &summing.spreads.data[i]);
	end_summing(&summing);
	residence_rows(current, rows, &sum);
	if (!totals)
		return;
	*totals = current->counts;
	totals->m = sum;
	totals->m.peak_live_bytes = current->agg.peak;
	set_errors(&totals->m, &spread);
	set_growth(&totals->m, growth_of_path(&current->growth, 0));
}

void model_rows(const struct model *model, uint64_t now_ns, unsigned int flags,
		struct model_row_vec *rows, struct model_totals *totals)
{
	model_rows_and_shares(model, now_ns, flags, rows, NULL, totals);
}

const struct model_thread_vec *model_threads(const struct model *model)
{
	return &settled(model)->thread_list;
}
