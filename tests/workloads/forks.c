// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * forks MODE: children that must not disturb their parent's books.
 *
 *	fork	the child frees what it inherited and allocates for itself
 *	vfork	vfork and exec
 *	spawn	posix_spawn
 *
 * The child of "fork" keeps books of its own, which stand in the parent's
 * under "child".
 */
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "books.h"

#define INHERITED 101

extern char **environ;

BOOK(site_parent, "heap");
BOOK(site_parent_later, "heap");
BOOK(site_child, "heap");
BOOK(site_child_realloc, "heap");

SITE struct block site_parent(size_t n)
{
	return book_alloc(&site_parent_book, malloc(n), n);
}

SITE struct block site_parent_later(size_t n)
{
	return book_alloc(&site_parent_later_book, malloc(n), n);
}

SITE struct block site_child(size_t n)
{
	return book_alloc(&site_child_book, malloc(n), n);
}

SITE struct block site_child_realloc(struct block *old, size_t n)
{
	return book_realloc(&site_child_realloc_book, old, realloc(old->p, n), n);
}

static void drop(struct block *b)
{
	free(book_free(b));
}

/* A child starts with clean books: its parent's blocks are unknown to it. */
static void begin_child_books(struct block *b, int count)
{
	for (struct book *book = books.first; book; book = book->next)
		book->alloc_bytes = book->alloc_count =
			book->free_bytes = book->free_count = 0;
	for (int i = 0; i < count; i++)
		b[i].book = NULL;
}

static void child_work(struct block *b)
{
	for (int i = 0; i < 43; i++)
		drop(&b[i]);
	for (int i = 43; i < 60; i++)
		b[i] = site_child_realloc(&b[i], 5001);
	for (int i = 0; i < 10007; i++) {
		struct block own = site_child(15 + i % 333);

		if (i % 7)
			drop(&own);
	}
}

static char *shared;

/* What books_write() would write, into the memory shared with the parent. */
static void publish_child_books(void)
{
	const char *separator = "";

	books_say(",\"child\":{\"sites\":[");
	for (const struct book *b = books.first; b; b = b->next) {
		book_say(b, separator);
		separator = ",";
	}
	books_say("],\"unknown_free_count\":%lu}", books.unknown_free_count);
	memcpy(shared, books_text, books_len);
}

static void by_fork(struct block *b)
{
	pid_t pid = fork();

	if (!pid) {
		begin_child_books(b, INHERITED);
		child_work(b);
		publish_child_books();
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void by_vfork(void)
{
	char *const args[] = { "true", NULL };
	pid_t pid = vfork();

	if (!pid) {
		execve("/bin/true", args, environ);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

static void by_spawn(void)
{
	char *const args[] = { "true", NULL };
	pid_t pid;

	if (posix_spawn(&pid, "/bin/true", NULL, NULL, args, environ))
		abort();
	waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "fork";
	struct block b[INHERITED];

	shared = mmap(NULL, sizeof(books_text), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	books_ready();
	for (int i = 0; i < INHERITED; i++)
		b[i] = site_parent(61 + i);
	for (int i = 0; i < 3; i++) {
		if (!strcmp(mode, "vfork"))
			by_vfork();
		else if (!strcmp(mode, "spawn"))
			by_spawn();
		else if (i == 1)
			by_fork(b);
		for (int j = 0; j < 11; j++)
			site_parent_later(7);
	}
	for (int i = 0; i < 53; i++)
		drop(&b[i]);
	books_write(shared);
	books_wait();
	return 0;
}
