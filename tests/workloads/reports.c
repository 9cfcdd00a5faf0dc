// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A program that tells of its allocations by probes of its own, as
 * OpenTelemetry's contract has it: otel_memory:alloc(pointer, size, weight) and
 * otel_memory:free(pointer), while somebody listens. Most blocks come from an
 * arena that no profiler knows; some from malloc, which must count once. The
 * probes' notes are written by hand: nothing of SystemTap's is needed.
 *
 *	reports [alone|fork]	alone: none that malloc tells of as well; fork: the
 *				same, and a child sleeps beside it meanwhile
 */
#include <signal.h>
#include <sys/prctl.h>

#include "books.h"

BOOK(site_registers, "heap");
BOOK(site_constant, "heap");
BOOK(site_stack, "heap");
BOOK(site_global, "heap");
BOOK(site_element, "heap");
BOOK(site_frameless, "heap");
BOOK(site_weighted, "heap");
BOOK(site_malloc, "heap");
BOOK(site_header, "heap");
BOOK(site_untold, "heap");

#define SEMAPHORE __attribute__((section(".probes"), used))

SEMAPHORE unsigned short alloc_semaphore;
SEMAPHORE unsigned short free_semaphore;

/* A nop, and the note that says what it is. @arguments name the asm's operands. */
#define PROBE(name, semaphore, arguments)				\
	"990:	nop\n"							\
	".pushsection .note.stapsdt, \"\", \"note\"\n"			\
	".balign 4\n"							\
	".4byte 992f - 991f, 994f - 993f, 3\n"				\
	"991:	.asciz \"stapsdt\"\n"					\
	"992:	.balign 4\n"						\
	"993:	.8byte 990b, _.stapsdt.base, " semaphore "\n"		\
	"	.asciz \"otel_memory\"\n"				\
	"	.asciz \"" name "\"\n"					\
	"	.asciz \"" arguments "\"\n"				\
	"994:	.balign 4\n"						\
	".popsection\n"							\
	".ifndef _.stapsdt.base\n"					\
	".pushsection .stapsdt.base, \"aG\", %%progbits, .stapsdt.base, comdat\n" \
	".weak _.stapsdt.base\n"					\
	".hidden _.stapsdt.base\n"					\
	"_.stapsdt.base: .space 1\n"					\
	".size _.stapsdt.base, 1\n"					\
	".popsection\n"							\
	".endif\n"

/* Operands wherever the compiler has them: registers, constants, memory. */
#define REPORT_ALLOC(p, size, weight)					\
	do {								\
		if (alloc_semaphore)					\
			__asm__ volatile(PROBE("alloc", "alloc_semaphore", "8@%0 8@%1 8@%2") \
					 :: "nor"(p), "nor"((size_t)(size)), \
					    "nor"((size_t)(weight)));	\
	} while (0)

#define REPORT_FREE(p)							\
	do {								\
		if (free_semaphore)					\
			__asm__ volatile(PROBE("free", "free_semaphore", "8@%0") \
					 :: "nor"(p));			\
	} while (0)

/* --- an arena that nobody can see ----------------------------------------- */

#define SLOTS 4096
#define SLOT 512

static char arena[SLOTS][SLOT];
static int free_slots[SLOTS], free_count;

static void arena_open(void)
{
	for (int i = 0; i < SLOTS; i++)
		free_slots[free_count++] = SLOTS - 1 - i;
}

static void *take(void)
{
	return arena[free_slots[--free_count]];
}

static void release(struct block *block)
{
	char *p = book_free(block);

	REPORT_FREE(p);
	free_slots[free_count++] = (p - arena[0]) / SLOT;
}

/* --- sites ------------------------------------------------------------------ */

SITE struct block site_registers(size_t n)
{
	void *p = take();

	REPORT_ALLOC(p, n, n);
	return book_alloc(&site_registers_book, p, n);
}

SITE struct block site_constant(void)
{
	void *p = take();

	REPORT_ALLOC(p, 48, 48);
	return book_alloc(&site_constant_book, p, 48);
}

/* Four signed bytes, and eight of which the upper ones are something else. */
SITE struct block site_stack(int n)
{
	volatile struct { int size, dirt; void *p; } local = { n, -1, take() };

	if (alloc_semaphore)
		__asm__ volatile(PROBE("alloc", "alloc_semaphore", "8@%0 -4@%1 4@%2")
				 :: "m"(local.p), "m"(local.size), "m"(local.size));
	return book_alloc(&site_stack_book, local.p, n);
}

static size_t global_size;
void *global_pointer;

SITE struct block site_global(size_t n)
{
	global_pointer = take();
	global_size = n;
	if (alloc_semaphore)
		__asm__ volatile(PROBE("alloc", "alloc_semaphore", "8@%0 8@%1 8@%1")
				 :: "m"(global_pointer), "m"(global_size));
	return book_alloc(&site_global_book, global_pointer, n);
}

/* Two arguments: a sampler that takes every block. */
SITE struct block site_element(const size_t *sizes, long i)
{
	void *p = take();

	if (alloc_semaphore)
		__asm__ volatile(PROBE("alloc", "alloc_semaphore", "8@%0 8@%1")
				 :: "r"(p), "m"(sizes[i]));
	return book_alloc(&site_element_book, p, sizes[i]);
}

/*
 * No frame pointer, and where the probe stands the stack is not as deep as at
 * any call of the function.
 */
SITE __attribute__((optimize("omit-frame-pointer")))
struct block site_frameless(size_t n)
{
	void *p = take();

#if defined(__x86_64__)
	__asm__ volatile(".cfi_remember_state\n"
			 "pushq %%rbx\n.cfi_adjust_cfa_offset 8\n"
			 "pushq %%rbx\n.cfi_adjust_cfa_offset 8\n"
			 "cmpw $0, alloc_semaphore(%%rip)\n"
			 "je 995f\n"
			 PROBE("alloc", "alloc_semaphore", "8@%0 8@%1 8@%1")
			 "995:	popq %%rbx\n.cfi_adjust_cfa_offset -8\n"
			 "popq %%rbx\n.cfi_adjust_cfa_offset -8\n"
			 ".cfi_restore_state\n"
			 :: "r"(p), "r"(n) : "cc", "memory");
#else
	REPORT_ALLOC(p, n, n);
#endif
	return book_alloc(&site_frameless_book, p, n);
}

/* One block in ten is told of, for all ten: what the books say is what is told. */
SITE struct block site_weighted(size_t n)
{
	void *p = take();
	struct block block = { p, n * 10, &site_weighted_book };

	REPORT_ALLOC(p, n, n * 10);
	book_add(&site_weighted_book.alloc_bytes, n * 10);
	book_add(&site_weighted_book.alloc_count, 10);
	return block;
}

static void release_weighted(struct block *block)
{
	book_add(&site_weighted_book.free_count, 9);
	release(block);
}

SITE struct block site_malloc(size_t n)
{
	void *p = malloc(n);

	REPORT_ALLOC(p, n, 8 * n);
	return book_alloc(&site_malloc_book, p, n);
}

static void release_malloc(struct block *block)
{
	void *p = book_free(block);

	REPORT_FREE(p);
	free(p);
}

/* The sampler's own header before the block that the program gets. */
SITE struct block site_header(size_t n)
{
	char *p = malloc(n + 16);

	REPORT_ALLOC(p + 16, n, 8 * n);
	return book_alloc(&site_header_book, p, n + 16);
}

static void release_header(struct block *block)
{
	char *p = book_free(block);

	REPORT_FREE(p + 16);
	free(p);
}

/* Not told of at all. */
SITE struct block site_untold(size_t n)
{
	return book_alloc(&site_untold_book, calloc(1, n), n);
}

static void work_in_arena(void)
{
	static struct block blocks[7][101];
	static const size_t sizes[] = { 11, 23, 37 };

	for (int i = 0; i < 101; i++) {
		blocks[0][i] = site_registers(16 + i);
		blocks[1][i] = site_constant();
		blocks[2][i] = site_stack(32 + i);
		blocks[3][i] = site_global(7 + i);
		blocks[4][i] = site_element(sizes, i % 3);
		blocks[5][i] = site_frameless(64 + i);
		blocks[6][i] = site_weighted(100 + i);
	}
	for (int kind = 0; kind < 6; kind++)
		for (int i = 0; i < 53 + kind; i++)
			release(&blocks[kind][i]);
	for (int i = 0; i < 31; i++)
		release_weighted(&blocks[6][i]);
	/* Addresses that were used before. */
	for (int i = 0; i < 40; i++)
		blocks[0][i] = site_registers(200 + i);
	for (int i = 0; i < 20; i++)
		release(&blocks[0][i]);
}

static void work_with_malloc(void)
{
	struct block blocks[3][67];

	for (int i = 0; i < 67; i++) {
		blocks[0][i] = site_malloc(1000 + i);
		blocks[1][i] = site_header(2000 + i);
		blocks[2][i] = site_untold(300 + i);
	}
	for (int i = 0; i < 29; i++) {
		release_malloc(&blocks[0][i]);
		release_header(&blocks[1][i]);
	}
	for (int i = 0; i < 13; i++)
		free(book_free(&blocks[2][i]));
}

int main(int argc, char **argv)
{
	pid_t child = 0;

	arena_open();
	books_ready();
	if (argc > 1 && !strcmp(argv[1], "fork")) {
		child = fork();
		if (!child) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			pause();
		}
	}
	work_in_arena();
	if (argc < 2)
		work_with_malloc();
	books_close();
	if (child > 0)
		kill(child, SIGKILL);
	return 0;
}
