// SPDX-License-Identifier: GPL-2.0-or-later
/* Reclaim events of a report; see reclaim_text.h. */
#include <string.h>

#include "base/format.h"
#include "base/strbuf.h"
#include "export/reclaim_text.h"
#include "model/reclaim.h"

#define EVENTS_SHOWN 8
#define DETAIL_COLUMNS 58

/* Longer words are cut, and the cut is marked. */
static void put_detail(FILE *f, const char *detail)
{
	struct strbuf sb __cleanup_strbuf = { 0 };
	size_t keep = DETAIL_COLUMNS - 3;

	format_escaped(&sb, detail);
	if (sb.len <= DETAIL_COLUMNS) {
		fputs(strbuf_str(&sb), f);
		return;
	}
	/* Not in the middle of a UTF-8 character. */
	while (keep && (sb.data[keep] & 0xc0) == 0x80)
		keep--;
	fprintf(f, "%.*s...", (int)keep, strbuf_str(&sb));
}

static void put_event(const struct snapshot *snap, const struct snapshot_reclaim *event, FILE *f)
{
	char when[FORMAT_MAX], bytes[FORMAT_MAX];

	fprintf(f, "%10s %11s  %-15s ", format_duration(event->t_s, when),
		event->bytes < 0 ? "?" : format_bytes(event->bytes, bytes), event->kind);
	if (snap->targets.len > 1)
		fprintf(f, "pid %u ", event->pid);
	put_detail(f, event->detail);
	fputc('\n', f);
}

/* Collections give nothing back by themselves, and are too many to stand among what does. */
static bool is_listed(const struct snapshot_reclaim *event)
{
	return strcmp(event->kind, reclaim_kind_name(RECLAIM_GC)) != 0;
}

static size_t count_listed(const struct snapshot *snap)
{
	size_t count = 0;

	vec_for_each(event, &snap->reclaim)
		count += is_listed(event);
	return count;
}

static void put_events(const struct snapshot *snap, size_t count, FILE *f)
{
	size_t skip = count > EVENTS_SHOWN + 1 ? count - EVENTS_SHOWN : 0;

	fprintf(f, "\n%10s %11s  %-15s %s\n", "at", "bytes", "kind", "who");
	if (skip)
		fprintf(f, "%10s %zu earlier ones (--json lists all)\n", "...", skip);
	vec_for_each(event, &snap->reclaim) {
		if (!is_listed(event))
			continue;
		if (skip)
			skip--;
		else
			put_event(snap, event, f);
	}
}

void text_put_reclaim(const struct snapshot *snap, FILE *f)
{
	size_t count = snap->reclaim.len, listed = count_listed(snap);

	if (!count)
		return;
	fprintf(f, "\nReclaim: %zu event%s, the same ones within a second told as one", count,
		count == 1 ? "" : "s");
	if (listed < count)
		fprintf(f, "; of them %zu collections, which --json lists", count - listed);
	fputc('\n', f);
	if (listed)
		put_events(snap, listed, f);
}
