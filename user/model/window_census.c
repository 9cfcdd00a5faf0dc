// SPDX-License-Identifier: GPL-2.0-or-later
/* What reading the heap says of estimates out of windows; see window_estimate.h. */
#include <math.h>
#include <stdlib.h>

#include "model/estimate.h"
#include "model/window_estimate.h"
#include "model/window_strata.h"

#define GROWS 1.01		/* a heap that does not leaks nothing */
#define CHUNK_OVERHEAD 16

/* Than the first window: known, or not even that. */
static bool is_older(const struct follow *block)
{
	return block->known || block->row == OLDER_ROW;
}

/* Often 16 more than were asked for need: what would be left is too small for a chunk. */
static double chunk_bytes(const struct windows *w, const struct follow *block)
{
	return block->f.head > 7 ? (double)(block->f.head & ~7ull) :
	       (double)w->chunk_bytes(block->size);
}

/*
 * Of a group's chunks, what was asked for: the open window's sums, those of all, and
 * of the windows' squares and products, for the variance of their ratio.
 */
struct asked {
	double in_chunks, in_asked, in_since;
	double chunks, asked, chunks2, asked2, both;
	double since2;		/* of windows since the census */
};

/* Sums by class of what is younger and older, and by group of the windows' variance. */
struct class_sums {
	double count[WINDOW_CLASSES], bytes[WINDOW_CLASSES];
	struct stratum strata[WINDOW_CLASSES];
	struct asked asked[WINDOW_CLASSES];
	unsigned short group[WINDOW_CLASSES];
};

static double class_bytes(int class)
{
	return class <= 65 ? class * 16.0 :
	       ldexp(16 + (class - 66) % 16, 10 + (class - 66) / 16 - 4);
}

/* In windows that have shown some that are alive. */
static void count_classes(const struct estimate *e, struct class_sums *sums)
{
	uint32_t window[WINDOW_CLASSES] = { 0 };
	double most[WINDOW_CLASSES] = { 0 };

	for (int i = 0; i < WINDOW_CLASSES; i++)
		sums->bytes[i] = class_bytes(i);
	for (size_t i = 0; i < e->w->blocks.len; i++) {
		const struct follow *block = &e->w->blocks.data[i];

		if (!is_drawn(block) || e->alive[i] <= 0)
			continue;
		/* Blocks of one window are one draw: one call may have asked for all. */
		if (window[block->chunk_class] != block->window)
			most[block->chunk_class] = 0;
		window[block->chunk_class] = block->window;
		sums->count[block->chunk_class] += fmax(e->alive[i] - most[block->chunk_class], 0);
		most[block->chunk_class] = fmax(most[block->chunk_class], e->alive[i]);
	}
}

static void end_asked(struct asked *a)
{
	a->chunks += a->in_chunks;
	a->asked += a->in_asked;
	a->chunks2 += a->in_chunks * a->in_chunks;
	a->asked2 += a->in_asked * a->in_asked;
	a->both += a->in_chunks * a->in_asked;
	a->since2 += a->in_since * a->in_since;
	a->in_chunks = a->in_asked = a->in_since = 0;
}

/* Of the bytes asked for in chunks whose sum is known (a ratio estimate; Cochran, 1977). */
static double asked_variance(const struct asked *a, double factor)
{
	double ratio = a->chunks > 0 ? a->asked / a->chunks : 0;
	double variance = a->asked2 - 2 * ratio * a->both + ratio * ratio * a->chunks2;

	return factor * factor * fmax(variance, 0);
}

void windows_sum_followed(const struct windows *w, struct heap_census *ret)
{
	*ret = (struct heap_census){ 0 };
	vec_for_each(block, &w->blocks)
		if (!block->ended)
			ret->bytes[block->chunk_class] += block->weight * chunk_bytes(w, block);
}

/* Windows have drawn it when the census, which says nothing of it, had been taken. */
static bool is_since(const struct estimate *e, const struct follow *block)
{
	return is_drawn(block) && block->f.since_ns > e->w->census_ns;
}

/* What the census says, and what it would say by now. */
static void fill_held(const struct estimate *e, struct class_sums *sums)
{
	struct heap_census *now __cleanup_free = xmalloc(sizeof(*now));

	windows_sum_followed(e->w, now);
	for (int i = 0; i < WINDOW_CLASSES; i++) {
		struct stratum *s = &sums->strata[sums->group[i]];

		s->held += e->w->census->bytes[i];
		s->since += now->bytes[i] - e->w->then.bytes[i];
	}
}

/* What is not followed but expected. */
static void add_expected(const struct estimate *e, struct class_sums *sums)
{
	for (size_t i = 0; i < e->w->cells.len; i++) {
		const struct cell *cell = &e->w->cells.data[i];
		const struct steady *steady = steady_of(e, cell->row, cell->class);
		struct stratum *s = &sums->strata[sums->group[cell->class]];
		double bytes = e->expected[i] * class_bytes(cell->class);

		s->estimate += bytes;
		if (steady->part > 0)
			s->variance += steady->variance * bytes * bytes;
	}
}

/* Blocks stand in the order of their windows: each group's windows come one by one. */
static void fill_strata(const struct estimate *e, struct class_sums *sums)
{
	uint32_t window[WINDOW_CLASSES] = { 0 };

	fill_held(e, sums);
	for (size_t i = 0; i < e->w->blocks.len; i++) {
		const struct follow *block = &e->w->blocks.data[i];
		unsigned short g = sums->group[block->chunk_class];
		struct stratum *s = &sums->strata[g];
		double z = block->weight * chunk_bytes(e->w, block) * e->alive[i];

		if (is_older(block)) {
			s->older += z;
			continue;
		}
		if (block->exact) {
			s->exact += z;
			continue;
		}
		if (window[g] != block->window) {
			end_asked(&sums->asked[g]);
			window[g] = block->window;
		}
		sums->asked[g].in_since += is_since(e, block) ? z : 0;
		z *= 1 - steady_of(e, block->row, block->class)->part;
		sums->asked[g].in_chunks += z;
		sums->asked[g].in_asked += z * (double)block->size / chunk_bytes(e->w, block);
		s->estimate += z;
	}
	for (int g = 0; g < WINDOW_CLASSES; g++) {
		end_asked(&sums->asked[g]);
		sums->strata[g].variance = sums->asked[g].chunks2;
		sums->strata[g].since_variance = sums->asked[g].since2;
	}
	add_expected(e, sums);
}

/*
 * Of chunks of @bytes in all, what the program may have asked for: the rest is
 * their heads, and 8 bytes each that were rounded up.
 */
static double asked_for(double bytes, double chunk)
{
	return bytes * fmax(1 - CHUNK_OVERHEAD / chunk, 0);
}

/* Of the chunks of a group that are held. */
static double mean_chunk(const struct estimate *e, const struct class_sums *sums, size_t group)
{
	double bytes = 0, count = 0;

	for (int i = 0; i < WINDOW_CLASSES; i++)
		if (sums->group[i] == group && sums->bytes[i] > 0) {
			bytes += e->w->census->bytes[i];
			count += e->w->census->bytes[i] / sums->bytes[i];
		}
	return count > 0 ? bytes / count : CHUNK_OVERHEAD;
}

/* Over windows, of what they show of blocks that live; the last ones, or all. */
static struct draw_sum sum_drawn(const struct estimate *e, bool since)
{
	struct draw_sum sum = { 0 };
	uint32_t window = 0;
	double z = 0;

	for (size_t i = 0; i < e->w->blocks.len; i++) {
		const struct follow *block = &e->w->blocks.data[i];

		if (since ? !is_since(e, block) : !is_drawn(block))
			continue;
		if (block->window != window) {
			draw_sum_add(&sum, z);
			z = 0;
		}
		window = block->window;
		z += block->weight * (double)block->size * e->alive[i];
	}
	draw_sum_add(&sum, z);
	return sum;
}

/*
 * Of windows since the census, of ends that were noticed since, and of what came behind
 * the last of them: at most as much as windows saw to stay in such a time until now.
 */
static double error_since(const struct estimate *e)
{
	const struct windows *w = e->w;
	const struct draw_sum since = sum_drawn(e, true), all = sum_drawn(e, false);
	uint64_t known_ns = w->shut_ns > w->census_ns ? w->shut_ns : w->census_ns;
	double watched_s = age_s(w->start_ns, e->now_ns);
	double unseen = watched_s > 0 ? all.y * age_s(known_ns, e->now_ns) / watched_s : 0;

	return hypot(hypot(estimate_error(since.y, since.squares, since.largest), unseen),
		     1.96 * sqrt(w->gone_squares));
}

/*
 * What is unattributed is nobody's, and somebody's: of a stack it may be as much as of
 * what windows saw to outlive them in such chunks, and as much again.
 */
static void share_rest(struct estimate *e, const struct class_sums *sums, const double *rest)
{
	double *kept __cleanup_free = xcalloc(WINDOW_CLASSES, sizeof(*kept));

	vec_for_each(cell, &e->w->cells)
		kept[sums->group[cell->class]] += cell->kept_bytes;
	vec_for_each(cell, &e->w->cells) {
		size_t g = sums->group[cell->class];

		if (kept[g] > 0)
			e->rest[cell->row] += rest[g] * fmin(2 * cell->kept_bytes / kept[g], 1);
	}
}

void estimate_calibrate(struct estimate *e)
{
	double *rests __cleanup_free = xcalloc(WINDOW_CLASSES, sizeof(*rests));
	struct class_sums *sums __cleanup_free = NULL;
	size_t groups;

	for (int i = 0; i < WINDOW_CLASSES; i++)
		e->factor[i] = 1;
	if (!has_census(e->w, e->now_ns))
		return;
	sums = xcalloc(1, sizeof(*sums));
	count_classes(e, sums);
	groups = strata_group(sums->count, sums->bytes, WINDOW_CLASSES, sums->group);
	fill_strata(e, sums);
	for (int i = 0; i < WINDOW_CLASSES; i++) {
		double variance;

		e->factor[i] = stratum_factor(&sums->strata[sums->group[i]], &variance);
	}
	for (size_t g = 0; g < groups; g++) {
		double variance, factor, chunk = mean_chunk(e, sums, g);
		double rest = asked_for(stratum_unattributed(&sums->strata[g]), chunk);

		factor = stratum_factor(&sums->strata[g], &variance);
		e->held_variance += variance + asked_variance(&sums->asked[g], factor);
		rests[g] = rest;
		e->unattributed += rest;
		e->unattributed_count += stratum_unattributed(&sums->strata[g]) / chunk;
		if (e->w->large.listed && chunk > (double)e->w->large.listed)
			e->untold += rest;
		e->held += sums->strata[g].held;
		e->older += sums->strata[g].older;
	}
	share_rest(e, sums, rests);
	e->since_error = error_since(e);
}

bool windows_has_census(const struct windows *w, uint64_t now_ns)
{
	return has_census(w, now_ns);
}

static double mean_held(const struct windows *w, double from_s, double to_s, int class)
{
	double sum = 0;
	int n = 0;

	for (size_t i = 0; i < w->censuses_len; i++) {
		double t = age_s(w->start_ns, w->censuses[i].time_ns);

		if (t < from_s || t > to_s)
			continue;
		n++;
		for (int c = 0; c < WINDOW_CLASSES; c++)
			if (class < 0 || c == class)
				sum += w->censuses[i].census.bytes[c];
	}
	return n ? sum / n : -1;
}

/* Of all, or of a class: whether more is held at the end than half-way. */
static bool has_grown(const struct windows *w, double now_s, int class)
{
	double middle = mean_held(w, now_s / 4, now_s / 2, class);
	double end = mean_held(w, now_s * 3 / 4, now_s, class);

	return middle < 0 || end < 0 || end > GROWS * middle;
}

void estimate_judge_growth(struct estimate *e)
{
	double now_s = age_s(e->w->start_ns, e->now_ns);

	e->any_grows = has_grown(e->w, now_s, -1);
	for (int i = 0; i < WINDOW_CLASSES; i++)
		e->grows[i] = has_grown(e->w, now_s, i);
}
