// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * shares: named threads that allocate blocks of several sizes under one call
 * path, and books of what each thread has of each size.
 *
 * Works once for each line on stdin, and answers with its books: "go" allocates
 * more, "free" frees everything. Without a protocol's end: end of file ends it.
 */
#include <pthread.h>
#include <stdbool.h>

#include "books.h"

#define THREADS 3
#define SIZES 4
#define BLOCKS_MAX 4096		/* of a thread and a size */

BOOK(site_shared, "heap");

static const size_t sizes[SIZES] = { 24, 64, 1000, 5000 };

static struct worker {
	pthread_t thread;
	char name[16];
	int nr;
	int count[SIZES];
	struct block blocks[SIZES][BLOCKS_MAX];
} workers[THREADS];

static pthread_barrier_t begin, end;
static bool freeing;

SITE struct block site_shared(size_t n)
{
	return book_alloc(&site_shared_book, malloc(n), n);
}

/* Primes, so that no two threads and sizes have as many. */
static int share_of(int nr, int size)
{
	static const int primes[THREADS][SIZES] = {
		{ 101, 103, 107, 109 }, { 211, 223, 227, 229 }, { 307, 311, 313, 317 },
	};

	return primes[nr][size];
}

static void grow(struct worker *w)
{
	for (int s = 0; s < SIZES; s++)
		for (int i = 0; i < share_of(w->nr, s) && w->count[s] < BLOCKS_MAX; i++)
			w->blocks[s][w->count[s]++] = site_shared(sizes[s]);
}

static void free_all(struct worker *w)
{
	for (int s = 0; s < SIZES; s++) {
		while (w->count[s])
			free(book_free(&w->blocks[s][--w->count[s]]));
	}
}

static void *work(void *arg)
{
	for (;;) {
		pthread_barrier_wait(&begin);
		if (freeing)
			free_all(arg);
		else
			grow(arg);
		pthread_barrier_wait(&end);
	}
	return NULL;
}

/* The first letter of the next line; 0 at the end. */
static char command(void)
{
	char first = 0, c;

	while (read(STDIN_FILENO, &c, 1) == 1) {
		if (c == '\n')
			return first ? first : '\n';
		first = first ? first : c;
	}
	return 0;
}

static void write_books(void)
{
	static char more[4096];
	size_t len = 0;

	len += snprintf(more + len, sizeof(more) - len, ",\"shares\":[");
	for (int t = 0; t < THREADS; t++)
		for (int s = 0; s < SIZES; s++)
			len += snprintf(more + len, sizeof(more) - len,
					"%s{\"thread\":\"%s\",\"size\":%zu,\"live_count\":%d}",
					t + s ? "," : "", workers[t].name, sizes[s],
					workers[t].count[s]);
	snprintf(more + len, sizeof(more) - len, "]");
	books_write(more);
}

int main(void)
{
	char c;

	pthread_barrier_init(&begin, NULL, THREADS + 1);
	pthread_barrier_init(&end, NULL, THREADS + 1);
	for (int t = 0; t < THREADS; t++) {
		workers[t].nr = t;
		snprintf(workers[t].name, sizeof(workers[t].name), "worker-%d", t + 1);
		if (pthread_create(&workers[t].thread, NULL, work, &workers[t]))
			abort();
		pthread_setname_np(workers[t].thread, workers[t].name);
	}
	books_say("ready %d\n", (int)getpid());
	books_send();
	while ((c = command())) {
		freeing = c == 'f';
		pthread_barrier_wait(&begin);
		pthread_barrier_wait(&end);
		write_books();
	}
	_exit(0);
}
