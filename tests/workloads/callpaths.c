// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * callpaths: allocates from many call paths. The bits of a path's number say which
 * of two functions calls the next, so that 15 levels make 32,768 paths. Each
 * keeps one block; then pairs of malloc and free come from one path after the
 * other, at a given rate.
 *
 *	-n PATHS    (20000)
 *	-r RATE     pairs a second (200000)
 *	-S SECONDS  (10)
 *
 * "ready PID", then a line on stdin; the pairs done, when it is over.
 */
#include <time.h>

#include "books.h"

#define LEVELS 15

static unsigned long pairs_done;

SITE void step_left(unsigned int bits, int level, int keep);
SITE void step_right(unsigned int bits, int level, int keep);

SITE void allocate(int keep)
{
	void *p = malloc(48);

	if (!keep)
		free(p);
	__asm__ volatile("" : : "r"(p) : "memory");
}

static inline __attribute__((always_inline)) void step(unsigned int bits, int level, int keep)
{
	if (!level)
		allocate(keep);
	else if (bits & 1)
		step_left(bits >> 1, level - 1, keep);
	else
		step_right(bits >> 1, level - 1, keep);
	__asm__ volatile("");
}

void step_left(unsigned int bits, int level, int keep)
{
	step(bits, level, keep);
}

void step_right(unsigned int bits, int level, int keep)
{
	step(bits, level, keep);
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static void run(unsigned int paths, double rate, double seconds)
{
	double start = now_s(), now;

	while ((now = now_s()) - start < seconds) {
		unsigned long due = (unsigned long)((now - start) * rate);
		struct timespec pause = { 0, 1000000 };

		for (int i = 0; i < 500 && pairs_done < due; i++)
			step(pairs_done++ % paths, LEVELS, 0);
		if (pairs_done >= due)
			nanosleep(&pause, NULL);
	}
}

int main(int argc, char **argv)
{
	double rate = 200000, seconds = 10;
	unsigned int paths = 20000;

	for (int c; (c = getopt(argc, argv, "n:r:S:")) != -1;) {
		switch (c) {
		case 'n': paths = (unsigned int)strtoul(optarg, NULL, 0); break;
		case 'r': rate = atof(optarg); break;
		case 'S': seconds = atof(optarg); break;
		default: return 2;
		}
	}
	books_ready();
	for (unsigned int i = 0; i < paths; i++)
		step(i, LEVELS, 1);
	run(paths, rate, seconds);
	books_say("{\"pairs\":%lu}\n", pairs_done);
	books_send();
	return 0;
}
