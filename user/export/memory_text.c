// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel's side in words; see memory_text.h. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/format.h"
#include "base/strbuf.h"
#include "export/memory_text.h"

#define PROCESSES_SHOWN 8
#define INDENT "               "	/* below a line's name */

static const char *bytes(int64_t value, char buf[FORMAT_MAX])
{
	return format_bytes(value, buf);
}

static double share(int64_t part, int64_t whole)
{
	return whole > 0 ? 100 * (double)part / (double)whole : 0;
}

/* The slope where it is one, else that there is none. */
static void put_slope(FILE *f, const struct snapshot_memory *m)
{
	char buf[FORMAT_MAX];

	if (m->growth_confidence >= GROWTH_SURE)
		fprintf(f, ", %s (%.0f %% sure)", format_slope(m->growth_bytes_per_s, buf),
			floor(m->growth_confidence * 100));
	else if (fabs(m->growth_bytes_per_s) >= 0.5)
		fprintf(f, ", %s, which may be chance",
			format_slope(m->growth_bytes_per_s, buf));
}

static void put_resident(FILE *f, const struct snapshot *snap)
{
	const struct snapshot_memory *m = &snap->memory;
	char buf[FORMAT_MAX];

	fprintf(f, "  %-10s %10s resident", "RSS", bytes(m->rss_bytes, buf));
	if (snap->processes.len > 1)
		fprintf(f, " in %zu processes", snap->processes.len);
	if (m->anon_bytes >= 0)
		fprintf(f, " (%s anonymous)", bytes(m->anon_bytes, buf));
	if (m->swap_bytes > 0)
		fprintf(f, ", %s swapped out", bytes(m->swap_bytes, buf));
	put_slope(f, m);
	fputc('\n', f);
}

/* What the RSS is made of; each line with its share. */
static void put_account(FILE *f, const struct snapshot *snap)
{
	char buf[FORMAT_MAX];

	vec_for_each(line, &snap->account)
		fprintf(f, "  %-10s %10s %5.1f%% %s\n", "", bytes(line->bytes, buf),
			share(line->bytes, snap->memory.rss_bytes), line->kind);
}

/* The lines that stand beside the RSS, not in it. */
static void put_beside(FILE *f, const struct snapshot_memory *m)
{
	char a[FORMAT_MAX], b[FORMAT_MAX];

	if (m->pss_bytes < 0 || m->page_tables_bytes < 0)
		return;
	fprintf(f, "  %-10s %10s counting its part of shared pages (PSS); page tables, beside it: "
		"%s\n", "", bytes(m->pss_bytes, a), bytes(m->page_tables_bytes, b));
}

static void put_trimmable(FILE *f, const struct snapshot_memory *m)
{
	char buf[FORMAT_MAX];

	if (m->adjusted_bytes > 0)
		fprintf(f, "  %-10s %10s by which the heap grew meanwhile is taken off its lines"
			"\n", "", bytes(m->adjusted_bytes, buf));
	if (m->trimmable_bytes > 0)
		fprintf(f, "  %-10s %10s of what is freed and kept malloc_trim() would give back"
			"\n", "", bytes(m->trimmable_bytes, buf));
}

#define CLASSES_SHOWN 3
#define CENSUSES_SHOWN 4

/* The size classes that hold most of what was there before, largest first. */
static void put_classes(FILE *f, const struct snapshot *snap,
			const struct snapshot_census *census)
{
	int64_t below = INT64_MAX;
	char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX];

	for (int i = 0; i < CLASSES_SHOWN; i++) {
		const struct snapshot_census_class *most = NULL;

		vec_for_each(class, &snap->census_classes)
			if (class->pid == census->pid && class->in_use_bytes < below &&
			    class->in_use_bytes > 0 &&
			    (!most || class->in_use_bytes > most->in_use_bytes))
				most = class;
		if (!most)
			return;
		below = most->in_use_bytes;
		fprintf(f, "  %-10s %10s in %s of up to %s each", "", bytes(most->in_use_bytes, a),
			format_count(most->in_use_count, b), bytes(most->max_bytes, c));
		if (most->free_count)
			fprintf(f, "; %s of that size %s free",
				format_count(most->free_count, b),
				most->free_count == 1 ? "was" : "were");
		fputc('\n', f);
	}
}

static void put_census(FILE *f, const struct snapshot *snap, const struct snapshot_census *census)
{
	char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX];

	fprintf(f, "  %-10s %10s in %s block%s older than the watch", "before",
		bytes(census->older_bytes, a), format_count(census->older_count, b),
		census->older_count == 1 ? " is" : "s are");
	if (snap->census.len > 1)
		fprintf(f, " (pid %" PRIu32 ")", census->pid);
	fprintf(f, ";\n" INDENT "at attach, %s was free between blocks, %s at heaps' ends%s\n",
		bytes(census->free_bytes + census->cached_bytes, b), bytes(census->top_bytes, c),
		census->unfinished_heaps ? "; not all could be read" : "");
	put_classes(f, snap, census);
}

/* The largest kinds of each of several processes. */
static void put_process(FILE *f, const struct snapshot *snap, const struct snapshot_process *p)
{
	struct strbuf line __cleanup_strbuf = { 0 };
	const struct snapshot_account *first = NULL, *second = NULL;
	char buf[FORMAT_MAX];

	vec_for_each(at, &snap->process_account) {
		if (at->pid != p->pid)
			continue;
		if (!first || at->bytes > first->bytes) {
			second = first;
			first = at;
		} else if (!second || at->bytes > second->bytes) {
			second = at;
		}
	}
	strbuf_addf(&line, "pid %" PRIu32, p->pid);
	fprintf(f, "  %-10s %10s %5.1f%% %s", "", bytes(p->rss_bytes, buf),
		share(p->rss_bytes, snap->memory.rss_bytes), strbuf_str(&line));
	if (first)
		fprintf(f, ": %s %s", bytes(first->bytes, buf), first->kind);
	if (second)
		fprintf(f, ", %s %s", bytes(second->bytes, buf), second->kind);
	fputc('\n', f);
}

static void put_processes(FILE *f, const struct snapshot *snap)
{
	size_t count = snap->processes.len;

	if (count < 2)
		return;
	fputs("  of which\n", f);
	for (size_t i = 0; i < count && i < PROCESSES_SHOWN; i++)
		put_process(f, snap, &snap->processes.data[i]);
	if (count > PROCESSES_SHOWN)
		fprintf(f, "  %-10s %10s and %zu more (--json lists all)\n", "", "...",
			count - PROCESSES_SHOWN);
}

static void put_limit(FILE *f, const struct snapshot_memory *m)
{
	char buf[FORMAT_MAX];

	if (m->limit_bytes < 0)
		return;
	fprintf(f, "  %-10s %10s", "limit", bytes(m->limit_bytes, buf));
	if (m->limit_kind && m->limit_kind[0])
		fprintf(f, " (%s)", m->limit_kind);
	if (m->limit_used_bytes >= 0)
		fprintf(f, ", %.0f %% used", share(m->limit_used_bytes, m->limit_bytes));
	if (m->seconds_to_limit >= 0)
		fprintf(f, ", reached in %s at this slope",
			format_duration(m->seconds_to_limit, buf));
	else if (m->growth_confidence < GROWTH_SURE)
		fputs(", no growth to be sure of", f);
	fputc('\n', f);
}

/* What has happened in it, on a line of its own. */
static void put_events(FILE *f, const struct snapshot_cgroup *c)
{
	const struct { int64_t count; const char *text; } events[] = {
		{ c->limit_events, "its limit was met" },
		{ c->high_events, "memory.high was exceeded" },
		{ c->oom_events, "it was out of memory" }, { c->oom_kills, "processes killed" },
	};
	const char *separator = "";

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (events[i].count <= 0)
			continue;
		fprintf(f, *separator ? "%s%s %" PRId64 " x" :
			"%s\n" INDENT "%s %" PRId64 " x", separator, events[i].text,
			events[i].count);
		separator = ", ";
	}
}

static void put_pressure(FILE *f, const struct snapshot_cgroup *c)
{
	if (c->pressure_of && c->some_us > 0)
		fprintf(f, "\n" INDENT "%s waited %.1f s for memory, %.1f %% of the last 10 s",
			strcmp(c->pressure_of, "cgroup") ? "the machine" : "it",
			(double)c->some_us / 1e6, c->some_avg10);
}

static void put_cgroup(FILE *f, const struct snapshot_cgroup *c)
{
	struct strbuf path __cleanup_strbuf = { 0 };
	char buf[FORMAT_MAX];

	/* One without a limit, in which nothing happened, is no news. */
	if (c->limit_bytes < 0 && c->high_bytes < 0 && c->oom_kills <= 0)
		return;
	format_escaped(&path, c->path);
	fprintf(f, "  %-10s %10s used", "cgroup", bytes(c->usage_bytes, buf));
	if (c->limit_bytes >= 0)
		fprintf(f, " of %s", bytes(c->limit_bytes, buf));
	if (c->high_bytes >= 0)
		fprintf(f, ", memory.high %s", bytes(c->high_bytes, buf));
	if (c->reclaimable_bytes > 0)
		fprintf(f, ", %s can be reclaimed", bytes(c->reclaimable_bytes, buf));
	put_events(f, c);
	put_pressure(f, c);
	fprintf(f, "\n" INDENT "%s\n", strbuf_str(&path));
}

/* The killed */

#define KILLED_SHOWN 4
#define HOLDERS_SHOWN 3
#define CALLERS_SHOWN 3
#define HOLDER_COLUMNS 76

/* "leak_blocks (cache.c:12) < main < __libc_start_call_main" */
static void put_holder(FILE *f, const struct snapshot *snap, const struct snapshot_stack *stack)
{
	const struct frame *frames = snapshot_frames(snap, stack);
	struct strbuf line __cleanup_strbuf = { 0 };
	char buf[FORMAT_MAX];

	for (uint32_t i = 0; i < stack->frame_count && i < CALLERS_SHOWN; i++) {
		const struct frame *frame = &frames[i];

		strbuf_addstr(&line, i ? " < " : "");
		format_escaped(&line, frame->function ? frame->function : frame->module);
		if (i || !frame->file)
			continue;
		strbuf_addstr(&line, " (");
		format_escaped(&line, strrchr(frame->file, '/') ? strrchr(frame->file, '/') + 1 :
			       frame->file);
		strbuf_addf(&line, ":%u)", frame->line);
	}
	fprintf(f, "  %10s  %.*s\n", bytes(stack->m.live_bytes, buf), HOLDER_COLUMNS,
		strbuf_str(&line));
}

/* The stacks of target @nr that hold most; they may be in any order. */
static void put_holders(FILE *f, const struct snapshot *snap, uint32_t nr)
{
	const struct snapshot_stack *top[HOLDERS_SHOWN] = { NULL };

	vec_for_each(stack, &snap->stacks) {
		const struct snapshot_stack *next = stack;

		if (stack->target != nr || stack->m.live_bytes <= 0)
			continue;
		for (int i = 0; next && i < HOLDERS_SHOWN; i++) {
			const struct snapshot_stack *here = top[i];

			if (here && here->m.live_bytes >= next->m.live_bytes)
				continue;
			top[i] = next;
			next = here;
		}
	}
	for (int i = 0; i < HOLDERS_SHOWN && top[i]; i++)
		put_holder(f, snap, top[i]);
}

static int64_t rss_of(const struct snapshot *snap, uint32_t pid)
{
	vec_for_each(process, &snap->processes)
		if (process->pid == pid)
			return process->rss_bytes;
	return -1;
}

void text_put_killed(const struct snapshot *snap, FILE *f)
{
	int shown = 0;
	char buf[FORMAT_MAX];

	for (uint32_t i = 0; i < snap->targets.len && shown < KILLED_SHOWN; i++) {
		const struct snapshot_target *target = &snap->targets.data[i];
		int64_t rss = rss_of(snap, target->pid);

		if (!target->oom_killed)
			continue;
		shown++;
		fprintf(f, "\nPid %u was killed for lack of memory", target->pid);
		if (rss >= 0)
			fprintf(f, "; shortly before, %s of it were resident", bytes(rss, buf));
		fputs(".\nWhat it had allocated and not freed:\n", f);
		put_holders(f, snap, i);
	}
}

void text_put_memory(const struct snapshot *snap, FILE *f)
{
	if (snap->memory.rss_bytes < 0)
		return;
	put_resident(f, snap);
	put_account(f, snap);
	put_trimmable(f, &snap->memory);
	put_beside(f, &snap->memory);
	put_processes(f, snap);
	for (size_t i = 0; i < snap->census.len && i < CENSUSES_SHOWN; i++)
		put_census(f, snap, &snap->census.data[i]);
	put_limit(f, &snap->memory);
	vec_for_each(cgroup, &snap->cgroups)
		put_cgroup(f, cgroup);
}
