// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * churn: malloc and free in pairs, as fast as it goes or at a given rate;
 * what benchmarks attach to and measure with. Prints one line of JSON:
 * pairs, seconds, ns_per_pair (of CPU time of one thread, so that waiting for
 * the rate does not count).
 *
 *	-s SIZE     bytes a block (64)
 *	-D DEPTH    frames between the thread's start and malloc (1)
 *	-t THREADS  (1)
 *	-n PAIRS    pairs a thread; or
 *	-S SECONDS  (1)
 *	-r RATE     pairs a second and thread (unlimited)
 *	-l EVERY    one block of EVERY is never freed (0: none leaks)
 *	-b LOOPS    so much other work between pairs (0)
 *	-a          from two places in turn, so that no stack repeats the one before
 *	-w          "ready PID" and a line on stdin before, another line after
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "books.h"

static struct {
	size_t size;
	int depth, threads, wait, alternate;
	unsigned long pairs, leak_every, busy;
	double seconds, rate;
} opt = { .size = 64, .depth = 1, .threads = 1, .seconds = 1 };

struct result {
	unsigned long pairs;
	double cpu_s, wall_s;
};

static double now_s(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static void sleep_until(double when_s)
{
	double left = when_s - now_s(CLOCK_MONOTONIC);
	struct timespec t = { (time_t)left, (left - (time_t)left) * 1e9 };

	if (left > 0)
		nanosleep(&t, NULL);
}

/* The clock is looked at once in a batch, so that it costs nothing to speak of. */
SITE unsigned long allocate_batch(unsigned long n, unsigned long done)
{
	for (unsigned long i = 0; i < n; i++) {
		void *p = malloc(opt.size);

		if (!opt.leak_every || (done + i) % opt.leak_every)
			free(p);
		for (volatile unsigned long left = opt.busy; left; left--)
			;
	}
	return n;
}

/* The same pairs from two calls in turn; all are freed. */
SITE unsigned long alternate_batch(unsigned long n)
{
	for (unsigned long i = 0; i < n; i++) {
		if (i % 2) {
			free(malloc(opt.size));
		} else {
			free(malloc(opt.size));
			/* Or the compiler would see one call in two. */
			__asm__ volatile("nop");
		}
	}
	return n;
}

SITE void allocate_pairs(struct result *result)
{
	double start = now_s(CLOCK_MONOTONIC);
	unsigned long batch = opt.rate > 0 ? opt.rate / 500 + 1 : 1000;

	for (;;) {
		unsigned long n = batch;

		if (opt.pairs && opt.pairs - result->pairs < n)
			n = opt.pairs - result->pairs;
		if (!n || (!opt.pairs && now_s(CLOCK_MONOTONIC) - start >= opt.seconds))
			break;
		result->pairs += opt.alternate ? alternate_batch(n) :
						 allocate_batch(n, result->pairs);
		if (opt.rate > 0)
			sleep_until(start + result->pairs / opt.rate);
	}
	result->wall_s = now_s(CLOCK_MONOTONIC) - start;
}

SITE void descend(int depth, struct result *result)
{
	if (depth > 1)
		descend(depth - 1, result);
	else
		allocate_pairs(result);
	__asm__ volatile("");
}

static pthread_barrier_t gate;

static void *run(void *arg)
{
	struct result *result = arg;
	double cpu;

	pthread_barrier_wait(&gate);
	cpu = now_s(CLOCK_THREAD_CPUTIME_ID);
	descend(opt.depth, result);
	result->cpu_s = now_s(CLOCK_THREAD_CPUTIME_ID) - cpu;
	pthread_barrier_wait(&gate);
	return NULL;
}

static int parse(int argc, char **argv)
{
	for (int c; (c = getopt(argc, argv, "s:D:t:n:S:r:l:b:aw")) != -1;) {
		switch (c) {
		case 's': opt.size = strtoul(optarg, NULL, 0); break;
		case 'D': opt.depth = atoi(optarg); break;
		case 't': opt.threads = atoi(optarg); break;
		case 'n': opt.pairs = strtoul(optarg, NULL, 0); break;
		case 'S': opt.seconds = atof(optarg); break;
		case 'r': opt.rate = atof(optarg); break;
		case 'l': opt.leak_every = strtoul(optarg, NULL, 0); break;
		case 'b': opt.busy = strtoul(optarg, NULL, 0); break;
		case 'a': opt.alternate = 1; break;
		case 'w': opt.wait = 1; break;
		default: return 2;
		}
	}
	return optind == argc && opt.threads > 0 && opt.threads <= 64 ? 0 : 2;
}

static void say_results(const struct result *results)
{
	struct result sum = { 0 };

	for (int i = 0; i < opt.threads; i++) {
		sum.pairs += results[i].pairs;
		sum.cpu_s += results[i].cpu_s;
		if (results[i].wall_s > sum.wall_s)
			sum.wall_s = results[i].wall_s;
	}
	books_say("{\"pairs\":%lu,\"threads\":%d,\"seconds\":%.6f,"
		  "\"ns_per_pair\":%.2f,\"pairs_per_s\":%.1f}\n",
		  sum.pairs, opt.threads, sum.wall_s,
		  sum.pairs ? sum.cpu_s * 1e9 / sum.pairs : 0.0,
		  sum.wall_s > 0 ? sum.pairs / sum.wall_s : 0.0);
	books_send();
}

int main(int argc, char **argv)
{
	static struct result results[64];
	pthread_t threads[64];

	if (parse(argc, argv)) {
		fprintf(stderr, "usage: churn [-s SIZE] [-D DEPTH] [-t THREADS]"
			" [-n PAIRS | -S SECONDS] [-r RATE] [-l EVERY] [-a] [-w]\n");
		return 2;
	}
	pthread_barrier_init(&gate, NULL, opt.threads + 1);
	for (int i = 0; i < opt.threads; i++)
		pthread_create(&threads[i], NULL, run, &results[i]);
	if (opt.wait)
		books_ready();
	pthread_barrier_wait(&gate);
	pthread_barrier_wait(&gate);
	say_results(results);
	if (opt.wait)
		books_wait();
	for (int i = 0; i < opt.threads; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
