// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How likely each block that windows have shown is alive; see window_fates.h.
 *
 *	controls -> how long ghosts stay unnoticed, by size class
 *	blocks -> lifetimes by stack and class -> each one's chance to be alive
 *	what is alive, by stack -> how often its blocks' contents stay as they were
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/content.h"
#include "model/window_estimate.h"

#define POOLED_CONTROLS 10	/* of all classes, in the curve of each */
#define PRIOR_BLOCKS 0.5	/* of all stacks, in a stack's lifetimes */
#define PRIOR_OF_ROW 3		/* of the stack, in those of its blocks of one size */
#define STEPS_FIRST 60
#define STEPS_AGAIN 12		/* from where the last fit ended */
#define PRINTS_MAX 64
#define PAIRS_PRIOR 20
#define BLOCKS_PRIOR 3

/* --- controls --- */

/* Controls by class, of all small and all large ones, and of all together. */
struct control_counts {
	struct fate_counts class[WINDOW_CLASSES], size[KEPT_SIZES], pool;
};

/* Of each kind. */
static struct control_counts *count_controls(const struct estimate *e)
{
	struct control_counts *counts = xcalloc(CONTROL_KINDS, sizeof(*counts));

	for (int kind = 0; kind < CONTROL_KINDS; kind++)
		memcpy(counts[kind].class, e->w->delays[kind], sizeof(counts[kind].class));
	vec_for_each(control, &e->w->controls)
		if (!control->ended)
			counts[control_kind(control)].class[control->class].waiting[LOOKS_UNKNOWN][
				fate_bin(age_s(control->f.since_ns, e->now_ns))]++;
	for (int kind = 0; kind < CONTROL_KINDS; kind++)
		for (int i = 0; i < WINDOW_CLASSES; i++) {
			fate_counts_add(&counts[kind].size[kept_size_of(i)],
					&counts[kind].class[i], 1);
			fate_counts_add(&counts[kind].pool, &counts[kind].class[i], 1);
		}
	return counts;
}

/*
 * How long the ends of a class's blocks stay unnoticed: by its own controls, and by so
 * many of the others' where it has few. Classes differ: what is freed may go on in
 * another block of the same size at once, or lie there for long. Small ones do most of all:
 * they are cached.
 */
static void fit_delay(const struct control_counts *counts, int class, struct delay_curve *ret)
{
	const struct fate_counts *others = &counts->size[kept_size_of(class)];
	struct fate_counts both = counts->class[class];
	double all = fate_count_all(others);

	if (all <= 0) {
		others = &counts->pool;
		all = fate_count_all(others);
	}
	if (all > 0)
		fate_counts_add(&both, others, fmin(POOLED_CONTROLS / all, 1));
	delay_fit(&both, ret);
}

/* Of a class; of all together below 0. */
static void fit_delays(const struct control_counts *counts, int class, struct delays *ret)
{
	const struct control_counts *early = &counts[CONTROL_EARLY], *late = &counts[CONTROL_LATE];

	if (class < 0) {
		delay_fit(&early->pool, &ret->early);
		delay_fit(&late->pool, &ret->late);
		return;
	}
	fit_delay(early, class, &ret->early);
	fit_delay(late, class, &ret->late);
}

static void init_kernels(struct estimate *e, const struct delays *delays)
{
	const struct delays any_time = { delays->late, delays->late };

	fate_kernel_init(e->kernel, delays);
	fate_kernel_init(e->any_time, &any_time);
}

/* Of what no window's end was the beginning of, none was the time to look at. */
static const struct fate_kernel *kernel_of(const struct estimate *e, uint32_t row)
{
	const struct birth_row *births = &e->w->rows.data[row];

	return row == OLDER_ROW || births->known || births->exact ? e->any_time : e->kernel;
}

/* --- contents --- */

/* What is assumed before anything is known: of so many pairs, and of so many blocks. */
static const double pairs_prior[FATE_LOOKS] = {
	[LOOKS_SAME] = 0.01, [LOOKS_ALIKE] = 0.2, [LOOKS_OTHER] = 0.79,
};
static const double living_prior[FATE_LOOKS] = {
	[LOOKS_SAME] = 0.8, [LOOKS_ALIKE] = 0.17, [LOOKS_OTHER] = 0.03,
};

/* Prints of blocks of one class, a few of the newest. */
struct prints { uint64_t print[PRINTS_MAX]; uint32_t size[PRINTS_MAX]; int n; };

static void count_pairs(const struct prints *prints, double *counts)
{
	for (int i = 0; i < prints->n; i++)
		for (int k = 0; k < i; k++) {
			uint32_t size = prints->size[i] < prints->size[k] ? prints->size[i]
									  : prints->size[k];

			counts[content_look(prints->print[i], prints->print[k],
					    content_words(size))]++;
		}
}

/*
 * Of ghosts, how many look the same: as many as of two blocks of a class look alike, for it
 * is another one of these that lies there now.
 */
static void compare_contents(struct estimate *e)
{
	struct prints *prints __cleanup_free = xcalloc(WINDOW_CLASSES, sizeof(*prints));

	for (size_t i = e->w->blocks.len; i-- > 0;) {
		const struct follow *block = &e->w->blocks.data[i];
		struct prints *of = &prints[block->class];

		if (block->f.look == LOOKS_UNKNOWN || of->n == PRINTS_MAX)
			continue;
		of->print[of->n] = block->f.print;
		of->size[of->n++] = block->f.size;
	}
	for (int i = 0; i < WINDOW_CLASSES; i++) {
		double pairs = prints[i].n * (prints[i].n - 1) / 2.0;

		count_pairs(&prints[i], e->looks[i]);
		for (int k = 0; k < FATE_LOOKS; k++)
			e->looks[i][k] = (e->looks[i][k] + PAIRS_PRIOR * pairs_prior[k]) /
					 (pairs + PAIRS_PRIOR);
	}
}

static struct fate_evidence evidence_of(const struct estimate *e, uint32_t row,
					const double *ghosts)
{
	const struct birth_row *births = &e->w->rows.data[row];
	struct fate_looks looks;

	memcpy(looks.living, births->fitted ? births->looks : living_prior, sizeof(looks.living));
	memcpy(looks.ghosts, ghosts, sizeof(looks.ghosts));
	return fate_evidence(kernel_of(e, row), &looks);
}

/* What is taken for alive looks like this, by stack: for the next estimate. */
static void judge_contents(struct estimate *e)
{
	vec_for_each(row, &e->w->rows)
		for (int k = 0; k < FATE_LOOKS; k++)
			row->looks[k] = BLOCKS_PRIOR * living_prior[k];
	for (size_t i = 0; i < e->w->blocks.len; i++) {
		const struct follow *block = &e->w->blocks.data[i];

		if (block->f.look != LOOKS_UNKNOWN)
			e->w->rows.data[block->row].looks[block->f.look] += e->alive[i];
	}
	vec_for_each(row, &e->w->rows) {
		double all = 0;

		for (int k = 0; k < FATE_LOOKS; k++)
			all += row->looks[k];
		for (int k = 0; k < FATE_LOOKS; k++)
			row->looks[k] /= all;
	}
}

/* --- lifetimes --- */

static void count_waiting(struct estimate *e)
{
	e->waiting = xcalloc(e->w->cells.len + 1, sizeof(*e->waiting));
	vec_for_each(block, &e->w->blocks)
		if (!block->ended && block->weight)
			e->waiting[block->cell].waiting[block->f.look][
				fate_bin(age_s(block->f.since_ns, e->now_ns))] +=
				block->stands_for;
	for (size_t i = 0; i < e->w->cells.len; i++)
		memcpy(e->waiting[i].noticed, e->w->cells.data[i].noticed,
		       sizeof(e->waiting[i].noticed));
}

/*
 * Lifetimes by stack, of blocks of all sizes: what the fits of its cells begin
 * from. Stacks differ from each other more than a stack's sizes do.
 */
static void fit_rows(struct estimate *e)
{
	struct fate_counts *counts = xcalloc(e->w->rows.len, sizeof(*counts));
	double (*ghosts)[FATE_LOOKS] __cleanup_free =
		xcalloc(e->w->rows.len, sizeof(*ghosts));
	struct fate_evidence evidence = fate_evidence(e->kernel, NULL);
	struct fate_counts all = { 0 };
	struct fate pool;

	for (size_t i = 0; i < e->w->cells.len; i++) {
		const struct cell *cell = &e->w->cells.data[i];
		double n = fate_count_all(&e->waiting[i]);

		fate_counts_add(&counts[cell->row], &e->waiting[i], 1);
		for (int k = 0; k < FATE_LOOKS; k++)
			ghosts[cell->row][k] += n * e->looks[cell->class][k];
	}
	for (size_t i = 1; i < e->w->rows.len; i++)
		fate_counts_add(&all, &counts[i], 1);
	fate_init(&pool);
	fate_fit(&pool, &all, &evidence, NULL, 0, STEPS_FIRST);
	for (size_t i = 0; i < e->w->rows.len; i++) {
		struct birth_row *row = &e->w->rows.data[i];
		double n = fate_count_all(&counts[i]);

		for (int k = 0; k < FATE_LOOKS; k++)
			ghosts[i][k] /= fmax(n, 1);
		evidence = evidence_of(e, (uint32_t)i, ghosts[i]);
		if (!row->fitted)
			fate_init(&row->fate);
		fate_fit(&row->fate, &counts[i], &evidence, &pool, PRIOR_BLOCKS,
			 row->fitted ? STEPS_AGAIN : STEPS_FIRST);
	}
	free(counts);
}

static void fit_class(struct estimate *e, int class)
{
	for (size_t i = 0; i < e->w->cells.len; i++) {
		struct cell *cell = &e->w->cells.data[i];
		struct fate_evidence evidence;

		if (cell->class != class)
			continue;
		evidence = evidence_of(e, cell->row, e->looks[class]);
		if (!cell->fitted)
			fate_init(&cell->fate);
		fate_fit(&cell->fate, &e->waiting[i], &evidence,
			 &e->w->rows.data[cell->row].fate, PRIOR_OF_ROW,
			 cell->fitted ? STEPS_AGAIN : STEPS_FIRST);
		cell->fitted = true;
	}
	for (size_t i = 0; i < e->w->blocks.len; i++) {
		const struct follow *block = &e->w->blocks.data[i];
		struct fate_evidence evidence;

		if (block->ended || !block->weight || block->class != class)
			continue;
		evidence = evidence_of(e, block->row, e->looks[class]);
		e->alive[i] = fate_alive(&e->w->cells.data[block->cell].fate, &evidence,
					 fate_bin(age_s(block->f.since_ns, e->now_ns)),
					 (enum fate_look)block->f.look);
		e->unnoticed += block->stands_for;
		e->ghosts += block->stands_for * (1 - e->alive[i]);
	}
}

double estimate_lifetimes(struct estimate *e)
{
	struct control_counts *counts __cleanup_free = count_controls(e);
	bool known[WINDOW_CLASSES] = { false };
	struct fate_kernel *kernels __cleanup_free = xcalloc(2, sizeof(*kernels));
	struct delays pooled, delays;

	count_waiting(e);
	compare_contents(e);
	e->alive = xcalloc(e->w->blocks.len + 1, sizeof(*e->alive));
	e->steady = xcalloc(e->w->rows.len, sizeof(*e->steady));
	e->expected = xcalloc(e->w->cells.len + 1, sizeof(*e->expected));
	e->rest = xcalloc(e->w->rows.len, sizeof(*e->rest));
	e->kernel = &kernels[0];
	e->any_time = &kernels[1];
	fit_delays(counts, -1, &pooled);
	init_kernels(e, &pooled);
	fit_rows(e);
	vec_for_each(cell, &e->w->cells)
		known[cell->class] = true;
	for (int class = 0; class < WINDOW_CLASSES; class++) {
		if (!known[class])
			continue;
		fit_delays(counts, class, &delays);
		init_kernels(e, &delays);
		fit_class(e, class);
	}
	judge_contents(e);
	vec_for_each(row, &e->w->rows)
		row->fitted = true;
	return delay_mean_s(&pooled.late);
}
