// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * jump MODE, with libwrap.so preloaded: leaves an allocator without
 * returning from it, then allocates from deeper and shallower stacks, which
 * must all count: nothing of the abandoned call may stick to the thread.
 *
 *	siglongjmp, longjmp, _longjmp	out of malloc
 *	realloc				out of realloc; the old block lives on
 *	exit				a thread ends inside malloc
 */
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>

#include "books.h"

BOOK(site_before, "heap");
BOOK(site_deeper, "heap");
BOOK(site_same, "heap");
BOOK(site_realloc_left, "heap");
BOOK(site_realloc_later, "heap");
BOOK(site_next_thread, "heap");

static void (**hook)(void);
static sigjmp_buf out;

static void leave_siglongjmp(void)
{
	*hook = NULL;
	siglongjmp(out, 1);
}

static void leave_longjmp(void)
{
	*hook = NULL;
	longjmp(out, 1);
}

static void leave__longjmp(void)
{
	*hook = NULL;
	_longjmp(out, 1);
}

static void leave_thread(void)
{
	*hook = NULL;
	pthread_exit(NULL);
}

SITE struct block site_before(size_t n)
{
	return book_alloc(&site_before_book, malloc(n), n);
}

SITE struct block site_same(size_t n)
{
	return book_alloc(&site_same_book, malloc(n), n);
}

SITE struct block site_deeper(int depth, size_t n)
{
	if (depth)
		return site_deeper(depth - 1, n);
	return book_alloc(&site_deeper_book, malloc(n), n);
}

/* The hook jumps before the real realloc runs: the block is as it was. */
SITE void site_realloc_left(struct block *old)
{
	if (realloc(old->p, 12345) != NULL)
		abort();
}

SITE struct block site_realloc_later(struct block *old, size_t n)
{
	return book_realloc(&site_realloc_later_book, old, realloc(old->p, n), n);
}

SITE void site_abandoned(void)
{
	free(malloc(4321));
	abort();
}

SITE struct block site_next_thread(size_t n)
{
	return book_alloc(&site_next_thread_book, malloc(n), n);
}

static void drop(struct block *b)
{
	free(book_free(b));
}

static void out_of_malloc(void (*leave)(void))
{
	for (volatile int i = 0; i < 7; i++) {
		struct block b = site_before(101);

		*hook = leave;
		if (!sigsetjmp(out, 0))
			site_abandoned();
		for (int depth = 1; depth < 12; depth++)
			site_deeper(depth, 33);
		site_same(44);
		drop(&b);
	}
}

static void out_of_realloc(void)
{
	for (volatile int i = 0; i < 7; i++) {
		struct block b = site_before(201 + i);

		*hook = leave_siglongjmp;
		if (!sigsetjmp(out, 0))
			site_realloc_left(&b);
		site_deeper(5, 33);
		if (i % 2)
			drop(&b);
		else if (i % 4)
			b = site_realloc_later(&b, 77);
	}
}

static void *ending(void *arg)
{
	(void)arg;
	site_abandoned();
	return NULL;
}

static void *following(void *arg)
{
	(void)arg;
	for (int i = 0; i < 11; i++)
		site_next_thread(9);
	return NULL;
}

/* The second thread gets the first one's stack, and perhaps its identity. */
static void out_of_thread(void)
{
	for (int i = 0; i < 5; i++) {
		pthread_t thread;

		*hook = leave_thread;
		pthread_create(&thread, NULL, ending, NULL);
		pthread_join(thread, NULL);
		pthread_create(&thread, NULL, following, NULL);
		pthread_join(thread, NULL);
	}
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "siglongjmp";

	hook = dlsym(RTLD_DEFAULT, "wrap_hook");
	if (!hook) {
		fprintf(stderr, "jump: libwrap.so is not preloaded\n");
		return 2;
	}
	books_ready();
	if (!strcmp(mode, "siglongjmp"))
		out_of_malloc(leave_siglongjmp);
	else if (!strcmp(mode, "longjmp"))
		out_of_malloc(leave_longjmp);
	else if (!strcmp(mode, "_longjmp"))
		out_of_malloc(leave__longjmp);
	else if (!strcmp(mode, "realloc"))
		out_of_realloc();
	else if (!strcmp(mode, "exit"))
		out_of_thread();
	else
		return 2;
	books_close();
	return 0;
}
