// SPDX-License-Identifier: GPL-2.0-or-later
/* What the runtime says, in words; see runtime_text.h. */
#include <inttypes.h>
#include <string.h>

#include "base/format.h"
#include "export/runtime_text.h"
#include "model/reclaim.h"

static const char *bytes(int64_t value, char buf[FORMAT_MAX])
{
	return format_bytes(value, buf);
}

static void put_heap(const struct runtime_figures *f, FILE *out)
{
	char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX], d[FORMAT_MAX];

	fprintf(out, "  %-10s %10s in %" PRId64 " objects; %s allocated since the start in %s\n",
		"HeapAlloc", bytes(f->HeapAlloc, a), f->HeapObjects, bytes(f->TotalAlloc, b),
		format_count(f->Mallocs, c));
	fprintf(out, "  %-10s %10s from the system: %s in use, %s idle",
		"HeapSys", bytes(f->HeapSys, a), bytes(f->HeapInuse, b), bytes(f->HeapIdle, c));
	fprintf(out, " (%s of it returned)\n", bytes(f->HeapReleased, d));
}

static void put_collector(const struct runtime_figures *f, FILE *out)
{
	fprintf(out, "  %-10s %10" PRId64 " collections (%" PRId64 " forced by the program), which "
		"took %.2f %% of its CPU\n  %-10s %10s and stopped the world for %.1f ms in all\n",
		"NumGC", f->NumGC, f->NumForcedGC, f->GCCPUFraction * 100, "", "",
		(double)f->PauseTotalNs / 1e6);
}

static void put_goal(const struct runtime_figures *f, FILE *out)
{
	char a[FORMAT_MAX], b[FORMAT_MAX];

	fprintf(out, "  %-10s %10s", "NextGC", bytes(f->NextGC, a));
	if (f->GOGC < 0)
		fputs(" at most (GOGC is off)", out);
	else
		fprintf(out, " by GOGC=%" PRId64, f->GOGC);
	if (f->MemoryLimit == RUNTIME_NO_LIMIT)
		fputs(", no memory limit\n", out);
	else
		fprintf(out, " and the memory limit of %s (%s used)\n", bytes(f->MemoryLimit, a),
			bytes(f->Sys - f->HeapReleased, b));
}

/* What turning the knob would do. */
static void put_percent_advice(const struct runtime_figures *f, FILE *out)
{
	int64_t half = f->GOGC / 2;
	char a[FORMAT_MAX], b[FORMAT_MAX];

	if (!f->NumGC || half <= 0)
		return;
	fprintf(out, "  GOGC=%" PRId64 " would collect at about %s instead of %s "
		"(an estimate, from what was live last).\n", half,
		bytes(runtime_goal(f, half), a), bytes(runtime_goal(f, f->GOGC), b));
}

/* Go's own advice is to leave a tenth of what the program may have. */
static void put_limit_advice(const struct snapshot *snap, FILE *out)
{
	const struct runtime_figures *f = &snap->runtime.f;
	int64_t limit = snap->memory.limit_bytes / 10 * 9;
	int64_t goal = runtime_limit_goal(f, limit);
	char a[FORMAT_MAX], b[FORMAT_MAX];

	if (!f->NumGC || f->MemoryLimit != RUNTIME_NO_LIMIT || snap->memory.limit_bytes < 0)
		return;
	fprintf(out, "  A memory limit of %s (nine tenths of what it may have) would ",
		bytes(limit, a));
	if (goal < f->HeapMarked)
		fprintf(out, "collect without end: what is live needs more.\n");
	else if (goal > runtime_goal(f, f->GOGC) && f->GOGC >= 0)
		fprintf(out, "not matter yet.\n");
	else
		fprintf(out, "collect at about %s (an estimate).\n", bytes(goal, b));
}

#define RELEASES_TOLD 3
#define RETAKEN_WITHIN_S 60

static bool is_kind(const struct snapshot_reclaim *event, enum reclaim_kind kind)
{
	return !strcmp(event->kind, reclaim_kind_name(kind));
}

/* What came of giving back everything: how much the heap took again, and how soon. */
static void put_release(const struct snapshot *snap, const struct snapshot_reclaim *release,
			FILE *out)
{
	const struct snapshot_reclaim *end = snap->reclaim.data + snap->reclaim.len;
	int64_t taken = 0;
	double until_s = release->t_s;
	char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX];

	for (const struct snapshot_reclaim *e = release + 1; e < end; e++) {
		if (e->pid != release->pid || taken >= release->bytes)
			continue;
		if (is_kind(e, RECLAIM_GO_FREE) || e->t_s > release->t_s + RETAKEN_WITHIN_S)
			break;
		if (!is_kind(e, RECLAIM_GO_GROWTH))
			continue;
		taken += e->bytes;
		until_s = e->t_s;
	}
	if (taken > release->bytes)
		taken = release->bytes;
	fprintf(out, "  FreeOSMemory at %s gave back %s; ", format_duration(release->t_s, a),
		bytes(release->bytes, b));
	if (taken)
		fprintf(out, "%s were taken again within %s.\n", bytes(taken, b),
			format_duration(until_s - release->t_s, c));
	else
		fputs("none of it was taken again.\n", out);
}

static void put_releases(const struct snapshot *snap, FILE *out)
{
	size_t skip = 0;

	vec_for_each(event, &snap->reclaim)
		skip += is_kind(event, RECLAIM_GO_FREE);
	skip = skip > RELEASES_TOLD ? skip - RELEASES_TOLD : 0;
	vec_for_each(event, &snap->reclaim) {
		if (!is_kind(event, RECLAIM_GO_FREE))
			continue;
		if (skip)
			skip--;
		else
			put_release(snap, event, out);
	}
}

static void put_holdings(const struct snapshot *snap, FILE *out)
{
	struct runtime_holding holdings[RUNTIME_HOLDINGS];
	int count = runtime_holdings(&snap->runtime.f, snap->memory.rss_bytes,
				     snapshot_c_heap_bytes(snap), holdings);
	char buf[FORMAT_MAX];

	fprintf(out, "What holds the %s that are resident:\n",
		bytes(snap->memory.rss_bytes, buf));
	for (int i = 0; i < count; i++)
		fprintf(out, "  %21s %s\n", bytes(holdings[i].bytes, buf), holdings[i].text);
}

static void put_profile(const struct snapshot_runtime *runtime, FILE *out)
{
	char buf[FORMAT_MAX];

	if (runtime->MemProfileRate <= 0)
		return;
	fprintf(out, "  %-10s %10s between samples of its own heap profile", "MemProfile",
		bytes(runtime->MemProfileRate, buf));
	if (runtime->profile_age_s >= 0)
		fprintf(out, ", which is as of %s ago",
			format_duration(runtime->profile_age_s, buf));
	fputc('\n', out);
}

#define SIZES_SHOWN 5

static int64_t held_bytes(const struct runtime_size *size)
{
	return (size->Mallocs - size->Frees) * size->Size;
}

/* The class that holds most after @before, or NULL. */
static const struct runtime_size *next_size(const struct runtime_size_vec *sizes,
					    const struct runtime_size *before)
{
	const struct runtime_size *next = NULL;

	vec_for_each(size, sizes)
		if ((!before || held_bytes(size) < held_bytes(before)) &&
		    (!next || held_bytes(size) > held_bytes(next)))
			next = size;
	return next && held_bytes(next) > 0 ? next : NULL;
}

static void put_sizes(const struct snapshot *snap, FILE *out)
{
	const struct runtime_size *size = next_size(&snap->sizes, NULL);
	char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX];

	for (int i = 0; i < SIZES_SHOWN && size; i++, size = next_size(&snap->sizes, size))
		fprintf(out, "  %-10s %10s in %s objects of up to %s\n", i ? "" : "BySize",
			bytes(held_bytes(size), a), format_count(size->Mallocs - size->Frees, b),
			bytes(size->Size, c));
}

void text_put_runtime(const struct snapshot *snap, FILE *f)
{
	const struct runtime_figures *figures = &snap->runtime.f;

	if (!snap->runtime.language)
		return;
	fputs("\nThe Go runtime", f);
	if (snap->runtime.version) {
		struct strbuf version __cleanup_strbuf = { 0 };

		format_escaped(&version, snap->runtime.version);
		fprintf(f, " (%s)", strbuf_str(&version));
	}
	fputs(" says of itself\n", f);
	put_heap(figures, f);
	put_collector(figures, f);
	put_goal(figures, f);
	put_profile(&snap->runtime, f);
	put_sizes(snap, f);
	if (snap->memory.rss_bytes >= 0)
		put_holdings(snap, f);
	put_releases(snap, f);
	put_percent_advice(figures, f);
	put_limit_advice(snap, f);
}
