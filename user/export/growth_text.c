// SPDX-License-Identifier: GPL-2.0-or-later
/* Who mapped and who touched memory; see growth_text.h. */
#include <math.h>
#include <string.h>

#include "base/format.h"
#include "export/growth_text.h"

bool text_is_growth_metric(const char *metric)
{
	return !strcmp(metric, "resident_bytes") || !strcmp(metric, "mapped_bytes");
}

static const char *slope(double per_s, char buf[FORMAT_MAX])
{
	char number[FORMAT_MAX];

	if (fabs(per_s) < 0.5)
		return "0";
	format_bytes(llround(per_s), number);
	snprintf(buf, FORMAT_MAX, "%s%.26s/s", per_s > 0 ? "+" : "", number);
	return buf;
}

static void put_row(const struct snapshot *snap, const struct snapshot_stack *stack, size_t rank,
		    FILE *f)
{
	const struct metrics *m = &stack->m;
	int64_t all = snap->totals.m.resident_bytes;
	char resident[FORMAT_MAX], mapped[FORMAT_MAX], growth[FORMAT_MAX];

	fprintf(f, "\n%4zu %10s %5.1f%% %10s %13s", rank,
		format_bytes(m->resident_bytes, resident),
		all > 0 ? 100 * (double)m->resident_bytes / (double)all : 0,
		format_bytes(m->mapped_bytes, mapped), slope(m->growth_bytes_per_s, growth));
	if (snap->targets.len > 1)
		fprintf(f, "  pid %u", snap->targets.data[stack->target].pid);
	fputc('\n', f);
}

static bool has_any(const struct snapshot_stack *stack)
{
	return stack->kind == MEMORY_GROWTH && (stack->m.resident_bytes || stack->m.mapped_bytes);
}

static size_t count_rows(const struct snapshot *snap)
{
	size_t count = 0;

	vec_for_each(stack, &snap->stacks)
		count += has_any(stack);
	return count;
}

static void put_head(const struct snapshot *snap, size_t count, FILE *f)
{
	char resident[FORMAT_MAX], mapped[FORMAT_MAX];

	fprintf(f, "\nWho touched new memory: %s became resident since attach and still is,"
		" %s was mapped,\nunder %zu call paths; each begins where the memory was touched or"
		" mapped, callers below.\n\n"
		"This tells what made the process grow, not who leaks: who first uses a page is"
		" often\nnot who keeps it, for blocks are handed out again. --mode exact or sampled"
		" ranks those.\n\n%4s %10s %6s %10s %13s\n",
		format_bytes(snap->totals.m.resident_bytes, resident),
		format_bytes(snap->totals.m.mapped_bytes, mapped), count, "#", "resident", "share",
		"mapped", "growth");
}

void text_put_growth(const struct snapshot *snap, FILE *f, const struct text_options *options)
{
	size_t count = count_rows(snap), shown = 0;

	if (!count) {
		fputs("\nNo memory was touched or mapped since attach, as far as this kernel tells"
		      " ('heapsonde doctor').\n", f);
		return;
	}
	put_head(snap, count, f);
	vec_for_each(stack, &snap->stacks) {
		if (!has_any(stack))
			continue;
		if (options->limit && shown == options->limit)
			break;
		put_row(snap, stack, ++shown, f);
		text_put_frames(snap, stack, f, options->depth);
	}
	if (shown < count)
		fprintf(f, "\n       (%zu other call paths; --limit 0 shows all)\n", count - shown);
	fputs("\nresident  pages first touched under this call path that are resident now; where"
	      " many faults\n          came at once, an estimate from a sample of them\n"
	      "mapped    mapped under it since attach and still mapped, touched or not\n"
	      "growth    slope of resident over the watched time\n", f);
}
