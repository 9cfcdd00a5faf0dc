// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * extended jemalloc|mimalloc|tcmalloc: what an allocator exports beyond the C
 * library's interface, each function from a call site of its own. The
 * allocator is preloaded; its functions are found by name.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>

#include "books.h"

#define BLOCKS 101

static volatile size_t huge = PTRDIFF_MAX;

static void *need(const char *name)
{
	void *function = dlsym(RTLD_DEFAULT, name);

	if (!function) {
		fprintf(stderr, "%s is not there\n", name);
		exit(3);
	}
	return function;
}

/* jemalloc */

static void *(*p_mallocx)(size_t size, int flags);
static void *(*p_rallocx)(void *ptr, size_t size, int flags);
static size_t (*p_xallocx)(void *ptr, size_t size, size_t extra, int flags);
static void (*p_dallocx)(void *ptr, int flags);
static void (*p_sdallocx)(void *ptr, size_t size, int flags);

#define LG_ALIGN_6 6		/* flags: align to 64 bytes */

BOOK(site_mallocx, "heap");
BOOK(site_rallocx, "heap");
BOOK(site_rallocx_fail, "heap");
BOOK(site_xallocx, "heap");

SITE struct block site_mallocx(size_t n, int flags)
{
	return book_alloc(&site_mallocx_book, p_mallocx(n, flags), n);
}

SITE struct block site_rallocx(struct block *old, size_t n)
{
	return book_realloc(&site_rallocx_book, old, p_rallocx(old->p, n, 0), n);
}

SITE void site_rallocx_fail(struct block *old)
{
	book_realloc(&site_rallocx_fail_book, old, p_rallocx(old->p, huge, 0), huge);
}

/* In place or not at all; says whether it was. */
SITE bool site_xallocx(struct block *old, size_t n)
{
	size_t room = p_xallocx(old->p, n, 0, 0);
	struct block b = book_realloc(&site_xallocx_book, old, room >= n ? old->p : NULL, n);

	if (room < n)
		return false;
	*old = b;
	return true;
}

static void jemalloc(void)
{
	struct block b[BLOCKS];
	int resized = 0, refused = 0;

	p_mallocx = need("mallocx");
	p_rallocx = need("rallocx");
	p_xallocx = need("xallocx");
	p_dallocx = need("dallocx");
	p_sdallocx = need("sdallocx");
	books_ready();
	for (int i = 0; i < BLOCKS; i++)
		b[i] = site_mallocx(51 + 3 * i, i % 2 ? LG_ALIGN_6 : 0);
	for (int i = 0; i < 23; i++)
		b[i] = site_rallocx(&b[i], 701 + i);
	for (int i = 23; i < 30; i++)
		site_rallocx_fail(&b[i]);
	for (int i = 30; i < 41; i++)
		resized += site_xallocx(&b[i], b[i].size - 1);
	for (int i = 41; i < 48; i++)
		refused += !site_xallocx(&b[i], 1 << 20);
	if (resized != 11 || refused != 7)
		abort();
	for (int i = 0; i < BLOCKS; i += 3) {
		size_t size = b[i].size;

		if (i % 2)
			p_dallocx(book_free(&b[i]), 0);
		else
			p_sdallocx(book_free(&b[i]), size, 0);
	}
}

/* mimalloc */

BOOK(site_zalloc, "heap");
BOOK(site_mallocn, "heap");
BOOK(site_heap_malloc, "heap");
BOOK(site_heap_calloc, "heap");
BOOK(site_aligned_at, "heap");
BOOK(site_rezalloc, "heap");
BOOK(site_recalloc, "heap");
BOOK(site_reallocf_fail, "heap");
BOOK(site_mi_new, "heap");

static void *(*p_zalloc)(size_t size);
static void *(*p_mallocn)(size_t count, size_t size);
static void *(*p_heap_new)(void);
static void *(*p_heap_malloc)(void *heap, size_t size);
static void *(*p_heap_calloc)(void *heap, size_t count, size_t size);
static void *(*p_aligned_at)(size_t size, size_t alignment, size_t offset);
static void *(*p_rezalloc)(void *ptr, size_t size);
static void *(*p_recalloc)(void *ptr, size_t count, size_t size);
static void *(*p_reallocf)(void *ptr, size_t size);
static void *(*p_mi_new)(size_t size);
static void (*p_free_size)(void *ptr, size_t size);
static void (*p_mi_free)(void *ptr);

SITE struct block site_zalloc(size_t n)
{
	return book_alloc(&site_zalloc_book, p_zalloc(n), n);
}

SITE struct block site_mallocn(size_t count, size_t n)
{
	return book_alloc(&site_mallocn_book, p_mallocn(count, n), count * n);
}

SITE struct block site_heap_malloc(void *heap, size_t n)
{
	return book_alloc(&site_heap_malloc_book, p_heap_malloc(heap, n), n);
}

SITE struct block site_heap_calloc(void *heap, size_t count, size_t n)
{
	return book_alloc(&site_heap_calloc_book, p_heap_calloc(heap, count, n), count * n);
}

SITE struct block site_aligned_at(size_t n)
{
	return book_alloc(&site_aligned_at_book, p_aligned_at(n, 64, 8), n);
}

SITE struct block site_rezalloc(struct block *old, size_t n)
{
	return book_realloc(&site_rezalloc_book, old, p_rezalloc(old->p, n), n);
}

SITE struct block site_recalloc(struct block *old, size_t count, size_t n)
{
	return book_realloc(&site_recalloc_book, old, p_recalloc(old->p, count, n), count * n);
}

/* Fails, and frees the old block all the same. */
SITE void site_reallocf_fail(struct block *old)
{
	if (p_reallocf(old->p, huge))
		abort();
	book_free(old);
}

SITE struct block site_mi_new(size_t n)
{
	return book_alloc(&site_mi_new_book, p_mi_new(n), n);
}

static void mimalloc(void)
{
	struct block b[BLOCKS];
	void *heap;

	p_zalloc = need("mi_zalloc");
	p_mallocn = need("mi_mallocn");
	p_heap_new = need("mi_heap_new");
	p_heap_malloc = need("mi_heap_malloc");
	p_heap_calloc = need("mi_heap_calloc");
	p_aligned_at = need("mi_malloc_aligned_at");
	p_rezalloc = need("mi_rezalloc");
	p_recalloc = need("mi_recalloc");
	p_reallocf = need("mi_reallocf");
	p_mi_new = need("mi_new");
	p_free_size = need("mi_free_size");
	p_mi_free = need("mi_free");
	heap = p_heap_new();
	books_ready();
	for (int i = 0; i < 19; i++) {
		b[i] = site_zalloc(17 + i);
		b[19 + i] = site_mallocn(i + 1, 5);
		b[38 + i] = site_heap_malloc(heap, 501 + i);
		b[57 + i] = site_heap_calloc(heap, 3, 40 + i);
		b[76 + i] = site_aligned_at(99 + i);
	}
	for (int i = 95; i < BLOCKS; i++)
		b[i] = site_mi_new(73);
	for (int i = 0; i < 7; i++)
		b[i] = site_rezalloc(&b[i], 2001);
	for (int i = 7; i < 12; i++)
		b[i] = site_recalloc(&b[i], 7, 300);
	for (int i = 12; i < 15; i++)
		site_reallocf_fail(&b[i]);
	for (int i = 0; i < BLOCKS; i += 2) {
		size_t size = b[i].size;

		if (i % 4)
			p_free_size(book_free(&b[i]), size);
		else
			p_mi_free(book_free(&b[i]));
	}
}

/* tcmalloc */

BOOK(site_tc_malloc, "heap");
BOOK(site_tc_new, "heap");
BOOK(site_tc_newarray_nothrow, "heap");
BOOK(site_tc_memalign, "heap");

static void *(*p_tc_malloc)(size_t size);
static void *(*p_tc_new)(size_t size);
static void *(*p_tc_newarray_nothrow)(size_t size, const void *nothrow);
static void *(*p_tc_memalign)(size_t align, size_t size);
static void (*p_tc_free)(void *ptr);
static void (*p_tc_delete_sized)(void *ptr, size_t size);

SITE struct block site_tc_malloc(size_t n)
{
	return book_alloc(&site_tc_malloc_book, p_tc_malloc(n), n);
}

SITE struct block site_tc_new(size_t n)
{
	return book_alloc(&site_tc_new_book, p_tc_new(n), n);
}

SITE struct block site_tc_newarray_nothrow(size_t n)
{
	return book_alloc(&site_tc_newarray_nothrow_book, p_tc_newarray_nothrow(n, ""), n);
}

SITE struct block site_tc_memalign(size_t n)
{
	return book_alloc(&site_tc_memalign_book, p_tc_memalign(128, n), n);
}

static void tcmalloc(void)
{
	struct block b[76];

	p_tc_malloc = need("tc_malloc");
	p_tc_new = need("tc_new");
	p_tc_newarray_nothrow = need("tc_newarray_nothrow");
	p_tc_memalign = need("tc_memalign");
	p_tc_free = need("tc_free");
	p_tc_delete_sized = need("tc_delete_sized");
	books_ready();
	for (int i = 0; i < 19; i++) {
		b[i] = site_tc_malloc(17 + i);
		b[19 + i] = site_tc_new(1 << i);	/* also beyond the thread's cache */
		b[38 + i] = site_tc_newarray_nothrow(i == 7 ? huge : 301u + i);
		b[57 + i] = site_tc_memalign(51 + i);
	}
	for (int i = 0; i < 19; i += 2) {
		size_t size = b[19 + i].size;

		p_tc_free(book_free(&b[i]));
		p_tc_delete_sized(book_free(&b[19 + i]), size);
		p_tc_free(book_free(&b[38 + i]));
	}
}

int main(int argc, char **argv)
{
	const char *which = argc > 1 ? argv[1] : "";

	if (!strcmp(which, "jemalloc"))
		jemalloc();
	else if (!strcmp(which, "mimalloc"))
		mimalloc();
	else if (!strcmp(which, "tcmalloc"))
		tcmalloc();
	else
		return 2;
	books_close();
	return 0;
}
