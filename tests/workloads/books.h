/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The books of a workload: what it allocated and freed, by the function that
 * did it, so that a test can compare a profiler's figures to the byte.
 *
 * Protocol, on stdin and stdout: "ready PID" is written, a line is awaited
 * (meanwhile the profiler is attached), the work is done, the books are
 * written as one line of JSON, and another line or end of file is awaited.
 *
 * Nothing here allocates between "ready" and the end: text is composed in
 * static storage and moved with read(2) and write(2).
 *
 * The counting rules: a successful realloc of a block is a free of the old
 * bytes (to the books of whoever allocated them) and an allocation by the
 * caller; realloc(p, 0) is a free; an allocation that fails is counted as
 * failed and nothing else; sizes are those asked for.
 */
#ifndef HEAPSONDE_TESTS_BOOKS_H
#define HEAPSONDE_TESTS_BOOKS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A call site must keep a frame and a name of its own: no clone, no inlining. */
#if defined(__has_attribute)
#if __has_attribute(noipa)
#define SITE __attribute__((noinline, noipa, unused))
#endif
#endif
#ifndef SITE
#define SITE __attribute__((noinline, unused))
#endif

struct book {
	const char *site;	/* the function whose frame calls the allocator */
	const char *kind;	/* "heap", "mmap", "brk" */
	unsigned long alloc_bytes, alloc_count, free_bytes, free_count;
	struct book *next;
};

/* What never belongs to one site. */
static struct {
	struct book *first;
	unsigned long unknown_free_count, failed_alloc_count;
} books;

static inline void book_open(struct book *book)
{
	book->next = books.first;
	books.first = book;
}

/* Declares NAME_book, the books of the function NAME. */
#define BOOK(name, kind)						\
	static struct book name##_book = { #name, kind, 0, 0, 0, 0, NULL }; \
	__attribute__((constructor)) static void name##_book_open(void)	\
	{								\
		book_open(&name##_book);				\
	}								\
	struct semicolon_follows

static inline void book_add(unsigned long *counter, unsigned long n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/* A live block and the books it stands in. */
struct block {
	void *p;
	size_t size;
	struct book *book;
};

/* Enters the result of an allocation of @size bytes. */
static inline struct block book_alloc(struct book *book, void *p, size_t size)
{
	struct block block = { p, size, book };

	if (!p) {
		book_add(&books.failed_alloc_count, 1);
		return block;
	}
	book_add(&book->alloc_bytes, size);
	book_add(&book->alloc_count, 1);
	return block;
}

/* Takes a block out, before or after it is freed. */
static inline void *book_free(struct block *block)
{
	void *p = block->p;

	block->p = NULL;
	if (!p)
		return NULL;
	if (!block->book) {
		book_add(&books.unknown_free_count, 1);
		return p;
	}
	book_add(&block->book->free_bytes, block->size);
	book_add(&block->book->free_count, 1);
	return p;
}

/* Enters the result of reallocating @old to @size bytes. */
static inline struct block book_realloc(struct book *book, struct block *old,
					void *p, size_t size)
{
	if (p || (old->p && !size))
		book_free(old);
	if (!p && !size)
		return (struct block){ NULL, 0, book };
	return book_alloc(book, p, size);
}

static char books_text[1 << 18];
static size_t books_len;

__attribute__((format(printf, 1, 2)))
static void books_say(const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(books_text + books_len, sizeof(books_text) - books_len, fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(books_text) - books_len)
		abort();
	books_len += n;
}

static void books_send(void)
{
	for (size_t done = 0; done < books_len;) {
		ssize_t n = write(STDOUT_FILENO, books_text + done, books_len - done);

		if (n <= 0)
			_exit(120);
		done += n;
	}
	books_len = 0;
}

/* Waits for a line (or the end of file) on stdin. */
static void books_wait(void)
{
	char c;

	while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
		;
}

static inline void books_ready(void)
{
	books_say("ready %d\n", (int)getpid());
	books_send();
	books_wait();
}

static inline void book_say(const struct book *book, const char *separator)
{
	books_say("%s{\"site\":\"%s\",\"kind\":\"%s\","
		  "\"live_bytes\":%lu,\"live_count\":%lu,"
		  "\"alloc_bytes\":%lu,\"alloc_count\":%lu,"
		  "\"free_bytes\":%lu,\"free_count\":%lu}",
		  separator, book->site, book->kind,
		  book->alloc_bytes - book->free_bytes,
		  book->alloc_count - book->free_count,
		  book->alloc_bytes, book->alloc_count,
		  book->free_bytes, book->free_count);
}

/* Writes the books; @more is further members of the object, or "". */
static inline void books_write(const char *more)
{
	const char *separator = "";

	books_say("{\"sites\":[");
	for (const struct book *b = books.first; b; b = b->next) {
		book_say(b, separator);
		separator = ",";
	}
	books_say("],\"unknown_free_count\":%lu,\"failed_alloc_count\":%lu%s}\n",
		  books.unknown_free_count, books.failed_alloc_count, more);
	books_send();
}

/* Writes the books and waits to be dismissed. */
static inline void books_close(void)
{
	books_write("");
	books_wait();
}

#endif
