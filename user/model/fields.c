// SPDX-License-Identifier: GPL-2.0-or-later
/* The field tables; see fields.h. */
#include <math.h>

#include "model/fields.h"

#define ARRAY_FIELDS(text, array) { text, array, sizeof(array) / sizeof((array)[0]) }

#define FIELD(type_, name_, base, member) { #name_, type_, false, false, offsetof(base, member) }
#define OPTIONAL(type_, name_, base, member) { #name_, type_, true, false, offsetof(base, member) }

/* The field type that goes with a metric's C type. */
#define METRIC_TYPE(type) \
	_Generic((type)0, int64_t: FIELD_INT64, double: FIELD_DOUBLE)

#define X(name, type, unit, header, help) \
	{ #name, METRIC_TYPE(type), false, false, offsetof(struct metrics, name) },
#define E(name, unit) \
	{ #name "_error", FIELD_DOUBLE, false, true, offsetof(struct metrics, name##_error) },
static const struct field metrics_fields[] = { METRICS(X) ESTIMATED_METRICS(E) };
#undef X
#undef E

const struct fields metric_fields = ARRAY_FIELDS("sample", metrics_fields);

static const struct field share[] = {
	FIELD(FIELD_UINT32, thread, struct snapshot_share, thread),
	FIELD(FIELD_UINT32, size_class, struct snapshot_share, size_class),
#define X(type, name) FIELD(type, name, struct snapshot_share, name),
	X(FIELD_INT64, live_bytes) X(FIELD_INT64, live_count)
	X(FIELD_INT64, alloc_bytes) X(FIELD_INT64, alloc_count)
	X(FIELD_INT64, temporary_count) X(FIELD_INT64, peak_live_bytes)
	X(FIELD_FLOAT, oldest_live_s)
	X(FIELD_FLOAT, live_bytes_error) X(FIELD_FLOAT, live_count_error)
	X(FIELD_FLOAT, alloc_bytes_error) X(FIELD_FLOAT, alloc_count_error)
#undef X
};

const struct fields share_fields = ARRAY_FIELDS("share", share);

static const struct field moment[] = {
	FIELD(FIELD_DOUBLE, duration_s, struct snapshot, duration_s),
	FIELD(FIELD_STRING, mode, struct snapshot, mode),
	OPTIONAL(FIELD_INT64, sample_bytes, struct snapshot, sample_bytes),
	FIELD(FIELD_STRING, stack_mode, struct snapshot, stack_mode),
};

static const struct field totals[] = {
#define X(name, type, unit, header, help) \
	{ #name, METRIC_TYPE(type), false, false, offsetof(struct snapshot, totals.m.name) },
	METRICS(X)
#undef X
#define X(name, unit) \
	{ #name "_error", FIELD_DOUBLE, false, true, \
	  offsetof(struct snapshot, totals.m.name##_error) },
	ESTIMATED_METRICS(X)
#undef X
	OPTIONAL(FIELD_INT64, unknown_free_count, struct snapshot, totals.unknown_free_count),
	FIELD(FIELD_INT64, failed_alloc_count, struct snapshot, totals.failed_alloc_count),
	FIELD(FIELD_INT64, ignored_count, struct snapshot, totals.ignored_count),
};

static const struct field loss[] = {
	FIELD(FIELD_INT64, dropped_events, struct snapshot, loss.dropped_events),
	FIELD(FIELD_INT64, dropped_stacks, struct snapshot, loss.dropped_stacks),
	FIELD(FIELD_INT64, untracked_allocs, struct snapshot, loss.untracked_allocs),
	FIELD(FIELD_INT64, missed_probes, struct snapshot, loss.missed_probes),
	FIELD(FIELD_BOOL, complete, struct snapshot, loss.complete),
};

static const struct field memory[] = {
#define X(name) OPTIONAL(FIELD_INT64, name, struct snapshot, memory.name),
	PROCESS_FIGURES(X)
#undef X
	OPTIONAL(FIELD_INT64, limit_bytes, struct snapshot, memory.limit_bytes),
	OPTIONAL(FIELD_STRING, limit_kind, struct snapshot, memory.limit_kind),
	OPTIONAL(FIELD_INT64, limit_used_bytes, struct snapshot, memory.limit_used_bytes),
	FIELD(FIELD_DOUBLE, growth_bytes_per_s, struct snapshot, memory.growth_bytes_per_s),
	FIELD(FIELD_DOUBLE, growth_confidence, struct snapshot, memory.growth_confidence),
	FIELD(FIELD_DOUBLE, live_growth_bytes_per_s, struct snapshot,
	      memory.live_growth_bytes_per_s),
	FIELD(FIELD_DOUBLE, live_growth_confidence, struct snapshot,
	      memory.live_growth_confidence),
	OPTIONAL(FIELD_DOUBLE, seconds_to_limit, struct snapshot, memory.seconds_to_limit),
};

static const struct field runtime[] = {
	OPTIONAL(FIELD_STRING, language, struct snapshot, runtime.language),
	OPTIONAL(FIELD_STRING, version, struct snapshot, runtime.version),
#define X(name, type, unit, text)					\
	{ #name, METRIC_TYPE(type), RUNTIME_##name == RUNTIME_MemoryLimit, false, \
	  offsetof(struct snapshot, runtime.f.name) },
	RUNTIME_FIGURES(X)
#undef X
	OPTIONAL(FIELD_INT64, MemProfileRate, struct snapshot, runtime.MemProfileRate),
	OPTIONAL(FIELD_DOUBLE, profile_age_s, struct snapshot, runtime.profile_age_s),
};

static const struct field unwind[] = {
	FIELD(FIELD_INT64, complete, struct snapshot, unwind.complete),
	FIELD(FIELD_INT64, truncated, struct snapshot, unwind.truncated),
	FIELD(FIELD_INT64, guessed, struct snapshot, unwind.guessed),
	FIELD(FIELD_INT64, failed, struct snapshot, unwind.failed),
	FIELD(FIELD_INT64, unreadable_files, struct snapshot, unwind.unreadable_files),
};

static const struct field windows[] = {
	OPTIONAL(FIELD_STRING, evidence, struct snapshot, windows.evidence),
	FIELD(FIELD_DOUBLE, since_s, struct snapshot, windows.since_s),
	FIELD(FIELD_INT64, windows, struct snapshot, windows.windows),
	FIELD(FIELD_INT64, truncated, struct snapshot, windows.truncated),
	FIELD(FIELD_DOUBLE, window_s, struct snapshot, windows.window_s),
	FIELD(FIELD_DOUBLE, period_s, struct snapshot, windows.period_s),
	FIELD(FIELD_DOUBLE, covered_share, struct snapshot, windows.covered_share),
	FIELD(FIELD_INT64, outside_hits, struct snapshot, windows.outside_hits),
	FIELD(FIELD_INT64, samples, struct snapshot, windows.samples),
	FIELD(FIELD_INT64, controls, struct snapshot, windows.controls),
	FIELD(FIELD_DOUBLE, ghost_share, struct snapshot, windows.ghost_share),
	FIELD(FIELD_DOUBLE, ghost_s, struct snapshot, windows.ghost_s),
	FIELD(FIELD_INT64, detectable_count, struct snapshot, windows.detectable_count),
	FIELD(FIELD_INT64, held_bytes, struct snapshot, windows.held_bytes),
	FIELD(FIELD_INT64, older_bytes, struct snapshot, windows.older_bytes),
	FIELD(FIELD_INT64, unattributed_bytes, struct snapshot, windows.unattributed_bytes),
	FIELD(FIELD_INT64, told_above_bytes, struct snapshot, windows.told_above_bytes),
};

static const struct field cost[] = {
	FIELD(FIELD_INT64, probe_hits, struct snapshot, cost.probe_hits),
	OPTIONAL(FIELD_DOUBLE, probe_ns_per_hit, struct snapshot, cost.probe_ns_per_hit),
	OPTIONAL(FIELD_DOUBLE, target_cpu_share, struct snapshot, cost.target_cpu_share),
	FIELD(FIELD_INT64, ledger_hits, struct snapshot, cost.ledger_hits),
	OPTIONAL(FIELD_DOUBLE, ledger_ns_per_hit, struct snapshot, cost.ledger_ns_per_hit),
	FIELD(FIELD_INT64, slowed_calls, struct snapshot, cost.slowed_calls),
	OPTIONAL(FIELD_DOUBLE, ns_per_slowed_call, struct snapshot, cost.ns_per_slowed_call),
	FIELD(FIELD_DOUBLE, own_cpu_s, struct snapshot, cost.own_cpu_s),
	OPTIONAL(FIELD_INT64, own_rss_bytes, struct snapshot, cost.own_rss_bytes),
	FIELD(FIELD_INT64, own_memory_bytes, struct snapshot, cost.own_memory_bytes),
	FIELD(FIELD_INT64, memory_limit_bytes, struct snapshot, cost.memory_limit_bytes),
	FIELD(FIELD_INT64, gc_looks, struct snapshot, cost.gc_looks),
	FIELD(FIELD_INT64, gc_look_ns, struct snapshot, cost.gc_look_ns),
	FIELD(FIELD_INT64, gc_look_max_ns, struct snapshot, cost.gc_look_max_ns),
};

const struct fields snapshot_parts[SNAPSHOT_PARTS_COUNT] = {
	[PART_SNAPSHOT] = ARRAY_FIELDS("snapshot", moment),
	[PART_TOTALS] = ARRAY_FIELDS("totals", totals),
	[PART_LOSS] = ARRAY_FIELDS("loss", loss),
	[PART_MEMORY] = ARRAY_FIELDS("memory", memory),
	[PART_RUNTIME] = ARRAY_FIELDS("runtime", runtime),
	[PART_UNWIND] = ARRAY_FIELDS("unwind", unwind),
	[PART_WINDOWS] = ARRAY_FIELDS("windows", windows),
	[PART_COST] = ARRAY_FIELDS("cost", cost),
};

static const struct field target[] = {
	FIELD(FIELD_UINT32, pid, struct snapshot_target, pid),
	FIELD(FIELD_STRING, comm, struct snapshot_target, comm),
	FIELD(FIELD_STRING, exe, struct snapshot_target, exe),
	FIELD(FIELD_STRING, cmdline, struct snapshot_target, cmdline),
	FIELD(FIELD_BOOL, exited, struct snapshot_target, exited),
	OPTIONAL(FIELD_STRING, exit_reason, struct snapshot_target, exit_reason),
	FIELD(FIELD_BOOL, oom_killed, struct snapshot_target, oom_killed),
};

static const struct field account[] = {
	FIELD(FIELD_STRING, kind, struct snapshot_account, kind),
	FIELD(FIELD_INT64, bytes, struct snapshot_account, bytes),
};

static const struct field process[] = {
	FIELD(FIELD_UINT32, pid, struct snapshot_process, pid),
#define X(name) OPTIONAL(FIELD_INT64, name, struct snapshot_process, name),
	PROCESS_FIGURES(X)
#undef X
};

static const struct field process_account[] = {
	FIELD(FIELD_UINT32, pid, struct snapshot_account, pid),
	FIELD(FIELD_STRING, kind, struct snapshot_account, kind),
	FIELD(FIELD_INT64, bytes, struct snapshot_account, bytes),
};

static const struct field cgroup[] = {
	FIELD(FIELD_STRING, path, struct snapshot_cgroup, path),
	FIELD(FIELD_UINT32, version, struct snapshot_cgroup, version),
	OPTIONAL(FIELD_INT64, usage_bytes, struct snapshot_cgroup, usage_bytes),
	OPTIONAL(FIELD_INT64, reclaimable_bytes, struct snapshot_cgroup, reclaimable_bytes),
	OPTIONAL(FIELD_INT64, limit_bytes, struct snapshot_cgroup, limit_bytes),
	OPTIONAL(FIELD_INT64, high_bytes, struct snapshot_cgroup, high_bytes),
	OPTIONAL(FIELD_INT64, limit_events, struct snapshot_cgroup, limit_events),
	OPTIONAL(FIELD_INT64, high_events, struct snapshot_cgroup, high_events),
	OPTIONAL(FIELD_INT64, oom_events, struct snapshot_cgroup, oom_events),
	OPTIONAL(FIELD_INT64, oom_kills, struct snapshot_cgroup, oom_kills),
	OPTIONAL(FIELD_STRING, pressure_of, struct snapshot_cgroup, pressure_of),
	OPTIONAL(FIELD_DOUBLE, some_avg10, struct snapshot_cgroup, some_avg10),
	OPTIONAL(FIELD_DOUBLE, full_avg10, struct snapshot_cgroup, full_avg10),
	OPTIONAL(FIELD_INT64, some_us, struct snapshot_cgroup, some_us),
	OPTIONAL(FIELD_INT64, full_us, struct snapshot_cgroup, full_us),
};

#define C(name) FIELD(FIELD_INT64, name, struct snapshot_census, name)
static const struct field census[] = {
	FIELD(FIELD_UINT32, pid, struct snapshot_census, pid),
	FIELD(FIELD_DOUBLE, t_s, struct snapshot_census, t_s),
	C(older_count), C(older_bytes), C(in_use_count), C(in_use_bytes),
	C(mapped_count), C(mapped_bytes), C(free_count), C(free_bytes),
	C(cached_count), C(cached_bytes), C(top_bytes),
	C(heaps), C(unfinished_heaps), C(retries),
};
#undef C

#define C(name) FIELD(FIELD_INT64, name, struct snapshot_census_class, name)
static const struct field census_class[] = {
	FIELD(FIELD_UINT32, pid, struct snapshot_census_class, pid),
	C(max_bytes), C(in_use_count), C(in_use_bytes), C(free_count), C(free_bytes),
};
#undef C

static const struct field sizes[] = {
	FIELD(FIELD_INT64, Size, struct runtime_size, Size),
	FIELD(FIELD_INT64, Mallocs, struct runtime_size, Mallocs),
	FIELD(FIELD_INT64, Frees, struct runtime_size, Frees),
};

static const struct field timeline[] = {
	FIELD(FIELD_DOUBLE, t_s, struct snapshot_sample, t_s),
	FIELD(FIELD_INT64, live_bytes, struct snapshot_sample, live_bytes),
	OPTIONAL(FIELD_INT64, rss_bytes, struct snapshot_sample, rss_bytes),
	FIELD(FIELD_INT64, alloc_bytes, struct snapshot_sample, alloc_bytes),
	FIELD(FIELD_INT64, free_bytes, struct snapshot_sample, free_bytes),
};

static const struct field reclaim[] = {
	FIELD(FIELD_DOUBLE, t_s, struct snapshot_reclaim, t_s),
	FIELD(FIELD_STRING, kind, struct snapshot_reclaim, kind),
	OPTIONAL(FIELD_INT64, bytes, struct snapshot_reclaim, bytes),
	FIELD(FIELD_UINT32, pid, struct snapshot_reclaim, pid),
	FIELD(FIELD_STRING, detail, struct snapshot_reclaim, detail),
};

static const struct field mark[] = {
	FIELD(FIELD_DOUBLE, t_s, struct snapshot_mark, t_s),
	FIELD(FIELD_STRING, name, struct snapshot_mark, name),
};

static const struct field level[] = {
	FIELD(FIELD_DOUBLE, t_s, struct snapshot_level, t_s),
	FIELD(FIELD_STRING, level, struct snapshot_level, level),
};

static const struct field focus[] = {
	FIELD(FIELD_STRING, stack, struct snapshot_focus, stack),
	FIELD(FIELD_UINT32, pid, struct snapshot_focus, pid),
	FIELD(FIELD_DOUBLE, since_s, struct snapshot_focus, since_s),
	OPTIONAL(FIELD_DOUBLE, until_s, struct snapshot_focus, until_s),
	OPTIONAL(FIELD_STRING, why, struct snapshot_focus, why),
	FIELD(FIELD_INT64, alloc_count, struct snapshot_focus, alloc_count),
	FIELD(FIELD_INT64, alloc_bytes, struct snapshot_focus, alloc_bytes),
};

static const struct field thread[] = {
	FIELD(FIELD_UINT32, target, struct snapshot_thread, target),
	FIELD(FIELD_UINT32, tid, struct snapshot_thread, tid),
	OPTIONAL(FIELD_STRING, name, struct snapshot_thread, name),
};

#define LIST(text, array, type, member, every) \
	{ ARRAY_FIELDS(text, array), sizeof(type), offsetof(struct snapshot, member), every }

const struct list_fields snapshot_lists[SNAPSHOT_LISTS_COUNT] = {
	[LIST_TARGETS] = LIST("target", target, struct snapshot_target, targets, false),
	[LIST_ACCOUNT] = LIST("account", account, struct snapshot_account, account, true),
	[LIST_PROCESSES] = LIST("process", process, struct snapshot_process, processes, true),
	[LIST_PROCESS_ACCOUNT] = LIST("process_account", process_account,
				      struct snapshot_account, process_account, true),
	[LIST_CGROUPS] = LIST("cgroup", cgroup, struct snapshot_cgroup, cgroups, true),
	[LIST_CENSUS] = LIST("census", census, struct snapshot_census, census, false),
	[LIST_CENSUS_CLASSES] = LIST("census_class", census_class,
				     struct snapshot_census_class, census_classes, false),
	[LIST_SIZES] = LIST("runtime_size", sizes, struct runtime_size, sizes, false),
	[LIST_TIMELINE] = LIST("timeline", timeline, struct snapshot_sample, timeline, false),
	[LIST_RECLAIM] = LIST("reclaim", reclaim, struct snapshot_reclaim, reclaim, false),
	[LIST_MARKS] = LIST("mark", mark, struct snapshot_mark, marks, false),
	[LIST_THREADS] = LIST("thread", thread, struct snapshot_thread, threads, false),
	[LIST_LEVELS] = LIST("level", level, struct snapshot_level, levels, false),
	[LIST_FOCUS] = LIST("focus", focus, struct snapshot_focus, focus, true),
};

const char *unwind_status_name(uint32_t status)
{
	static const char *const names[] = {
#define X(symbol, name, text) name,
		UNWIND_STATUSES(X)
#undef X
	};

	return names[status < UNWIND_STATUSES_COUNT ? status : UNWIND_LOST];
}

/* Whole nanoseconds below 2^53 survive the trip through seconds. */
static int64_t to_ns(double seconds)
{
	return fabs(seconds) < 9e6 ? llround(seconds * 1e9) : 0;
}

void metrics_age(struct metrics *m, double from_s, double to_s)
{
	if (m->live_count > 0 && m->oldest_live_s > 0 && to_s != from_s)
		m->oldest_live_s = (double)(to_ns(to_s) - to_ns(from_s) +
					    to_ns(m->oldest_live_s)) / 1e9;
}
