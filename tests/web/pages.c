// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writes pages for the browser tests, and the same numbers as JSON: of
 * snapshots made by hand, so that names and sizes can be what no program of
 * ours has.
 *
 * usage: pages {everything|idle|windows|growth|profile|hostile|many|large} PAGE JSON
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "export/html.h"
#include "export/json.h"
#include "tests/unit/fixture.h"

#define MANY_STACKS 600
#define LARGE_STACKS 20000
#define JSON_STACKS MANY_STACKS		/* of the large one a page of JSON is enough */
#define LARGE_FUNCTIONS 4000
#define LARGE_MOMENTS 120

/* What would run, end the script element, turn the text or drive a terminal. */
static const char *const hostile[] = {
	"</script><script>document.title='owned'</script>",
	"<img src=x onerror=\"document.title='owned'\">",
	"<!--<script>", "]]>", "\x1b[2J\x1b]0;owned\x07", "a\"b'c\\d\n\t",
	"\xe2\x80\xae" "desrever", "${document.title='owned'}", "javascript:alert(1)",
	"\xff\xfe bad",
	"constructor", "__proto__", "<style>*{display:none}</style>", "&lt;b&gt;",
};

#define HOSTILE_COUNT (sizeof(hostile) / sizeof(hostile[0]))

static void add_to_totals(struct snapshot *snap, const struct metrics *m)
{
#define X(name, type, unit, header, help) snap->totals.m.name += m->name;
	METRICS(X)
#undef X
}

static struct snapshot *hostile_create(void)
{
	struct snapshot *snap = fixture_create();

	for (size_t i = 0; i < HOSTILE_COUNT; i++) {
		struct metrics m = { .live_bytes = 1 << 20, .live_count = 1, .alloc_bytes = 1 << 20,
				     .alloc_count = 1, .peak_live_bytes = 1 << 20 };

		fixture_stack(snap, (struct snapshot_stack){ .id = 1000 + i, .m = m });
		fixture_frame(snap, (struct frame){ .pc = i, .offset = i, .function = hostile[i],
			.raw = hostile[i], .module = hostile[(i + 1) % HOSTILE_COUNT],
			.file = hostile[(i + 2) % HOSTILE_COUNT], .line = 1 });
		add_to_totals(snap, &m);
		snapshot_target_vec_push(&snap->targets, (struct snapshot_target){
			.pid = (uint32_t)i, .comm = snapshot_string(snap, hostile[i]),
			.exe = snapshot_string(snap, hostile[i]),
			.cmdline = snapshot_string(snap, hostile[i]), .exited = true,
			.exit_reason = snapshot_string(snap, hostile[i]) });
		snapshot_reclaim_vec_push(&snap->reclaim, (struct snapshot_reclaim){
			.t_s = (double)i, .kind = snapshot_string(snap, hostile[i]), .bytes = 4096,
			.detail = snapshot_string(snap, hostile[i]) });
		snapshot_account_vec_push(&snap->account, (struct snapshot_account){
			.kind = snapshot_string(snap, hostile[i]), .bytes = 0 });
	}
	snap->targets.data[0].comm = snapshot_string(snap, hostile[0]);
	snap->memory.limit_kind = snapshot_string(snap, hostile[1]);
	snap->mode = snap->version = snapshot_string(snap, hostile[0]);
	return snap;
}

static void large_stack(struct snapshot *snap, uint64_t *state, uint64_t id)
{
	uint64_t depth = 12 + fixture_random(state, 30), path = fixture_random(state, 1024);

	fixture_stack(snap, (struct snapshot_stack){ .id = id, .kind = id % 97 ? 0 : MEMORY_MMAP });
	for (uint64_t i = 0; i < depth; i++) {
		/* The outer half forks like a tree, as real programs' stacks do. */
		uint64_t level = depth - i, outer = level < 10 ? path >> (10 - level) : path;
		uint64_t function = i < depth / 2 ? fixture_random(state, LARGE_FUNCTIONS)
			: (outer * 31 + level * 7) % LARGE_FUNCTIONS;
		char name[96], file[64];

		snprintf(name, sizeof(name), "project::module_%llu::function_%llu(request const&)",
			 (unsigned long long)function % 40, (unsigned long long)function);
		snprintf(file, sizeof(file), "/src/project/module_%llu.cc",
			 (unsigned long long)function % 40);
		fixture_frame(snap, (struct frame){ .pc = 0x400000 + function * 64,
			.offset = function * 64, .function = name, .raw = name,
			.module = function % 5 ? "server" : "libproject.so.1", .file = file,
			.line = (uint32_t)function + 1, .inlined = function % 11 == 0 });
	}
}

/* One stack's work in one interval. */
static void work(struct metrics *m, uint64_t *state, uint64_t id)
{
	int64_t n = 1 + (int64_t)fixture_random(state, 20);
	int64_t freed = id % 8 ? n : 0;

	m->alloc_count += n;
	m->alloc_bytes += n * 128;
	m->free_count += freed;
	m->free_bytes += freed * 128;
	m->live_count += n - freed;
	m->live_bytes += (n - freed) * 128;
	m->peak_live_bytes = m->live_bytes;
	m->growth_bytes_per_s = (double)m->live_bytes / LARGE_MOMENTS;
	m->growth_confidence = 0.9;
	m->oldest_live_s = m->live_count ? 30 : 0;
}

/* In each moment a tenth of all stacks has changed; one in eight stacks leaks. */
static struct snapshot *stacks_create(struct history *history, uint64_t count)
{
	struct snapshot *snap = snapshot_create();
	uint64_t state = 88172645463325252;

	fixture_header(snap);
	fixture_memory(snap);
	for (uint64_t id = 0; id < count; id++)
		large_stack(snap, &state, id);
	snap->timeline.len = 0;
	for (int moment = 1; moment <= LARGE_MOMENTS; moment++) {
		snap->duration_s = moment;
		for (uint64_t id = moment % 10; id < count; id += 10)
			work(&snap->stacks.data[id].m, &state, id);
		snap->totals = (struct snapshot_totals){ 0 };
		vec_for_each(stack, &snap->stacks)
			add_to_totals(snap, &stack->m);
		snap->totals.m.growth_confidence = 0.99;
		snap->totals.m.oldest_live_s = 119;
		snapshot_sample_vec_push(&snap->timeline, (struct snapshot_sample){
			.t_s = moment, .live_bytes = snap->totals.m.live_bytes,
			.rss_bytes = snap->totals.m.live_bytes * 3 / 2,
			.alloc_bytes = snap->totals.m.alloc_bytes,
			.free_bytes = snap->totals.m.free_bytes });
		history_add(history, snap);
	}
	snapshot_sort(snap, "live_bytes");
	return snap;
}

static struct snapshot *windows_create(void)
{
	struct snapshot *snap = fixture_create();

	snap->mode = "windows";
	snap->sample_bytes = -1;
	snap->totals.m.live_bytes_error = 2048;
	snap->totals.unknown_free_count = -1;
	snap->windows = (struct snapshot_windows){
		.windows = 321, .window_s = 0.005, .period_s = 0.25, .covered_share = 0.02,
		.samples = 1000, .ghost_share = 0.6, .ghost_s = 7, .detectable_count = 150,
		.held_bytes = 1 << 20, .unattributed_bytes = 4096, .evidence = "windows, heap walk",
	};
	return snap;
}

/* The first stack only touched memory, and grows. */
static struct snapshot *growth_create(void)
{
	struct snapshot *snap = fixture_create();
	struct metrics *m = &snap->stacks.data[0].m;

	snap->mode = "growth";
	snap->stacks.data[0].kind = MEMORY_GROWTH;
	snap->totals.m = (struct metrics){ .resident_bytes = 3 << 20 };
	snap->totals.unknown_free_count = -1;
	*m = (struct metrics){ .resident_bytes = 3 << 20, .growth_bytes_per_s = 1e5,
			       .growth_confidence = 0.99 };
	return snap;
}

/* All of it by the program's own profile, which counts from its start. */
static struct snapshot *profile_create(struct history *history)
{
	struct snapshot *snap = fixture_create();

	snap->mode = "sampled";
	snap->sample_bytes = snap->runtime.MemProfileRate = 512 << 10;
	snap->totals.unknown_free_count = -1;
	vec_for_each(stack, &snap->stacks)
		stack->kind = MEMORY_PROFILE;
	history_add(history, snap);
	return snap;
}

static struct snapshot *create(const char *name, struct history *history)
{
	if (!strcmp(name, "profile"))
		return profile_create(history);
	if (!strcmp(name, "windows"))
		return windows_create();
	if (!strcmp(name, "growth"))
		return growth_create();
	if (!strcmp(name, "everything"))
		return fixture_create();
	if (!strcmp(name, "idle"))
		return fixture_idle_create();
	if (!strcmp(name, "hostile"))
		return hostile_create();
	if (!strcmp(name, "many"))
		return stacks_create(history, MANY_STACKS);
	return strcmp(name, "large") ? NULL : stacks_create(history, LARGE_STACKS);
}

int main(int argc, char **argv)
{
	struct history *history __cleanup(history_destroyp) = history_create();
	struct snapshot *snap __cleanup(snapshot_destroyp) = NULL;
	struct error *err __cleanup_error = NULL;
	FILE *page __cleanup_fclose = NULL, *json __cleanup_fclose = NULL;

	if (argc != 4 || !(snap = create(argv[1], history))) {
		fputs("usage: pages {everything|idle|windows|growth|profile|hostile|many|large} "
		      "PAGE JSON\n", stderr);
		return 2;
	}
	page = fopen(argv[2], "w");
	json = fopen(argv[3], "w");
	if (!page || !json) {
		perror("pages");
		return 1;
	}
	err = export_html(snap, history, page);
	if (err) {
		fprintf(stderr, "pages: %s\n", err->message);
		return 1;
	}
	export_json(snap, json, JSON_STACKS);
	return 0;
}
