// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An application's own allocator over malloc: small blocks are cut from chunks,
 * large ones are mallocs of their own behind a header. Described to the
 * profiler, its functions count like malloc; what they ask malloc for does not,
 * but what the program asks it for directly does, the arena itself included.
 */
#include "books.h"

#define CHUNK 4096
#define LARGE 1024

BOOK(site_arena_new, "heap");
BOOK(site_small, "heap");
BOOK(site_large, "heap");
BOOK(site_cleared, "heap");
BOOK(site_resized, "heap");
BOOK(site_out, "heap");
BOOK(site_malloc, "heap");

struct arena {
	char *chunk;
	size_t used;
};

struct header { size_t size, large; };

static void *header_of(void *p)
{
	return (char *)p - sizeof(struct header);
}

SITE void *arena_alloc(struct arena *arena, size_t n)
{
	size_t need = (sizeof(struct header) + n + 15) & ~(size_t)15;
	struct header *h;

	if (n >= LARGE) {
		h = malloc(need);
	} else {
		if (!arena->chunk || arena->used + need > CHUNK) {
			arena->chunk = malloc(CHUNK);
			arena->used = 0;
		}
		h = (struct header *)(arena->chunk + arena->used);
		arena->used += need;
	}
	*h = (struct header){ n, n >= LARGE };
	return h + 1;
}

SITE void *arena_calloc(struct arena *arena, size_t count, size_t n)
{
	return memset(arena_alloc(arena, count * n), 0, count * n);
}

SITE void arena_free(struct arena *arena, void *p)
{
	struct header *h = header_of(p);

	(void)arena;
	if (h->large)
		free(h);
}

SITE void *arena_resize(struct arena *arena, void *p, size_t n)
{
	struct header *h = header_of(p);
	void *q = arena_alloc(arena, n);

	memcpy(q, p, n < h->size ? n : h->size);
	arena_free(arena, p);
	return q;
}

SITE int arena_get(void **ret, struct arena *arena, size_t n)
{
	*ret = n ? arena_alloc(arena, n) : ret;
	return n ? 0 : -1;
}

SITE struct block site_arena_new(void)
{
	return book_alloc(&site_arena_new_book, calloc(1, sizeof(struct arena)),
			  sizeof(struct arena));
}

SITE struct block site_small(struct arena *arena, size_t n)
{
	return book_alloc(&site_small_book, arena_alloc(arena, n), n);
}

SITE struct block site_large(struct arena *arena, size_t n)
{
	return book_alloc(&site_large_book, arena_alloc(arena, n), n);
}

SITE struct block site_cleared(struct arena *arena, size_t count, size_t n)
{
	return book_alloc(&site_cleared_book, arena_calloc(arena, count, n), count * n);
}

SITE struct block site_resized(struct arena *arena, struct block *old, size_t n)
{
	return book_realloc(&site_resized_book, old, arena_resize(arena, old->p, n), n);
}

SITE struct block site_out(struct arena *arena, size_t n)
{
	void *p;

	return book_alloc(&site_out_book, arena_get(&p, arena, n) ? NULL : p, n);
}

SITE struct block site_malloc(size_t n)
{
	return book_alloc(&site_malloc_book, malloc(n), n);
}

int main(void)
{
	struct block b[103], arena;

	books_ready();
	arena = site_arena_new();
	for (int i = 0; i < 23; i++) {
		b[i] = site_small(arena.p, 17 + 5 * i);
		b[23 + i] = site_large(arena.p, 2001 + i);
		b[46 + i] = site_cleared(arena.p, i + 1, 7);
		b[69 + i] = site_malloc(333 + i);
	}
	for (int i = 92; i < 103; i++)
		b[i] = site_out(arena.p, 50 + i);
	site_out(arena.p, 0);
	for (int i = 0; i < 7; i++) {
		b[i] = site_resized(arena.p, &b[i], 3001);
		b[23 + i] = site_resized(arena.p, &b[23 + i], 31);
	}
	for (int i = 0; i < 69; i += 3)
		arena_free(arena.p, book_free(&b[i]));
	for (int i = 69; i < 92; i += 2)
		free(book_free(&b[i]));
	books_close();
	return 0;
}
