// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a stack would have alive that goes on as it did.
 *
 * Of a stack whose blocks live for a second, the last second's windows alone say how
 * many there are now: a handful. But if it always allocates at the same pace, as most do,
 * then all windows tell that pace, all blocks that were ever followed tell how long they
 * live, and the product of both is what is alive (Little's law). Which of the two
 * figures holds, they say themselves: the one that all windows tell is an efficient
 * estimate of what both estimate if the pace is even, so that the variance of their
 * difference is the difference of their variances (Hausman, 1978). Where they differ by
 * more than that, the pace has changed: how much paces do is learnt from all stacks of the
 * program (DerSimonian and Laird, 1986), and each stack's estimate lies between both
 * figures (Morris, 1983), but with what is followed where that says clearly something else.
 */
#include <math.h>

#include "model/estimate.h"
#include "model/window_estimate.h"

#define WINDOWS_MIN 4		/* before a pace is one */
#define CHANCE 1.4		/* standard deviations that are taken for it */
#define SAYS_LITTLE 1		/* fewer blocks are expected than would tell a change of pace */

/* Of a row's live bytes, both figures, and what they are made of. */
struct both {
	double followed, expected;
	double square_s2;	/* of lifetimes, by bytes */
	/* Variances of the latter, and of how far they are apart by chance. */
	double variance, apart;
};

/* How much paces change: the variance of their changes, and what that may be at most. */
struct changes { double variance, most; };

/* All that windows stand for until the last one. */
static double stood_for_s(const struct windows *w)
{
	double n = w->number;

	return age_s(w->first_ns, w->shut_ns) * n / (n - 1);
}

static bool goes_by_windows(const struct windows *w, uint32_t row)
{
	return row != OLDER_ROW && !w->rows.data[row].known && !w->rows.data[row].exact;
}

/* Blocks of each cell, and both figures of each row. */
static struct both *expect_all(struct estimate *e, double watched_s)
{
	const struct windows *w = e->w;
	struct both *rows = xcalloc(w->rows.len, sizeof(*rows));

	for (size_t i = 0; i < w->cells.len; i++) {
		const struct cell *cell = &w->cells.data[i];
		struct both *row = &rows[cell->row];
		struct fate_life life;

		if (!goes_by_windows(w, cell->row) || cell->kept_count <= 0)
			continue;
		life = fate_life(&cell->fate, watched_s);
		e->expected[i] = cell->kept_count / watched_s * life.mean_s;
		row->expected += cell->kept_bytes / watched_s * life.mean_s;
		row->square_s2 += cell->kept_bytes * life.square_s2;
	}
	for (size_t i = 0; i < w->blocks.len; i++) {
		const struct follow *block = &w->blocks.data[i];

		if (is_drawn(block))
			rows[block->row].followed +=
				e->alive[i] * block->weight * (double)block->size;
	}
	return rows;
}

/* The variances of a figure that is made of the pace, and of lifetimes: of so many draws. */
static void judge(struct both *both, const struct draw_sum *kept, double watched_s)
{
	double mean_s = both->expected / (kept->y / watched_s);
	double spread = fmax(both->square_s2 / kept->y / (mean_s * mean_s) - 1, 0);

	both->variance = both->expected * both->expected * (1 + spread) * kept->squares /
			 (kept->y * kept->y);
	both->apart = fmax(kept->squares / watched_s * mean_s - both->variance, 0);
}

static struct changes find_changes(const struct both *both, size_t rows)
{
	double far = 0, known = 0, n = 0;

	for (size_t i = 0; i < rows; i++) {
		double square = both[i].expected * both[i].expected;

		if (both[i].apart <= 0 || square < SAYS_LITTLE * both[i].apart)
			continue;
		far += pow(both[i].followed - both[i].expected, 2) / both[i].apart;
		known += square / both[i].apart;
		n++;
	}
	if (known <= 0)
		return (struct changes){ 0, HUGE_VAL };
	/* If paces are even, it is chi-squared with n degrees of freedom. */
	return (struct changes){
		fmax(far - n, 0) / known, fmax(far - n + 2 * sqrt(2 * n), 0) / known,
	};
}

/* How much of the way from what is expected to what is followed the estimate goes. */
static double own_part(const struct both *both, const struct changes *changes)
{
	const struct estimate_range range = estimate_range(both->expected, both->apart);
	double off = both->followed - both->expected;
	double chance = (off > 0 ? range.high - both->expected : both->expected - range.low) *
			CHANCE / 1.96;
	double change = changes->variance * both->expected * both->expected;
	double own = change > 0 ? change / (change + both->apart) : 0;

	return fabs(off) > chance ? fmax(own, 1 - chance * chance / (off * off)) : own;
}

static struct steady weigh(const struct both *both, const struct changes *changes)
{
	double own = own_part(both, changes), part = 1 - own;
	double unseen = fmin(both->apart, changes->most * both->expected * both->expected);

	if (part <= 0)
		return (struct steady){ 0 };
	/* What is followed has its own variance. */
	return (struct steady){
		.part = part,
		.variance = ((1 - own * own) * both->variance + part * part * unseen) /
			    pow(part * both->expected, 2),
	};
}

void estimate_steady(struct estimate *e)
{
	const struct windows *w = e->w;
	double watched_s = w->number >= WINDOWS_MIN ? stood_for_s(w) : 0;
	struct both *both __cleanup_free = NULL;
	struct changes changes;

	if (watched_s <= 0)
		return;
	both = expect_all(e, watched_s);
	for (size_t i = 0; i < w->rows.len; i++)
		if (both[i].expected > 0)
			judge(&both[i], &w->rows.data[i].kept, watched_s);
	changes = find_changes(both, w->rows.len);
	for (size_t i = 0; i < w->rows.len; i++)
		if (both[i].expected > 0)
			e->steady[i] = weigh(&both[i], &changes);
	for (size_t i = 0; i < w->cells.len; i++)
		e->expected[i] *= e->steady[w->cells.data[i].row].part;
}
