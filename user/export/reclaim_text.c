// SPDX-License-Identifier: GPL-2.0-or-later
/* Reclaim events of a report; see reclaim_text.h. */
#include <string.h>

#include "base/format.h"
#include "base/strbuf.h"
#include "export/reclaim_text.h"

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

void text_put_reclaim(const struct snapshot *snap, FILE *f)
{
	size_t count = snap->reclaim.len;
	size_t first = count > EVENTS_SHOWN + 1 ? count - EVENTS_SHOWN : 0;

	if (!count)
		return;
	fprintf(f, "\nReclaim: %zu event%s, the same ones within a second told as one\n\n"
		"%10s %11s  %-15s %s\n", count, count == 1 ? "" : "s", "at", "bytes", "kind",
		"who");
	if (first)
		fprintf(f, "%10s %zu earlier ones (--json lists all)\n", "...", first);
	for (size_t i = first; i < count; i++)
		put_event(snap, &snap->reclaim.data[i], f);
}
