// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Estimates out of windows, as rows; see windows.h.
 *
 *	controls, blocks -> each one's chance to be alive	(window_lifetimes.c)
 *	blocks of all times -> what is expected		(window_steady.c)
 *	census -> factors by groups of classes		(window_census.c)
 *	all of it -> rows
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/estimate.h"
#include "model/window_estimate.h"

#define SAMPLES_MIN 3
#define NONE_SEEN 3		/* samples: of as many expected, there is one in 95 of 100 cases */
#define DOUBT_WEIGHT 2

/* Sums over windows of one stack's blocks that live. */
struct live_row {
	struct draw_sum bytes, count, old;
	double in_bytes, in_count, in_old, in_seen;
	double doubt_bytes, doubt_count;	/* of what may as well be dead */
	struct draw_sum seen;			/* bytes, whatever else is expected */
	uint32_t window;
	uint64_t samples, oldest_ns;
	bool grows;
};

static void end_window(struct live_row *row)
{
	draw_sum_add(&row->bytes, row->in_bytes);
	draw_sum_add(&row->count, row->in_count);
	draw_sum_add(&row->old, row->in_old);
	draw_sum_add(&row->seen, row->in_seen);
	row->in_bytes = row->in_count = row->in_old = row->in_seen = 0;
}

/* How many blocks it stands for, beside its chance to be alive. */
static double stands_for(const struct estimate *e, const struct follow *block)
{
	return block->weight * (is_drawn(block) ? e->factor[block->chunk_class] : 1);
}

/*
 * No window decided that it is here. If it stands for others, which of them are
 * followed was a draw of its own; so was whose it is, if it may be another stack's.
 */
static void add_known(struct live_row *row, const struct follow *block, double alive)
{
	double count = block->weight * alive, bytes = count * (double)block->size;
	double drawn = 1 - (1 - (double)block->doubt) / (double)block->weight;

	row->count.y += count;
	row->bytes.y += bytes;
	row->count.squares += drawn * count * count;
	row->bytes.squares += drawn * bytes * bytes;
	if (drawn > 0) {
		row->count.largest = fmax(row->count.largest, count);
		row->bytes.largest = fmax(row->bytes.largest, bytes);
	}
}

/*
 * Of these all are known; what is old of them counts as if each had been drawn, for
 * two or three are no trend either.
 */
static void add_mapped(const struct estimate *e, struct live_row *rows)
{
	vec_for_each(block, &e->w->mapped) {
		uint64_t bytes = block->b.end - block->b.start;
		struct live_row *row = &rows[block->row];

		if (block->b.birth_ns < e->old_ns)
			draw_sum_add(&row->old, (double)(bytes - MAPPED_HEAD));
		row->grows |= e->grows[window_class(bytes)];
		row->samples++;
		if (!row->oldest_ns || block->b.birth_ns < row->oldest_ns)
			row->oldest_ns = block->b.birth_ns;
	}
}

/* Large births since the last walk: some of them live. */
static void add_births(struct estimate *e, struct live_row *rows)
{
	vec_for_each(birth, &e->w->large.births) {
		double share = large_share(&e->w->rows.data[birth->row]);
		double bytes = (double)(birth->chunk_bytes - CHUNK_HEAD);
		double variance = share * (1 - share);
		struct live_row *row = &rows[birth->row];

		row->count.y += share;
		row->bytes.y += share * bytes;
		row->count.squares += variance;
		row->bytes.squares += variance * bytes * bytes;
		row->count.largest = fmax(row->count.largest, 1);
		row->bytes.largest = fmax(row->bytes.largest, bytes);
		e->born_variance += variance * bytes * bytes;
	}
}

/* Samples of equal weight that would say as much. */
static double effective_samples(const struct draw_sum *sum)
{
	return sum->squares > 0 ? sum->y * sum->y / sum->squares : 0;
}

/* Of a row's small or large blocks. */
struct expected { double count, bytes; };

static void add_expected_sum(struct draw_sum *sum, const struct steady *steady,
			     const struct kept *kept, double expected)
{
	if (expected <= 0)
		return;
	sum->y += expected;
	sum->squares += steady->variance * expected * expected;
	sum->largest = fmax(sum->largest, kept->sum.largest / kept->sum.y * expected);
}

/* What is expected takes the place of that part of what is followed. */
static void add_expected(struct estimate *e, struct live_row *rows)
{
	struct expected (*expected)[KEPT_SIZES] __cleanup_free =
		xcalloc(e->w->rows.len, sizeof(*expected));

	for (size_t i = 0; i < e->w->cells.len; i++) {
		const struct cell *cell = &e->w->cells.data[i];
		double count = e->expected[i] * e->factor[cell->class];
		struct expected *sum = &expected[cell->row][kept_size_of(cell->class)];

		if (count <= 0)
			continue;
		sum->count += count;
		sum->bytes += count * cell->kept_bytes / cell->kept_count;
	}
	for (size_t i = 0; i < e->w->rows.len; i++)
		for (int k = 0; k < KEPT_SIZES; k++) {
			const struct kept *kept = &e->w->rows.data[i].kept[k];
			const struct steady *steady = &e->steady[i][k];

			add_expected_sum(&rows[i].bytes, steady, kept, expected[i][k].bytes);
			add_expected_sum(&rows[i].count, steady, kept, expected[i][k].count);
		}
}

static struct live_row *sum_rows(struct estimate *e)
{
	struct live_row *rows = xcalloc(e->w->rows.len, sizeof(*rows));

	for (size_t i = 0; i < e->w->blocks.len; i++) {
		const struct follow *block = &e->w->blocks.data[i];
		struct live_row *row = &rows[block->row];
		double count = e->alive[i] * stands_for(e, block), own;

		if (!e->alive[i] || block->row == OLDER_ROW)
			continue;
		if (!is_drawn(block)) {
			add_known(row, block, e->alive[i]);
		} else {
			if (row->window != block->window)
				end_window(row);
			row->window = block->window;
			own = 1 - steady_of(e, block->row, block->class)->part;
			row->in_count += own * count;
			row->in_bytes += own * count * (double)block->size;
			row->in_seen += count * (double)block->size;
		}
		row->doubt_count += count * (1 - e->alive[i]);
		row->doubt_bytes += count * (1 - e->alive[i]) * (double)block->size;
		if (block->exact && block->born_ns < e->old_ns)
			draw_sum_add(&row->old, count * (double)block->size);
		else if (is_drawn(block) && block->f.since_ns < e->old_ns)
			row->in_old += count * (double)block->size;
		row->grows |= e->grows[block->chunk_class];
		if (e->alive[i] < 0.5)
			continue;
		row->samples++;
		if (!row->oldest_ns || block->born_ns < row->oldest_ns)
			row->oldest_ns = block->born_ns;
	}
	for (size_t i = 0; i < e->w->rows.len; i++)
		end_window(&rows[i]);
	add_expected(e, rows);
	add_mapped(e, rows);
	add_births(e, rows);
	return rows;
}

static double sum_error(const struct draw_sum *sum)
{
	return estimate_error(sum->y, sum->squares, sum->largest);
}

/*
 * Of a sum that may have no sample yet: one would have weighed @sample. All that
 * is in doubt may be wrong at once, for its lifetimes were fitted together.
 */
static double open_error(const struct draw_sum *sum, double sample, double doubt)
{
	return hypot(estimate_error(sum->y, sum->squares, fmax(sum->largest, sample)),
		     DOUBT_WEIGHT * doubt);
}

static double at_least(double low, double value)
{
	return value > low ? value : low;
}

/* Whether its samples would tell of growth: half of them are of one half of the time, if so. */
static bool would_show_growth(const struct estimate *e, const struct live_row *live)
{
	const struct draw_sum *sum = live->seen.y > 0 ? &live->seen : &live->bytes;

	return effective_samples(sum) >= 2 * SAMPLES_MIN ||
	       (!e->any_grows && !live->grows);
}

/*
 * What was allocated in the first half of the time and still lives, by that
 * half: of a leak it is the rate, of what comes and goes it is nothing. The
 * confidence is the chance that so many samples are no accident of three.
 */
static void set_growth(const struct estimate *e, const struct live_row *live, struct metrics *m)
{
	double half_s = age_s(e->w->start_ns, e->now_ns) / 2;
	double n = effective_samples(&live->old);

	if (half_s <= 0 || n < SAMPLES_MIN || (!e->any_grows && !live->grows) ||
	    live->old.y <= sum_error(&live->old) / 2)
		return;
	m->growth_bytes_per_s = live->old.y / half_s;
	m->growth_confidence = 1 - exp(-n / SAMPLES_MIN);
}

/* How many a block stands for that may be born at any time. */
static double sample_weight(const struct windows *w)
{
	return w->chances > 0 ? w->number / w->chances : 0;
}

/*
 * What a block of the row would have weighed that is not in it because none like it
 * was drawn. Of known and exact blocks there are no more than are known, and of stacks that
 * were never seen in a window nothing is said but what system calls tell.
 */
static double weight_unseen(const struct windows *w, const struct birth_row *births)
{
	return births->known || births->exact || births->count.y <= 0 ? 0 : sample_weight(w);
}

static double mean_size(const struct birth_row *births)
{
	return births->count.y > 0 ? births->bytes.y / births->count.y : 0;
}

/*
 * Of blocks as large as those that are told, what is nobody's: older than the telling, and
 * not seen in windows. Of the row it may be as much as of those that are told, and as
 * much again.
 */
static double untold_of(const struct estimate *e, const struct birth_row *births)
{
	return e->met > 0 ? e->untold * fmin(2 * births->large_bytes / e->met, 1) : 0;
}

/* Estimated, and known. */
static double live_bytes_of(const struct birth_row *births, const struct live_row *live)
{
	return live->bytes.y + births->mapped.live_bytes;
}

static struct metrics row_metrics(const struct estimate *e, size_t number,
				  const struct live_row *live)
{
	const struct birth_row *births = &e->w->rows.data[number];
	const struct mapped_sums *mapped = &births->mapped;
	double alloc_bytes = at_least(live->bytes.y, births->bytes.y) + mapped->alloc_bytes;
	double alloc_count = at_least(live->count.y, births->count.y) + mapped->alloc_count;
	double live_bytes = live_bytes_of(births, live);
	double live_count = live->count.y + mapped->live_count;
	double weight = weight_unseen(e->w, births), size = mean_size(births);
	double untold = fmax(untold_of(e, births), e->rest[number]);
	struct metrics m = {
		.live_bytes = llround(live_bytes),
		.live_count = llround(live_count),
		.alloc_bytes = llround(alloc_bytes),
		.alloc_count = llround(alloc_count),
		.free_bytes = llround(alloc_bytes) - llround(live_bytes),
		.free_count = llround(alloc_count) - llround(live_count),
		.temporary_count = llround(births->temporary.y),
		.peak_live_bytes = llround(births->peak_live),
		.oldest_live_s = live->oldest_ns ? age_s(live->oldest_ns, e->now_ns) : 0,
	};

	m.live_bytes_error = open_error(&live->bytes, weight * size, live->doubt_bytes) + untold;
	m.live_count_error = open_error(&live->count, weight, live->doubt_count);
	m.live_count_error += size > 0 ? untold / size : 0;
	m.alloc_bytes_error = sum_error(&births->bytes);
	m.alloc_count_error = sum_error(&births->count);
	m.free_bytes_error = m.alloc_bytes_error + m.live_bytes_error;
	m.free_count_error = m.alloc_count_error + m.live_count_error;
	m.temporary_count_error = sum_error(&births->temporary);
	m.peak_live_bytes_error = m.live_bytes_error;
	set_growth(e, live, &m);
	return m;
}

/* If this is the highest total so far, every stack's share of it is noted. */
static void note_peak(struct estimate *e, const struct live_row *live, double total)
{
	if (total <= e->w->peak_live)
		return;
	e->w->peak_live = total;
	e->w->peak_unattributed = e->unattributed;
	for (size_t i = 1; i < e->w->rows.len; i++)
		e->w->rows.data[i].peak_live = live_bytes_of(&e->w->rows.data[i], &live[i]);
}

static void estimate_end(struct estimate *e)
{
	free(e->alive);
	free(e->waiting);
	free(e->steady);
	free(e->expected);
	free(e->rest);
}

static double total_live(const struct estimate *e, const struct live_row *live)
{
	double sum = e->unattributed;

	for (size_t i = 1; i < e->w->rows.len; i++)
		sum += live_bytes_of(&e->w->rows.data[i], &live[i]);
	return sum;
}

static void add_unattributed(const struct estimate *e, struct window_row_vec *rows,
			     struct metrics *total)
{
	struct metrics m = {
		.live_bytes = llround(e->unattributed),
		.live_count = llround(e->unattributed_count),
		.peak_live_bytes = llround(e->w->peak_unattributed),
		.live_bytes_error = e->unattributed,
		.live_count_error = e->unattributed_count,
		.peak_live_bytes_error = e->w->peak_unattributed,
	};

	if (m.live_bytes <= 0 && m.peak_live_bytes <= 0)
		return;
	m.alloc_bytes = m.live_bytes;
	m.alloc_count = m.live_count;
	m.alloc_bytes_error = m.live_bytes_error;
	m.alloc_count_error = m.live_count_error;
	window_row_vec_push(rows, (struct window_row){ .m = m });
	total->live_bytes += m.live_bytes;
	total->live_count += m.live_count;
	total->alloc_bytes += m.alloc_bytes;
	total->alloc_count += m.alloc_count;
}

static void judge_quality(const struct estimate *e, double ghost_s, struct window_quality *q)
{
	double watched = (double)(e->now_ns - e->w->start_ns);

	*q = (struct window_quality){
		.windows = e->w->number,
		.truncated = e->w->truncated,
		.told_late = e->w->told_late,
		.covered = watched > 0 ? (double)e->w->open_total_ns / watched : 0,
		.samples = (uint64_t)llround(e->unnoticed),
		.ghost_share = e->unnoticed > 0 ? e->ghosts / e->unnoticed : 0,
		.ghost_s = ghost_s,
		.has_census = has_census(e->w, e->now_ns),
		.old_census = age_s(e->w->census_ns, e->now_ns) > CENSUS_NEW_S,
		.by_contents = e->w->by_contents,
		.told_above = e->w->large.listed,
	};
	vec_for_each(row, &e->w->rows)
		q->has_mapped |= row->mapped.alloc_count > 0;
	vec_for_each(control, &e->w->controls)
		q->controls += !control->ended;
	q->detectable_count = NONE_SEEN * sample_weight(e->w);
}

void windows_rows(struct windows *w, uint64_t now_ns, struct window_row_vec *rows,
		  struct metrics *total, struct window_quality *quality)
{
	struct estimate e = {
		.w = w, .now_ns = now_ns,
		.old_ns = w->start_ns + (now_ns - w->start_ns) / 2,
	};
	struct live_row *live __cleanup_free = NULL;
	double judged = 0;

	judge_quality(&e, estimate_lifetimes(&e), quality);
	estimate_steady(&e);
	estimate_calibrate(&e);
	quality->unattributed = e.unattributed;
	quality->held = e.held + mapped_bytes(w);
	quality->older = e.older;
	vec_for_each(births, &w->rows)
		e.met += births->large_bytes;
	estimate_judge_growth(&e);
	live = sum_rows(&e);
	note_peak(&e, live, total_live(&e, live));
	*total = (struct metrics){ 0 };
	for (size_t i = 1; i < w->rows.len; i++) {
		struct window_row row = {
			.stack_id = w->rows.data[i].stack_id,
			.m = row_metrics(&e, i, &live[i]),
			.samples = live[i].samples,
			.exact = w->rows.data[i].exact,
			.told_bytes = llround(w->rows.data[i].told_bytes),
			.told_count = llround(w->rows.data[i].told_count),
		};

		metrics_combine(total, &row.m);
		window_row_vec_push(rows, row);
		if (would_show_growth(&e, &live[i]))
			judged += (double)row.m.live_bytes;
	}
	/* The sum of what is known to grow is as sure as there is nothing else. */
	if (total->live_bytes > 0)
		total->growth_confidence *= judged / (double)total->live_bytes;
	/* What was read says more of the sum than its parts do. */
	if (has_census(w, now_ns))
		total->live_bytes_error =
			hypot(hypot(1.96 * sqrt(e.held_variance + e.born_variance),
				    OLDER_ERROR * e.older), e.since_error);
	add_unattributed(&e, rows, total);
	total->peak_live_bytes = llround(w->peak_live);
	estimate_end(&e);
}

/* --- for one who sees all from now on --- */

/* What a stack's blocks that live are off by, for each of them to bear its part. */
static struct variance live_variance(const struct live_row *live)
{
	const double doubt = DOUBT_WEIGHT / 1.96;

	return (struct variance){
		(float)(live->bytes.squares + pow(doubt * live->doubt_bytes, 2)),
		(float)(live->count.squares + pow(doubt * live->doubt_count, 2)),
	};
}

static void give_row(const struct estimate *e, const struct birth_row *births,
		     const struct live_row *live, double stretch, const struct windows_heir *heir)
{
	double scale = births->known || births->exact ? 1 : stretch;
	double weight = weight_unseen(e->w, births);
	const struct given_row row = {
		.stack_id = births->stack_id,
		.alloc_bytes = at_least(live->bytes.y, births->bytes.y * scale) +
			       births->mapped.alloc_bytes,
		.alloc_count = at_least(live->count.y, births->count.y * scale) +
			       births->mapped.alloc_count,
		.temporary_count = births->temporary.y * scale,
		.peak_bytes = births->peak_live,
		.spread = {
			.alloc_bytes = births->bytes.squares * scale * scale,
			.alloc_count = births->count.squares * scale * scale,
			.temporary_count = births->temporary.squares * scale * scale,
			.heaviest_bytes = births->bytes.largest * scale,
			.heaviest_count = births->count.largest * scale,
			.heaviest_live_bytes = at_least(live->bytes.largest,
							weight * mean_size(births)),
			.heaviest_live_count = at_least(live->count.largest, weight),
		},
	};

	heir->row(heir->arg, &row);
}

/* In [0, 1), the same for the same block. */
static double draw_of(uint64_t serial)
{
	uint64_t x = serial * 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 31) * 0x94d049bb133111ebu;
	return (double)((x ^ x >> 29) >> 11) / (double)(1ull << 53);
}

/*
 * It likely stands for @count: a whole number, rounded by a draw of its own. One that
 * is rounded to none is forgotten.
 */
static void give_follow(const struct follow *block, uint64_t stack_id, double count,
			const struct live_row *live, const struct windows_heir *heir)
{
	const struct variance all = live_variance(live);
	double rest = count - floor(count), size = (double)block->size;
	double rounding = count < 1 ? 1 - count : rest * (1 - rest);
	uint64_t whole = (uint64_t)count + (draw_of(block->f.serial) < rest);
	double part = live->count.y > 0 ? count / live->count.y : 0;
	double byte_part = live->bytes.y > 0 ? count * size / live->bytes.y : 0;

	if (!whole)
		return;
	heir->block(heir->arg, &(struct given_block){
		.addr = block->f.addr,
		.bytes = whole * block->size,
		.count = whole,
		.stack_id = stack_id,
		.birth_ns = block->born_ns,
		.variance = {
			.bytes = (float)(all.bytes * byte_part + rounding * size * size),
			.count = (float)(all.count * part + rounding),
		},
	});
}

/* Those whose address nobody knows would never end. */
static void give_mapped(const struct windows *w, const struct windows_heir *heir)
{
	vec_for_each(block, &w->mapped)
		if (block->b.at_front)
			heir->block(heir->arg, &(struct given_block){
				.addr = block->b.start + MAPPED_HEAD,
				.bytes = block->b.end - block->b.start - MAPPED_HEAD,
				.count = 1,
				.stack_id = w->rows.data[block->row].stack_id,
				.birth_ns = block->b.birth_ns,
			});
}

double windows_give(struct windows *w, uint64_t now_ns, double stretch,
		    const struct windows_heir *heir)
{
	struct estimate e = { .w = w, .now_ns = now_ns, .old_ns = now_ns };
	struct live_row *live __cleanup_free = NULL;

	estimate_lifetimes(&e);
	estimate_calibrate(&e);
	live = sum_rows(&e);
	note_peak(&e, live, total_live(&e, live));
	for (size_t i = 1; i < w->rows.len; i++)
		give_row(&e, &w->rows.data[i], &live[i], stretch, heir);
	for (size_t i = 0; i < w->blocks.len; i++) {
		const struct follow *block = &w->blocks.data[i];
		double count = e.alive[i] * stands_for(&e, block);

		if (block->row != OLDER_ROW && e.alive[i] > 0)
			give_follow(block, w->rows.data[block->row].stack_id, count,
				    &live[block->row], heir);
	}
	give_mapped(w, heir);
	estimate_end(&e);
	return w->peak_live;
}
