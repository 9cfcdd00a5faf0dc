// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * execs [thread]: allocates, writes its books, and executes itself, from
 * the main thread or from another one. The second image allocates from its
 * first instruction on and writes books of its own.
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

static void *exec_second(void *arg)
{
	char *args[] = { "execs", "second", NULL };

	(void)arg;
	execv("/proc/self/exe", args);
	abort();
}

static void first_image(int by_thread)
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
		exec_second(NULL);
	pthread_create(&thread, NULL, exec_second, NULL);
	pthread_join(thread, NULL);
}

static void second_image(void)
{
	struct block b[61];

	for (int i = 0; i < 61; i++)
		b[i] = site_second_image(7 + i);
	for (int i = 0; i < 17; i++)
		drop(&b[i]);
	books_close();
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "second"))
		second_image();
	else
		first_image(argc > 1);
	return 0;
}
