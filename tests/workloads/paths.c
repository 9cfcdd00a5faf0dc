// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * paths COUNT RATE: allocates from COUNT call paths, RATE times a second in all,
 * until it is killed. A fifth of the paths do nine tenths of the work; each keeps
 * its last few blocks. Says "paths COUNT pid PID" once each path was taken once.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SITE __attribute__((noinline, noclone))
#define LEVELS 13		/* two call sites each */
#define PATHS_MAX (1u << LEVELS)
#define KEPT 4

static void *kept[PATHS_MAX][KEPT];
static unsigned int turns[PATHS_MAX];
static volatile unsigned int depth_seen;

/* The bits of @path, lowest first, choose the way. */
SITE void *descend(unsigned int path, unsigned int level, size_t size)
{
	void *p;

	if (!level)
		return malloc(size);
	if (path & 1)
		p = descend(path >> 1, level - 1, size);
	else
		p = descend(path >> 1, level - 1, size);
	depth_seen = level;	/* no tail call */
	return p;
}

static void turn(unsigned int path)
{
	void **slot = &kept[path][turns[path]++ % KEPT];

	free(*slot);
	*slot = descend(path, LEVELS, 16 + path % 7 * 24);
}

static uint64_t random_below(uint64_t below)
{
	static uint64_t state = 88172645463325252;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % below;
}

int main(int argc, char **argv)
{
	unsigned int count = argc > 1 ? (unsigned int)atoi(argv[1]) : 1000;
	unsigned int rate = argc > 2 ? (unsigned int)atoi(argv[2]) : 10000;
	const struct timespec pause = { .tv_nsec = 10000000 };

	if (!count || count > PATHS_MAX)
		return 2;
	for (;;) {
		static unsigned int done;

		for (unsigned int i = 0; i < rate / 100 || !done; i++) {
			unsigned int few = count / 5 + 1;

			if (done)
				turn(random_below(10) ? random_below(few) : random_below(count));
			else if (i < count)
				turn(i);
			else
				done = printf("paths %u pid %d\n", count, getpid());
		}
		fflush(stdout);
		nanosleep(&pause, NULL);
	}
}
