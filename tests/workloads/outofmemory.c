// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Leaks until somebody ends it: "outofmemory". Blocks of leak_blocks() are never
 * freed, those of fill_cache() up to a bound, and render() frees what it takes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#define CACHE 512

static char *cache[CACHE];
static char *last;

NOINLINE static void fill_cache(unsigned int i)
{
	free(cache[i % CACHE]);
	cache[i % CACHE] = malloc(2000);
	memset(cache[i % CACHE], 1, 2000);
}

NOINLINE static void render(void)
{
	char *page = malloc(4000);

	memset(page, 1, 4000);
	free(page);
}

NOINLINE static void leak_blocks(void)
{
	char *block = malloc(10000);

	memset(block, 1, 10000);
	memcpy(block, &last, sizeof(last));
	last = block;
}

int main(void)
{
	char c;

	printf("ready %d\n", getpid());
	fflush(stdout);
	if (read(0, &c, 1) != 1)
		return 0;
	/* Some 30 MB a second, so that somebody can look. */
	for (unsigned int i = 0;; i++) {
		fill_cache(i);
		render();
		leak_blocks();
		if (i % 16 == 0)
			usleep(4000);
	}
}
