// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * family [posix]: every function of the C library's malloc family, each from a call site of
 * its own, in prime counts and odd sizes. One thread, nothing else allocates:
 * a profiler's totals must equal the sum of the books. With "posix", without
 * what some allocators lack and the C library would then give to them.
 */
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>

#include "books.h"

#define BLOCKS 211

/* Hidden from the compiler, which knows that such a request fails. */
static volatile size_t huge = PTRDIFF_MAX;

BOOK(site_malloc, "heap");
BOOK(site_malloc_zero, "heap");
BOOK(site_malloc_large, "heap");
BOOK(site_calloc, "heap");
BOOK(site_realloc_null, "heap");
BOOK(site_realloc_grow, "heap");
BOOK(site_realloc_shrink, "heap");
BOOK(site_realloc_same, "heap");
BOOK(site_realloc_large, "heap");
BOOK(site_realloc_fail, "heap");
BOOK(site_realloc_zero, "heap");
BOOK(site_reallocarray, "heap");
BOOK(site_reallocarray_overflow, "heap");
BOOK(site_memalign, "heap");
BOOK(site_aligned_alloc, "heap");
BOOK(site_posix_memalign, "heap");
BOOK(site_posix_memalign_invalid, "heap");
BOOK(site_valloc, "heap");
BOOK(site_pvalloc, "heap");

SITE struct block site_malloc(size_t n)
{
	return book_alloc(&site_malloc_book, malloc(n), n);
}

SITE struct block site_malloc_zero(void)
{
	return book_alloc(&site_malloc_zero_book, malloc(0), 0);
}

/* Above the mmap threshold: the C library's own mmap must not count again. */
SITE struct block site_malloc_large(size_t n)
{
	return book_alloc(&site_malloc_large_book, malloc(n), n);
}

SITE struct block site_calloc(size_t count, size_t n)
{
	return book_alloc(&site_calloc_book, calloc(count, n), count * n);
}

SITE struct block site_realloc_null(size_t n)
{
	return book_alloc(&site_realloc_null_book, realloc(NULL, n), n);
}

SITE struct block site_realloc_grow(struct block *old, size_t n)
{
	return book_realloc(&site_realloc_grow_book, old, realloc(old->p, n), n);
}

SITE struct block site_realloc_shrink(struct block *old, size_t n)
{
	return book_realloc(&site_realloc_shrink_book, old, realloc(old->p, n), n);
}

SITE struct block site_realloc_same(struct block *old)
{
	return book_realloc(&site_realloc_same_book, old, realloc(old->p, old->size), old->size);
}

SITE struct block site_realloc_large(struct block *old, size_t n)
{
	return book_realloc(&site_realloc_large_book, old, realloc(old->p, n), n);
}

SITE void site_realloc_fail(struct block *old)
{
	book_realloc(&site_realloc_fail_book, old, realloc(old->p, huge), huge);
}

SITE void site_realloc_zero(struct block *old)
{
	book_realloc(&site_realloc_zero_book, old, realloc(old->p, 0), 0);
}

SITE struct block site_reallocarray(struct block *old, size_t count, size_t n)
{
	return book_realloc(&site_reallocarray_book, old,
			    reallocarray(old->p, count, n), count * n);
}

SITE void site_reallocarray_overflow(struct block *old)
{
	book_realloc(&site_reallocarray_overflow_book, old,
		     reallocarray(old->p, huge, 16), huge);
}

SITE struct block site_memalign(size_t align, size_t n)
{
	return book_alloc(&site_memalign_book, memalign(align, n), n);
}

SITE struct block site_aligned_alloc(size_t align, size_t n)
{
	return book_alloc(&site_aligned_alloc_book, aligned_alloc(align, n), n);
}

SITE struct block site_posix_memalign(size_t align, size_t n)
{
	void *p = NULL;

	if (posix_memalign(&p, align, n))
		p = NULL;
	return book_alloc(&site_posix_memalign_book, p, n);
}

/* The out-pointer holds something that must not be taken for a block. */
SITE void site_posix_memalign_invalid(size_t n)
{
	void *p = &p;

	if (posix_memalign(&p, 3, n) != EINVAL)
		abort();
	book_alloc(&site_posix_memalign_invalid_book, NULL, n);
}

SITE struct block site_valloc(size_t n)
{
	return book_alloc(&site_valloc_book, valloc(n), n);
}

SITE struct block site_pvalloc(size_t n)
{
#if defined(__GLIBC__) && !defined(POSIX_ONLY)
	return book_alloc(&site_pvalloc_book, pvalloc(n), n);
#else
	return book_alloc(&site_pvalloc_book, valloc(n), n);
#endif
}

SITE void drop(struct block *block)
{
	free(book_free(block));
}

SITE void drop_null(void)
{
	free(NULL);
}

static void plain(void)
{
	struct block b[BLOCKS] = { 0 };

	for (int i = 0; i < 101; i++)
		b[i] = site_malloc(37 + 2 * i);
	for (int i = 0; i < 53; i++)
		drop(&b[2 * i % 101]);
	for (int i = 0; i < 7; i++)
		b[101 + i] = site_malloc_zero();
	drop(&b[103]);
	for (int i = 0; i < 5; i++)
		b[110 + i] = site_malloc_large((1 << 20) + 2 * i + 1);
	drop(&b[111]);
	drop(&b[113]);
	for (int i = 0; i < 43; i++)
		b[120 + i] = site_calloc(i + 1, 13);
	for (int i = 0; i < 19; i++)
		drop(&b[120 + i]);
	for (int i = 0; i < 11; i++)
		drop_null();
}

static void reallocated(void)
{
	struct block b[BLOCKS] = { 0 };

	for (int i = 0; i < 89; i++)
		b[i] = site_realloc_null(51 + i);
	for (int i = 0; i < 23; i++)
		b[i] = site_realloc_grow(&b[i], 5003 + i);
	for (int i = 23; i < 40; i++)
		b[i] = site_realloc_shrink(&b[i], 5);
	for (int i = 40; i < 53; i++)
		b[i] = site_realloc_same(&b[i]);
	for (int i = 53; i < 64; i++)
		site_realloc_fail(&b[i]);
	for (int i = 64; i < 71; i++)
		site_realloc_zero(&b[i]);
	for (int i = 71; i < 74; i++) {
		b[i] = site_realloc_large(&b[i], (1 << 20) + i);	/* gets a mapping */
		b[i] = site_realloc_large(&b[i], (3 << 20) + i);	/* the mapping grows */
		b[i] = site_realloc_large(&b[i], 99);			/* and is given up */
	}
	for (int i = 74; i < 79; i++)
		b[i] = site_reallocarray(&b[i], 17, i);
	for (int i = 79; i < 82; i++)
		site_reallocarray_overflow(&b[i]);
	b[100] = site_reallocarray(&b[100], 3, 7);		/* from NULL */
	for (int i = 0; i < 89; i += 3)
		drop(&b[i]);
}

static void aligned(bool posix)
{
	struct block b[BLOCKS] = { 0 };

	for (int i = 0; i < 31; i++)
		b[i] = site_memalign(64, 111 + i);
	for (int i = 31; i < 60; i++)
		b[i] = site_aligned_alloc(256, 77 + i);
	for (int i = 60; i < 97; i++)
		b[i] = site_posix_memalign(32, 201 + i);
	for (int i = 0; i < 13; i++)
		site_posix_memalign_invalid(33);
	for (int i = 97; i < 100; i++)
		b[i] = site_valloc(1001);
	for (int i = 100; i < 105 && !posix; i++)
		b[i] = site_pvalloc(3001);
	for (int i = 0; i < 105; i += 2)
		drop(&b[i]);
}

int main(int argc, char **argv)
{
	bool posix = argc > 1 && !strcmp(argv[1], "posix");

	books_ready();
	plain();
	reallocated();
	aligned(posix);
	books_close();
	return 0;
}
