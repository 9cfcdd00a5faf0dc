// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * deep DEPTH: allocates under DEPTH frames of two functions that call each
 * other, and from within a callback of the C library. The books carry the
 * call chains, the allocator's caller first, under "chains".
 */
#include "books.h"

BOOK(site_deep, "heap");
BOOK(site_deep_again, "heap");
BOOK(site_callback, "heap");

SITE void site_deep(void)
{
	book_alloc(&site_deep_book, malloc(73), 73);
}

SITE void site_deep_again(void)
{
	book_alloc(&site_deep_again_book, calloc(3, 11), 33);
}

SITE void step_even(int depth);

SITE void step_odd(int depth)
{
	if (depth > 1)
		step_even(depth - 1);
	else
		site_deep();
	__asm__ volatile("");
}

SITE void step_even(int depth)
{
	if (depth > 1)
		step_odd(depth - 1);
	else
		site_deep_again();
	__asm__ volatile("");
}

SITE int site_callback(const void *a, const void *b)
{
	book_alloc(&site_callback_book, malloc(17), 17);
	return *(const int *)a - *(const int *)b;
}

SITE void sort_something(void)
{
	int numbers[] = { 3, 1, 2, 7, 5 };

	qsort(numbers, 5, sizeof(int), site_callback);
}

/* The counts come from outside, or the loops are unrolled into many call sites. */
SITE void run(int depth, int odd, int even)
{
	for (int i = 0; i < odd; i++)
		step_odd(depth);
	for (int i = 0; i < even; i++)
		step_even(depth);
	sort_something();
}

/* @first called the next one; both alternate until @depth frames stand. */
static void say_chain(const char *first, const char *second, int depth, const char *separator)
{
	/* The deepest frame has depth 1; depth many frames below run(). */
	const char *names[2] = { first, second };
	const char *leaf;
	int odd_is_last;

	odd_is_last = !strcmp(names[(depth - 1) % 2], "step_odd");
	leaf = odd_is_last ? "site_deep" : "site_deep_again";
	books_say("%s[\"%s\"", separator, leaf);
	for (int i = depth - 1; i >= 0; i--)
		books_say(",\"%s\"", names[i % 2]);
	books_say(",\"run\",\"main\"]");
}

int main(int argc, char **argv)
{
	int depth = argc > 1 ? atoi(argv[1]) : 30;
	static char chains[1 << 15];

	say_chain("step_odd", "step_even", depth, ",\"chains\":[");
	say_chain("step_even", "step_odd", depth, ",");
	books_say("]");
	memcpy(chains, books_text, books_len);
	books_len = 0;
	books_ready();
	run(depth, 5, 3);
	books_write(chains);
	books_wait();
	return 0;
}
