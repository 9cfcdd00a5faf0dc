// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * crowd THREADS: thousands of threads that all are there before "ready" and
 * each allocate and free a little, at once.
 */
#include <pthread.h>

#include "books.h"

#define PER_THREAD 7

BOOK(site_crowd, "heap");

static pthread_barrier_t gate;

SITE struct block site_crowd(size_t n)
{
	return book_alloc(&site_crowd_book, malloc(n), n);
}

static void *one(void *arg)
{
	size_t size = 16 + (long)arg % 1000;

	pthread_barrier_wait(&gate);
	for (int i = 0; i < PER_THREAD; i++) {
		struct block block = site_crowd(size + i);

		/* All but the last one. */
		if (i < PER_THREAD - 1)
			free(book_free(&block));
	}
	pthread_barrier_wait(&gate);
	pthread_barrier_wait(&gate);
	return NULL;
}

int main(int argc, char **argv)
{
	long count = argc > 1 ? atol(argv[1]) : 1000;
	pthread_t *threads = calloc(count, sizeof(*threads));
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	pthread_barrier_init(&gate, NULL, count + 1);
	for (long i = 0; i < count; i++)
		if (pthread_create(&threads[i], &attr, one, (void *)i))
			return 3;
	books_ready();
	pthread_barrier_wait(&gate);
	pthread_barrier_wait(&gate);
	books_close();
	pthread_barrier_wait(&gate);
	for (long i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
