// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Coroutines: two contexts on stacks of their own take turns allocating, so
 * that a thread's stack pointer leaps between calls; and a signal handler on
 * an alternate stack that allocates too (raised, so never amid malloc).
 */
#include <signal.h>
#include <ucontext.h>

#include "books.h"

BOOK(site_low_stack, "heap");
BOOK(site_high_stack, "heap");
BOOK(site_main_stack, "heap");
BOOK(site_signal_stack, "heap");

static char low_stack[65536], high_stack[65536], signal_stack[65536];
static ucontext_t main_context, low, high;

SITE struct block site_low_stack(size_t n)
{
	return book_alloc(&site_low_stack_book, malloc(n), n);
}

SITE struct block site_high_stack(size_t n)
{
	return book_alloc(&site_high_stack_book, malloc(n), n);
}

SITE struct block site_main_stack(size_t n)
{
	return book_alloc(&site_main_stack_book, malloc(n), n);
}

SITE void site_signal_stack(int signal)
{
	(void)signal;
	book_alloc(&site_signal_stack_book, malloc(21), 21);
}

static void drop(struct block *b)
{
	free(book_free(b));
}

static void run_low(void)
{
	for (;;) {
		struct block b = site_low_stack(31);

		swapcontext(&low, &high);
		drop(&b);
		swapcontext(&low, &high);
		site_low_stack(7);
	}
}

static void run_high(void)
{
	for (;;) {
		struct block b = site_high_stack(41);

		swapcontext(&high, &low);
		drop(&b);
		swapcontext(&high, &main_context);
	}
}

static void make(ucontext_t *context, char *stack, void (*run)(void))
{
	getcontext(context);
	context->uc_stack.ss_sp = stack;
	context->uc_stack.ss_size = 65536;
	context->uc_link = NULL;
	makecontext(context, run, 0);
}

int main(void)
{
	struct sigaction action = { .sa_handler = site_signal_stack, .sa_flags = SA_ONSTACK };
	stack_t alternate = { .ss_sp = signal_stack, .ss_size = sizeof(signal_stack) };

	make(&low, low_stack, run_low);
	make(&high, high_stack, run_high);
	sigaltstack(&alternate, NULL);
	sigaction(SIGUSR1, &action, NULL);
	books_ready();
	for (int i = 0; i < 101; i++) {
		struct block b = site_main_stack(51 + i);

		swapcontext(&main_context, i ? &high : &low);
		if (i % 3)
			drop(&b);
		if (i % 10 == 0)
			raise(SIGUSR1);
	}
	books_close();
	return 0;
}
