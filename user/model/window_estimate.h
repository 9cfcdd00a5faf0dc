/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of windows_rows(), for its files: window_lifetimes.c (what is followed is
 * alive or not), window_steady.c (what stacks would have that go on as they did),
 * window_census.c (what reading the heap says of all that), window_rows.c (rows out).
 */
#ifndef HEAPSONDE_MODEL_WINDOW_ESTIMATE_H
#define HEAPSONDE_MODEL_WINDOW_ESTIMATE_H

#include "model/windows_private.h"

#define OLDER_ERROR 0.1		/* that all estimates of what is older have in common */
#define CENSUS_NEW_S 2
#define CENSUS_LASTS_S 10

/*
 * Of live bytes of a row's small or large blocks, which part is what is expected of them, not
 * what is followed; and the variance of what is expected, by its square. Zeros: it is
 * all followed.
 */
struct steady { double part, variance; };

/* What an estimate needs on its way. */
struct estimate {
	struct windows *w;
	uint64_t now_ns, old_ns;	/* blocks from before old_ns count as old */
	struct fate_counts *waiting;	/* of each cell */
	double *alive;			/* of each block; 0 if it has ended */
	/* Of the class at hand; of what is followed from windows on, and since any moment. */
	struct fate_kernel *kernel, *any_time;
	struct steady (*steady)[KEPT_SIZES];	/* of each row */
	double *expected;		/* blocks of each cell, as that part of its row */
	double *rest;			/* unattributed bytes that may be of each row */
	double looks[WINDOW_CLASSES][FATE_LOOKS];	/* the same of ghosts */
	double ghosts, unnoticed;	/* blocks */
	double factor[WINDOW_CLASSES];
	bool grows[WINDOW_CLASSES], any_grows;
	double held_variance;		/* of what was asked for in all that is held */
	double born_variance;		/* of large births that no walk could have met yet */
	double since_error;		/* how far that may be off that windows saw since */
	double unattributed, held, older;
	double unattributed_count;	/* blocks, as large as held chunks are on average */
	double untold;			/* unattributed, of chunks as large as are told */
	double met;			/* bytes of those that walks have met */
};

static inline const struct steady *steady_of(const struct estimate *e, uint32_t row, int class)
{
	return &e->steady[row][kept_size_of(class)];
}

/* A heap too busy to be read again is another one by now. */
static inline bool has_census(const struct windows *w, uint64_t now_ns)
{
	return w->census && age_s(w->census_ns, now_ns) < CENSUS_LASTS_S;
}

/* Each block's chance to be alive. Returns how long a ghost stays unnoticed. */
double estimate_lifetimes(struct estimate *estimate);
/* Which part of each row is what is expected of it, and so of each cell. */
void estimate_steady(struct estimate *estimate);
/* Brings what is taken for alive in line with the newest census, if there is one. */
void estimate_calibrate(struct estimate *estimate);
/* Whether the heap, and each of its classes, holds more than it did. */
void estimate_judge_growth(struct estimate *estimate);

#endif
