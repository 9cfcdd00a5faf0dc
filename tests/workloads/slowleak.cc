// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A slow leak among much that comes and goes, without rest.
 *
 *	slowleak {malloc|calloc|new} LEAKS_PER_S
 *
 * SIGUSR1: after LAST more leaks it ends. Leaked blocks grow by a byte each
 * GROWS_EACH: what is known of the last so many of them has one sum alone, and the
 * books tell their number.
 */
#include <new>

#include <signal.h>
#include <stdint.h>
#include <time.h>

#include "books.h"

#define LEAK_BYTES 256
#define GROWS_EACH 4
#define LAST 503
#define LIVE 4096		/* blocks of the churn */

BOOK(leak_by_malloc, "heap");
BOOK(leak_by_calloc, "heap");
BOOK(leak_by_new, "heap");
BOOK(churn, "heap");

static void *kept;
static volatile sig_atomic_t ending;

SITE static void keep(void **p)
{
	*p = kept;
	kept = p;
}

SITE static void leak_by_malloc(size_t size)
{
	void **p = (void **)malloc(size);

	book_alloc(&leak_by_malloc_book, p, size);
	keep(p);
}

SITE static void leak_by_calloc(size_t size)
{
	void **p = (void **)calloc(1, size);

	book_alloc(&leak_by_calloc_book, p, size);
	keep(p);
}

SITE static void leak_by_new(size_t size)
{
	void **p = (void **)operator new(size);

	keep(p);
	book_alloc(&leak_by_new_book, p, size);
}

SITE static struct block churn(size_t size)
{
	void *p = malloc(size);

	__asm__ volatile("" : : "r"(p) : "memory");
	return book_alloc(&churn_book, p, size);
}

static void end(int)
{
	ending = 1;
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* What a program does beside allocating. */
static void work(void)
{
	for (volatile int i = 0; i < 4000; i = i + 1)
		;
}

static void (*way(const char *name))(size_t)
{
	return !strcmp(name, "new") ? leak_by_new :
	       !strcmp(name, "calloc") ? leak_by_calloc : leak_by_malloc;
}

int main(int argc, char **argv)
{
	void (*leak)(size_t) = way(argc > 1 ? argv[1] : "malloc");
	double per_s = argc > 2 ? atof(argv[2]) : 200, begun;
	unsigned long leaks = 0, last = ~0ul;
	static struct block live[LIVE];
	uint64_t random = 1;

	signal(SIGUSR1, end);
	books_ready();
	begun = now_s();
	while (leaks < last) {
		struct block *block;

		random = random * 6364136223846793005u + 1442695040888963407u;
		block = &live[random >> 33 & (LIVE - 1)];
		free(book_free(block));
		*block = churn(16 + (random >> 50 & 127));
		for (; leaks < last && (double)leaks < (now_s() - begun) * per_s; leaks++) {
			if (ending && last == ~0ul)
				last = leaks + LAST;
			leak(LEAK_BYTES + leaks / GROWS_EACH);
		}
		work();
	}
	books_close();
	return 0;
}
