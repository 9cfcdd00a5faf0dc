// SPDX-License-Identifier: GPL-2.0-or-later
/* A screenful of a snapshot; see table.h. */
#include <math.h>
#include <string.h>

#include "base/format.h"
#include "view/table.h"

#define HEAD_LINES 5
#define NUMBER_COLUMNS 54	/* what stands in front of the call path */

static const char *bytes(int64_t value, char buf[FORMAT_MAX])
{
	return value < 0 ? "?" : format_bytes(value, buf);
}

static void put_targets(const struct snapshot *snap, FILE *f, int columns)
{
	struct strbuf line __cleanup_strbuf = { 0 };
	char buf[FORMAT_MAX];

	strbuf_addf(&line, "heapsonde  %s", format_duration(snap->duration_s, buf));
	vec_for_each(target, &snap->targets) {
		strbuf_addf(&line, "  pid %u ", target->pid);
		format_escaped(&line, target->comm);
		if (target->exited)
			strbuf_addf(&line, " (%s)", target->exit_reason);
	}
	fprintf(f, "%.*s\n", columns, strbuf_str(&line));
}

static double per_second(int64_t count, const struct snapshot *snap)
{
	return snap->duration_s > 0 ? (double)count / snap->duration_s : 0;
}

static void put_totals(const struct snapshot *snap, FILE *f)
{
	const struct metrics *m = &snap->totals.m;
	char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX], d[FORMAT_MAX];

	fprintf(f, "live %s in %s blocks   RSS %s   limit %s (%s)\n", bytes(m->live_bytes, a),
		format_count(m->live_count, b), bytes(snap->memory.rss_bytes, c),
		bytes(snap->memory.limit_bytes, d), snap->memory.limit_kind);
	fprintf(f, "%s allocations/s, %s frees/s   %s stacks whole, %s not\n",
		format_count(llround(per_second(m->alloc_count, snap)), a),
		format_count(llround(per_second(m->free_count, snap)), b),
		format_count(snap->unwind.complete, c),
		format_count(snap->unwind.truncated + snap->unwind.guessed +
			     snap->unwind.failed, d));
}

static void put_losses(const struct snapshot *snap, FILE *f)
{
	const struct snapshot_loss *loss = &snap->loss;

	if (loss->complete)
		fputs("nothing lost\n", f);
	else
		fprintf(f, "INCOMPLETE: %lld events and %lld stacks dropped, "
			"%lld allocations untracked, %lld probes missed\n",
			(long long)loss->dropped_events, (long long)loss->dropped_stacks,
			(long long)loss->untracked_allocs, (long long)loss->missed_probes);
}

static void add_frame(struct strbuf *path, const struct frame *frame)
{
	if (frame->function)
		format_escaped(path, frame->function);
	else if (*frame->module) {
		format_escaped(path, frame->module);
		strbuf_addf(path, "+0x%llx", (unsigned long long)frame->offset);
	} else {
		strbuf_addf(path, "[0x%llx]", (unsigned long long)frame->pc);
	}
}

/* Who allocated, called by whom, as far as the line goes. */
static void put_path(const struct snapshot *snap, const struct snapshot_stack *stack, FILE *f,
		     int columns)
{
	const struct frame *frames = snapshot_frames(snap, stack);
	struct strbuf path __cleanup_strbuf = { 0 };

	for (uint32_t i = 0; i < stack->frame_count && (int)path.len < columns; i++) {
		if (i)
			strbuf_addstr(&path, " < ");
		add_frame(&path, &frames[i]);
	}
	if (!stack->frame_count)
		strbuf_addstr(&path, "[lost]");
	fprintf(f, "%.*s\n", columns, strbuf_str(&path));
}

static void put_stack(const struct snapshot *snap, const struct snapshot_stack *stack, FILE *f,
		      int columns)
{
	char live[FORMAT_MAX], count[FORMAT_MAX], growth[FORMAT_MAX], rate[FORMAT_MAX];
	char age[FORMAT_MAX];

	fprintf(f, "%10s %8s %10s/s %9s %9s  ", format_bytes(stack->m.live_bytes, live),
		format_count(stack->m.live_count, count),
		format_bytes(llround(stack->m.growth_bytes_per_s), growth),
		format_count(llround(per_second(stack->m.alloc_count, snap)), rate),
		stack->m.live_count ? format_duration(stack->m.oldest_live_s, age) : "-");
	put_path(snap, stack, f, columns > NUMBER_COLUMNS ? columns - NUMBER_COLUMNS : 0);
}

void view_table(const struct snapshot *snap, FILE *f, struct table_size size)
{
	int left = size.rows - 1 - HEAD_LINES;

	put_targets(snap, f, size.columns);
	put_totals(snap, f);
	put_losses(snap, f);
	fprintf(f, "%10s %8s %12s %9s %9s  %s\n", "live", "blocks", "growth", "allocs/s", "oldest",
		"who allocated < called by");
	vec_for_each(stack, &snap->stacks) {
		if (left-- <= 0)
			break;
		put_stack(snap, stack, f, size.columns);
	}
}
