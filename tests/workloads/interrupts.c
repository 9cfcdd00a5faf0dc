// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * interrupts: allocates from a timer's signal handler that interrupts a
 * program at any instruction: in prologues and epilogues, leaf functions, stubs
 * of the procedure linkage table, the C library. What is interrupted never
 * allocates itself. It tells its stacks itself (truth.h).
 */
#include <alloca.h>
#include <signal.h>
#include <sys/time.h>

#define TRUTH_STACKS 400
#include "truth.h"

#define INTERRUPTS 300

static volatile int interrupts;
static volatile unsigned int sink;

static void next_interrupt(void)
{
	static unsigned int seed = 12345;
	struct itimerval timer = { 0 };

	/* Knuth's; the low bits are of no use. */
	seed = seed * 1103515245 + 12345;
	timer.it_value.tv_usec = 50 + (seed >> 16) % 400;
	setitimer(ITIMER_REAL, &timer, NULL);
}

SITE void site_interrupting(int signal)
{
	ALLOCATE_HERE(signal);
	if (++interrupts < INTERRUPTS)
		next_interrupt();
}

SITE unsigned int leaf(unsigned int n)
{
	return n * 2654435761u ^ n >> 7;
}

/* Saves all the registers there are, and restores them. */
SITE unsigned int many_registers(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int d = leaf(a), e = leaf(b), f = leaf(c), g = leaf(d ^ a), h = leaf(e ^ b);

	return leaf(a + b + c) + leaf(d + e + f) + (g ^ h) + a * b * c * d * e * f;
}

SITE unsigned int moving_frame(unsigned int n)
{
	char *space = alloca(n % 100 + 16);

	memset(space, (int)n, n % 100 + 16);
	TOUCH(space);
	return many_registers(n, (unsigned char)space[3], n / 3);
}

SITE __attribute__((force_align_arg_pointer)) unsigned int aligned_frame(unsigned int n)
{
	unsigned int space[16] __attribute__((aligned(64))) = { n };

	TOUCH(space);
	return moving_frame(space[0]) + leaf(n);
}

static int compare(const void *a, const void *b)
{
	unsigned int x = leaf(*(const unsigned int *)a), y = leaf(*(const unsigned int *)b);

	return x < y ? -1 : x > y;
}

SITE unsigned int recursion(unsigned int depth)
{
	unsigned int result = depth;

	if (depth)
		result += recursion(depth - 1);
	else
		result = aligned_frame(result);
	KEEP_FRAME();
	return result;
}

SITE unsigned int work(unsigned int n)
{
	unsigned int numbers[] = { n, n + 5, n * 3, n ^ 9, n / 7 }, found;
	char text[64];

	qsort(numbers, 5, sizeof(numbers[0]), compare);
	snprintf(text, sizeof(text), "%u %x", numbers[0], numbers[4]);
	found = (unsigned int)strlen(text) + (unsigned int)strtoul(text, NULL, 10);
	return found + recursion(n % 11) + many_registers(n, found, numbers[2]);
}

int main(void)
{
	struct sigaction action = { .sa_handler = site_interrupting, .sa_flags = SA_RESTART };

	truth_begin();
	sigaction(SIGALRM, &action, NULL);
	next_interrupt();
	for (unsigned int n = 0; interrupts < INTERRUPTS; n++)
		sink += work(n);
	truth_end();
	return 0;
}
