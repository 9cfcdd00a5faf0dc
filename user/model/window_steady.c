// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a stack would have alive that goes on as it did.
 *
 * Of a stack whose blocks live for a second, the last second's windows alone say how
 * many there are now: a handful. But if it always allocates at the same pace, as most do,
 * then all windows tell that pace, all blocks that were ever followed tell how long they
 * live, and the product of both is what is alive (Little's law).
 *
 * So there is a figure out of much that holds if all is even, and one out of little that
 * always holds: of the pace that of all windows and that of the last ones; of what is
 * alive what is expected by that pace, and what is followed. The former is an efficient
 * estimate of what both estimate if all is even, so that the variance of their difference
 * is the difference of their variances (Hausman, 1978). Where they differ by more than
 * that, something has changed: how much things do is learnt from all stacks of the
 * program (DerSimonian and Laird, 1986), and each stack's estimate lies between both
 * figures (Morris, 1983), but with the latter where that says clearly something else.
 */
#include <math.h>

#include "model/estimate.h"
#include "model/window_estimate.h"

#define WINDOWS_MIN 4		/* before a pace is one */
#define CHANCE 1.4		/* standard deviations that are taken for it */
#define SAYS_LITTLE 1		/* fewer blocks are expected than would tell a change of pace */

/* Both figures, and the variance of how far they are apart by chance. */
struct pair { double even, other, apart; };

/* How much things change: the variance of that, by their square; and what it may be at most. */
struct changes { double variance, most; };

static struct changes find_changes(const struct pair *pairs, size_t len)
{
	double far = 0, known = 0, n = 0;

	for (size_t i = 0; i < len; i++) {
		double square = pairs[i].even * pairs[i].even;

		if (pairs[i].apart <= 0 || square < SAYS_LITTLE * pairs[i].apart)
			continue;
		far += pow(pairs[i].other - pairs[i].even, 2) / pairs[i].apart;
		known += square / pairs[i].apart;
		n++;
	}
	if (known <= 0)
		return (struct changes){ 0, HUGE_VAL };
	/* If nothing changes, it is chi-squared with n degrees of freedom. */
	return (struct changes){
		fmax(far - n - sqrt(2 * n), 0) / known, fmax(far - n + 2 * sqrt(2 * n), 0) / known,
	};
}

/* How much of the way from the one figure to the other the estimate goes. */
static double way_to_other(const struct pair *pair, const struct changes *changes)
{
	const struct estimate_range range = estimate_range(pair->even, pair->apart, CHANCE);
	double off = pair->other - pair->even;
	double chance = off > 0 ? range.high - pair->even : pair->even - range.low;
	double change = changes->variance * pair->even * pair->even;
	double way = change > 0 ? change / (change + pair->apart) : 0;

	return fabs(off) > chance ? fmax(way, 1 - chance * chance / (off * off)) : way;
}

/* By the square of the figure that it is of. */
static double unseen_change(const struct pair *pair, const struct changes *changes)
{
	return fmin(pair->apart / (pair->even * pair->even), changes->most);
}

/* What windows stand for: all of them until the last, and those that count lately. */
struct times { double all_s, lately_s, lately_squares_s; };

static struct times stood_for(const struct windows *w)
{
	double n = w->number, period_s = age_s(w->first_ns, w->shut_ns) / (n - 1);
	double gone = pow(LATELY_KEEPS, n);

	return (struct times){
		.all_s = n * period_s,
		.lately_s = period_s * (1 - gone) / (1 - LATELY_KEEPS),
		.lately_squares_s = period_s * (1 - gone * gone) /
				    (1 - LATELY_KEEPS * LATELY_KEEPS),
	};
}

/*
 * Unit of what goes on: a row's small blocks, or its large ones. Of those nothing is expected
 * where births of large blocks were ever told: what windows saw of them is not all.
 */
static bool goes_by_windows(const struct windows *w, size_t unit)
{
	const struct birth_row *row = &w->rows.data[unit / KEPT_SIZES];
	enum kept_size size = (enum kept_size)(unit % KEPT_SIZES);

	return unit / KEPT_SIZES != OLDER_ROW && !row->known && !row->exact &&
	       row->kept[size].sum.y > 0 && !(size == KEPT_LARGE && w->large.ever);
}

static size_t unit_of(uint32_t row, int class)
{
	return (size_t)row * KEPT_SIZES + kept_size_of(class);
}

static const struct kept *kept_of(const struct windows *w, size_t unit)
{
	return &w->rows.data[unit / KEPT_SIZES].kept[unit % KEPT_SIZES];
}

/* A unit's pace, by that of all windows; its variance, by its square. */
struct pace { double factor, variance; };

static struct pair pair_of_pace(const struct windows *w, const struct kept *kept,
				const struct times *t)
{
	double lately = kept->lately * pow(LATELY_KEEPS, w->number - kept->lately_window);
	double squares = kept->sum.squares / t->all_s;

	return (struct pair){
		.even = kept->sum.y / t->all_s,
		.other = lately / t->lately_s,
		.apart = fmax(squares * t->lately_squares_s / (t->lately_s * t->lately_s) -
			      squares / t->all_s, 0),
	};
}

static struct pace mix_pace(const struct pair *pair, const struct changes *changes,
			    const struct draw_sum *kept)
{
	double way = way_to_other(pair, changes), part = 1 - way;
	double factor = (pair->even + way * (pair->other - pair->even)) / pair->even;
	double other = pair->apart / (pair->even * pair->even);

	return (struct pace){
		.factor = factor,
		.variance = kept->squares / (kept->y * kept->y) + way * way * other +
			    part * part * unseen_change(pair, changes),
	};
}

static struct pace *find_paces(const struct windows *w, const struct times *t)
{
	size_t units = w->rows.len * KEPT_SIZES;
	struct pair *pairs __cleanup_free = xcalloc(units, sizeof(*pairs));
	struct pace *paces = xcalloc(units, sizeof(*paces));
	struct changes changes;

	for (size_t i = 0; i < units; i++)
		if (goes_by_windows(w, i))
			pairs[i] = pair_of_pace(w, kept_of(w, i), t);
	changes = find_changes(pairs, units);
	for (size_t i = 0; i < units; i++)
		if (goes_by_windows(w, i))
			paces[i] = mix_pace(&pairs[i], &changes, &kept_of(w, i)->sum);
	return paces;
}

/* Of a unit's live bytes: what is expected and what is followed, and the former's variance. */
struct live_pair {
	struct pair p;
	double mean_s, square_s2;	/* of lifetimes, by bytes */
	double variance;
};

static void judge(struct live_pair *live, const struct draw_sum *kept, const struct pace *pace,
		  const struct times *t)
{
	double spread = fmax(live->square_s2 / (live->mean_s * live->mean_s) - 1, 0);
	double draws = kept->squares / (kept->y * kept->y);

	live->variance = live->p.even * live->p.even * (pace->variance + spread * draws);
	live->p.apart = fmax(pace->factor * kept->squares / t->all_s * live->mean_s -
			     live->variance, 0);
}

/* Blocks of each cell, and both figures of each unit. */
static struct live_pair *expect_all(struct estimate *e, const struct times *t)
{
	const struct windows *w = e->w;
	struct pace *paces __cleanup_free = find_paces(w, t);
	struct live_pair *units = xcalloc(w->rows.len * KEPT_SIZES, sizeof(*units));

	for (size_t i = 0; i < w->cells.len; i++) {
		const struct cell *cell = &w->cells.data[i];
		size_t unit = unit_of(cell->row, cell->class);
		double factor = paces[unit].factor / t->all_s;
		struct live_pair *live = &units[unit];
		struct fate_life life;

		if (!goes_by_windows(w, unit) || cell->kept_count <= 0)
			continue;
		life = fate_life(&cell->fate, t->all_s);
		e->expected[i] = factor * cell->kept_count * life.mean_s;
		live->p.even += factor * cell->kept_bytes * life.mean_s;
		live->mean_s += cell->kept_bytes * life.mean_s / kept_of(w, unit)->sum.y;
		live->square_s2 += cell->kept_bytes * life.square_s2 / kept_of(w, unit)->sum.y;
	}
	for (size_t i = 0; i < w->blocks.len; i++) {
		const struct follow *block = &w->blocks.data[i];

		if (is_drawn(block))
			units[unit_of(block->row, block->class)].p.other +=
				e->alive[i] * block->weight * (double)block->size;
	}
	for (size_t i = 0; i < w->rows.len * KEPT_SIZES; i++)
		if (units[i].p.even > 0)
			judge(&units[i], &kept_of(w, i)->sum, &paces[i], t);
	return units;
}

static struct steady weigh(const struct live_pair *live, const struct changes *changes)
{
	double own = way_to_other(&live->p, changes), part = 1 - own;
	double even = live->variance / (live->p.even * live->p.even);

	if (part <= 0)
		return (struct steady){ 0 };
	/* What is followed has its own variance. */
	return (struct steady){
		.part = part,
		.variance = (1 - own * own) * even / (part * part) +
			    unseen_change(&live->p, changes),
	};
}

void estimate_steady(struct estimate *e)
{
	const struct windows *w = e->w;
	struct live_pair *live __cleanup_free = NULL;
	struct pair *pairs __cleanup_free = NULL;
	size_t units = w->rows.len * KEPT_SIZES;
	struct changes changes;
	struct times times;

	if (w->number < WINDOWS_MIN || w->shut_ns <= w->first_ns)
		return;
	times = stood_for(w);
	live = expect_all(e, &times);
	pairs = xcalloc(units, sizeof(*pairs));
	for (size_t i = 0; i < units; i++)
		pairs[i] = live[i].p;
	changes = find_changes(pairs, units);
	for (size_t i = 0; i < units; i++)
		if (live[i].p.even > 0)
			e->steady[i / KEPT_SIZES][i % KEPT_SIZES] = weigh(&live[i], &changes);
	for (size_t i = 0; i < w->cells.len; i++) {
		const struct cell *cell = &w->cells.data[i];

		e->expected[i] *= steady_of(e, cell->row, cell->class)->part;
	}
}
