// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A slow leak among much that comes and goes, without rest.
 *
 *	slowleak {malloc|calloc|new} LEAKS_PER_S [{malloc|calloc|new} LEAKS_PER_S]
 *
 * SIGUSR1: after LAST more leaks it ends. Leaked blocks grow by a byte each
 * GROWS_EACH: what is known of the last so many of them has one sum alone, and the
 * books tell their number.
 *
 * SIGUSR2: from then on it leaks the second way as well, blocks of SECOND_BYTES, which
 * are in the books and in no other count.
 */
#include <new>

#include <signal.h>
#include <stdint.h>
#include <time.h>

#include "books.h"

#define LEAK_BYTES 256
#define GROWS_EACH 4
#define SECOND_BYTES 512
#define LAST 503
#define LIVE 4096		/* blocks of the churn */

BOOK(leak_by_malloc, "heap");
BOOK(leak_by_calloc, "heap");
BOOK(leak_by_new, "heap");
BOOK(churn, "heap");

static void *kept;
static volatile sig_atomic_t ending, doubled;

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

static void leak_twice(int)
{
	doubled = 1;
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

struct leak {
	void (*call)(size_t);
	double per_s, begun;
	unsigned long count, last;
	bool grows;		/* the first way: its end is that of all */
};

static struct leak leak_of(const char *name, double per_s, bool grows)
{
	return (struct leak){ way(name), per_s, now_s(), 0, ~0ul, grows };
}

/* What is due of one of them; both go through the same call of this. */
SITE static void leak(struct leak *l)
{
	for (; l->count < l->last && (double)l->count < (now_s() - l->begun) * l->per_s;
	     l->count++) {
		if (ending && l->last == ~0ul && l->grows)
			l->last = l->count + LAST;
		l->call(l->grows ? LEAK_BYTES + l->count / GROWS_EACH : SECOND_BYTES);
	}
}

SITE static void leak_all(struct leak *leaks, int count)
{
	for (int i = 0; i < count; i++)
		leak(&leaks[i]);
}

int main(int argc, char **argv)
{
	static struct block live[LIVE];
	uint64_t random = 1;
	struct leak leaks[2];
	int count = 1;

	signal(SIGUSR1, end);
	signal(SIGUSR2, leak_twice);
	books_ready();
	leaks[0] = leak_of(argc > 1 ? argv[1] : "malloc", argc > 2 ? atof(argv[2]) : 200,
			   true);
	while (leaks[0].count < leaks[0].last) {
		struct block *block;

		random = random * 6364136223846793005u + 1442695040888963407u;
		block = &live[random >> 33 & (LIVE - 1)];
		free(book_free(block));
		*block = churn(16 + (random >> 50 & 127));
		if (doubled && count == 1 && argc > 4)
			leaks[count++] = leak_of(argv[3], atof(argv[4]), false);
		leak_all(leaks, count);
		work();
	}
	books_close();
	return 0;
}
