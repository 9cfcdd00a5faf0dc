// SPDX-License-Identifier: GPL-2.0-or-later
/* What changed, for people; see diff.h. */
#include <math.h>
#include <string.h>

#include "base/format.h"
#include "export/diff.h"
#include "export/text.h"

/* A metric's value as its unit is written; with a sign where it is a change. */
static const char *format_value(const char *metric, double value, bool sign, char buf[FORMAT_MAX])
{
	enum metric_unit unit_of = UNIT_COUNT;
	char number[FORMAT_MAX];

#define X(name, type, unit, header, help)	\
	if (!strcmp(metric, #name))		\
		unit_of = unit;
	METRICS(X)
#undef X
	switch (unit_of) {
	case UNIT_BYTES:
	case UNIT_BYTES_PER_S:
		format_bytes(llround(value), number);
		break;
	case UNIT_COUNT:
		format_count(llround(value), number);
		break;
	default:
		snprintf(number, sizeof(number), "%.3g", value);
	}
	snprintf(buf, FORMAT_MAX, "%s%.24s%s", sign && value > 0 ? "+" : "", number,
		 unit_of == UNIT_BYTES_PER_S ? "/s" : "");
	return buf;
}

static void put_change(FILE *f, const char *name, double old, double new, const char *metric)
{
	char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX];

	fprintf(f, "  %-10s %11s -> %11s  %12s", name, format_value(metric, old, false, a),
		format_value(metric, new, false, b), format_value(metric, new - old, true, c));
}

static void put_head(FILE *f, const struct diff *diff)
{
	const struct snapshot_totals *old = &diff->old->totals, *new = &diff->new->totals;
	char a[FORMAT_MAX], b[FORMAT_MAX];

	fprintf(f, "What changed, from %s to %s after attaching\n\n",
		format_duration(diff->old->duration_s, a),
		format_duration(diff->new->duration_s, b));
	put_change(f, "live", (double)old->m.live_bytes, (double)new->m.live_bytes, "live_bytes");
	fprintf(f, " in %s blocks\n", format_value("live_count", (double)diff->delta.live_count,
						   true, a));
	put_change(f, "allocated", (double)old->m.alloc_bytes, (double)new->m.alloc_bytes,
		   "alloc_bytes");
	fprintf(f, " in %s allocations\n",
		format_value("alloc_count", (double)diff->delta.alloc_count, true, a));
	if (diff->old->memory.rss_bytes >= 0 && diff->new->memory.rss_bytes >= 0) {
		put_change(f, "RSS", (double)diff->old->memory.rss_bytes,
			   (double)diff->new->memory.rss_bytes, "live_bytes");
		fputc('\n', f);
	}
	fprintf(f, "  %-10s ", "call paths");
	for (int i = 0; i < DIFF_STATES_COUNT; i++)
		fprintf(f, "%s%zu %s", i ? ", " : "", diff->counts[i], diff_state_name(i));
	fputc('\n', f);
	if (!diff->old->loss.complete || !diff->new->loss.complete)
		fputs("\nINCOMPLETE: events were lost, see 'heapsonde report' of each: some changes"
		      " may be none.\n", f);
}

static void put_row(FILE *f, const struct diff *diff, size_t i)
{
	const struct diff_row *row = &diff->rows.data[i];
	char change[FORMAT_MAX], old[FORMAT_MAX], new[FORMAT_MAX], blocks[FORMAT_MAX];
	double a = 0, b = 0;

	metrics_get(&row->old, diff->metric, &a);
	metrics_get(&row->new, diff->metric, &b);
	fprintf(f, "\n%4zu %13s %12s %12s %10s  %s", i + 1,
		format_value(diff->metric, b - a, true, change),
		format_value(diff->metric, a, false, old),
		format_value(diff->metric, b, false, new),
		format_value("live_count", (double)row->delta.live_count, true, blocks),
		diff_state_name(row->state));
	if (row->kind != MEMORY_HEAP)
		fprintf(f, "  %s", memory_kind_name(row->kind));
	fputc('\n', f);
	text_put_frames(row->of, row->stack, f, 0);
}

void export_diff_text(const struct diff *diff, FILE *f, size_t limit)
{
	size_t changed = diff->rows.len - diff->counts[DIFF_SAME];
	size_t shown = limit && limit < changed ? limit : changed;

	put_head(f, diff);
	if (!changed) {
		fprintf(f, "\nNo call path changed its %s.\n", diff->metric);
		return;
	}
	fprintf(f, "\nTop %zu of %zu call paths by change of %s; each begins with who called the"
		" allocator\n\n", shown, changed, diff->metric);
	fprintf(f, "%4s %13s %12s %12s %10s  %s\n", "#", "change", "from", "to", "blocks", "it");
	for (size_t i = 0; i < shown; i++)
		put_row(f, diff, i);
	if (shown < changed)
		fprintf(f, "\n       (%zu other call path%s; --limit 0 shows all)\n",
			changed - shown, changed - shown == 1 ? "" : "s");
}
