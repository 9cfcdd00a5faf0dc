// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the allocator's own counters say of the workload's blocks, beside its
 * books: glibc's mallinfo2(), jemalloc's mallctl(), whichever there is. Counters
 * count what sizes are rounded up to, so the blocks' usable sizes are summed too.
 */
#include <dlfcn.h>
#include <malloc.h>

#include "books.h"

BOOK(site_counted, "heap");

#define BLOCKS 5003

static int (*mallctl)(const char *, void *, size_t *, void *, size_t);

SITE struct block site_counted(size_t n)
{
	return book_alloc(&site_counted_book, malloc(n), n);
}

/* Bytes that the allocator holds to be in use. */
static size_t in_use(void)
{
	size_t bytes = 0, len = sizeof(bytes);
	unsigned long epoch = 1;

	if (!mallctl)
		return mallinfo2().uordblks + mallinfo2().hblkhd;
	mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
	mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch));
	mallctl("stats.allocated", &bytes, &len, NULL, 0);
	return bytes;
}

int main(void)
{
	static struct block blocks[BLOCKS];
	size_t before, after, usable = 0;
	char more[128];

	mallctl = (int (*)(const char *, void *, size_t *, void *, size_t))
		dlsym(RTLD_DEFAULT, "mallctl");
	in_use();
	books_ready();
	before = in_use();
	for (int i = 0; i < BLOCKS; i++)
		blocks[i] = site_counted(1 + i * 37 % 9000);
	after = in_use();
	for (int i = 0; i < BLOCKS; i++)
		usable += malloc_usable_size(blocks[i].p);
	snprintf(more, sizeof(more),
		 ",\"counted\":%zu,\"usable\":%zu,\"blocks\":%d,\"held\":%zu",
		 after - before, usable, BLOCKS, after);
	books_write(more);
	books_wait();
	return 0;
}
