// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the model costs: events per second and bytes per live block. The
 * stream is made beforehand by a toy allocator (free lists by size class, last
 * freed first given, as real ones do) under eight threads and 10,000 stacks,
 * a few of which do most. Seven of ten allocations are freed within the next
 * few, the others replace a random one of the live set.
 *
 * Prints "name value unit" lines. Times are this thread's CPU time, so that
 * other work on the machine disturbs them less; it still shares the caches.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "model/sink.h"

#define TGID 4242
#define THREADS 8
#define STACKS 10000
#define RUNS 5
#define CLASSES 64		/* of 16 bytes each */
#define SHORT_MAX 16		/* short-lived blocks of a thread at once */

static uint64_t rng_state = 88172645463325252u;

static uint64_t rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Records one behind the other, as they lie in the ring buffer. */
struct stream {
	char *data;
	size_t len, cap, events;
	uint64_t time_ns;
};

static void *stream_add(struct stream *stream, size_t size, uint16_t kind, uint32_t tid)
{
	struct ev_header *h;

	if (stream->len + size > stream->cap) {
		stream->cap = stream->cap ? 2 * stream->cap : 1 << 20;
		stream->data = xreallocarray(stream->data, stream->cap, 1);
	}
	h = memset(stream->data + stream->len, 0, size);
	stream->len += size;
	stream->events++;
	stream->time_ns += 100;
	*h = (struct ev_header){ .kind = kind, .tgid = TGID, .tid = tid,
				 .time_ns = stream->time_ns };
	return h;
}

struct toy_block {
	uint64_t addr;
	uint32_t size;
};

DEFINE_VEC(addr_vec, uint64_t);
DEFINE_VEC(toy_vec, struct toy_block);

struct toy {
	struct stream out;
	struct addr_vec free[CLASSES];
	uint64_t brk;
	struct toy_vec live;
	struct toy_block shorts[THREADS][SHORT_MAX];
	unsigned int short_len[THREADS];
};

static void toy_init(struct toy *toy)
{
	*toy = (struct toy){ .brk = 0x7f1200000000, .out.time_ns = 1000000000 };
}

static void toy_deinit(struct toy *toy)
{
	for (int i = 0; i < CLASSES; i++)
		addr_vec_deinit(&toy->free[i]);
	toy_vec_deinit(&toy->live);
	free(toy->out.data);
}

/* Mostly small, and a few stacks do most: products of uniform draws. */
static uint32_t draw_size(void)
{
	return 1 + rng() % (1 + rng() % 1000);
}

static uint64_t draw_stack(void)
{
	return (1 + rng() % (1 + rng() % STACKS)) * 0x9e3779b97f4a7c15u;
}

static struct toy_block toy_alloc(struct toy *toy, uint32_t tid)
{
	struct toy_block block = { .size = draw_size() };
	uint32_t class = (block.size + 15) / 16;
	struct ev_alloc *ev;

	if (toy->free[class].len) {
		block.addr = toy->free[class].data[--toy->free[class].len];
	} else {
		block.addr = toy->brk + 16;
		toy->brk += 16 * (class + 1);
	}
	ev = stream_add(&toy->out, sizeof(*ev), EV_ALLOC, tid);
	ev->addr = block.addr;
	ev->size = ev->weight = block.size;
	ev->stack_id = draw_stack();
	return block;
}

static void toy_free(struct toy *toy, uint32_t tid, struct toy_block block)
{
	struct ev_free *ev = stream_add(&toy->out, sizeof(*ev), EV_FREE, tid);

	ev->addr = block.addr;
	addr_vec_push(&toy->free[(block.size + 15) / 16], block.addr);
}

static void toy_step(struct toy *toy)
{
	uint32_t t = rng() % THREADS, tid = 100 + t;
	unsigned int *len = &toy->short_len[t];

	/* Some short-lived blocks of this thread end; half of them at once. */
	while (*len && (*len == SHORT_MAX || rng() % 2))
		toy_free(toy, tid, toy->shorts[t][--*len]);
	if (rng() % 10 < 7) {
		toy->shorts[t][(*len)++] = toy_alloc(toy, tid);
	} else {
		struct toy_block *victim = &toy->live.data[rng() % toy->live.len];

		toy_free(toy, tid, *victim);
		*victim = toy_alloc(toy, tid);
	}
}

static size_t record_size(const char *record)
{
	return ((const struct ev_header *)record)->kind == EV_ALLOC ? sizeof(struct ev_alloc) :
								      sizeof(struct ev_free);
}

/* Feeds the stream from @from on and returns the nanoseconds it took. */
static uint64_t feed(struct model *model, const struct stream *stream, size_t from)
{
	uint64_t start = now_ns();

	while (from < stream->len) {
		size_t size = record_size(stream->data + from);

		model_feed(model, stream->data + from, size);
		from += size;
	}
	return now_ns() - start;
}

static int compare_double(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Fills a live set, then measures @events of churn over it, RUNS times. */
static void bench_events(const char *name, size_t live, size_t events)
{
	double rates[RUNS];
	struct toy toy;
	size_t filled, filled_events;

	toy_init(&toy);
	while (toy.live.len < live)
		toy_vec_push(&toy.live, toy_alloc(&toy, 100 + rng() % THREADS));
	filled = toy.out.len;
	filled_events = toy.out.events;
	while (toy.out.events < filled_events + events)
		toy_step(&toy);
	for (int i = 0; i < RUNS; i++) {
		struct model *model = model_create();
		struct stream fill = { toy.out.data, filled, 0, 0, 0 };
		struct model_totals totals;

		feed(model, &fill, 0);
		rates[i] = 1e3 * (toy.out.events - filled_events) / feed(model, &toy.out, filled);
		model_rows(model, toy.out.time_ns, 0, NULL, &totals);
		if (totals.unknown_free_count || totals.settled_by_reuse) {
			fprintf(stderr, "%s: the model lost count\n", name);
			exit(1);
		}
		model_destroy(model);
	}
	qsort(rates, RUNS, sizeof(*rates), compare_double);
	printf("bench model_%s_best %.1f Mevents/s\n", name, rates[RUNS - 1]);
	printf("bench model_%s_median %.1f Mevents/s >=10\n", name, rates[RUNS / 2]);
	toy_deinit(&toy);
}

static long own_rss_bytes(void)
{
	FILE *f __cleanup_fclose = fopen("/proc/self/statm", "re");
	long size, rss;

	if (!f || fscanf(f, "%ld %ld", &size, &rss) != 2)
		return 0;
	return rss * sysconf(_SC_PAGESIZE);
}

static void feed_alloc(struct model *model, uint64_t i)
{
	struct ev_alloc ev = {
		.h = { .kind = EV_ALLOC, .tgid = TGID, .tid = 1, .time_ns = 1 + 50 * i },
		.addr = 0x7f1200000010 + 48 * i, .size = 40, .weight = 40,
		.stack_id = (i % STACKS + 1) * 0x9e3779b97f4a7c15u,
	};

	model_feed(model, &ev, sizeof(ev));
}

/* Bytes per block at exactly @blocks, the worst on the way there, and a scan. */
static void bench_bytes(uint64_t blocks)
{
	struct model *model = model_create();
	long rss = own_rss_bytes();
	struct model_totals totals;
	uint64_t start = now_ns(), before = start, pause = 0;
	double worst = 0;

	for (uint64_t i = 0; i < blocks; i++) {
		feed_alloc(model, i);
		if (i >= 1000 && i % 1000 == 0) {
			double per_block = (double)model_block_bytes(model) / (i + 1);
			uint64_t now = now_ns();

			worst = per_block > worst ? per_block : worst;
			pause = now - before > pause ? now - before : pause;
			before = now;
		}
	}
	printf("bench model_fill_rate %.1f Mevents/s\n", 1e3 * blocks / (now_ns() - start));
	printf("bench model_fill_longest_1000 %.2f ms\n", pause / 1e6);
	printf("bench model_block_bytes %.2f B/block <=32\n",
	       (double)model_block_bytes(model) / blocks);
	printf("bench model_block_bytes_worst %.2f B/block\n", worst);
	printf("bench model_block_rss %.2f B/block\n", (double)(own_rss_bytes() - rss) / blocks);
	start = now_ns();
	model_rows(model, 1 + 50 * blocks, MODEL_OLDEST, NULL, &totals);
	printf("bench model_oldest_scan %.1f ms\n", (now_ns() - start) / 1e6);
	if (totals.m.live_count != (int64_t)blocks)
		exit(1);
	model_destroy(model);
}

/* Rows whose live bytes all moved at each of 24 marks: the fit's worst case. */
static void bench_rows(uint32_t rows)
{
	struct model_row_vec out = { 0 };
	struct model *model = model_create();
	uint64_t start;

	for (uint32_t mark = 0; mark < 24; mark++) {
		for (uint32_t i = 0; i < rows; i++) {
			struct ev_alloc ev = {
				.h = { .kind = EV_ALLOC, .tgid = TGID, .tid = 1, .time_ns = 1 },
				.addr = 0x7f1200000010 + 4096ull * (mark * rows + i),
				.size = 1 + rng() % 4000, .stack_id = i + 1,
			};

			model_feed(model, &ev, sizeof(ev));
		}
		model_mark_time(model, 1000000000ull * (mark + 1));
	}
	start = now_ns();
	model_rows(model, 24000000000ull, 0, &out, NULL);
	printf("bench model_rows_%u_all_growing %.1f ms\n", rows, (now_ns() - start) / 1e6);
	start = now_ns();
	model_mark_time(model, 25000000000ull);
	printf("bench model_mark_time_%u_rows %.2f ms\n", rows, (now_ns() - start) / 1e6);
	model_row_vec_deinit(&out);
	model_destroy(model);
}

int main(void)
{
	bench_bytes(10000000);
	bench_rows(20000);
	bench_events("events_live_1M", 1000000, 8000000);
	bench_events("events_live_10M", 10000000, 4000000);
	return 0;
}
