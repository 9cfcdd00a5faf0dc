// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The report for people: who was watched, what it adds up to, what is
 * missing, the stacks that hold most, and what the words mean.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/format.h"
#include "base/strbuf.h"
#include "export/growth_text.h"
#include "export/reclaim_text.h"
#include "export/memory_text.h"
#include "export/runtime_text.h"
#include "export/text.h"
#include "model/fields.h"

#define WIDTH 100		/* columns */
#define FRAME_INDENT 7
#define FUNCTION_WIDTH 56	/* longer names are cut */
#define PLACE_COLUMN 36		/* of where the function stands, unless its name is longer */

/* Small things */

/* "1,234,567": exact counts, as people read them. */
static void add_grouped(struct strbuf *sb, int64_t value)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64,
			   value < 0 ? -(uint64_t)value : (uint64_t)value);

	if (value < 0)
		strbuf_addch(sb, '-');
	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			strbuf_addch(sb, ',');
		strbuf_addch(sb, digits[i]);
	}
}

static void put_grouped(FILE *f, int64_t value)
{
	struct strbuf sb __cleanup_strbuf = { 0 };

	add_grouped(&sb, value);
	fputs(strbuf_str(&sb), f);
}

static void put_escaped(FILE *f, const char *s)
{
	struct strbuf sb __cleanup_strbuf = { 0 };

	format_escaped(&sb, s);
	fputs(strbuf_str(&sb), f);
}

/* Cuts what is longer than @columns bytes and marks the cut. */
static void cut(struct strbuf *sb, size_t columns)
{
	size_t keep = columns - 3;

	if (sb->len <= columns)
		return;
	/* Not in the middle of a UTF-8 character. */
	while (keep && (sb->data[keep] & 0xc0) == 0x80)
		keep--;
	sb->len = keep;
	strbuf_addstr(sb, "...");
}

static void add_shortened(struct strbuf *sb, const char *s, size_t columns)
{
	struct strbuf whole __cleanup_strbuf = { 0 };

	format_escaped(&whole, s);
	cut(&whole, columns);
	strbuf_addstr(sb, strbuf_str(&whole));
}

static const char *bytes(int64_t value, char buf[FORMAT_MAX])
{
	return format_bytes(value, buf);
}

static double ratio(double part, double whole)
{
	return whole > 0 ? part / whole : 0;
}

/* Header */

static void put_target(FILE *f, const struct snapshot_target *target)
{
	struct strbuf line __cleanup_strbuf = { 0 };

	strbuf_addf(&line, "  pid %u  ", target->pid);
	add_shortened(&line, target->comm, 24);
	if (target->exe[0]) {
		strbuf_addstr(&line, "  ");
		add_shortened(&line, target->exe, 40);
	}
	fprintf(f, "%s", strbuf_str(&line));
	if (target->exited) {
		fputs(target->oom_killed ? "\n    - " : "  - ", f);
		put_escaped(f, target->exit_reason ? target->exit_reason : "ended");
	}
	fputc('\n', f);
}

#define TARGETS_SHOWN 8	/* of a command and its children there may be hundreds */

static void put_header(FILE *f, const struct snapshot *snap)
{
	size_t shown = snap->targets.len;
	char buf[FORMAT_MAX];

	if (shown > TARGETS_SHOWN)
		shown = TARGETS_SHOWN - 1;

	fprintf(f, "Heap of %s, watched for %s\n",
		snap->targets.len == 1 ? "one process" : "several programs",
		format_duration(snap->duration_s, buf));
	for (size_t i = 0; i < shown; i++)
		put_target(f, &snap->targets.data[i]);
	if (shown < snap->targets.len)
		fprintf(f, "  ... and %zu more programs (--json lists all)\n",
			snap->targets.len - shown);
}

/* Totals */

/* Whether the level sees allocations at all. */
static bool traces(const struct snapshot *snap)
{
	return strcmp(snap->mode, "growth");
}

struct estimated { int64_t value; double error; };

#define ESTIMATED(m, metric) ((struct estimated){ (m)->metric, (m)->metric##_error })

/* How far an estimate's interval reaches; nothing where it is exact. */
static void put_error(FILE *f, const char *number, double error)
{
	if (error > 0)
		fprintf(f, " ±%s", number);
}

static void put_total(FILE *f, const char *name, struct estimated size, struct estimated count,
		      const char *what)
{
	char buf[FORMAT_MAX];

	fprintf(f, "  %-10s %10s", name, bytes(size.value, buf));
	put_error(f, bytes(llround(size.error), buf), size.error);
	fputs(" in ", f);
	put_grouped(f, count.value);
	put_error(f, format_count(llround(count.error), buf), count.error);
	fprintf(f, " %s", what);
}

/* Not of a profile that counts from the start of its program. */
static void put_rate(FILE *f, int64_t size, int64_t count, const struct snapshot *snap)
{
	double duration_s = snap->runtime.MemProfileRate > 0 ? 0 : snap->duration_s;
	char b[FORMAT_MAX], c[FORMAT_MAX];

	if (duration_s > 0 && count)
		fprintf(f, " (%s/s, %s per second)",
			bytes((int64_t)((double)size / duration_s), b),
			format_count((int64_t)((double)count / duration_s), c));
	fputc('\n', f);
}

static void put_growth(FILE *f, const struct metrics *m)
{
	char buf[FORMAT_MAX];

	/* A slope that chance could make as well is no news. */
	if (fabs(m->growth_bytes_per_s) >= 0.5 && m->growth_confidence >= 0.8)
		fprintf(f, ", %s by %s/s (%.0f %% sure)",
			m->growth_bytes_per_s > 0 ? "growing" : "shrinking",
			bytes(llround(fabs(m->growth_bytes_per_s)), buf),
			m->growth_confidence * 100);
	fputc('\n', f);
}

static void put_counts(FILE *f, const struct snapshot *snap)
{
	const struct snapshot_totals *totals = &snap->totals;
	const struct metrics *m = &totals->m;
	char buf[FORMAT_MAX];

	put_total(f, "live", ESTIMATED(m, live_bytes), ESTIMATED(m, live_count),
		  "blocks");
	put_growth(f, m);
	fprintf(f, "  %-10s %10s", "peak", bytes(m->peak_live_bytes, buf));
	put_error(f, bytes(llround(m->peak_live_bytes_error), buf), m->peak_live_bytes_error);
	fputs(" was the most that was live at once\n", f);
	put_total(f, "allocated", ESTIMATED(m, alloc_bytes), ESTIMATED(m, alloc_count),
		  "allocations");
	put_rate(f, m->alloc_bytes, m->alloc_count, snap);
	put_total(f, "freed", ESTIMATED(m, free_bytes), ESTIMATED(m, free_count),
		  "frees");
	put_rate(f, m->free_bytes, m->free_count, snap);
	if (m->alloc_count)
		fprintf(f, "  %-10s %9.1f%% of allocations, freed at once\n", "temporary",
			100 * ratio((double)m->temporary_count, (double)m->alloc_count));
}

/* Counts that are mostly 0, and then not worth a line. */
static void put_rare_counts(FILE *f, const struct snapshot_totals *totals, bool complete)
{
	const char *const texts[] = {
		complete ? "of blocks that were allocated before heapsonde attached"
			 : "of blocks that are not known: older than the watch, or lost",
		"failed", "ignored (--min-size, --max-size)",
	};
	const char *const nouns[] = { "free", "allocation", "allocation" };
	const int64_t counts[] = {
		totals->unknown_free_count, totals->failed_alloc_count, totals->ignored_count,
	};

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		if (counts[i] <= 0)
			continue;
		fputs("  also       ", f);
		put_grouped(f, counts[i]);
		fprintf(f, " %s%s %s\n", nouns[i], counts[i] == 1 ? "" : "s", texts[i]);
	}
}

#define GHOSTS_MANY 0.5		/* of the blocks that windows follow, and ... */
#define GHOSTS_LONG_S 5		/* ... for so long: then who holds what is a guess */

/* How the estimates came about, and what they can and cannot tell. */
static void put_windows(FILE *f, const struct snapshot_windows *w)
{
	char n[FORMAT_MAX], least[FORMAT_MAX], held[FORMAT_MAX];

	fprintf(f, ";\n  %-10s %10s windows of %.0f ms, one each %.2g s: %.2g %% of the time",
		"", format_count(w->windows, n), w->window_s * 1e3, w->period_s,
		w->covered_share * 100);
	if (w->truncated)
		fprintf(f, "; %" PRId64 " shut early", w->truncated);
	fprintf(f, "\n  %-10s %10s blocks followed, some %.0f %% of them dead unnoticed for %.2g s",
		"", format_count(w->samples, n), w->ghost_share * 100, w->ghost_s);
	if (w->ghost_share > GHOSTS_MANY && w->ghost_s > GHOSTS_LONG_S)
		fprintf(f, ":\n  %-10s %10s single call paths are not to be relied on", "", "");
	fprintf(f, "\n  %-10s %10s blocks or more that a call path kept would have been seen", "",
		format_count(w->detectable_count, least));
	if (w->told_above_bytes)
		fprintf(f, "\n  %-10s %10s or more: each such allocation is told",
			"", bytes(w->told_above_bytes, n));
	if (w->held_bytes)
		fprintf(f, "\n  %-10s %10s in use by the %s, %.0f %% of it from before",
			"", bytes(w->held_bytes, held),
			strstr(w->evidence, EVIDENCE_OLD_WALK) ? EVIDENCE_OLD_WALK : "heap walk",
			100 * (double)w->older_bytes / (double)w->held_bytes);
	else
		fprintf(f, "\n  %-10s %10s heap can be read: what is freed and not used again "
			"counts as live",
			"", "no");
	if (w->since_s > 0)
		fprintf(f, "\n  %-10s %9.1fs watched exactly before, and what was live then "
			"followed on", "", w->since_s);
	fprintf(f, "\n  %-10s %10s estimates, with ± the longer side of their 95 %% interval",
		"", "");
}

/* Of the call path: its innermost function; its id if that has no name. */
static const char *focused_function(const struct snapshot *snap, const struct snapshot_focus *focus)
{
	vec_for_each(stack, &snap->stacks) {
		const struct frame *frames = snapshot_frames(snap, stack);
		char id[17];

		snprintf(id, sizeof(id), "%016" PRIx64, stack->id);
		for (uint32_t i = 0; !strcmp(id, focus->stack) && i < stack->frame_count; i++)
			if (frames[i].function && strncmp(frames[i].function, "operator new", 12))
				return frames[i].function;
	}
	return focus->stack;
}

static void put_focus(FILE *f, const struct snapshot *snap)
{
	char n[FORMAT_MAX], size[FORMAT_MAX], when[FORMAT_MAX];

	vec_for_each(focus, &snap->focus) {
		fprintf(f, ";\n  %-10s %10s allocations of %s by %s, each traced since %s",
			focus == snap->focus.data ? "focus" : "",
			format_count(focus->alloc_count, n), bytes(focus->alloc_bytes, size),
			focused_function(snap, focus), format_duration(focus->since_s, when));
		if (focus->why)
			fprintf(f, "\n  %-10s %10s until %s: %s", "", "",
				format_duration(focus->until_s, when), focus->why);
	}
}

/* From when to when it was seen how, where that has changed. */
static void put_levels(FILE *f, const struct snapshot_level_vec *levels)
{
	char when[FORMAT_MAX];

	if (levels->len < 2)
		return;
	fprintf(f, ";\n  %-10s %10s ", "", "levels");
	vec_for_each(level, levels)
		if (level->t_s > 0)
			fprintf(f, ", %s from %s", level->level, format_duration(level->t_s, when));
		else
			fputs(level->level, f);
	fprintf(f, ":\n  %-10s %10s what has ± is estimated, or was in part", "", "");
}

static void put_cost(FILE *f, const struct snapshot *snap)
{
	const struct snapshot_cost *cost = &snap->cost;
	char buf[FORMAT_MAX];

	fprintf(f, "  %-10s %10s level, stacks by %s", "mode", snap->mode,
		strcmp(snap->stack_mode, "fp") ? "unwind tables" : "frame pointers");
	if (snap->sample_bytes >= 0)
		fprintf(f, ", one sample each %s;\n  %-10s %10s estimates, with ± half of "
			"their 95 %% interval", bytes(snap->sample_bytes, buf), "", "");
	if (snap->windows.evidence)
		put_windows(f, &snap->windows);
	put_focus(f, snap);
	put_levels(f, &snap->levels);
	fprintf(f, "\n  %-10s %10s probe hits", "price", format_count(cost->probe_hits, buf));
	if (cost->probe_ns_per_hit >= 0)
		fprintf(f, ", %.0f ns each", cost->probe_ns_per_hit);
	if (cost->target_cpu_share >= 0)
		fprintf(f, ", %.1f %% of the target's CPU time", cost->target_cpu_share * 100);
	if (cost->ledger_ns_per_hit >= 0)
		fprintf(f, "\n  %-10s %10s page faults and calls on memory, %.0f ns each, are in "
			"that", "", format_count(cost->ledger_hits, buf), cost->ledger_ns_per_hit);
	if (cost->slowed_calls && cost->ns_per_slowed_call >= 0)
		fprintf(f, "\n  %-10s %10s other system calls too, %.0f ns longer each, as those "
			"of all processes are", "", format_count(cost->slowed_calls, buf),
			cost->ns_per_slowed_call);
	fprintf(f, "\n  %-10s %8.1f s of CPU time", "heapsonde", cost->own_cpu_s);
	if (cost->own_rss_bytes > 0)
		fprintf(f, ", %s of memory", bytes(cost->own_rss_bytes, buf));
	if (cost->gc_looks)
		fprintf(f, "\n  %-10s %10s looks at samples made the pauses %.2f ms longer on "
			"average, %.2f ms at most", "collector", format_count(cost->gc_looks, buf),
			(double)cost->gc_look_ns / 1e6 / (double)cost->gc_looks,
			(double)cost->gc_look_max_ns / 1e6);
	fputc('\n', f);
}

/* What is missing */

static void put_loss(FILE *f, const struct snapshot_loss *loss)
{
	const struct { int64_t count; const char *text; } losses[] = {
		{ loss->dropped_events, "events dropped" },
		{ loss->dropped_stacks, "stacks dropped" },
		{ loss->untracked_allocs, "allocations not tracked" },
		{ loss->missed_probes, "probe hits missed" },
	};
	const char *separator = "";
	int printed = 0;

	if (loss->complete) {
		fputs("\nComplete: nothing was lost.\n", f);
		return;
	}
	fputs("\nINCOMPLETE: ", f);
	for (size_t i = 0; i < sizeof(losses) / sizeof(losses[0]); i++) {
		if (!losses[i].count)
			continue;
		fputs(separator, f);
		put_grouped(f, losses[i].count);
		fprintf(f, " %s", losses[i].text);
		separator = ++printed == 2 ? ",\n            " : ", ";
	}
	fprintf(f, "%s.\n", printed ? "" : "some events were lost");
	fputs("So totals are lower bounds, and a block whose free was lost looks live until its"
	      " address\nis used again.\n", f);
}

static void put_unwind(FILE *f, const struct snapshot_unwind *unwind)
{
	const struct { int64_t count; const char *text; } rows[] = {
		{ unwind->truncated, "cut at --max-depth" },
		{ unwind->guessed, "may lack some callers" },
		{ unwind->failed, "broke off before the bottom" },
	};
	const char *separator = "Call paths: ";

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!rows[i].count)
			continue;
		fputs(separator, f);
		put_grouped(f, rows[i].count);
		fprintf(f, " %s", rows[i].text);
		separator = ", ";
	}
	if (*separator == ',')
		fprintf(f, " (of %" PRId64 ").\n", unwind->complete + unwind->truncated +
			unwind->guessed + unwind->failed);
	if (unwind->unreadable_files)
		fprintf(f, "Files: of %" PRId64 " the symbols, lines or unwind tables could not be"
			" read (whoever did crashed,\nor took too long or too much): they are"
			" left out, all or the rest.\n", unwind->unreadable_files);
}


/* The table */

static void put_table_head(FILE *f)
{
	fprintf(f, "%4s %10s %6s %9s %13s %9s %10s %9s %5s\n", "#", "live", "share", "blocks",
		"growth", "oldest", "allocated", "allocs", "temp");
}

static void put_row(FILE *f, const char *rank, const struct metrics *m,
		    const struct metrics *total)
{
	char live[FORMAT_MAX], blocks[FORMAT_MAX], growth[FORMAT_MAX], oldest[FORMAT_MAX];
	char allocated[FORMAT_MAX], allocs[FORMAT_MAX];

	fprintf(f, "%4s %10s %5.1f%% %9s %13s %9s %10s %9s %4.0f%%", rank,
		bytes(m->live_bytes, live),
		100 * ratio((double)m->live_bytes, (double)total->live_bytes),
		format_count(m->live_count, blocks), format_slope(m->growth_bytes_per_s, growth),
		m->live_count ? format_duration(m->oldest_live_s, oldest) : "-",
		bytes(m->alloc_bytes, allocated), format_count(m->alloc_count, allocs),
		100 * ratio((double)m->temporary_count, (double)m->alloc_count));
}

/* "cache.c:120 (inlined)", "libfoo.so+0x1234", or nothing when nothing is known. */
static void add_place(struct strbuf *sb, const struct frame *frame)
{
	const char *slash;

	if (frame->file) {
		slash = strrchr(frame->file, '/');
		format_escaped(sb, slash ? slash + 1 : frame->file);
		if (frame->line)
			strbuf_addf(sb, ":%u", frame->line);
		if (frame->module[0]) {
			strbuf_addstr(sb, "  ");
			format_escaped(sb, frame->module);
		}
	} else if (frame->module[0]) {
		format_escaped(sb, frame->module);
		strbuf_addf(sb, "+0x%" PRIx64, frame->offset);
	}
	if (frame->inlined)
		strbuf_addstr(sb, "  (inlined)");
	if (frame->type) {
		strbuf_addstr(sb, "  allocates ");
		format_escaped(sb, frame->type);
	}
}

static void put_frame(FILE *f, const struct frame *frame)
{
	struct strbuf name __cleanup_strbuf = { 0 }, place __cleanup_strbuf = { 0 };

	add_place(&place, frame);
	if (!frame->function && !place.len) {
		fprintf(f, "       [0x%" PRIx64 "]\n", frame->pc);
		return;
	}
	add_shortened(&name, frame->function ? frame->function : "??", FUNCTION_WIDTH);
	if (place.len && name.len < PLACE_COLUMN)
		strbuf_addf(&name, "%*s", (int)(PLACE_COLUMN - name.len), "");
	cut(&place, WIDTH - FRAME_INDENT - 2 - name.len);
	fprintf(f, "%*s%s", FRAME_INDENT, "", strbuf_str(&name));
	if (place.len)
		fprintf(f, "  %s", strbuf_str(&place));
	fputc('\n', f);
}

/* One line more than allowed is shown rather than counted. */
void text_put_frames(const struct snapshot *snap, const struct snapshot_stack *stack, FILE *f,
		     size_t depth)
{
	const struct frame *frames = snapshot_frames(snap, stack);
	size_t shown = stack->frame_count;

	if (!depth)
		depth = TEXT_DEPTH;
	if (shown > depth + 1)
		shown = depth;
	for (size_t i = 0; i < shown; i++)
		put_frame(f, &frames[i]);
	if (shown < stack->frame_count)
		fprintf(f, "       ... %zu more (--json shows all)\n", stack->frame_count - shown);
	if (stack->status == UNWIND_LOST)
		fputs("       [call path lost on the way]\n", f);
	else if (!stack->frame_count)
		fputs("       [call path not recorded]\n", f);
	else if (stack->status != UNWIND_COMPLETE)
		fprintf(f, "       [%s]\n", stack->status == UNWIND_TRUNCATED ?
			"deeper than --max-depth" : stack->status == UNWIND_GUESSED ?
			"some callers may be missing above" : "callers from here on unknown");
}

static const char *plus_minus(const char *error, char buf[FORMAT_MAX])
{
	snprintf(buf, FORMAT_MAX, "±%.28s", error);
	return buf;
}

/* Below the row, each figure's; "±" is two bytes and one column. */
static void put_errors(FILE *f, const struct metrics *m)
{
	char number[FORMAT_MAX], live[FORMAT_MAX], blocks[FORMAT_MAX];
	char allocated[FORMAT_MAX], allocs[FORMAT_MAX];

	if (m->live_bytes_error <= 0 && m->alloc_bytes_error <= 0)
		return;
	fprintf(f, "%4s %11s %6s %10s %13s %9s %11s %10s\n", "",
		plus_minus(bytes(llround(m->live_bytes_error), number), live), "",
		plus_minus(format_count(llround(m->live_count_error), number), blocks), "", "",
		plus_minus(bytes(llround(m->alloc_bytes_error), number), allocated),
		plus_minus(format_count(llround(m->alloc_count_error), number), allocs));
}

static void put_stack(FILE *f, const struct snapshot *snap, size_t i, size_t depth)
{
	const struct snapshot_stack *stack = &snap->stacks.data[i];
	char rank[24];

	snprintf(rank, sizeof(rank), "%zu", i + 1);
	fputc('\n', f);
	put_row(f, rank, &stack->m, &snap->totals.m);
	if (stack->kind != MEMORY_HEAP)
		fprintf(f, "  %s", memory_kind_name(stack->kind));
	if (snap->targets.len > 1)
		fprintf(f, "  pid %u", snap->targets.data[stack->target].pid);
	fputc('\n', f);
	put_errors(f, &stack->m);
	text_put_frames(snap, stack, f, depth);
}

/* Slopes of a sum are not the sum of robust slopes, but near it; ages are the oldest. */
static void metrics_add(struct metrics *sum, const struct metrics *m)
{
#define X(name, type, unit, header, help) sum->name += m->name;
	METRICS(X)
#undef X
}

static struct metrics sum_from(const struct snapshot *snap, size_t first)
{
	struct metrics sum = { 0 };
	double oldest = 0;

	for (size_t i = first; i < snap->stacks.len; i++) {
		metrics_add(&sum, &snap->stacks.data[i].m);
		oldest = fmax(oldest, snap->stacks.data[i].m.oldest_live_s);
	}
	sum.oldest_live_s = oldest;
	return sum;
}

/* @is_cut: there would be more to show than the limit allows. */
static void put_others(FILE *f, const struct snapshot *snap, size_t shown, bool is_cut)
{
	struct metrics sum = sum_from(snap, shown);
	size_t count = snap->stacks.len - shown;

	if (!count)
		return;
	fputc('\n', f);
	put_row(f, "", &sum, &snap->totals.m);
	fprintf(f, "\n       (%zu other call path%s%s)\n", count, count == 1 ? "" : "s",
		is_cut ? "; --limit 0 shows all" : " with nothing to show");
}

/* The stacks worth showing: those that have any of the metric sorted by. */
static size_t stacks_shown(const struct snapshot *snap, const struct text_options *options)
{
	size_t limit = options->limit ? options->limit : SIZE_MAX, n = 0;
	double value;

	while (n < snap->stacks.len && n < limit &&
	       metrics_get(&snap->stacks.data[n].m, options->sort, &value) && value != 0)
		n++;
	return n;
}

static void put_table(FILE *f, const struct snapshot *snap, const struct text_options *options)
{
	size_t shown = stacks_shown(snap, options);

	fputc('\n', f);
	if (!snap->stacks.len) {
		fputs("No allocation was seen. If the program is idle, watch it longer (-d)"
		      " or while it works.\n", f);
		return;
	}
	if (!snap->totals.m.live_count)
		fputs("Nothing is live: everything allocated since attach was freed again.\n\n", f);
	fprintf(f, "Top %zu of %zu call paths by %s; each begins with who called the allocator,"
		" callers below\n\n", shown, snap->stacks.len, options->sort);
	put_table_head(f);
	for (size_t i = 0; i < shown; i++)
		put_stack(f, snap, i, options->depth);
	put_others(f, snap, shown, options->limit && shown == options->limit);
}

static const char *const since_attach[] = {
	"live      allocated since heapsonde attached and not freed yet. What was there",
	"          before is not counted. Live is not always leaked: look for what keeps",
	"          growing and gets old.",
	"share     of all live bytes;  growth  slope of live bytes over the watched time",
	"oldest    age of the oldest live block;  allocated, allocs  all since attach",
	"temp      allocations freed by the same thread before it allocated anything else",
	NULL
};

/* Where a program's own profile is shown. */
static const char *const since_start[] = {
	"live      not freed yet, says the heap profile that the program keeps of itself,",
	"          from its start. Live is not always leaked: look for what keeps growing.",
	"share     of all live bytes;  growth  slope of live bytes over the watched time",
	"allocated, allocs  all since its start, freed ones too",
	NULL
};

static void put_legend(const struct snapshot *snap, FILE *f)
{
	const char *const *lines = snap->runtime.MemProfileRate > 0 ? since_start : since_attach;

	fputc('\n', f);
	for (; *lines; lines++)
		fprintf(f, "%s\n", *lines);
}

void export_text(const struct snapshot *all, FILE *f, const struct text_options *options)
{
	__cleanup(snapshot_destroyp) struct snapshot *snap = snapshot_without_growth(all);
	struct text_options o = *options;
	bool growth;

	if (!o.depth)
		o.depth = TEXT_DEPTH;
	if (!o.sort)
		o.sort = "live_bytes";
	put_header(f, snap);
	text_put_killed(snap, f);
	fputc('\n', f);
	if (traces(snap)) {
		put_counts(f, snap);
		put_rare_counts(f, &snap->totals, snap->loss.complete);
	}
	text_put_memory(snap, f);
	put_cost(f, snap);
	text_put_runtime(snap, f);
	text_put_reclaim(snap, f);
	put_loss(f, &snap->loss);
	put_unwind(f, &snap->unwind);
	growth = snapshot_is_growth(snap) || text_is_growth_metric(o.sort);
	if (growth)
		text_put_growth(all, f, &o);
	else
		put_table(f, snap, &o);
	if (snap->stacks.len && !growth)
		put_legend(snap, f);
}
