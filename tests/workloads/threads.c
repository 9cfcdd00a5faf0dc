// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * threads MODE: allocation by several threads at once.
 *
 *	churn     each thread allocates, reallocates and frees for itself
 *	handover  producers allocate, consumers free
 *	realloc   all threads reallocate at once, so that an address that one
 *	          gives up is another's within a microsecond
 *	exit      threads end with blocks still live, some deep in a call
 *	cancel    threads are cancelled in the midst of allocating
 *
 * In the first three the threads exist before "ready" and end after the
 * books are closed, so the books hold every allocation there is.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "books.h"

#define THREADS 4
#define ROUNDS 5003
#define KEPT 61

BOOK(site_churn_malloc, "heap");
BOOK(site_churn_calloc, "heap");
BOOK(site_churn_realloc, "heap");
BOOK(site_produce, "heap");
BOOK(site_race_malloc, "heap");
BOOK(site_race_realloc, "heap");
BOOK(site_exit_leak, "heap");
BOOK(site_exit_deep, "heap");
BOOK(site_cancelled, "heap");
BOOK(site_afterwards, "heap");

static pthread_barrier_t gate;

SITE struct block site_churn_malloc(size_t n)
{
	return book_alloc(&site_churn_malloc_book, malloc(n), n);
}

SITE struct block site_churn_calloc(size_t n)
{
	return book_alloc(&site_churn_calloc_book, calloc(1, n), n);
}

SITE struct block site_churn_realloc(struct block *old, size_t n)
{
	return book_realloc(&site_churn_realloc_book, old, realloc(old->p, n), n);
}

SITE struct block site_produce(size_t n)
{
	return book_alloc(&site_produce_book, malloc(n), n);
}

SITE struct block site_race_malloc(size_t n)
{
	return book_alloc(&site_race_malloc_book, malloc(n), n);
}

SITE struct block site_race_realloc(struct block *old, size_t n)
{
	return book_realloc(&site_race_realloc_book, old, realloc(old->p, n), n);
}

SITE struct block site_exit_leak(size_t n)
{
	return book_alloc(&site_exit_leak_book, malloc(n), n);
}

SITE void site_exit_deep(size_t n)
{
	book_alloc(&site_exit_deep_book, malloc(n), n);
	pthread_exit(NULL);
}

SITE struct block site_cancelled(size_t n)
{
	return book_alloc(&site_cancelled_book, malloc(n), n);
}

SITE struct block site_afterwards(size_t n)
{
	return book_alloc(&site_afterwards_book, malloc(n), n);
}

static void drop(struct block *b)
{
	free(book_free(b));
}

static void churn(int self)
{
	struct block kept[KEPT] = { 0 };

	for (int i = 0; i < ROUNDS; i++) {
		struct block *b = &kept[(i * 7 + self) % KEPT];

		drop(b);
		*b = i % 3 ? site_churn_malloc(17 + i % 509) : site_churn_calloc(29 + i % 251);
		if (i % 5 == 0)
			*b = site_churn_realloc(b, 11 + i % 1021);
	}
}

/* A bounded queue under one lock; it lies still, so it allocates nothing. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct block blocks[127];
	int count, producers;
} queue = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, { { 0 } }, 0, THREADS / 2 };

static void produce(int self)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct block b = site_produce(23 + (i + self) % 307);

		pthread_mutex_lock(&queue.lock);
		while (queue.count == 127)
			pthread_cond_wait(&queue.changed, &queue.lock);
		queue.blocks[queue.count++] = b;
		pthread_cond_broadcast(&queue.changed);
		pthread_mutex_unlock(&queue.lock);
	}
	pthread_mutex_lock(&queue.lock);
	queue.producers--;
	pthread_cond_broadcast(&queue.changed);
	pthread_mutex_unlock(&queue.lock);
}

static bool take(struct block *ret)
{
	bool found;

	pthread_mutex_lock(&queue.lock);
	while (!queue.count && queue.producers)
		pthread_cond_wait(&queue.changed, &queue.lock);
	found = queue.count;
	if (found)
		*ret = queue.blocks[--queue.count];
	pthread_cond_broadcast(&queue.changed);
	pthread_mutex_unlock(&queue.lock);
	return found;
}

static void consume(int self)
{
	struct block b;

	/* Every 13th stays live, so that there is something to compare. */
	for (int i = self; take(&b); i++)
		if (i % 13)
			drop(&b);
}

static void handover(int self)
{
	if (self < THREADS / 2)
		produce(self);
	else
		consume(self);
}

/* Few sizes, so that what one thread frees fits the others at once. */
static void race(int self)
{
	struct block a = { 0 }, b = { 0 };

	for (int i = 0; i < ROUNDS; i++) {
		a = site_race_realloc(&a, 1100 + 2048 * ((i + self) % 3));
		if (!b.p)
			b = site_race_malloc(1100 + 2048 * (i % 3));
		else if (i % 2)
			drop(&b);
	}
	if (self % 2)
		drop(&a);
}

static void (*work)(int self);

static void *member(void *arg)
{
	pthread_barrier_wait(&gate);		/* "go" */
	work((long)arg);
	pthread_barrier_wait(&gate);		/* all done */
	pthread_barrier_wait(&gate);		/* books closed */
	return NULL;
}

static void run_crew(void (*what)(int self))
{
	pthread_t threads[THREADS];

	work = what;
	pthread_barrier_init(&gate, NULL, THREADS + 1);
	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, member, (void *)i))
			abort();
	books_ready();
	pthread_barrier_wait(&gate);
	pthread_barrier_wait(&gate);
	books_close();
	pthread_barrier_wait(&gate);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static __attribute__((noinline)) void leave_deep(int depth)
{
	if (depth)
		leave_deep(depth - 1);
	else
		site_exit_deep(41);
	atomic_signal_fence(memory_order_seq_cst);	/* no tail call */
}

static void *leave(void *arg)
{
	for (int i = 0; i < 17; i++)
		site_exit_leak(33 + i);
	if ((long)arg % 2)
		leave_deep((long)arg);
	return NULL;
}

static atomic_int cancel_running;

static void *cancel_me(void *arg)
{
	(void)arg;
	for (int i = 0;; i++) {
		struct block b = site_cancelled(19 + i % 97);

		if (i % 11)
			drop(&b);
		if (i == 101)
			cancel_running++;
		if (i > 101)
			pthread_testcancel();
	}
	return NULL;
}

/* Generations of short-lived threads; thread identifiers and stacks are reused. */
static void run_generations(void *(*start)(void *), bool cancel)
{
	pthread_t threads[THREADS];

	books_ready();
	for (int round = 0; round < 7; round++) {
		cancel_running = 0;
		for (long i = 0; i < THREADS; i++)
			if (pthread_create(&threads[i], NULL, start, (void *)i))
				abort();
		while (cancel && cancel_running < THREADS)
			sched_yield();
		for (int i = 0; i < THREADS; i++) {
			if (cancel)
				pthread_cancel(threads[i]);
			pthread_join(threads[i], NULL);
		}
	}
	for (int i = 0; i < 31; i++)
		site_afterwards(5 + i);
	books_close();
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "churn";

	if (!strcmp(mode, "churn"))
		run_crew(churn);
	else if (!strcmp(mode, "handover"))
		run_crew(handover);
	else if (!strcmp(mode, "realloc"))
		run_crew(race);
	else if (!strcmp(mode, "exit"))
		run_generations(leave, false);
	else if (!strcmp(mode, "cancel"))
		run_generations(cancel_me, true);
	else
		return 2;
	return 0;
}
