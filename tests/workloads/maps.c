// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory asked of the kernel by the program itself: anonymous mappings, cut,
 * grown and shrunk, and the program break. A mapping of a file does not
 * count, nor does what the C library maps for itself.
 *
 * A mapping that is cut gives up bytes piece by piece, and counts as freed
 * when the last of them is gone.
 */
#include <sys/mman.h>

#include "books.h"

#define PAGE 4096UL
#define CUT (7 * PAGE + 13)	/* what is mapped to be cut */

BOOK(site_mmap_whole, "mmap");
BOOK(site_mmap_cut, "mmap");
BOOK(site_mmap_for_mremap, "mmap");
BOOK(site_mremap_grow, "mmap");
BOOK(site_mremap_shrink, "mmap");
BOOK(site_sbrk, "brk");
BOOK(site_brk, "brk");

/* Not a function: the call of mmap must stand in the site itself. */
#define ANONYMOUS(n) \
	mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)

static inline struct block book_map(struct book *book, void *p, size_t n)
{
	if (p == MAP_FAILED)
		abort();
	return book_alloc(book, p, n);
}

SITE struct block site_mmap_whole(size_t n)
{
	return book_map(&site_mmap_whole_book, ANONYMOUS(n), n);
}

SITE struct block site_mmap_cut(size_t n)
{
	return book_map(&site_mmap_cut_book, ANONYMOUS(n), n);
}

SITE struct block site_mmap_for_mremap(size_t n)
{
	return book_map(&site_mmap_for_mremap_book, ANONYMOUS(n), n);
}

/* An executable page of this very program: a file, so nobody's heap. */
SITE void site_mmap_file(int fd)
{
	if (mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED)
		abort();
}

SITE struct block site_mremap_grow(struct block *old, size_t n)
{
	void *p = mremap(old->p, old->size, n, MREMAP_MAYMOVE);

	return book_realloc(&site_mremap_grow_book, old, p == MAP_FAILED ? NULL : p, n);
}

SITE struct block site_mremap_shrink(struct block *old, size_t n)
{
	void *p = mremap(old->p, old->size, n, 0);

	return book_realloc(&site_mremap_shrink_book, old, p == MAP_FAILED ? NULL : p, n);
}

SITE void site_sbrk(intptr_t n)
{
	if (sbrk(n) == (void *)-1)
		abort();
	if (n > 0)
		book_alloc(&site_sbrk_book, &site_sbrk_book, n);
	else
		book_add(&site_sbrk_book.free_bytes, -n);
}

SITE void site_brk(intptr_t n)
{
	if (brk((char *)sbrk(0) + n))
		abort();
	if (n > 0)
		book_alloc(&site_brk_book, &site_brk_book, n);
	else
		book_add(&site_brk_book.free_bytes, -n);
}

SITE void unmap(struct block *b)
{
	if (munmap(b->p, b->size))
		abort();
	book_free(b);
}

/*
 * Unmaps [from, from + n) of what was @size bytes; n may reach past its
 * asked-for end. The block's size becomes what is left of it.
 */
SITE void unmap_part(struct block *b, size_t size, size_t from, size_t n)
{
	if (munmap((char *)b->p + from, n))
		abort();
	if (n > size - from)
		n = size - from;
	book_add(&b->book->free_bytes, n);
	b->size -= n;
	if (!b->size)
		book_add(&b->book->free_count, 1);
}

static void mappings(int fd)
{
	struct block b[17];

	for (int i = 0; i < 17; i++)
		b[i] = site_mmap_whole(10007 + i);
	for (int i = 0; i < 7; i++)
		unmap(&b[i]);
	for (int i = 0; i < 5; i++)
		b[i] = site_mmap_cut(CUT);
	unmap_part(&b[0], CUT, 0, PAGE);		/* the head */
	unmap_part(&b[1], CUT, 6 * PAGE, 2 * PAGE);	/* the tail, rounded up */
	unmap_part(&b[2], CUT, 2 * PAGE, 3 * PAGE);	/* a hole */
	unmap_part(&b[3], CUT, 2 * PAGE, PAGE);		/* a hole, then the rest */
	unmap_part(&b[3], CUT, 0, 2 * PAGE);
	unmap_part(&b[3], CUT, 3 * PAGE, 5 * PAGE);
	for (int i = 0; i < 3; i++)
		site_mmap_file(fd);
}

static void remappings(void)
{
	struct block b[5];

	for (int i = 0; i < 5; i++)
		b[i] = site_mmap_for_mremap((5 + i) * PAGE + 1);
	b[0] = site_mremap_grow(&b[0], 101 * PAGE + 7);
	b[1] = site_mremap_grow(&b[1], 201 * PAGE + 9);
	b[2] = site_mremap_shrink(&b[2], PAGE + 5);
	unmap(&b[1]);
	unmap(&b[4]);
}

static void breaks(void)
{
	for (int i = 0; i < 11; i++)
		site_sbrk(1009 + i);
	site_sbrk(-507);
	site_sbrk(0);
	for (int i = 0; i < 3; i++)
		site_brk(5003);
	site_brk(-1001);
}

int main(int argc, char **argv)
{
	FILE *self = fopen("/proc/self/exe", "r");

	(void)argc, (void)argv;
	if (!self)
		return 1;
	books_ready();
	mappings(fileno(self));
	remappings();
	breaks();
	books_close();
	return 0;
}
