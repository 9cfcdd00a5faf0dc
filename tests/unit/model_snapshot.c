// SPDX-License-Identifier: GPL-2.0-or-later
/* Snapshots, metrics by name, interned strings. */
#include "base/strpool.h"
#include "model/snapshot.h"
#include "tests/unit/test.h"

static void add(struct snapshot *snap, uint64_t id, int64_t live, double growth)
{
	struct snapshot_stack stack = { .id = id };

	stack.m.live_bytes = live;
	stack.m.growth_bytes_per_s = growth;
	snapshot_stack_vec_push(&snap->stacks, stack);
}

static void check_order(const struct snapshot *snap, const char *want)
{
	char got[16] = "";

	for (size_t i = 0; i < snap->stacks.len; i++)
		got[i] = (char)('0' + snap->stacks.data[i].id);
	check_str(got, want);
}

TEST(sort_is_stable_and_largest_first)
{
	struct snapshot *snap = snapshot_create();

	snapshot_sort(snap, "live_bytes");
	add(snap, 1, 10, -5.5);
	add(snap, 2, 30, 0.25);
	add(snap, 3, 10, 0.5);
	add(snap, 4, -10, 0.25);
	add(snap, 5, 30, -7);
	snapshot_sort(snap, "live_bytes");
	check_order(snap, "25134");
	snapshot_sort(snap, "growth_bytes_per_s");
	check_order(snap, "32415");
	snapshot_sort(snap, "no_such_metric");
	check_order(snap, "32415");
	add(snap, 6, 0, 0);
	check_order(snap, "324156");
	snapshot_destroy(snap);
}

TEST(strings_are_copies_that_last)
{
	struct snapshot *snap = snapshot_create();
	char text[] = "main";
	const char *s = snapshot_string(snap, text);

	text[0] = 'p';
	check_str(s, "main");
	check(snapshot_string(snap, "main") == s);
	check(snapshot_string(snap, "pain") != s);
	check(!snapshot_string(snap, NULL));
	snapshot_destroy(snap);
	snapshot_destroy(NULL);
}

TEST(new_snapshot_claims_nothing)
{
	struct snapshot *snap = snapshot_create();

	check_str(snap->mode, "");
	check_str(snap->memory.limit_kind, "");
	check_int(snap->memory.rss_bytes, -1);
	check_int(snap->memory.limit_bytes, -1);
	check(snap->memory.seconds_to_limit < 0);
	check(snap->cost.probe_ns_per_hit < 0);
	check(snap->cost.target_cpu_share < 0);
	check_int(snap->sample_bytes, -1);
	snapshot_destroy(snap);
}

TEST(metrics_have_names)
{
	struct metrics m = { .live_bytes = 7, .oldest_live_s = 1.5 };
	double value = 0;

	check(metrics_get(&m, "live_bytes", &value) && value == 7);
	check(metrics_get(&m, "oldest_live_s", &value) && value == 1.5);
	check(!metrics_get(&m, "live", &value));
	check(!metrics_get(&m, "", &value));
	check(!strncmp(metrics_names(), "live_bytes, live_count, ", 24));
	check(strstr(metrics_names(), ", oldest_live_s"));
	check_str(memory_kind_name(MEMORY_HEAP), "heap");
	check_str(memory_kind_name(MEMORY_MMAP), "mmap");
	check_str(memory_kind_name(MEMORY_BRK), "brk");
}

TEST(strpool_holds_many_and_long)
{
	struct strpool *pool = strpool_create();
	const char *seen[5000], *s;
	char text[64], *big = malloc(100001);

	for (int i = 0; i < 5000; i++) {
		snprintf(text, sizeof(text), "function_%d", i);
		seen[i] = strpool_intern(pool, text);
	}
	memset(big, 'x', 100000);
	big[100000] = 0;
	s = strpool_intern(pool, big);
	check(s == strpool_intern(pool, big));
	check_int(strlen(s), 100000);
	free(big);
	for (int i = 0; i < 5000; i++) {
		snprintf(text, sizeof(text), "function_%d", i);
		check_str(seen[i], text);
		check(strpool_intern(pool, text) == seen[i]);
	}
	check_str(strpool_intern(pool, ""), "");
	strpool_destroy(pool);
	strpool_destroy(NULL);
}

TEST(shared_frames_stay_in_place_and_outlive_their_maker)
{
	struct frame_store *store = frame_store_create();
	struct strpool *strings = frame_store_strings(store);
	__cleanup(snapshot_destroyp) struct snapshot *snap = snapshot_create();
	struct frame many[3000];
	const struct frame *first;

	for (size_t i = 0; i < 3000; i++)
		many[i] = (struct frame){ .pc = i, .function = strpool_intern(strings, "f") };
	first = frame_store_add(store, many, 3);
	snap->store = frame_store_ref(store);
	snapshot_stack_vec_push(&snap->stacks, (struct snapshot_stack){
		.shared_frames = first, .frame_count = 3 });
	for (int i = 0; i < 10; i++)
		frame_store_add(store, many, 3000);
	frame_store_destroy(store);
	check_int(snapshot_frames(snap, &snap->stacks.data[0])[2].pc, 2);
	check_str(snapshot_frames(snap, &snap->stacks.data[0])[2].function, "f");
}

TEST(a_snapshot_lives_until_its_last_reference)
{
	struct snapshot *snap = snapshot_create();
	struct snapshot *other = snapshot_ref(snap);

	snapshot_destroy(snap);
	check_str(other->mode, "");
	check(!snapshot_ref(NULL));
	snapshot_destroy(other);
}
