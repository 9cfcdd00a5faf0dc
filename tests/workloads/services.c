// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Services that allocate at a pace, for estimates that need time: churn of many
 * lifetimes, caches, bursts, frees in other threads, and slow leaks.
 *
 *	services SCENARIO [SECONDS] [OPERATIONS_PER_S [new]]
 *
 * Blocks live for a time that is drawn anew for each (exponential about their
 * site's mean); of a site that leaks, a share is never freed. The engine's own
 * memory is mapped, so that all that malloc gives stands in the books.
 *
 * new: blocks come from C++'s operators, which a preloaded allocator must bring.
 *
 * SIGUSR1: from now on at a hundredth of the pace, or at all of it again; SIGUSR2: the end.
 */
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>

#include "books.h"

#define THREADS_MAX 4
#define PENDING_MAX (1u << 21)
#define SITES_MAX 24

#define SITES(X) X(00) X(01) X(02) X(03) X(04) X(05) X(06) X(07) X(08) X(09) X(10) X(11) \
		 X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23)

extern void *_Znwm(size_t size) __attribute__((weak));
extern void _ZdlPv(void *block) __attribute__((weak));

static void *(*give)(size_t size) = malloc;
static void (*take)(void *block) = free;

#define X(n)								\
	BOOK(site_##n, "heap");						\
	SITE static void *site_##n(size_t size)				\
	{								\
		void *p = give(size);					\
									\
		__asm__ volatile("" : : "r"(p) : "memory");		\
		return p;						\
	}
SITES(X)
#undef X

static void *(*const site_calls[])(size_t) = {
#define X(n) site_##n,
	SITES(X)
#undef X
};

static struct book *const site_books[] = {
#define X(n) &site_##n##_book,
	SITES(X)
#undef X
};

/* What a site does; weight: share of all allocations. */
struct habit {
	double weight, life_s;
	unsigned int size_min, size_max;
	double leaks;			/* share of its blocks that is never freed */
};

struct scenario {
	const char *name;
	int threads;
	bool handover;			/* blocks are freed by the next thread */
	double burst_s;			/* this often, all at once; 0: evenly */
	struct habit habits[SITES_MAX];
};

static const struct scenario scenarios[] = {
	{ "churn", 1, false, 0, {
		{ 40, 60e-6, 16, 200, 0 }, { 25, 300e-6, 24, 500, 0 }, { 10, 2e-3, 32, 64, 0 },
		{ 8, 10e-3, 100, 900, 0 }, { 5, 0.05, 24, 48, 0 }, { 3, 0.3, 64, 640, 0 },
		{ 2, 1, 200, 300, 0 }, { 1, 5, 40, 4000, 0 }, { 0.4, 20, 48, 96, 0 },
		{ 0.2, 2, 8000, 20000, 0 },
		{ 3, 1e-3, 80, 80, 0.05 }, { 1, 5e-3, 200, 260, 0.04 }, { 2, 2e-3, 32, 32, 0.01 },
	} },
	/* The same with a leak that shows within seconds. */
	{ "leaky", 1, false, 0, {
		{ 40, 60e-6, 16, 200, 0 }, { 25, 300e-6, 24, 500, 0 }, { 10, 2e-3, 32, 64, 0 },
		{ 8, 10e-3, 100, 900, 0 }, { 5, 0.05, 24, 48, 0 }, { 3, 0.3, 64, 640, 0 },
		{ 2, 1, 200, 300, 0 }, { 1, 5, 40, 4000, 0 }, { 0.4, 20, 48, 96, 0 },
		{ 0.2, 2, 8000, 20000, 0 }, { 6, 1e-3, 180, 180, 0.5 },
	} },
	/* What it leaks is most of its heap soon: some 100 MB a second at 60,000 operations. */
	{ "flood", 1, false, 0, {
		{ 40, 60e-6, 16, 200, 0 }, { 25, 300e-6, 24, 500, 0 }, { 10, 0.3, 100, 900, 0 },
		{ 15, 1e-3, 4000, 20000, 0.9 },
	} },
	/* Most bytes are in few blocks, none of which is mapped by itself. */
	{ "bulk", 2, true, 0, {
		{ 40, 60e-6, 16, 200, 0 }, { 2, 1.5, 2000, 30000, 0 }, { 1, 3, 1100, 4000, 0 },
		{ 1, 60e-6, 2000, 8000, 0 }, { 0.1, 1e-3, 5000, 5000, 0.5 },
	} },
	{ "threads", 3, true, 0, {
		{ 40, 200e-6, 32, 256, 0 }, { 20, 2e-3, 64, 512, 0 }, { 10, 20e-3, 100, 140, 0 },
		{ 5, 0.2, 48, 1000, 0 }, { 2, 2, 64, 128, 0 }, { 0.5, 10, 300, 3000, 0 },
		{ 2, 1e-3, 120, 120, 0.05 }, { 1, 1e-3, 48, 48, 0.03 },
	} },
	{ "bursts", 1, false, 0.5, {
		{ 50, 0.1, 40, 40, 0 }, { 20, 0.1, 24, 120, 0 }, { 10, 1e-3, 64, 64, 0 },
		{ 2, 3, 256, 512, 0 }, { 2, 0.1, 88, 88, 0.08 }, { 1, 5, 1000, 3000, 0 },
	} },
	{ "steady", 2, false, 0, {
		{ 40, 100e-6, 24, 400, 0 }, { 20, 1e-3, 24, 400, 0 }, { 10, 10e-3, 24, 400, 0 },
		{ 5, 0.1, 24, 400, 0 }, { 3, 0.5, 24, 2000, 0 }, { 1, 2, 24, 4000, 0 },
		{ 0.5, 5, 24, 4000, 0 },
	} },
	{ "adversary", 2, true, 0, {
		{ 50, 60e-6, 56, 56, 0 }, { 20, 3e-3, 56, 56, 0 }, { 10, 30e-3, 56, 56, 0 },
		{ 5, 0.3, 56, 56, 0 }, { 2, 3, 56, 56, 0 }, { 1, 10, 56, 56, 0 },
		{ 2, 1e-3, 56, 56, 0.08 }, { 2, 1e-3, 56, 56, 0.02 },
	} },
};

struct pending { uint64_t due_ns; void *p; uint32_t size, site; };

/* A thread's blocks by when they are freed: a binary heap. */
struct worker {
	pthread_t thread;
	pthread_mutex_t lock;
	struct pending *heap;
	uint32_t len;
	uint64_t random;
	struct worker *heir;		/* who frees */
};

static const struct scenario *scenario;
static struct worker workers[THREADS_MAX];
static volatile uint64_t end_ns;
static volatile sig_atomic_t resting;
static double operations_per_s = 60000;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static double draw(struct worker *w)
{
	w->random = w->random * 6364136223846793005u + 1442695040888963407u;
	return ((double)(w->random >> 11) + 0.5) / (double)(1ull << 53);
}

static void push(struct worker *w, struct pending item)
{
	uint32_t i;

	pthread_mutex_lock(&w->lock);
	if (w->len == PENDING_MAX)
		abort();
	for (i = w->len++; i && w->heap[(i - 1) / 2].due_ns > item.due_ns; i = (i - 1) / 2)
		w->heap[i] = w->heap[(i - 1) / 2];
	w->heap[i] = item;
	pthread_mutex_unlock(&w->lock);
}

static void sift_down(struct worker *w, struct pending item)
{
	uint32_t i = 0, child;

	while ((child = 2 * i + 1) < w->len) {
		if (child + 1 < w->len && w->heap[child + 1].due_ns < w->heap[child].due_ns)
			child++;
		if (w->heap[child].due_ns >= item.due_ns)
			break;
		w->heap[i] = w->heap[child];
		i = child;
	}
	w->heap[i] = item;
}

static bool pop_due(struct worker *w, uint64_t now, struct pending *ret)
{
	bool due;

	pthread_mutex_lock(&w->lock);
	due = w->len && w->heap[0].due_ns <= now;
	if (due) {
		*ret = w->heap[0];
		w->len--;
		if (w->len)
			sift_down(w, w->heap[w->len]);
	}
	pthread_mutex_unlock(&w->lock);
	return due;
}

static void free_due(struct worker *w, uint64_t now)
{
	struct pending item;

	while (pop_due(w, now, &item)) {
		struct block block = { item.p, item.size, site_books[item.site] };

		take(book_free(&block));
	}
}

static uint32_t choose_site(struct worker *w)
{
	double sum = 0, at;
	uint32_t i;

	for (i = 0; i < SITES_MAX; i++)
		sum += scenario->habits[i].weight;
	at = draw(w) * sum;
	for (i = 0; i + 1 < SITES_MAX && at >= scenario->habits[i].weight; i++)
		at -= scenario->habits[i].weight;
	return i;
}

static void allocate(struct worker *w, uint64_t now)
{
	uint32_t site = choose_site(w);
	const struct habit *habit = &scenario->habits[site];
	size_t size = habit->size_min +
		      (size_t)(draw(w) * (habit->size_max - habit->size_min + 1));
	struct block block = book_alloc(site_books[site], site_calls[site](size), size);

	if (!block.p)
		abort();
	/* No two blocks hold the same, but that of one kind begins alike. */
	memset(block.p, (int)site + 1, size);
	if (size >= 24)
		memcpy((char *)block.p + 16, &w->random, 8);
	if (draw(w) >= habit->leaks)
		push(w->heir, (struct pending){
			now + (uint64_t)(-log(draw(w)) * habit->life_s * 1e9), block.p,
			(uint32_t)size, site });
}

static void change_pace(int sig __attribute__((unused)))
{
	resting = !resting;
}

static void end(int sig __attribute__((unused)))
{
	end_ns = 0;
}

/* How many allocations are due between two moments. */
static double due_between(double from_s, double to_s)
{
	double rate = operations_per_s / scenario->threads * (resting ? 0.01 : 1);

	if (scenario->burst_s > 0) {
		from_s = floor(from_s / scenario->burst_s) * scenario->burst_s;
		to_s = floor(to_s / scenario->burst_s) * scenario->burst_s;
	}
	return (to_s - from_s) * rate;
}

static void *work(void *arg)
{
	const struct timespec tick = { 0, 200000 };
	struct worker *w = arg;
	uint64_t begun = now_ns(), now;
	double done = 0, due = due_between(-scenario->burst_s, 0), at_s = 0;

	while ((now = now_ns()) < end_ns) {
		double now_s = (double)(now - begun) / 1e9;

		due += due_between(at_s, now_s);
		at_s = now_s;
		for (int i = 0; done < due; done++, i++) {
			allocate(w, now);
			if (i % 8 == 7) {
				now = now_ns();
				free_due(w, now);
			}
		}
		free_due(w, now_ns());
		nanosleep(&tick, NULL);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	double seconds = argc > 2 ? atof(argv[2]) : 10;

	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
		if (argc > 1 && !strcmp(argv[1], scenarios[i].name))
			scenario = &scenarios[i];
	if (!scenario)
		return 2;
	if (argc > 3)
		operations_per_s = atof(argv[3]);
	if (argc > 4) {
		give = _Znwm;
		take = _ZdlPv;
	}
	for (int i = 0; i < scenario->threads; i++) {
		struct worker *w = &workers[i];

		pthread_mutex_init(&w->lock, NULL);
		w->heap = mmap(NULL, PENDING_MAX * sizeof(*w->heap), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (w->heap == MAP_FAILED)
			return 1;
		w->random = now_ns() + (uint64_t)i;
		w->heir = &workers[scenario->handover ? (i + 1) % scenario->threads : i];
	}
	signal(SIGUSR1, change_pace);
	signal(SIGUSR2, end);
	books_ready();
	end_ns = now_ns() + (uint64_t)(seconds * 1e9);
	for (int i = 0; i < scenario->threads; i++)
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			return 1;
	for (int i = 0; i < scenario->threads; i++)
		pthread_join(workers[i].thread, NULL);
	books_write("");
	books_wait();
	return 0;
}
