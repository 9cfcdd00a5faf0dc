// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * failures MODE: what fails, and what was there before anybody watched.
 *
 *	refused   requests that no allocator can meet
 *	limit     malloc until RLIMIT_AS says ENOMEM
 *	unknown   frees and reallocs of blocks from before "ready"
 */
#include <errno.h>
#include <stdint.h>
#include <sys/resource.h>

#include "books.h"

#define UNKNOWN 211

static volatile size_t huge = PTRDIFF_MAX;

BOOK(site_refused, "heap");
BOOK(site_survivor, "heap");
BOOK(site_limited, "heap");
BOOK(site_realloc_unknown, "heap");

SITE void site_refused(struct block *survivor)
{
	book_alloc(&site_refused_book, malloc(huge), huge);
	book_alloc(&site_refused_book, calloc(huge, 5), huge);
	book_alloc(&site_refused_book, calloc(1, huge), huge);
	book_realloc(&site_refused_book, survivor, realloc(survivor->p, huge), huge);
	book_alloc(&site_refused_book, realloc(NULL, huge), huge);
	book_alloc(&site_refused_book, aligned_alloc(64, huge), huge);
}

SITE struct block site_survivor(size_t n)
{
	return book_alloc(&site_survivor_book, malloc(n), n);
}

SITE struct block site_limited(size_t n)
{
	return book_alloc(&site_limited_book, malloc(n), n);
}

SITE struct block site_realloc_unknown(struct block *old, size_t n)
{
	return book_realloc(&site_realloc_unknown_book, old, realloc(old->p, n), n);
}

static void drop(struct block *b)
{
	free(book_free(b));
}

static void refused(void)
{
	struct block b[37];

	for (int i = 0; i < 37; i++)
		b[i] = site_survivor(71 + i);
	for (int i = 0; i < 37; i++)
		site_refused(&b[i]);
	for (int i = 0; i < 19; i++)
		drop(&b[i]);
}

static size_t mapped_bytes(void)
{
	char text[64];
	FILE *f = fopen("/proc/self/statm", "r");
	size_t pages = 0;

	setvbuf(f, text, _IOFBF, sizeof(text));
	if (fscanf(f, "%zu", &pages) != 1)
		abort();
	fclose(f);
	return pages * 4096;
}

/* The limit is set after "go", when the probes' own page is mapped. */
static void limited(size_t mapped)
{
	struct block b[401];
	struct rlimit limit;
	int got = 0;

	getrlimit(RLIMIT_AS, &limit);
	limit.rlim_cur = mapped + (64 << 20);
	setrlimit(RLIMIT_AS, &limit);
	for (int i = 0; i < 401; i++)
		got += (b[i] = site_limited((1 << 20) + 101)).p != NULL;
	if (got == 401 || got < 11)
		abort();
	for (int i = 0; i < 7; i++)
		drop(&b[i]);
	for (int i = 0; i < 3; i++)
		site_limited(99);
}

static void unknown(struct block *b)
{
	for (int i = 0; i < 13; i++)
		b[i] = site_realloc_unknown(&b[i], 3001);
	for (int i = 5; i < UNKNOWN; i++)
		drop(&b[i]);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "refused";
	struct block before[UNKNOWN];
	size_t mapped = mapped_bytes();

	for (int i = 0; i < UNKNOWN; i++)
		before[i] = (struct block){ malloc(43 + i), 43 + i, NULL };
	books_ready();
	if (!strcmp(mode, "refused"))
		refused();
	else if (!strcmp(mode, "limit"))
		limited(mapped);
	else if (!strcmp(mode, "unknown"))
		unknown(before);
	else
		return 2;
	books_close();
	return 0;
}
