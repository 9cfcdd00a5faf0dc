// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Blocks above malloc's threshold, which have mappings of their own, among churn of
 * small ones, and other mappings that are no blocks.
 *
 *	mapped [ROUNDS]
 *
 * A round takes some ten milliseconds. The books have what there is room for, since that
 * is what a system call can know of a block. They are of mapped blocks only.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>

#include "books.h"

#define LARGE (256u << 10)
#define KEPT_MAX 4096
#define SMALL 64		/* blocks of the churn alive at once */
#define ALIGNMENT 4096
#define PASSING 3

BOOK(site_malloc, "heap");
BOOK(site_calloc, "heap");
BOOK(site_grow, "heap");
BOOK(site_shrink, "heap");
BOOK(site_aligned, "heap");
BOOK(site_passing, "heap");

static struct block kept[KEPT_MAX];
static size_t kept_count;
static uint64_t random_state = 1;
static volatile int at_once = PASSING;	/* unknown to the compiler: one call, one call path */

static unsigned int draw(unsigned int below)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned int)((random_state >> 33) % below);
}

/* All of the mapping but the chunk's head: also what lies before an aligned block. */
static size_t room(const void *p)
{
	uint64_t head[2];

	if (!p)
		abort();
	memcpy(head, (const char *)p - sizeof(head), sizeof(head));
	return malloc_usable_size((void *)(uintptr_t)p) + head[0];
}

static struct block enter(struct book *book, void *p)
{
	return book_alloc(book, p, room(p));
}

static void keep(struct block block)
{
	if (kept_count == KEPT_MAX)
		abort();
	kept[kept_count++] = block;
}

SITE static void site_malloc(void)
{
	keep(enter(&site_malloc_book, malloc(LARGE + draw(LARGE))));
}

SITE static void site_calloc(void)
{
	keep(enter(&site_calloc_book, calloc(3, LARGE + draw(LARGE))));
}

/* The kernel moves its pages, or adds some. */
SITE static void site_grow(struct block *block)
{
	size_t size = block->size + LARGE;
	void *p = realloc(block->p, size);

	*block = book_realloc(&site_grow_book, block, p, room(p));
}

SITE static void site_shrink(struct block *block)
{
	void *p = realloc(block->p, block->size - LARGE / 2);

	*block = book_realloc(&site_shrink_book, block, p, room(p));
}

SITE static void site_aligned(void)
{
	keep(enter(&site_aligned_book, aligned_alloc(ALIGNMENT, LARGE)));
}

SITE static struct block site_passing(void)
{
	return enter(&site_passing_book, malloc(2 * LARGE + draw(LARGE)));
}

static void drop(struct block *block)
{
	free(book_free(block));
}

/* Mapped by others than malloc, as large as its blocks. */
static void *map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

SITE static void map_and_resize(void)
{
	void *p = mremap(map(LARGE), LARGE, 2 * LARGE, MREMAP_MAYMOVE);

	if (p == MAP_FAILED)
		abort();
	*(volatile char *)p = 1;
}

/* A thread has a stack, and an arena of its own. */
static void *in_thread(void *arg)
{
	void *p = malloc(100);

	__asm__ volatile("" : : "r"(p) : "memory");
	free(p);
	return arg;
}

static void run_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, in_thread, NULL))
		abort();
	pthread_join(thread, NULL);
}

static void churn(void)
{
	static void *small[SMALL];

	for (int i = 0; i < 5000; i++) {
		void **p = &small[draw(SMALL)];

		free(*p);
		*p = malloc(16 + draw(2000));
	}
}

static void rest(void)
{
	struct timespec ts = { 0, 5000000 };

	nanosleep(&ts, NULL);
}

static void work_round(void)
{
	struct block passing[PASSING];

	site_malloc();
	site_calloc();
	site_aligned();
	churn();
	for (int i = 0; i < at_once; i++)
		passing[i] = site_passing();
	site_grow(&kept[draw((unsigned int)kept_count)]);
	churn();
	for (int i = 0; i < at_once; i++)
		drop(&passing[i]);
	drop(&kept[draw((unsigned int)kept_count)]);
	rest();
}

/* Blocks that were dropped are no longer there to be changed. */
static void close_ranks(void)
{
	size_t live = 0;

	for (size_t i = 0; i < kept_count; i++)
		if (kept[i].p)
			kept[live++] = kept[i];
	kept_count = live;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 200;

	/* Or what is freed would raise it, and blocks would come from the heap. */
	mallopt(M_MMAP_THRESHOLD, LARGE / 2);
	books_ready();
	map_and_resize();
	run_thread();
	for (int i = 0; i < rounds; i++) {
		work_round();
		close_ranks();
	}
	for (size_t i = 0; i < kept_count; i += 3)
		site_shrink(&kept[i]);
	books_close();
	return 0;
}
