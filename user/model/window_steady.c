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
 * difference is the difference of their variances (Hausman, 1978). Beyond what that
 * explains, they differ because the pace has changed, and the estimate goes over to what is
 * followed, as far as shrinkage goes (James and Stein, 1961).
 */
#include <math.h>

#include "model/estimate.h"
#include "model/window_estimate.h"

#define WINDOWS_MIN 4		/* before a pace is one */
#define CHANCE 1.4		/* standard deviations that are taken for it */

/* Of a row's live bytes, both figures, and what they are made of. */
struct both {
	double followed, expected;
	double square_s2;	/* of lifetimes, by bytes */
};

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

static struct steady weigh(const struct both *both, const struct draw_sum *kept, double watched_s)
{
	double mean_s = both->expected / (kept->y / watched_s);
	double spread = fmax(both->square_s2 / kept->y / (mean_s * mean_s) - 1, 0);
	/* Of the pace, and of lifetimes: of so many draws. */
	double expected = both->expected * both->expected * (1 + spread) * kept->squares /
			  (kept->y * kept->y);
	double apart = fmax(kept->squares / watched_s * mean_s - expected, 0);
	const struct estimate_range range = estimate_range(both->expected, apart);
	double chance = both->followed > both->expected ? range.high - both->expected
							: both->expected - range.low;
	double off = both->followed - both->expected, own, part;

	chance *= CHANCE / 1.96;
	own = fabs(off) > chance ? 1 - chance * chance / (off * off) : 0;
	part = 1 - own;
	if (part <= 0)
		return (struct steady){ 0 };
	/* What is followed has its own variance; how far the pace may have changed is not seen. */
	return (struct steady){
		.part = part,
		.variance = ((1 - own * own) * expected + part * part * apart) /
			    pow(part * both->expected, 2),
	};
}

void estimate_steady(struct estimate *e)
{
	const struct windows *w = e->w;
	double watched_s = w->number >= WINDOWS_MIN ? stood_for_s(w) : 0;
	struct both *both __cleanup_free = NULL;

	if (watched_s <= 0)
		return;
	both = expect_all(e, watched_s);
	for (size_t i = 0; i < w->rows.len; i++)
		if (both[i].expected > 0)
			e->steady[i] = weigh(&both[i], &w->rows.data[i].kept, watched_s);
	for (size_t i = 0; i < w->cells.len; i++)
		e->expected[i] *= e->steady[w->cells.data[i].row].part;
}
