// SPDX-License-Identifier: GPL-2.0-or-later
/* Timeline: resident and live memory over the watched time, and what was given back. */
#include <math.h>

#include "view/ui.h"

struct timeline_state { struct list list; };

#define AXIS_COLUMNS 8
#define CHART_COLUMNS_MAX 512
#define GREW_BEFORE_S 10	/* what grew in that time before an event, or since the last one */

/* The last sample at or before each column's end; -1 where there is none. */
struct curve { double values[CHART_COLUMNS_MAX]; };

static void make_curve(const struct snapshot *snap, int columns, bool rss, struct curve *ret)
{
	size_t i = 0;

	for (int column = 0; column < columns; column++) {
		double end = snap->duration_s * (column + 1) / columns, high = -1;

		for (; i < snap->timeline.len && snap->timeline.data[i].t_s <= end; i++) {
			const struct snapshot_sample *sample = &snap->timeline.data[i];

			high = fmax(high, (double)(rss ? sample->rss_bytes : sample->live_bytes));
		}
		ret->values[column] = high < 0 && column ? ret->values[column - 1] : high;
	}
}

static double highest(const struct curve *curve, int columns)
{
	double high = 0;

	for (int i = 0; i < columns; i++)
		high = fmax(high, curve->values[i]);
	return high;
}

/* How full the cell @up rows above the axis is, of @rows. */
static double level_of(double value, double max, int rows, int up)
{
	return max > 0 ? fmin(1, fmax(0, value / max * rows - up)) : 0;
}

static void draw_cell(struct area area, int row, int column, int rows, double max, double rss,
		      double live)
{
	int up = rows - 1 - row;
	double live_level = level_of(live, max, rows, up), rss_level = level_of(rss, max, rows, up);

	if (live_level > 0)
		draw_text(area, row, column, 1, rss_level >= 1 ? ROLE_LIVE_ON_RSS : ROLE_LIVE,
			  spark_glyph(live_level));
	else if (rss_level >= 1 && !screen_has_colours())
		draw_text(area, row, column, 1, ROLE_RSS, glyph(GLYPH_SHADE));
	else if (rss_level > 0)
		draw_text(area, row, column, 1, ROLE_RSS, spark_glyph(rss_level));
}

static void draw_axis(struct area area, int rows, double max)
{
	char buf[FORMAT_MAX];

	for (int row = 0; row < rows; row++)
		draw_text(area, row, AXIS_COLUMNS - 1, 1, ROLE_DIM, glyph(GLYPH_BAR));
	draw_right(area, 0, 0, AXIS_COLUMNS - 2, ROLE_DIM,
		   format_bytes_short(llround(max), false, buf));
	draw_right(area, rows / 2, 0, AXIS_COLUMNS - 2, ROLE_DIM,
		   format_bytes_short(llround(max / 2), false, buf));
	draw_right(area, rows - 1, 0, AXIS_COLUMNS - 2, ROLE_DIM, "0");
}

static void draw_times(struct area area, int row, const struct snapshot *snap)
{
	int width = area.columns - AXIS_COLUMNS;
	char buf[FORMAT_MAX];

	draw_text(area, row, AXIS_COLUMNS, 10, ROLE_DIM, "0");
	for (int quarter = 1; quarter <= 4; quarter++) {
		const char *text = format_duration(snap->duration_s * quarter / 4, buf);

		draw_right(area, row, AXIS_COLUMNS + width * quarter / 4 - 12, 12, ROLE_DIM, text);
	}
}

static int column_of(const struct snapshot *snap, double t_s, int width)
{
	double share = snap->duration_s > 0 ? t_s / snap->duration_s : 0;
	int column = (int)(share * width);

	return column < 0 ? 0 : column >= width ? width - 1 : column;
}

/* Reclaim events and marks under the curve. */
static void draw_events(struct ui *ui, struct area area, int row, const struct list *list)
{
	const struct snapshot *snap = ui_snapshot(ui);
	int width = area.columns - AXIS_COLUMNS;

	vec_for_each(event, &snap->reclaim)
		draw_text(area, row, AXIS_COLUMNS + column_of(snap, event->t_s, width), 1,
			  ROLE_OTHER, glyph(GLYPH_EVENT));
	for (size_t i = 0; i < ui->marks.len; i++) {
		int column = column_of(snap, ui->marks.data[i].snap->duration_s, width);

		draw_format(area, row, AXIS_COLUMNS + column, ROLE_MATCH, "%zu", i + 1);
	}
	if (list->cursor < snap->reclaim.len)
		draw_text(area, row,
			  AXIS_COLUMNS + column_of(snap, snap->reclaim.data[list->cursor].t_s,
						   width),
			  1, ROLE_BAD, glyph(GLYPH_CURSOR));
}

static void draw_chart(struct ui *ui, struct area area, const struct list *list)
{
	const struct snapshot *snap = ui_snapshot(ui);
	int width = area.columns - AXIS_COLUMNS, rows = area.rows - 2;
	struct curve rss, live;
	double max;

	width = width > CHART_COLUMNS_MAX ? CHART_COLUMNS_MAX : width;
	make_curve(snap, width, true, &rss);
	make_curve(snap, width, false, &live);
	max = fmax(highest(&rss, width), highest(&live, width));
	for (int column = 0; column < width; column++)
		for (int row = 0; row < rows; row++)
			draw_cell(area, row, AXIS_COLUMNS + column, rows, max, rss.values[column],
				  live.values[column]);
	draw_axis(area, rows, max);
	draw_events(ui, area, rows, list);
	draw_times(area, rows + 1, snap);
}

static void draw_header(struct area area, const struct snapshot *snap)
{
	int at;

	draw_fill(area, 0, 0, area.columns, ROLE_HEADER, ' ');
	draw_text(area, 0, 0, area.columns, ROLE_HEADER, "memory since heapsonde attached");
	at = 34 + draw_text(area, 0, 34, 1, ROLE_RSS,
			    glyph(screen_has_colours() ? GLYPH_FULL : GLYPH_SHADE));
	at += draw_text(area, 0, at, 10, ROLE_HEADER, " resident ");
	at += draw_text(area, 0, at, 1, ROLE_LIVE, glyph(GLYPH_FULL));
	at += draw_text(area, 0, at, 20, ROLE_HEADER, " live");
	draw_format(area, 0, at + 2, ROLE_HEADER, "%s%zu reclaim events", glyph(GLYPH_EVENT),
		    snap->reclaim.len);
}

static void draw_list(struct area area, struct list *list, const struct snapshot *snap)
{
	list_fit(list, snap->reclaim.len, area.rows);
	if (!list->count)
		draw_text(area, 0, 2, area.columns, ROLE_DIM, "no reclaim event was seen");
	for (int row = 0; row < list->rows && list->top + row < list->count; row++) {
		const struct snapshot_reclaim *event = &snap->reclaim.data[list->top + row];
		char when[FORMAT_MAX], bytes[FORMAT_MAX];

		draw_format(area, row, 0, ROLE_TEXT, "%10s %11s  %-16s pid %-7u %s",
			    format_duration(event->t_s, when),
			    event->bytes < 0 ? "-" : format_bytes(event->bytes, bytes),
			    event->kind, event->pid, event->detail);
		if (list->top + row == list->cursor)
			draw_recolour(area, row, 0, area.columns, ROLE_SELECTED);
	}
}

static void timeline_draw(struct ui *ui, void *arg, struct area area)
{
	struct list *list = &((struct timeline_state *)arg)->list;
	const struct snapshot *snap = ui_snapshot(ui);
	int events = snap->reclaim.len ? (area.rows - 1) / 3 : 1;
	struct area chart = { area.row + 1, 0, area.rows - 1 - events, area.columns };
	struct area below = { area.row + area.rows - events, 0, events, area.columns };

	draw_header(area, snap);
	draw_list(below, list, snap);
	draw_chart(ui, chart, list);
}

/* The moment of the event before, but not long ago. */
static double time_before(const struct snapshot *snap, size_t event)
{
	double t_s = snap->reclaim.data[event].t_s, from = t_s - GREW_BEFORE_S;

	if (event && snap->reclaim.data[event - 1].t_s > from &&
	    snap->reclaim.data[event - 1].t_s < t_s)
		from = snap->reclaim.data[event - 1].t_s;
	return from < 0 ? 0 : from;
}

static unsigned int show_what_grew(struct ui *ui, size_t event)
{
	const struct snapshot *snap = ui_snapshot(ui);
	struct snapshot *from, *to;
	__cleanup_free char *name = NULL;
	unsigned int effects;

	if (event >= snap->reclaim.len)
		return ui_say(ui, NOTE_WARN, "there is no reclaim event");
	from = past_at(&ui->past, time_before(snap, event));
	to = past_at(&ui->past, snap->reclaim.data[event].t_s);
	if (!from || from == to)
		return ui_say(ui, NOTE_WARN, "no two moments are kept that lie so close"
			      " before this event");
	name = xasprintf("before %s at %.1f s (from %.1f s to %.1f s)",
			 snap->reclaim.data[event].kind, snap->reclaim.data[event].t_s,
			 from->duration_s, to->duration_s);
	effects = ui_since(ui, from, to, name);
	ui->sort = COLUMN_LIVE;
	return effects | ui_go(ui, VIEW_SITES);
}

static unsigned int timeline_act(struct ui *ui, void *arg, enum action action)
{
	struct list *list = &((struct timeline_state *)arg)->list;

	switch (action) {
	case ACTION_GREW:
		return show_what_grew(ui, list->cursor);
	case ACTION_LEFT:
		return list_act(list, ACTION_UP);
	case ACTION_RIGHT:
		return list_act(list, ACTION_DOWN);
	default:
		return list_act(list, action);
	}
}

const struct view_ops view_timeline = {
	.state_bytes = sizeof(struct timeline_state),
	.draw = timeline_draw,
	.act = timeline_act,
};
