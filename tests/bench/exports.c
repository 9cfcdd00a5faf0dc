// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What exports cost with 20,000 stacks of 60 frames, as a large server has
 * them: they fork off a tree of calls whose functions many places share.
 *
 * Prints "bench NAME VALUE UNIT" lines; times are this thread's CPU time,
 * the best of RUNS.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/strbuf.h"
#include "export/folded.h"
#include "export/pprof.h"
#include "export/speedscope.h"
#include "export/svg.h"
#include "model/calltree.h"
#include "model/snapshot.h"

#define STACKS 20000
#define FRAMES 60
#define FUNCTIONS 8000
#define MODULES 12
#define RUNS 5

static uint64_t rng_state = 88172645463325252u;

static uint64_t rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static struct frame make_frame(struct snapshot *snap, uint64_t function)
{
	char name[96], module[32], path[64];
	uint64_t in = function % MODULES;

	snprintf(name, sizeof(name), "server::component_%d::function_%d(request const&, int)",
		 (int)(function / 100), (int)function);
	snprintf(module, sizeof(module), in ? "libcomponent%d.so.1" : "server", (int)in);
	snprintf(path, sizeof(path), "/usr/lib/server/%s", module);
	return (struct frame){
		.pc = 0x7f0000000000 + (in << 28) + function * 256 + 17,
		.offset = function * 256 + 17,
		.function = snapshot_string(snap, name),
		.raw = snapshot_string(snap, name),
		.module = snapshot_string(snap, module),
		.path = snapshot_string(snap, path),
		.build_id = snapshot_string(snap, path),
		.file = snapshot_string(snap, "/src/server/component.cc"),
		.line = (uint32_t)function,
	};
}

/* Each stack leaves the one before at a random depth, most of them late. */
static struct snapshot *make_snapshot(void)
{
	struct snapshot *snap = snapshot_create();
	struct frame *known = xcalloc(FUNCTIONS, sizeof(*known));
	uint64_t path[FRAMES] = { 0 };

	for (uint64_t i = 0; i < FUNCTIONS; i++)
		known[i] = make_frame(snap, i);
	snapshot_target_vec_push(&snap->targets, (struct snapshot_target){
		.pid = 1, .comm = snapshot_string(snap, "server"),
		.exe = snap->mode, .cmdline = snap->mode });
	for (uint32_t i = 0; i < STACKS; i++) {
		uint64_t u = rng() % FRAMES, leave = FRAMES - 1 - u * (rng() % FRAMES) / FRAMES;
		struct snapshot_stack stack = {
			.id = rng(), .frame_first = (uint32_t)snap->frames.len,
			.frame_count = FRAMES,
		};

		for (uint64_t depth = i ? leave : 0; depth < FRAMES; depth++)
			path[depth] = rng() % FUNCTIONS;
		stack.m.live_count = 1 + (int64_t)(rng() % (1 + rng() % 1000));
		stack.m.live_bytes = stack.m.live_count * (16 + (int64_t)(rng() % 200));
		stack.m.alloc_bytes = 3 * stack.m.live_bytes;
		stack.m.alloc_count = 3 * stack.m.live_count;
		snapshot_stack_vec_push(&snap->stacks, stack);
		for (uint32_t k = 0; k < FRAMES; k++)
			frame_vec_push(&snap->frames, known[path[FRAMES - 1 - k]]);
	}
	free(known);
	return snap;
}

static void bench_calltree(const struct snapshot *snap, const char *name, bool inverted)
{
	double best = 1e9;
	size_t nodes = 0;

	for (int i = 0; i < RUNS; i++) {
		const struct calltree_settings settings = {
			.metric = "live_bytes", .inverted = inverted };
		double start = now_ms();
		struct calltree *tree;

		if (calltree_of_snapshot(snap, &settings, &tree))
			exit(1);
		nodes = tree->nodes.len;
		calltree_destroy(tree);
		best = now_ms() - start < best ? now_ms() - start : best;
	}
	printf("bench %s_nodes %zu nodes\n", name, nodes);
	printf("bench %s %.1f ms <=100\n", name, best);
}

typedef struct error *export_fn(const struct snapshot *snap, FILE *f);

static struct error *svg(const struct snapshot *snap, FILE *f)
{
	return export_svg(snap, f, &(struct svg_options){ .metric = "live_bytes" });
}

static struct error *pprof(const struct snapshot *snap, FILE *f)
{
	return export_pprof(snap, f, "live_bytes");
}

static struct error *speedscope(const struct snapshot *snap, FILE *f)
{
	return export_speedscope(snap, f, "live_bytes");
}

static struct error *folded(const struct snapshot *snap, FILE *f)
{
	return export_folded(snap, f, "live_bytes");
}

static void bench_export(const struct snapshot *snap, const char *name, export_fn *export)
{
	double best = 1e9, size = 0;

	for (int i = 0; i < RUNS; i++) {
		FILE *f = tmpfile();
		double start = now_ms();

		if (!f || export(snap, f) || fflush(f))
			exit(1);
		best = now_ms() - start < best ? now_ms() - start : best;
		size = (double)ftell(f);
		fclose(f);
	}
	printf("bench %s_20000_stacks %.0f ms <=1000\n", name, best);
	printf("bench %s_20000_stacks_size %.2f MB\n", name, size / 1e6);
}

int main(void)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = make_snapshot();

	bench_calltree(snap, "calltree", false);
	bench_calltree(snap, "calltree_inverted", true);
	bench_export(snap, "pprof", pprof);
	bench_export(snap, "svg", svg);
	bench_export(snap, "speedscope", speedscope);
	bench_export(snap, "folded", folded);
	return 0;
}
