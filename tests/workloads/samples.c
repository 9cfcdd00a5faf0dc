// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * samples: known amounts from 256 call paths, for a profiler that sees only
 * some of the blocks. The bits of a path's number say which of two functions
 * calls the next; its low two bits which allocator function it calls, the next
 * two how large its blocks are. One of two threads allocates it all; every
 * third block is then freed by the other thread.
 *
 * The books are rows of path, leaf function, live bytes and count, allocated
 * bytes and count.
 */
#include <pthread.h>
#include <stdint.h>

#include "books.h"

#define LEVELS 8
#define PATHS (1 << LEVELS)
#define THREADS 2
#define BLOCKS_MAX (1 << 20)

enum leaf { LEAF_MALLOC, LEAF_CALLOC, LEAF_REALLOC, LEAF_ALIGNED, LEAVES };
static const char *const leaf_names[LEAVES] = {
	"leaf_malloc", "leaf_calloc", "leaf_realloc", "leaf_aligned",
};

static struct book path_books[PATHS][LEAVES];
static struct block blocks[THREADS][BLOCKS_MAX];
static size_t blocks_count[THREADS];
static pthread_barrier_t gate;

SITE struct block leaf_malloc(unsigned int path, size_t size)
{
	return book_alloc(&path_books[path][LEAF_MALLOC], malloc(size), size);
}

SITE struct block leaf_calloc(unsigned int path, size_t size)
{
	return book_alloc(&path_books[path][LEAF_CALLOC], calloc(1, size), size);
}

SITE struct block leaf_realloc(unsigned int path, struct block *old, size_t size)
{
	return book_realloc(&path_books[path][LEAF_REALLOC], old, realloc(old->p, size), size);
}

SITE struct block leaf_aligned(unsigned int path, size_t size)
{
	void *p = NULL;

	if (posix_memalign(&p, 64, size))
		p = NULL;
	return book_alloc(&path_books[path][LEAF_ALIGNED], p, size);
}

SITE struct block step_left(unsigned int bits, int level, unsigned int path, size_t size);
SITE struct block step_right(unsigned int bits, int level, unsigned int path, size_t size);

static inline __attribute__((always_inline))
struct block step(unsigned int bits, int level, unsigned int path, size_t size)
{
	struct block block;

	if (level) {
		block = bits & 1 ? step_left(bits >> 1, level - 1, path, size) :
				   step_right(bits >> 1, level - 1, path, size);
	} else if (path % 4 == LEAF_CALLOC) {
		block = leaf_calloc(path, size);
	} else if (path % 4 == LEAF_ALIGNED) {
		block = leaf_aligned(path, size);
	} else {
		block = leaf_malloc(path, size);
		if (path % 4 == LEAF_REALLOC && size % 2)
			block = leaf_realloc(path, &block, size * 2 + 1);
	}
	__asm__ volatile("" : : : "memory");
	return block;
}

struct block step_left(unsigned int bits, int level, unsigned int path, size_t size)
{
	return step(bits, level, path, size);
}

struct block step_right(unsigned int bits, int level, unsigned int path, size_t size)
{
	return step(bits, level, path, size);
}

/* Sizes of the @i-th block, and how many of them: some 100 KB a path. */
static size_t size_of(unsigned int path, unsigned int i)
{
	switch (path / 4 % 4) {
	case 0:
		return 1 + i * 7 % 61;
	case 1:
		return 200 + i * 131 % 809;
	case 2:
		return 3001 + i * 977 % 2999;
	default:
		return i % 64 ? 16 + i * 53 % 1009 : 200003;
	}
}

static const unsigned int counts[] = { 3301, 167, 29, 131 };

static void allocate(int self)
{
	for (unsigned int path = self; path < PATHS; path += THREADS)
		for (unsigned int i = 0; i < counts[path / 4 % 4]; i++)
			blocks[self][blocks_count[self]++] =
				step(path, LEVELS, path, size_of(path, i));
}

static void free_thirds(int other)
{
	for (size_t i = 0; i < blocks_count[other]; i += 3)
		free(book_free(&blocks[other][i]));
}

static void *run(void *arg)
{
	int self = (int)(intptr_t)arg;

	pthread_barrier_wait(&gate);
	allocate(self);
	pthread_barrier_wait(&gate);
	free_thirds(!self);
	pthread_barrier_wait(&gate);
	return NULL;
}

static void say_path(unsigned int path, const char **separator)
{
	for (int leaf = 0; leaf < LEAVES; leaf++) {
		const struct book *book = &path_books[path][leaf];

		if (!book->alloc_count)
			continue;
		books_say("%s[%u,\"%s\",%lu,%lu,%lu,%lu]", *separator, path, leaf_names[leaf],
			  book->alloc_bytes - book->free_bytes,
			  book->alloc_count - book->free_count, book->alloc_bytes,
			  book->alloc_count);
		*separator = ",";
	}
}

int main(void)
{
	const char *separator = "";
	pthread_t thread;

	pthread_barrier_init(&gate, NULL, THREADS);
	if (pthread_create(&thread, NULL, run, (void *)(intptr_t)1))
		return 1;
	books_ready();
	run((void *)(intptr_t)0);
	pthread_join(thread, NULL);
	books_say("{\"paths\":[");
	for (unsigned int path = 0; path < PATHS; path++)
		say_path(path, &separator);
	books_say("]}\n");
	books_send();
	books_wait();
	return 0;
}
