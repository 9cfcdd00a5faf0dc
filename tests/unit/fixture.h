/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshots for tests: one built by hand with something of everything, and
 * random ones that obey what snapshot.h promises.
 */
#ifndef HEAPSONDE_TESTS_FIXTURE_H
#define HEAPSONDE_TESTS_FIXTURE_H

#include "bpf/events.h"
#include "base/alloc.h"
#include "model/snapshot.h"

/* Appends frames to the snapshot's last stack. */
static inline void fixture_frame(struct snapshot *snap, struct frame frame)
{
	struct snapshot_stack *stack = &snap->stacks.data[snap->stacks.len - 1];

	frame.function = snapshot_string(snap, frame.function);
	frame.raw = snapshot_string(snap, frame.raw);
	frame.module = snapshot_string(snap, frame.module ? frame.module : "");
	frame.path = snapshot_string(snap, frame.path ? frame.path : "");
	frame.build_id = snapshot_string(snap, frame.build_id ? frame.build_id : "");
	frame.file = snapshot_string(snap, frame.file);
	frame_vec_push(&snap->frames, frame);
	stack->frame_count++;
}

static inline void fixture_stack(struct snapshot *snap, struct snapshot_stack stack)
{
	stack.frame_first = (uint32_t)snap->frames.len;
	snapshot_stack_vec_push(&snap->stacks, stack);
}

static inline void fixture_header(struct snapshot *snap)
{
	snap->version = snapshot_string(snap, "1.2.3");
	snap->mode = snapshot_string(snap, "exact");
	snap->stack_mode = snapshot_string(snap, "fp");
	snap->sample_bytes = -1;
	snap->duration_s = 61.5;
	snapshot_target_vec_push(&snap->targets, (struct snapshot_target){
		.pid = 4242, .comm = snapshot_string(snap, "server"),
		.exe = snapshot_string(snap, "/usr/bin/server"),
		.cmdline = snapshot_string(snap, "server --port 80"),
	});
}

/* One process more than there are targets, and the cgroup of both. */
static inline void fixture_ledger(struct snapshot *snap)
{
	snapshot_process_vec_push(&snap->processes, (struct snapshot_process){
		.pid = 4242, .rss_bytes = 92274688, .pss_bytes = 90177536,
		.anon_bytes = 83886080, .file_bytes = 8388608, .shmem_bytes = 0,
		.swap_bytes = 4194304, .page_tables_bytes = -1, .trimmable_bytes = -1 });
	snapshot_census_vec_push(&snap->census, (struct snapshot_census){
		.pid = 4242, .t_s = 0.03125, .older_count = 1500, .older_bytes = 3145728,
		.in_use_count = 1499, .in_use_bytes = 1048576, .mapped_count = 1,
		.mapped_bytes = 2097152, .free_count = 20, .free_bytes = 65536,
		.cached_count = 7, .cached_bytes = 448, .top_bytes = 131072, .heaps = 3,
		.unfinished_heaps = 0, .retries = 2 });
	snapshot_census_class_vec_push(&snap->census_classes, (struct snapshot_census_class){
		4242, 1024, 1499, 1048576, 20, 65536 });
	snapshot_census_class_vec_push(&snap->census_classes, (struct snapshot_census_class){
		4242, 2097152, 1, 2097152, 0, 0 });
	snapshot_account_vec_push(&snap->process_account, (struct snapshot_account){
		.pid = 4242, .kind = snapshot_string(snap, "live"), .bytes = 70000000 });
	snapshot_account_vec_push(&snap->process_account, (struct snapshot_account){
		.pid = 4242, .kind = snapshot_string(snap, "unexplained"), .bytes = 22274688 });
	snapshot_cgroup_vec_push(&snap->cgroups, (struct snapshot_cgroup){
		.path = snapshot_string(snap, "/sys/fs/cgroup/shop"), .version = 2,
		.usage_bytes = 94371840, .reclaimable_bytes = 1048576,
		.limit_bytes = 1073741824, .high_bytes = -1, .limit_events = 3,
		.high_events = 0, .oom_events = 1, .oom_kills = 1,
		.pressure_of = snapshot_string(snap, "cgroup"), .some_avg10 = 1.25,
		.full_avg10 = 0.5, .some_us = 2500000, .full_us = 1000000 });
}

/* As the kernel tells it, with every account kind adding up to the RSS. */
static inline void fixture_memory(struct snapshot *snap)
{
	snap->memory = (struct snapshot_memory){
		.rss_bytes = 92274688, .pss_bytes = 90177536, .anon_bytes = 83886080,
		.file_bytes = 8388608, .shmem_bytes = 0, .swap_bytes = 4194304,
		.page_tables_bytes = 204800, .trimmable_bytes = 2097152,
		.limit_bytes = 1073741824,
		.limit_kind = snapshot_string(snap, "cgroup"),
		.limit_used_bytes = 93323264, .growth_bytes_per_s = 524800.25,
		.growth_confidence = 0.9975, .live_growth_bytes_per_s = -12.5,
		.live_growth_confidence = 0.25, .seconds_to_limit = 1870.125,
	};
	snapshot_account_vec_push(&snap->account, (struct snapshot_account){
		.kind = snapshot_string(snap, "live"), .bytes = 70000000 });
	snapshot_account_vec_push(&snap->account, (struct snapshot_account){
		.kind = snapshot_string(snap, "unexplained"), .bytes = 22274688 });
	fixture_ledger(snap);
	for (int i = 1; i <= 3; i++)
		snapshot_sample_vec_push(&snap->timeline, (struct snapshot_sample){
			.t_s = 20.5 * i, .live_bytes = 10000000ll * i,
			.rss_bytes = 30000000ll * i, .alloc_bytes = 40000000ll * i,
			.free_bytes = 30000000ll * i });
	snapshot_reclaim_vec_push(&snap->reclaim, (struct snapshot_reclaim){
		.t_s = 12.25, .kind = snapshot_string(snap, "madvise"), .bytes = 1048576,
		.pid = 4242, .detail = snapshot_string(snap, "MADV_DONTNEED") });
	snapshot_level_vec_push(&snap->levels, (struct snapshot_level){ 0, "exact" });
	snapshot_level_vec_push(&snap->levels, (struct snapshot_level){ 3.25, "windows" });
	snapshot_level_vec_push(&snap->levels, (struct snapshot_level){ 21, "exact" });
	snapshot_mark_vec_push(&snap->marks, (struct snapshot_mark){
		.t_s = 40.5, .name = snapshot_string(snap, "after \"warm-up\"") });
	snap->cost = (struct snapshot_cost){
		.probe_hits = 1234567, .probe_ns_per_hit = 652.5, .target_cpu_share = 0.031,
		.ledger_hits = 98765, .ledger_ns_per_hit = 310.5,
		.slowed_calls = 40123, .ns_per_slowed_call = 81.5,
		.own_cpu_s = 1.75, .own_rss_bytes = 20971520,
		.gc_looks = 17, .gc_look_ns = 3400000, .gc_look_max_ns = 420000,
	};
	snap->unwind = (struct snapshot_unwind){ 2, 1, 0, 1, 0 };
}

static inline void fixture_cache_stack(struct snapshot *snap)
{
	static const char id[] = "0123456789abcdef0123456789abcdef01234567";

	fixture_stack(snap, (struct snapshot_stack){
		.id = 0x1122334455667788, .status = UNWIND_COMPLETE,
		.m = { 41943040, 10240, 62914560, 15360, 20971520, 5120, 512, 41943040,
		       524288.5, 0.98, 60.25 } });
	fixture_frame(snap, (struct frame){ .pc = 0x55d0000012a4, .offset = 0x12a4,
		.function = "entry_create(cache&, int)", .raw = "_Z12entry_createR5cachei",
		.module = "server", .path = "/usr/bin/server", .build_id = id,
		.file = "/src/server/cache.cc", .line = 120, .column = 9,
		.start_line = 97, .inlined = true });
	fixture_frame(snap, (struct frame){ .pc = 0x55d0000012a4, .offset = 0x12a4,
		.function = "cache_insert", .raw = "cache_insert",
		.module = "server", .path = "/usr/bin/server", .build_id = id,
		.file = "/src/server/cache.cc", .line = 160 });
	fixture_frame(snap, (struct frame){ .pc = 0x55d000002222, .offset = 0x2222,
		.function = "serve;request", .raw = "serve;request",
		.module = "server", .path = "/usr/bin/server", .build_id = id });
	fixture_frame(snap, (struct frame){ .pc = 0x7f0000027249, .offset = 0x27249,
		.module = "libc.so.6", .path = "/usr/lib/x86_64-linux-gnu/libc.so.6" });
	fixture_frame(snap, (struct frame){ .pc = 0x7fff00001000 });
}

/* Deeper than a text report shows, in a C++ name longer than its column. */
static inline void fixture_deep_stack(struct snapshot *snap)
{
	fixture_stack(snap, (struct snapshot_stack){
		.id = 0x99, .kind = MEMORY_MMAP, .status = UNWIND_TRUNCATED,
		.m = { 2097152, 2, 4194304, 4, 2097152, 2, 0, 2097152, 0, 0.5, 3725.5 } });
	for (uint64_t i = 0; i < 20; i++)
		fixture_frame(snap, (struct frame){ .pc = 0x1000 + i, .offset = 0x1000 + i,
			.function = "std::vector<std::basic_string<char>,"
				" std::allocator<std::basic_string<char> > >::grow",
			.raw = "grow", .module = "server", .path = "/usr/bin/server" });
}

static inline struct snapshot *fixture_create(void)
{
	struct snapshot *snap = snapshot_create();

	fixture_header(snap);
	snapshot_target_vec_push(&snap->targets, (struct snapshot_target){
		.pid = 4243, .comm = snapshot_string(snap, "bad\xff\x1b[2J"),
		.exe = snapshot_string(snap, "/tmp/\xc3\xa4"), .cmdline = snapshot_string(snap, ""),
		.exited = true, .exit_reason = snapshot_string(snap, "killed by signal 9") });
	fixture_memory(snap);
	fixture_cache_stack(snap);
	fixture_deep_stack(snap);
	fixture_stack(snap, (struct snapshot_stack){
		.id = 7, .target = 1, .status = UNWIND_FAILED,
		.m = { 96, 1, 396, 4, 300, 3, 3, 100, -12.5, 0.25, 30.5 } });
	fixture_frame(snap, (struct frame){ .pc = 0x400010, .offset = 0x10,
		.function = "evil\n\x1b]0;x\x07", .raw = "evil", .module = "bad",
		.type = "[]main.\x1bnode" });
	fixture_stack(snap, (struct snapshot_stack){ .id = 8, .status = UNWIND_LOST,
		.m = { 24, 1, 24, 1, 0, 0, 0, 24, 0, 0, 5 } });
	snap->totals = (struct snapshot_totals){
		.m = { 44040312, 10244, 67109284, 15369, 23068972, 5125, 515, 44040316,
		       524276, 0.97, 3725.5 },
		.unknown_free_count = 17, .failed_alloc_count = 0, .ignored_count = 3 };
	return snap;
}

/* Nothing happened while it was watched. */
static inline struct snapshot *fixture_idle_create(void)
{
	struct snapshot *snap = snapshot_create();

	fixture_header(snap);
	snap->memory.rss_bytes = 1048576;
	snap->memory.seconds_to_limit = -1;
	return snap;
}

/* Pseudo-random numbers, the same on every machine (xorshift64). */
static inline uint64_t fixture_random(uint64_t *state, uint64_t below)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state % below;
}

#endif
