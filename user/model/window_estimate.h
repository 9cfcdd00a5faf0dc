/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of windows_rows(), for its two files: window_rows.c (lifetimes in, rows
 * out), window_census.c (what reading the heap says of both).
 */
#ifndef HEAPSONDE_MODEL_WINDOW_ESTIMATE_H
#define HEAPSONDE_MODEL_WINDOW_ESTIMATE_H

#include "model/windows_private.h"

#define OLDER_ERROR 0.1		/* that all estimates of what is older have in common */
#define CENSUS_NEW_S 2
#define CENSUS_LASTS_S 10

/* What an estimate needs on its way. */
struct estimate {
	struct windows *w;
	uint64_t now_ns, old_ns;	/* blocks from before old_ns count as old */
	struct fate_counts *waiting;	/* of each cell */
	double *alive;			/* of each block; 0 if it has ended */
	struct fate_kernel *kernel;	/* of the class at hand */
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

/* A heap too busy to be read again is another one by now. */
static inline bool has_census(const struct windows *w, uint64_t now_ns)
{
	return w->census && age_s(w->census_ns, now_ns) < CENSUS_LASTS_S;
}

/* Brings what is taken for alive in line with the newest census, if there is one. */
void estimate_calibrate(struct estimate *estimate);
/* Whether the heap, and each of its classes, holds more than it did. */
void estimate_judge_growth(struct estimate *estimate);

#endif
