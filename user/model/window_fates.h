/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many of the blocks that nobody saw die are dead all the same.
 *
 * A block seen born in a window is followed afterwards from outside: it dies
 * unseen, and some time later somebody notices. How long that takes is learnt
 * from controls, blocks that were seen to be freed and are followed in the
 * same way: the share of them that is still unnoticed after t seconds is D(t),
 * by Kaplan and Meier (1958); of what dies while it is still looked at often, just
 * after its window, it is another one than later. Lifetimes are then fitted to what was
 * observed, an interval-censored survival curve, by expectation and maximisation
 * (Turnbull, 1976): a block noticed at age a died before, one that was not noticed is
 * alive or a ghost.
 *
 * Ages and delays are in bins of a growing width. Pure functions.
 */
#ifndef HEAPSONDE_MODEL_WINDOW_FATES_H
#define HEAPSONDE_MODEL_WINDOW_FATES_H

#define FATE_BINS 64		/* the last reaches to 12 hours, and takes all above */

/* Bin 0 is up to a millisecond, each further one 1.32 times as wide as that before. */
int fate_bin(double age_s);
double fate_bin_low_s(int bin);
double fate_bin_middle_s(int bin);

/*
 * What the contents of something look like that was not noticed: nobody knows, as they did
 * first, at least half of them do, or less. Whoever is alive may have written to them; what
 * a ghost's place is used for now seldom looks the same.
 */
enum fate_look { LOOKS_UNKNOWN, LOOKS_SAME, LOOKS_ALIKE, LOOKS_OTHER, FATE_LOOKS };

/* Things by age: how many were noticed at that age, how many have it and were not. */
struct fate_counts {
	double noticed[FATE_BINS], waiting[FATE_LOOKS][FATE_BINS];
};

double fate_count_all(const struct fate_counts *counts);
/* Adds @part of them to @sum. */
void fate_counts_add(struct fate_counts *sum, const struct fate_counts *counts, double part);

/* D at the lower end of each bin; straight between them. */
struct delay_curve {
	double unnoticed[FATE_BINS + 1];
};

void delay_fit(const struct fate_counts *controls, struct delay_curve *ret);
double delay_at(const struct delay_curve *curve, double t_s);
/* The mean of it: how long a ghost lasts, cut off at the longest delay seen. */
double delay_mean_s(const struct delay_curve *curve);

/* Of what dies just after its window, and of what dies at some later time. */
struct delays { struct delay_curve early, late; };

/* By the bin of death, then that of the observation. */
struct fate_kernel {
	double noticed[FATE_BINS][FATE_BINS];	/* the chance to be noticed just then */
	double waiting[FATE_BINS][FATE_BINS];	/* ... not yet to have been */
	double blind_s;		/* what died more recently than this is hardly noticed yet */
};

void fate_kernel_init(struct fate_kernel *kernel, const struct delays *delays);

/* What unnoticed things are judged by. */
struct fate_evidence {
	const struct fate_kernel *kernel;
	double likelier[FATE_LOOKS];	/* among the living than among ghosts */
};

/* Shares by how they look, of the living and of ghosts; those of which nobody knows aside. */
struct fate_looks { double living[FATE_LOOKS], ghosts[FATE_LOOKS]; };

/* @looks is NULL: contents tell nothing. */
struct fate_evidence fate_evidence(const struct fate_kernel *kernel,
				   const struct fate_looks *looks);

/* A distribution of lifetimes; its sum is 1. */
struct fate {
	double dies[FATE_BINS], lives;
};

/* What is assumed before anything is known: half live. */
void fate_init(struct fate *fate);
/*
 * Fits @fate, which is also where it starts, to @seen, to which @prior_weight
 * things like @prior are added (0: none).
 */
void fate_fit(struct fate *fate, const struct fate_counts *seen,
	      const struct fate_evidence *evidence, const struct fate *prior,
	      double prior_weight, int steps);
/* How long things live, and the square of it, on average, if all end at @until_s at last. */
struct fate_life { double mean_s, square_s2; };

struct fate_life fate_life(const struct fate *fate, double until_s);
/* The chance that something unnoticed at an age in @bin is alive. */
double fate_alive(const struct fate *fate, const struct fate_evidence *evidence, int bin,
		  enum fate_look look);

#endif
