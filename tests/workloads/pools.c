// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pools over malloc, which end all their blocks, and those of the pools below
 * them, at once; a pool that a variable names; blocks that end by themselves.
 */
#include "books.h"

#define CHUNK 8192
#define BLOCKS 211

BOOK(site_pool, "heap");
BOOK(site_child, "heap");
BOOK(site_current, "heap");
BOOK(site_grown, "heap");
BOOK(site_malloc, "heap");

struct pool {
	struct pool *child;
	char *chunk;
	size_t used;
};

struct pool *current_pool;

SITE struct pool *pool_create(struct pool *parent)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	pool->chunk = malloc(CHUNK);
	if (parent)
		parent->child = pool;
	return pool;
}

SITE void *pool_alloc(struct pool *pool, size_t n)
{
	void *p = pool->chunk + pool->used;

	pool->used += (n + 15) & ~(size_t)15;
	if (pool->used > CHUNK)
		abort();
	return p;
}

SITE void *current_alloc(size_t n)
{
	return pool_alloc(current_pool, n);
}

SITE void *pool_grow(void *p, size_t n)
{
	(void)p;
	return pool_alloc(current_pool, n);
}

SITE void pool_free(void *p)
{
	__asm__ volatile("" : : "r"(p) : "memory");
}

SITE void pool_clear(struct pool *pool)
{
	if (pool->child)
		pool_clear(pool->child);
	pool->used = 0;
}

SITE struct block site_pool(struct pool *pool, size_t n)
{
	return book_alloc(&site_pool_book, pool_alloc(pool, n), n);
}

SITE struct block site_child(struct pool *pool, size_t n)
{
	return book_alloc(&site_child_book, pool_alloc(pool, n), n);
}

SITE struct block site_current(size_t n)
{
	return book_alloc(&site_current_book, current_alloc(n), n);
}

SITE struct block site_grown(struct block *old, size_t n)
{
	return book_realloc(&site_grown_book, old, pool_grow(old->p, n), n);
}

SITE struct block site_malloc(size_t n)
{
	return book_alloc(&site_malloc_book, malloc(n), n);
}

int main(void)
{
	struct block b[BLOCKS] = { 0 };
	struct pool *parent, *child, *other;
	int n = 0, first;

	books_ready();
	parent = pool_create(NULL);
	child = pool_create(parent);
	other = pool_create(NULL);
	for (int i = 0; i < 7; i++)
		b[n++] = site_malloc(71 + i);
	first = n;
	for (int round = 0; round < 3; round++) {
		n = first;
		for (int i = 0; i < 31; i++)
			b[n++] = site_pool(parent, 11 + i);
		for (int i = 0; i < 29; i++)
			b[n++] = site_child(child, 5 + i);
		current_pool = parent;
		for (int i = 0; i < 23; i++)
			b[n++] = site_current(41 + i);
		/* A grown block stays in its pool, a freed one leaves it. */
		for (int i = 0; i < 13; i++)
			b[first + i] = site_grown(&b[first + i], 101);
		for (int i = 13; i < 17; i++)
			pool_free(book_free(&b[first + i]));
		if (round == 2)
			break;
		pool_clear(parent);
		for (int i = first; i < n; i++)
			book_free(&b[i]);
	}
	current_pool = other;
	for (int i = 0; i < 19; i++)
		b[n++] = site_current(61 + i);
	pool_clear(other);
	for (int i = 0; i < 19; i++)
		book_free(&b[n - 1 - i]);
	pool_clear(other);
	books_close();
	return 0;
}
