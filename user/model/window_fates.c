// SPDX-License-Identifier: GPL-2.0-or-later
/* Fates of blocks that were seen in windows; see window_fates.h. */
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "model/window_fates.h"

#define BIN0_S 1e-3
#define BIN_RATIO 1.32
#define BLIND_SHARE 0.3		/* of deaths that are not noticed yet, and will be */
#define EARLY_S 1e-3		/* how deaths at such an age are noticed, and those at ... */
#define LATE_S 50e-3		/* ... this one or more: in between it is something of both */
#define HAZARD_BINS 6		/* whose hazard stands in for that of those that follow */

int fate_bin(double age_s)
{
	int bin = age_s < BIN0_S ? 0 : 1 + (int)(log(age_s / BIN0_S) / log(BIN_RATIO));

	return bin < FATE_BINS ? bin : FATE_BINS - 1;
}

/* Asked for some ten thousand times an estimate; whoever comes first fills the table. */
double fate_bin_low_s(int bin)
{
	static _Atomic double lows[FATE_BINS + 1];

	if (bin && lows[bin] == 0)
		lows[bin] = BIN0_S * pow(BIN_RATIO, bin - 1);
	return lows[bin];
}

double fate_bin_middle_s(int bin)
{
	return (fate_bin_low_s(bin) + fate_bin_low_s(bin + 1)) / 2;
}

static double waiting_in(const struct fate_counts *counts, int bin)
{
	double sum = 0;

	for (int look = 0; look < FATE_LOOKS; look++)
		sum += counts->waiting[look][bin];
	return sum;
}

double fate_count_all(const struct fate_counts *counts)
{
	double sum = 0;

	for (int i = 0; i < FATE_BINS; i++)
		sum += counts->noticed[i] + waiting_in(counts, i);
	return sum;
}

void fate_counts_add(struct fate_counts *sum, const struct fate_counts *counts, double part)
{
	for (int i = 0; i < FATE_BINS; i++)
		sum->noticed[i] += part * counts->noticed[i];
	for (int look = 0; look < FATE_LOOKS; look++)
		for (int i = 0; i < FATE_BINS; i++)
			sum->waiting[look][i] += part * counts->waiting[look][i];
}

/* Those that wait have been at risk for half of their bin on average. */
void delay_fit(const struct fate_counts *controls, struct delay_curve *ret)
{
	double at_risk = fate_count_all(controls);

	ret->unnoticed[0] = 1;
	for (int i = 0; i < FATE_BINS; i++) {
		double waiting = waiting_in(controls, i);
		double risk = at_risk - waiting / 2;
		double hazard = risk > 0 ? controls->noticed[i] / risk : 0;

		ret->unnoticed[i + 1] = ret->unnoticed[i] * (1 - fmin(hazard, 1));
		at_risk -= controls->noticed[i] + waiting;
	}
}

/* A time within the curve: its bin, and how far into that it is. */
struct place { int bin; double part; };

static struct place place_of(double t_s)
{
	struct place at = { 0 };
	double low;

	if (t_s <= 0)
		return at;
	at.bin = fate_bin(t_s);
	low = fate_bin_low_s(at.bin);
	at.part = fmin((t_s - low) / (fate_bin_low_s(at.bin + 1) - low), 1);
	return at;
}

static double delay_in(const struct delay_curve *curve, struct place at)
{
	double before = curve->unnoticed[at.bin];

	return before + at.part * (curve->unnoticed[at.bin + 1] - before);
}

double delay_at(const struct delay_curve *curve, double t_s)
{
	return delay_in(curve, place_of(t_s));
}

double delay_mean_s(const struct delay_curve *curve)
{
	double sum = 0;
	int last = FATE_BINS;

	while (last > 0 && curve->unnoticed[last] == curve->unnoticed[last - 1])
		last--;
	for (int i = 0; i < last; i++)
		sum += (curve->unnoticed[i] + curve->unnoticed[i + 1]) / 2 *
		       (fate_bin_low_s(i + 1) - fate_bin_low_s(i));
	return sum;
}

/* Some ends nobody will ever notice: they say nothing of how long it takes. */
static double blind_s_of(const struct delay_curve *curve)
{
	double never = curve->unnoticed[FATE_BINS];
	int bin = 0;

	while (bin < FATE_BINS && curve->unnoticed[bin] > never + BLIND_SHARE * (1 - never))
		bin++;
	return fate_bin_low_s(never < 1 ? bin : FATE_BINS);
}

/*
 * Where in a curve things are that died in the middle of one bin, at the lower end and the
 * middle of another. The same for all curves, of which an estimate has some hundred.
 */
static struct {
	pthread_once_t once;
	struct place low[FATE_BINS][FATE_BINS + 1], middle[FATE_BINS][FATE_BINS];
} since_death = { .once = PTHREAD_ONCE_INIT };

static void find_places(void)
{
	for (int i = 0; i < FATE_BINS; i++) {
		double death = fate_bin_middle_s(i);

		for (int j = 0; j <= FATE_BINS; j++)
			since_death.low[i][j] = place_of(fate_bin_low_s(j) - death);
		for (int j = 0; j < FATE_BINS; j++)
			since_death.middle[i][j] = place_of(fate_bin_middle_s(j) - death);
	}
}

/* Of what died in that bin. */
static void mix_delays(const struct delays *delays, int bin, struct delay_curve *ret)
{
	double late = log(fate_bin_middle_s(bin) / EARLY_S) / log(LATE_S / EARLY_S);

	late = fmin(fmax(late, 0), 1);
	for (int i = 0; i <= FATE_BINS; i++)
		ret->unnoticed[i] = (1 - late) * delays->early.unnoticed[i] +
				    late * delays->late.unnoticed[i];
}

void fate_kernel_init(struct fate_kernel *kernel, const struct delays *delays)
{
	struct delay_curve curve;

	pthread_once(&since_death.once, find_places);
	for (int i = 0; i < FATE_BINS; i++) {
		const struct place *low = since_death.low[i], *middle = since_death.middle[i];

		mix_delays(delays, i, &curve);
		for (int j = 0; j < FATE_BINS; j++) {
			/* Whoever dies in a later bin is not noticed before. */
			kernel->noticed[i][j] = i > j ? 0 : delay_in(&curve, low[j]) -
							    delay_in(&curve, low[j + 1]);
			kernel->waiting[i][j] = i < j ? delay_in(&curve, middle[j]) : 1;
		}
	}
	kernel->blind_s = blind_s_of(&delays->late);
}

void fate_init(struct fate *fate)
{
	for (int i = 0; i < FATE_BINS; i++)
		fate->dies[i] = 0.5 / FATE_BINS;
	fate->lives = 0.5;
}

/* Adds to @sum where the things that were noticed in bin @j may have died. */
static void share_noticed(const struct fate *fate, const struct fate_kernel *kernel, int j,
			  double count, struct fate *sum)
{
	double total = 0;

	for (int i = 0; i <= j; i++)
		total += fate->dies[i] * kernel->noticed[i][j];
	/* Noticed sooner than any control: it must have died just before. */
	if (total <= 0)
		sum->dies[j] += count;
	for (int i = 0; i <= j && total > 0; i++)
		sum->dies[i] += count * fate->dies[i] * kernel->noticed[i][j] / total;
}

struct fate_evidence fate_evidence(const struct fate_kernel *kernel,
				   const struct fate_looks *looks)
{
	struct fate_evidence evidence = { .kernel = kernel };

	for (int i = 0; i < FATE_LOOKS; i++)
		evidence.likelier[i] = looks && i != LOOKS_UNKNOWN && looks->ghosts[i] > 0 ?
			looks->living[i] / looks->ghosts[i] : 1;
	return evidence;
}

/*
 * The same of those that nobody has noticed at an age in bin @j: who dies in that bin or
 * later lives.
 */
static void share_waiting(const struct fate *fate, const struct fate_evidence *evidence, int j,
			  enum fate_look look, double count, struct fate *sum)
{
	double alive = evidence->likelier[look], total = fate->lives * alive;
	double died[FATE_BINS];

	for (int i = 0; i < FATE_BINS; i++) {
		died[i] = fate->dies[i] * (i < j ? evidence->kernel->waiting[i][j] : alive);
		total += died[i];
	}
	if (total <= 0) {
		sum->lives += count;
		return;
	}
	for (int i = 0; i < FATE_BINS; i++)
		sum->dies[i] += count * died[i] / total;
	sum->lives += count * fate->lives * alive / total;
}

static void scale(struct fate *fate, double factor)
{
	for (int i = 0; i < FATE_BINS; i++)
		fate->dies[i] *= factor;
	fate->lives *= factor;
}

/* When those died of whom that was noticed, and those that are assumed. */
static struct fate share_known(const struct fate *fate, const struct fate_counts *seen,
			       const struct fate_kernel *kernel, const struct fate *prior,
			       double weight)
{
	struct fate known = { 0 };

	if (prior && weight > 0) {
		known = *prior;
		scale(&known, weight);
	}
	for (int j = 0; j < FATE_BINS; j++)
		if (seen->noticed[j] > 0)
			share_noticed(fate, kernel, j, seen->noticed[j], &known);
	return known;
}

static void fit_step(struct fate *fate, const struct fate_counts *seen,
		     const struct fate_evidence *evidence, const struct fate *prior,
		     double weight)
{
	struct fate sum = share_known(fate, seen, evidence->kernel, prior, weight);

	for (int j = 0; j < FATE_BINS; j++)
		for (int look = 0; look < FATE_LOOKS; look++)
			if (seen->waiting[look][j] > 0)
				share_waiting(fate, evidence, j, (enum fate_look)look,
					      seen->waiting[look][j], &sum);
	scale(&sum, 1 / (fate_count_all(seen) + (prior ? weight : 0)));
	*fate = sum;
}

static int oldest_bin(const struct fate_counts *seen)
{
	for (int i = FATE_BINS - 1; i > 0; i--)
		if (seen->noticed[i] > 0 || waiting_in(seen, i) > 0)
			return i;
	return 0;
}

/* The first bin whose deaths are too recent to tell them from lives. */
static int first_blind_bin(int oldest, double blind_s)
{
	double seen_until = fate_bin_low_s(oldest + 1) - blind_s;
	int bin = 0;

	while (bin <= oldest && fate_bin_middle_s(bin) <= seen_until)
		bin++;
	return bin;
}

/*
 * Whoever lives at the largest ages and whoever has just died there look the
 * same, so that the fit may give either the mass of both. The hazard of the
 * bins before, where they can be told apart, goes on instead; but for deaths that are
 * @known.
 */
static void continue_hazard(struct fate *fate, const struct fate *known, int blind, int oldest)
{
	double left = fate->lives, hazard = 0;
	int from = blind > HAZARD_BINS ? blind - HAZARD_BINS : 0;

	for (int i = blind; i < FATE_BINS; i++)
		left += fate->dies[i];
	for (int i = from, n = blind - from; i < blind; i++) {
		double alive = left;

		for (int k = i; k < blind; k++)
			alive += fate->dies[k];
		hazard += alive > 0 ? fate->dies[i] / alive / n : 0;
	}
	for (int i = blind; i < FATE_BINS; i++)
		left -= known->dies[i];
	left = fmax(left, 0);
	for (int i = blind; i < FATE_BINS; i++) {
		double dies = i <= oldest ? left * hazard : 0;

		fate->dies[i] = known->dies[i] + dies;
		left -= dies;
	}
	fate->lives = left;
}

void fate_fit(struct fate *fate, const struct fate_counts *seen,
	      const struct fate_evidence *evidence, const struct fate *prior,
	      double prior_weight, int steps)
{
	double all = fate_count_all(seen) + (prior ? prior_weight : 0);
	int oldest = oldest_bin(seen);
	struct fate known;

	if (all <= 0)
		return;
	for (int i = 0; i < steps; i++)
		fit_step(fate, seen, evidence, prior, prior_weight);
	known = share_known(fate, seen, evidence->kernel, prior, prior_weight);
	scale(&known, 1 / all);
	continue_hazard(fate, &known, first_blind_bin(oldest, evidence->kernel->blind_s), oldest);
}

struct fate_life fate_life(const struct fate *fate, double until_s)
{
	struct fate_life life = { fate->lives * until_s, fate->lives * until_s * until_s };

	for (int i = 0; i < FATE_BINS; i++) {
		double lived_s = fmin(fate_bin_middle_s(i), until_s);

		life.mean_s += fate->dies[i] * lived_s;
		life.square_s2 += fate->dies[i] * lived_s * lived_s;
	}
	return life;
}

double fate_alive(const struct fate *fate, const struct fate_evidence *evidence, int bin,
		  enum fate_look look)
{
	double alive = fate->lives, ghosts = 0;

	for (int i = bin; i < FATE_BINS; i++)
		alive += fate->dies[i];
	for (int i = 0; i < bin; i++)
		ghosts += fate->dies[i] * evidence->kernel->waiting[i][bin];
	alive *= evidence->likelier[look];
	return alive + ghosts > 0 ? alive / (alive + ghosts) : 1;
}
