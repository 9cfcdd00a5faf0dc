// SPDX-License-Identifier: GPL-2.0-or-later
/* Runtime: what the language's runtime says of its heap, and what holds the memory. */
#include <time.h>

#include "view/ui.h"

struct runtime_state { struct list list; };

#define NAME_COLUMNS 16
#define VALUE_COLUMNS 12

/* @ns since 1970. */
static const char *time_of_day(double ns, char buf[FORMAT_MAX])
{
	time_t seconds = (time_t)(ns / 1e9);
	struct tm tm;

	if (ns <= 0 || !localtime_r(&seconds, &tm) ||
	    !strftime(buf, FORMAT_MAX, "%H:%M:%S", &tm))
		return "never";
	return buf;
}

static const char *value_text(const struct runtime_figure *figure, char buf[FORMAT_MAX])
{
	switch (figure->unit) {
	case RUNTIME_BYTES:
		return figure->value < 0 ? "none" : format_bytes((int64_t)figure->value, buf);
	case RUNTIME_COUNT:
		return format_count((int64_t)figure->value, buf);
	case RUNTIME_NS:
		return format_duration(figure->value / 1e9, buf);
	case RUNTIME_DATE:
		return time_of_day(figure->value, buf);
	case RUNTIME_PERCENT:
		snprintf(buf, FORMAT_MAX, figure->value < 0 ? "off" : "%.0f %%", figure->value);
		return buf;
	case RUNTIME_SHARE:
		snprintf(buf, FORMAT_MAX, "%.2f %%", figure->value * 100);
		return buf;
	}
	return "";
}

static void draw_nothing(struct area area)
{
	draw_fill(area, 0, 0, area.columns, ROLE_HEADER, ' ');
	draw_text(area, 0, 0, area.columns, ROLE_HEADER, "the language's runtime");
	draw_text(area, 2, 2, area.columns - 2, ROLE_DIM,
		  "No runtime whose books are known is in this target: those of Go are read");
	draw_text(area, 3, 2, area.columns - 2, ROLE_DIM,
		  "(HeapAlloc, NumGC, HeapReleased ...).");
}

/* Returns the row below. */
static int draw_holdings(struct area area, const struct snapshot *snap)
{
	struct runtime_holding holdings[RUNTIME_HOLDINGS];
	int64_t rss = snap->memory.rss_bytes;
	int count = rss < 0 ? 0 : runtime_holdings(&snap->runtime.f, rss,
							 snapshot_c_heap_bytes(snap), holdings);
	char buf[FORMAT_MAX];

	for (int i = 0; i < count; i++) {
		draw_right(area, i + 1, 0, VALUE_COLUMNS, ROLE_TITLE,
			   format_bytes(holdings[i].bytes, buf));
		draw_text(area, i + 1, VALUE_COLUMNS + 1, area.columns - VALUE_COLUMNS - 1,
			  ROLE_TEXT, holdings[i].text);
	}
	return count + 2;
}

static void draw_figure(struct area area, int row, const struct runtime_figure *figure)
{
	int at = NAME_COLUMNS + VALUE_COLUMNS + 2;
	char buf[FORMAT_MAX];

	draw_text(area, row, 1, NAME_COLUMNS - 1, ROLE_TEXT, figure->name);
	draw_right(area, row, NAME_COLUMNS, VALUE_COLUMNS, ROLE_TITLE, value_text(figure, buf));
	draw_text(area, row, at, area.columns - at, ROLE_DIM, figure->text);
}

/* Small objects, by the largest that their class takes. */
static void draw_size(struct area area, int row, const struct runtime_size *size)
{
	int at = NAME_COLUMNS + VALUE_COLUMNS + 2;
	char name[FORMAT_MAX], live[FORMAT_MAX], all[FORMAT_MAX];
	int64_t count = size->Mallocs - size->Frees;

	draw_format(area, row, 1, ROLE_TEXT, "BySize %s", format_bytes(size->Size, name));
	draw_right(area, row, NAME_COLUMNS, VALUE_COLUMNS, ROLE_TITLE,
		   format_bytes(count * size->Size, live));
	draw_format(area, row, at, ROLE_DIM, "in %s objects, of %s allocated since the start",
		    format_count(count, live), format_count(size->Mallocs, all));
}

static void runtime_draw(struct ui *ui, void *arg, struct area area)
{
	struct list *list = &((struct runtime_state *)arg)->list;
	struct runtime_figure figures[RUNTIME_FIGURES_COUNT];
	const struct snapshot *snap = ui_snapshot(ui);
	int row, rows;

	if (!snap->runtime.language) {
		draw_nothing(area);
		return;
	}
	draw_fill(area, 0, 0, area.columns, ROLE_HEADER, ' ');
	draw_format(area, 0, 0, ROLE_HEADER, "resident memory, by the books of %s",
		    snap->runtime.version ? snap->runtime.version : snap->runtime.language);
	row = draw_holdings(area, snap);
	rows = area.rows - row;
	runtime_list(&snap->runtime.f, figures);
	list_fit(list, RUNTIME_FIGURES_COUNT + snap->sizes.len, rows > 0 ? rows : 0);
	for (int i = 0; i < rows; i++) {
		size_t nr = list->top + (size_t)i;

		if (nr < RUNTIME_FIGURES_COUNT)
			draw_figure(area, row + i, &figures[nr]);
		else if (nr - RUNTIME_FIGURES_COUNT < snap->sizes.len)
			draw_size(area, row + i, &snap->sizes.data[nr - RUNTIME_FIGURES_COUNT]);
	}
}

static unsigned int runtime_act(struct ui *ui, void *arg, enum action action)
{
	return list_act(&((struct runtime_state *)arg)->list, action);
}

const struct view_ops view_runtime = {
	.state_bytes = sizeof(struct runtime_state),
	.draw = runtime_draw,
	.act = runtime_act,
};
