// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * execs [thread [wait]]: allocates, writes its books, and executes itself,
 * from the main thread or from another one. The second image allocates from
 * its first instruction on, or waits for a line, and writes books of its own.
 */
#include <pthread.h>

#include "books.h"

BOOK(site_first_image, "heap");
BOOK(site_second_image, "heap");

SITE struct block site_first_image(size_t n)
{
	return book_alloc(&site_first_image_book, malloc(n), n);
}

SITE struct block site_second_image(size_t n)
{
	return book_alloc(&site_second_image_book, malloc(n), n);
}

static void drop(struct block *b)
{
	free(book_free(b));
}

/* @wait: the second image's second argument, or NULL. */
static void *exec_second(void *wait)
{
	char *args[] = { "execs", "second", wait, NULL };

	execv("/proc/self/exe", args);
	abort();
}

static void first_image(int by_thread, char *wait)
{
	struct block b[97];
	pthread_t thread;

	books_ready();
	for (int i = 0; i < 97; i++)
		b[i] = site_first_image(101 + i);
	for (int i = 0; i < 31; i++)
		drop(&b[i]);
	books_write("");
	if (!by_thread)
		exec_second(wait);
	pthread_create(&thread, NULL, exec_second, wait);
	pthread_join(thread, NULL);
}

static void second_image(int wait)
{
	struct block b[61];

	if (wait)
		books_wait();
	for (int i = 0; i < 61; i++)
		b[i] = site_second_image(7 + i);
	for (int i = 0; i < 17; i++)
		drop(&b[i]);
	books_close();
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "second"))
		second_image(argc > 2);
	else
		first_image(argc > 1, argv[argc > 2 ? 2 : argc]);
	return 0;
}
