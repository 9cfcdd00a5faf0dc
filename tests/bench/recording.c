// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What an hour of recording costs: a synthetic program with 5,000 stacks, seen
 * each second, through the real writer and reader.
 *
 * The program is made as servers are: 2,400 stacks allocated while it started and
 * stand still, 1,600 are touched once in 10 to 1,000 seconds, 1,000 serve
 * requests, each at a rate of its own between one and 5,000 a second, in a load
 * that swings; some of their blocks stay. Blocks of one stack have a few sizes.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "export/text.h"
#include "model/growth.h"
#include "model/snapshot.h"
#include "recording/reader.h"
#include "recording/writer.h"
#include "tests/unit/fixture.h"

#define STACKS 5000
#define STARTED 2400
#define RARE 1600
#define FUNCTIONS 4000
#define MODULES 40
#define SECONDS 3600

struct source {
	double rate;		/* allocations a second */
	double kept;		/* share of its blocks that stays */
	int64_t size, spread;	/* of its blocks */
	double birth_s;
	struct metrics m;
	struct growth_history { double t_s[GROWTH_MARKS]; int64_t live[GROWTH_MARKS]; } history;
};

struct program {
	struct source sources[STACKS];
	uint64_t seed;
	int marks, stride;	/* of the histories, thinned as model/growth.c does */
	int64_t live, peak;
};

static double uniform(uint64_t *seed)
{
	return (double)fixture_random(seed, 1 << 30) / (1 << 30);
}

/* Near enough to Poisson's distribution. */
static int64_t events(uint64_t *seed, double mean)
{
	double noise = uniform(seed) + uniform(seed) + uniform(seed) - 1.5;

	if (mean < 5)
		return (int64_t)(mean + uniform(seed));
	return llround(mean + noise * 2 * sqrt(mean));
}

static void program_init(struct program *p)
{
	*p = (struct program){ .seed = 88172645463325252, .stride = 1 };
	for (int i = 0; i < STACKS; i++) {
		struct source *s = &p->sources[i];

		s->size = 8 << fixture_random(&p->seed, 9);
		s->spread = 1 + (int64_t)fixture_random(&p->seed, 4);
		s->kept = fixture_random(&p->seed, 20) ? 0 : 0.01;
		if (i >= STARTED)
			s->rate = pow(10, -3 + 2 * uniform(&p->seed));
		if (i >= STARTED + RARE)
			s->rate = pow(10, 3.7 * uniform(&p->seed));
	}
}

static void source_step(struct program *p, struct source *s, int second, double load)
{
	int64_t allocs = second ? events(&p->seed, s->rate * load) :
				  1 + (int64_t)fixture_random(&p->seed, 300);
	int64_t bytes = 0, frees;

	for (int64_t k = 0; k < s->spread; k++)
		bytes += allocs / s->spread * (s->size + 8 * k);
	frees = second ? llround((double)allocs * (1 - s->kept)) : 0;
	s->m.alloc_count += allocs;
	s->m.alloc_bytes += bytes;
	s->m.free_count += frees;
	s->m.free_bytes += allocs ? bytes / allocs * frees : 0;
	s->m.temporary_count += frees * 2 / 3;
	s->m.live_count = s->m.alloc_count - s->m.free_count;
	s->m.live_bytes = s->m.alloc_bytes - s->m.free_bytes;
	/* Now and then the oldest block goes. */
	if (allocs && (!second || fixture_random(&p->seed, 50) == 0))
		s->birth_s = second;
	s->m.oldest_live_s = s->m.live_count > 0 ? second + 1 - s->birth_s : 0;
}

static void remember(struct program *p, int second)
{
	bool lasting = second % p->stride == 0;
	int at;

	if (lasting && p->marks == GROWTH_MARKS) {
		for (int i = 0; i < STACKS; i++)
			for (int k = 0; k < GROWTH_MARKS / 2; k++) {
				struct growth_history *h = &p->sources[i].history;

				h->t_s[k] = h->t_s[2 * k];
				h->live[k] = h->live[2 * k];
			}
		p->marks = GROWTH_MARKS / 2;
		p->stride *= 2;
	}
	at = p->marks < GROWTH_MARKS ? p->marks : GROWTH_MARKS - 1;
	for (int i = 0; i < STACKS; i++) {
		p->sources[i].history.t_s[at] = second;
		p->sources[i].history.live[at] = p->sources[i].m.live_bytes;
	}
	if (lasting)
		p->marks = at + 1;
}

static void program_step(struct program *p, int second)
{
	double load = 1 + 0.5 * sin(second / 300.0) + 0.2 * uniform(&p->seed);

	p->live = 0;
	for (int i = 0; i < STACKS; i++) {
		source_step(p, &p->sources[i], second, load);
		p->live += p->sources[i].m.live_bytes;
	}
	remember(p, second);
	for (int i = 0; i < STACKS; i++) {
		struct source *s = &p->sources[i];
		int n = p->marks < GROWTH_MARKS ? p->marks : GROWTH_MARKS;
		struct trend trend = trend_fit(s->history.t_s, s->history.live, (size_t)n);

		s->m.growth_bytes_per_s = trend.per_s;
		s->m.growth_confidence = trend.confidence;
		if (p->live > p->peak)
			s->m.peak_live_bytes = s->m.live_bytes;
	}
	p->peak = p->live > p->peak ? p->live : p->peak;
}

static void add_frames(struct snapshot *snap, uint64_t i)
{
	uint64_t seed = i * 7919 + 1, at = fixture_random(&seed, FUNCTIONS);

	for (uint64_t depth = 12 + i % 25; depth; depth--) {
		char name[64], module[32], file[48], build_id[48];
		uint64_t f = at % FUNCTIONS;

		snprintf(name, sizeof(name), "module_%02d::Component%d::operation_%d",
			 (int)(f % MODULES), (int)(f / 100), (int)f);
		snprintf(module, sizeof(module), "libmodule_%02d.so", (int)(f % MODULES));
		snprintf(file, sizeof(file), "/src/module_%02d/component_%d.cc",
			 (int)(f % MODULES), (int)(f / 100));
		snprintf(build_id, sizeof(build_id), "%040d", (int)(f % MODULES));
		fixture_frame(snap, (struct frame){
			.pc = 0x7f0000000000 + f * 64 + i % 3, .offset = f * 64 + i % 3,
			.function = name, .raw = name, .module = module, .path = module,
			.build_id = build_id, .file = file, .line = 10 + f % 500 });
		/* Callers are few: stacks share their lower halves. */
		at = depth > 10 ? at * 31 + 7 : at / 3 + 1;
	}
}

static struct snapshot *program_snapshot(const struct program *p, int second, bool named)
{
	struct snapshot *snap = snapshot_create();

	fixture_header(snap);
	fixture_memory(snap);
	snap->duration_s = second + 1;
	snap->timeline.len = snap->reclaim.len = snap->marks.len = 0;
	for (int i = 0; i <= second; i++)
		snapshot_sample_vec_push(&snap->timeline, (struct snapshot_sample){
			i + 1, 1000000000 + i * 1000, 2000000000, i * 123456789ll,
			i * 123450000ll });
	for (int i = 0; i < STACKS; i++) {
		fixture_stack(snap, (struct snapshot_stack){
			.id = (uint64_t)i * 0x9e3779b97f4a7c15, .status = UNWIND_COMPLETE,
			.m = p->sources[i].m });
		if (named)
			add_frames(snap, (uint64_t)i);
	}
	return snap;
}

static double cpu_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void must(struct error *err)
{
	if (!err)
		return;
	fprintf(stderr, "%s\n", err->message);
	exit(1);
}

/* CPU time of all appends. */
static double record(const char *path, uint64_t max_bytes)
{
	struct recording_settings settings = RECORDING_SETTINGS_DEFAULT;
	struct program *p = xcalloc(1, sizeof(*p));
	struct recording *rec;
	double spent = 0;

	settings.max_bytes = max_bytes;
	program_init(p);
	must(recording_create(path, &settings, &rec));
	for (int second = 0; second < SECONDS; second++) {
		struct snapshot *snap;
		double start;

		program_step(p, second);
		snap = program_snapshot(p, second, second == 0 || second == SECONDS - 1);
		start = cpu_s();
		must(recording_append(rec, snap, second == SECONDS - 1));
		spent += cpu_s() - start;
		snapshot_destroy(snap);
	}
	must(recording_close(rec));
	free(p);
	return spent;
}

static double report_s(const char *path, double t_s)
{
	FILE *null = fopen("/dev/null", "w");
	struct recording_reader *reader;
	double start = now_s();
	struct snapshot *snap;

	must(recording_open(path, &reader));
	must(recording_snapshot(reader, t_s, &snap));
	export_text(snap, null, &(struct text_options){ .limit = 10 });
	snapshot_destroy(snap);
	recording_reader_destroy(reader);
	fclose(null);
	return now_s() - start;
}

static double mb(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : (double)st.st_size / 1e6;
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/heapsonde-bench.XXXXXX";
	__cleanup_free char *path = NULL;
	double spent;

	if (!mkdtemp(dir))
		return 1;
	path = xasprintf("%s/hour.heapsonde", dir);
	spent = record(path, 0);
	printf("bench recording/hour_of_5000_stacks %.1f MB <=50\n", mb(path));
	printf("bench recording/append %.2f ms\n", spent / SECONDS * 1e3);
	printf("bench recording/append_of_a_core %.2f %% <=3\n", spent / SECONDS * 100);
	printf("bench recording/report_of_hour %.2f s <=1\n", report_s(path, -1));
	printf("bench recording/report_of_a_moment %.2f s <=1\n", report_s(path, 2345));
	if (argc > 1)
		return rename(path, argv[1]) != 0;
	spent = record(path, 10 << 20);
	printf("bench recording/bounded_to_10.5_MB %.1f MB <=10.5\n", mb(path));
	unlink(path);
	rmdir(dir);
	return 0;
}
