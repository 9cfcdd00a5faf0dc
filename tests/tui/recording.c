// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writes the recording that the tests of the screen look at, through the
 * real writer: a shop server that leaks sessions, twelve moments of a second
 * each, with everything a view can show in it. The same bytes each time.
 *
 *	recording FILE [STACKS [marks|focus]]	STACKS: that many random ones besides;
 *						marks: two moments have names;
 *						focus: in windows, a call path in focus
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bpf/events.h"
#include "recording/writer.h"
#include "tests/unit/fixture.h"

#define MOMENTS 12

/* One call path, and how it goes on: live bytes at moment t are base + slope * t. */
static const struct path {
	const char *functions;		/* leaf first, with spaces between */
	const char *file;
	uint32_t line;			/* of the leaf; one less for each caller */
	int64_t size, base, slope;	/* of a block; blocks; blocks a second */
	int64_t temporary;		/* allocations a second that are freed at once */
	enum memory_kind kind;
	uint32_t target;
} paths[] = {
	{ "session_create handle_login serve start_thread", "/src/shop/session.c", 88,
	  640, 200, 150, 0, MEMORY_HEAP, 0 },
	{ "basket_add handle_basket serve start_thread", "/src/shop/basket.c", 41,
	  128, 5000, 40, 0, MEMORY_HEAP, 0 },
	{ "cache_insert page_fetch handle_page serve start_thread", "/src/shop/cache.c", 120,
	  4096, 512, 0, 30, MEMORY_HEAP, 0 },
	{ "render_page handle_page serve start_thread", "/src/shop/page.c", 203,
	  8192, 0, 0, 900, MEMORY_HEAP, 0 },
	{ "arena_grow pool_init main", "/src/shop/pool.c", 17,
	  1048576, 8, 0, 0, MEMORY_MMAP, 0 },
	{ "parse_header handle_login serve start_thread", "/src/shop/http.c", 66,
	  256, 0, 0, 420, MEMORY_HEAP, 0 },
	{ "row_decode query_run worker_main start_thread", "/src/shop/query.c", 310,
	  96, 900, -20, 15, MEMORY_HEAP, 1 },
	{ "buffer_new query_run worker_main start_thread", "/src/shop/buffer.c", 9,
	  65536, 4, 1, 2, MEMORY_HEAP, 1 },
};

static void add_path_frames(struct snapshot *snap, const struct path *path)
{
	char copy[128], *rest = copy, *name;
	uint32_t line = path->line;
	uint64_t pc = 0x401000 + 16 * path->line;

	snprintf(copy, sizeof(copy), "%s", path->functions);
	while ((name = strsep(&rest, " "))) {
		bool libc = !strcmp(name, "start_thread");

		fixture_frame(snap, (struct frame){
			.pc = pc, .offset = pc, .function = name, .raw = name,
			.module = libc ? "libc.so.6" : path->target ? "worker" : "shop",
			.path = libc ? "/lib/libc.so.6" : "/usr/bin/shop",
			.build_id = "00112233", .file = libc ? NULL : path->file,
			.line = libc ? 0 : line--,
			.inlined = !strcmp(name, "page_fetch") });
		pc += 256;
	}
}

static struct metrics metrics_at(const struct path *path, int t)
{
	int64_t live = path->base + path->slope * t, temporary = path->temporary * t;
	int64_t allocs = path->base + (path->slope > 0 ? path->slope * t : 0) + temporary;

	return (struct metrics){
		.live_bytes = live * path->size, .live_count = live,
		.alloc_bytes = allocs * path->size, .alloc_count = allocs,
		.free_bytes = (allocs - live) * path->size, .free_count = allocs - live,
		.temporary_count = temporary, .peak_live_bytes = live * path->size,
		.growth_bytes_per_s = (double)(path->slope * path->size),
		.growth_confidence = path->slope && t > 3 ? 0.98 : 0.5,
		.oldest_live_s = live ? t : 0,
	};
}

static void add_totals(struct metrics *sum, const struct metrics *m)
{
	sum->live_bytes += m->live_bytes;
	sum->live_count += m->live_count;
	sum->alloc_bytes += m->alloc_bytes;
	sum->alloc_count += m->alloc_count;
	sum->free_bytes += m->free_bytes;
	sum->free_count += m->free_count;
	sum->temporary_count += m->temporary_count;
	sum->peak_live_bytes += m->peak_live_bytes;
	sum->growth_bytes_per_s += m->growth_bytes_per_s;
}

static void add_paths(struct snapshot *snap, int t)
{
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		fixture_stack(snap, (struct snapshot_stack){
			.id = 1000 + i, .target = paths[i].target, .kind = paths[i].kind,
			.status = i == 5 ? UNWIND_GUESSED : UNWIND_COMPLETE,
			.m = metrics_at(&paths[i], t) });
		add_path_frames(snap, &paths[i]);
		add_totals(&snap->totals.m, &snap->stacks.data[i].m);
	}
	snap->totals.m.growth_confidence = 0.97;
	snap->totals.m.oldest_live_s = t;
	snap->totals.unknown_free_count = 17;
	snap->unwind = (struct snapshot_unwind){ 7, 0, 1, 0, 0 };
}

static void add_random(struct snapshot *snap, int stacks, int t)
{
	uint64_t state = 88172645463325252u;

	for (int i = 0; i < stacks; i++) {
		uint32_t depth = 4 + (uint32_t)fixture_random(&state, 28);

		fixture_stack(snap, (struct snapshot_stack){
			.id = 100000 + (uint64_t)i, .status = UNWIND_COMPLETE,
			.m = { .live_bytes = 100 + i + t, .live_count = 1 + i % 7,
			       .alloc_bytes = 1000 + i, .alloc_count = 10 + t } });
		for (uint32_t k = 0; k < depth; k++) {
			uint64_t nr = fixture_random(&state, k < 3 ? 20 : 4000);
			char name[32];

			snprintf(name, sizeof(name), "function_%llu", (unsigned long long)nr);
			fixture_frame(snap, (struct frame){
				.pc = 0x500000 + nr * 64, .offset = 0x500000 + nr * 64,
				.function = name, .raw = name, .module = "shop",
				.path = "/usr/bin/shop", .build_id = "00112233",
				.file = "/src/shop/many.c", .line = (uint32_t)nr + 1 });
		}
	}
}

static void account(struct snapshot *snap, const char *kind, int64_t bytes)
{
	snapshot_account_vec_push(&snap->account, (struct snapshot_account){
		.kind = snapshot_string(snap, kind), .bytes = bytes });
}

static void add_memory(struct snapshot *snap, int t)
{
	int64_t live = snap->totals.m.live_bytes, rss = (20ll << 20) + live;

	snap->memory = (struct snapshot_memory){
		.rss_bytes = rss, .pss_bytes = rss - (1 << 20), .anon_bytes = rss - (6ll << 20),
		.file_bytes = 6ll << 20, .shmem_bytes = 0, .swap_bytes = 0,
		.page_tables_bytes = 204800, .limit_bytes = 64ll << 20,
		.limit_kind = snapshot_string(snap, "cgroup"),
		.limit_used_bytes = rss, .growth_bytes_per_s = 164352,
		.growth_confidence = 0.998, .seconds_to_limit = 195 - t };
	account(snap, "live blocks", live);
	account(snap, "freed, kept by the allocator", 9ll << 20);
	account(snap, "file", 6ll << 20);
	account(snap, "thread stacks", 2ll << 20);
	account(snap, "unexplained", 3ll << 20);
	for (int i = 1; i <= t; i++)
		snapshot_sample_vec_push(&snap->timeline, (struct snapshot_sample){
			.t_s = i, .live_bytes = live - 160000ll * (t - i),
			.rss_bytes = rss - 160000ll * (t - i),
			.alloc_bytes = 1000000ll * i, .free_bytes = 900000ll * i });
}

static void add_reclaim(struct snapshot *snap, double t_s, const char *kind, int64_t bytes,
			const char *detail)
{
	snapshot_reclaim_vec_push(&snap->reclaim, (struct snapshot_reclaim){
		t_s, snapshot_string(snap, kind), bytes, 4242, snapshot_string(snap, detail) });
}

/* The first path still is, the second one no longer. */
static void add_focus(struct snapshot *snap)
{
	snap->mode = snapshot_string(snap, "windows");
	for (size_t i = 0; i < 2; i++) {
		char id[17];

		snprintf(id, sizeof(id), "%016" PRIx64, snap->stacks.data[i].id);
		snapshot_focus_vec_push(&snap->focus, (struct snapshot_focus){
			.stack = snapshot_string(snap, id), .pid = 4242, .since_s = 0.5,
			.until_s = i ? 0.8 : -1,
			.why = i ? snapshot_string(snap, "another call path grows faster") : NULL,
			.alloc_count = 7, .alloc_bytes = 700 });
	}
}

static struct snapshot *moment(int t, int stacks, const char *besides)
{
	struct snapshot *snap = snapshot_create();

	fixture_header(snap);
	snap->duration_s = t;
	snap->targets.data[0].comm = snapshot_string(snap, "shop");
	snapshot_target_vec_push(&snap->targets, (struct snapshot_target){
		.pid = 4243, .comm = snapshot_string(snap, "worker"),
		.exe = snapshot_string(snap, "/usr/bin/worker"),
		.cmdline = snapshot_string(snap, "worker"),
		.exited = t >= 10, .exit_reason = t >= 10 ?
			snapshot_string(snap, "killed by signal 9") : NULL });
	add_paths(snap, t);
	add_random(snap, stacks, t);
	add_memory(snap, t);
	if (t >= 5)
		add_reclaim(snap, 4.5, "madvise", 1048576, "MADV_DONTNEED by free()");
	if (t >= 9)
		add_reclaim(snap, 8.5, "malloc_trim", 3145728, "malloc_trim()");
	if (!strcmp(besides, "focus"))
		add_focus(snap);
	for (int at = 6; !strcmp(besides, "marks") && at <= 10 && at <= t; at += 4)
		snapshot_mark_vec_push(&snap->marks, (struct snapshot_mark){
			at, snapshot_string(snap, at == 6 ? "warmed-up" : "loaded") });
	snap->loss = t >= 8 ? (struct snapshot_loss){ 1234, 2, 5, 1, false } :
		(struct snapshot_loss){ .complete = true };
	snap->cost = (struct snapshot_cost){
		.probe_hits = 9200ll * t, .probe_ns_per_hit = 652.5, .target_cpu_share = 0.031,
		.own_cpu_s = 0.004 * t, .own_rss_bytes = 45 << 20,
	};
	return snap;
}

int main(int argc, char **argv)
{
	struct recording_settings settings = RECORDING_SETTINGS_DEFAULT;
	struct recording *rec = NULL;
	struct error *err;

	if (argc < 2)
		return 2;
	settings.force = true;
	err = recording_create(argv[1], &settings, &rec);
	for (int t = 1; t <= MOMENTS && !err; t++) {
		struct snapshot *snap = moment(t, argc > 2 ? atoi(argv[2]) : 0,
					       argc > 3 ? argv[3] : "");

		err = recording_append(rec, snap, true);
		snapshot_destroy(snap);
	}
	if (!err)
		err = recording_close(rec);
	if (!err)
		return 0;
	fprintf(stderr, "%s\n", err->message);
	return 1;
}
