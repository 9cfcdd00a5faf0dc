// SPDX-License-Identifier: GPL-2.0-or-later
/* Account: what the resident memory is made of, by the kernel's ledger. */
#include <string.h>

#include "view/ui.h"

struct account_state { struct list list; };

#define KIND_COLUMNS 26
#define BYTES_COLUMNS 10

static void draw_header(struct area area, const struct snapshot *snap)
{
	draw_fill(area, 0, 0, area.columns, ROLE_HEADER, ' ');
	draw_text(area, 0, 0, area.columns, ROLE_HEADER, "resident memory is");
	draw_right(area, 0, KIND_COLUMNS, BYTES_COLUMNS, ROLE_HEADER, "bytes");
	draw_right(area, 0, KIND_COLUMNS + BYTES_COLUMNS, 7, ROLE_HEADER, "share");
	if (snap->processes.len > 1)
		draw_format(area, 0, KIND_COLUMNS + BYTES_COLUMNS + 9, ROLE_HEADER,
			    "of %zu processes", snap->processes.len);
}

static void draw_line(struct area area, int row, enum role role, const char *kind, int64_t bytes,
		      int64_t whole)
{
	int at = KIND_COLUMNS + BYTES_COLUMNS;
	char buf[FORMAT_MAX];

	draw_text(area, row, 1, KIND_COLUMNS - 1, role, kind);
	draw_right(area, row, KIND_COLUMNS, BYTES_COLUMNS, role, format_bytes(bytes, buf));
	if (whole <= 0)
		return;
	snprintf(buf, sizeof(buf), "%.1f%%", 100.0 * (double)bytes / (double)whole);
	draw_right(area, row, at, 7, ROLE_TEXT, buf);
	draw_bar(area, row, at + 8, area.columns - at - 9,
		 &(struct bar_part){ (double)bytes, role == ROLE_WARN ? ROLE_OTHER : ROLE_RSS },
		 1, (double)whole);
}

/* The sum stands under its parts, and what is missing or too much beside it. */
static void draw_sum(struct area area, int row, int64_t sum, int64_t rss)
{
	char buf[FORMAT_MAX];

	draw_fill(area, row, KIND_COLUMNS, BYTES_COLUMNS, ROLE_DIM, '-');
	draw_text(area, row + 1, 1, KIND_COLUMNS, ROLE_TITLE, "sum, resident (RSS)");
	draw_right(area, row + 1, KIND_COLUMNS, BYTES_COLUMNS, ROLE_TITLE, format_bytes(sum, buf));
	if (sum == rss)
		draw_text(area, row + 1, KIND_COLUMNS + BYTES_COLUMNS + 2, 40, ROLE_GOOD,
			  "adds up to the byte");
	else
		draw_format(area, row + 1, KIND_COLUMNS + BYTES_COLUMNS + 2, ROLE_BAD,
			    "does not add up: RSS is %s", format_bytes(rss, buf));
}

static void draw_beside(struct area area, int row, const struct snapshot_memory *m)
{
	const struct { const char *name; int64_t bytes; } rows[] = {
		{ "proportional (PSS)", m->pss_bytes }, { "anonymous", m->anon_bytes },
		{ "file", m->file_bytes }, { "shared memory", m->shmem_bytes },
		{ "swapped out", m->swap_bytes }, { "page tables", m->page_tables_bytes },
		{ "limit", m->limit_bytes },
		{ "malloc_trim() would free", m->trimmable_bytes },
	};
	char buf[FORMAT_MAX];

	draw_text(area, row++, 0, area.columns, ROLE_TITLE, "The kernel's own figures, beside it:");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		draw_text(area, row + (int)i, 1, KIND_COLUMNS, ROLE_TEXT, rows[i].name);
		draw_right(area, row + (int)i, KIND_COLUMNS, BYTES_COLUMNS,
			   rows[i].bytes < 0 ? ROLE_DIM : ROLE_TEXT,
			   rows[i].bytes < 0 ? "not told" : format_bytes(rows[i].bytes, buf));
	}
}

static void account_draw(struct ui *ui, void *arg, struct area area)
{
	struct list *list = &((struct account_state *)arg)->list;
	const struct snapshot *snap = ui_snapshot(ui);
	int rows = (int)snap->account.len, used;
	int64_t sum = 0;

	draw_header(area, snap);
	vec_for_each(line, &snap->account)
		sum += line->bytes;
	if (!rows) {
		draw_text(area, 1, 2, area.columns, ROLE_DIM,
			  "the kernel tells nothing of this process (it has ended?)");
		return;
	}
	used = rows < area.rows - 3 ? rows : area.rows - 3;
	list_fit(list, rows, used);
	for (int i = 0; i < used; i++) {
		const struct snapshot_account *line = &snap->account.data[list->top + i];
		bool open = !strcmp(line->kind, "unexplained");

		draw_line(area, i + 1, open ? ROLE_WARN : ROLE_TEXT, line->kind, line->bytes,
			  snap->memory.rss_bytes);
	}
	draw_sum(area, used + 1, sum, snap->memory.rss_bytes);
	draw_beside(area, used + 4, &snap->memory);
}

static unsigned int account_act(struct ui *ui, void *arg, enum action action)
{
	return list_act(&((struct account_state *)arg)->list, action);
}

const struct view_ops view_account = {
	.state_bytes = sizeof(struct account_state),
	.draw = account_draw,
	.act = account_act,
};
