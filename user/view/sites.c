// SPDX-License-Identifier: GPL-2.0-or-later
/* Sites: who allocated, a line per call path. */
#include "view/names.h"
#include "view/ui.h"

struct sites_state {
	struct site_vec sites;
	struct list list;
	int scroll;		/* columns that the paths are moved to the left */
};

#define SCROLL_STEP 8

static enum column sort_column(struct ui *ui)
{
	return column_in(ui_snapshot(ui), ui->sort);
}

static void sites_deinit(void *state)
{
	struct sites_state *sites = state;

	site_vec_deinit(&sites->sites);
}

static void add_site(struct ui *ui, struct sites_state *state, const struct snapshot_stack *stack)
{
	struct metrics m = ui_metrics(ui, stack);
	struct site site = site_make(&ui->past, stack, &m);

	if (stack->share_count)
		site.shares = shares_summary(ui_snapshot(ui), stack, &ui->filter);
	site.number = (uint32_t)state->sites.len;
	site_vec_push(&state->sites, site);
}

static struct share_key key_of(const struct site *site, enum split split)
{
	return (struct share_key){
		split & SPLIT_THREAD ? site->shares.thread : 0,
		split & SPLIT_CLASS ? site->shares.size_class : 0,
	};
}

static bool same_key(struct share_key a, struct share_key b)
{
	return a.thread == b.thread && a.size_class == b.size_class;
}

/* Whether a line from @first on stands for that part of the path already. */
static bool has_part(const struct ui *ui, const struct sites_state *state, size_t first,
		     struct share_key key)
{
	for (size_t i = first; i < state->sites.len; i++)
		if (same_key(key_of(&state->sites.data[i], ui->split), key))
			return true;
	return false;
}

/* A line for each thread, or size class, or both. */
static void add_parts(struct ui *ui, struct sites_state *state, const struct snapshot_stack *stack)
{
	const struct snapshot *snap = ui_snapshot(ui);
	struct share_summary all = shares_summary(snap, stack, &ui->filter);
	size_t first = state->sites.len;

	shares_for_each(share, snap, stack) {
		struct share_key key = share_key(share, ui->split);
		struct site site = { .stack = stack, .shares = all };

		if (!filter_matches_share(&ui->filter, snap, share) ||
		    has_part(ui, state, first, key))
			continue;
		if (ui->split & SPLIT_THREAD) {
			site.shares.thread = share->thread;
			site.shares.threads = 1;
		}
		if (ui->split & SPLIT_CLASS) {
			site.shares.size_class = share->size_class;
			site.shares.classes = 1;
		}
		site.m = ui_share_metrics(ui, stack, ui->split, key);
		site.number = (uint32_t)state->sites.len;
		site_vec_push(&state->sites, site);
	}
}

/* What only the snapshot before can tell of parts: how much was allocated since. */
static void set_rates(struct ui *ui, struct sites_state *state)
{
	const struct snapshot *before = ui->past.before, *now = ui_snapshot(ui);
	double span_s = before ? now->duration_s - before->duration_s : 0;
	struct stack_index index;

	vec_for_each(site, &state->sites) {
		site->partial = true;
		site->allocs_per_s = site->trend = 0;
	}
	if (span_s <= 0 || ui->until)
		return;
	stack_index_init(&index, before);
	vec_for_each(site, &state->sites) {
		const struct snapshot_stack *old = stack_index_find(&index, stack_key(site->stack));
		struct share_key key = key_of(site, ui->split);
		int64_t count = shares_sum(now, site->stack, &ui->filter, ui->split,
					   key).alloc_count;

		if (old)
			count -= shares_sum(before, old, &ui->filter, ui->split, key).alloc_count;
		site->allocs_per_s = count > 0 ? (double)count / span_s : 0;
	}
	stack_index_deinit(&index);
}

static bool is_selected(const struct ui *ui, const struct site *site)
{
	return stack_key(site->stack) == ui->selected &&
	       same_key(key_of(site, ui->split), ui->selected_share);
}

static void select_site(struct ui *ui, const struct site *site)
{
	ui->selected = stack_key(site->stack);
	ui->selected_share = key_of(site, ui->split);
}

/* The line of the same path as before; at the first line the first stays. */
static void follow_selection(struct ui *ui, struct sites_state *state)
{
	struct list *list = &state->list;

	if (!list->cursor)
		return;
	for (size_t i = 0; i < state->sites.len; i++)
		if (is_selected(ui, &state->sites.data[i])) {
			size_t above = list->cursor - list->top;

			list->cursor = i;
			list->top = i > above ? i - above : 0;
			return;
		}
}

/* All lines are kept, whatever the limit: in another order others come first. */
static void sort(struct ui *ui, struct sites_state *state)
{
	sites_sort(&state->sites, ui_snapshot(ui), sort_column(ui), ui->reversed);
	follow_selection(ui, state);
}

static size_t lines(const struct ui *ui, const struct sites_state *state)
{
	return ui->limit && state->sites.len > ui->limit ? ui->limit : state->sites.len;
}

static void sites_derive(struct ui *ui, void *arg)
{
	struct sites_state *state = arg;
	const struct snapshot *snap = ui_snapshot(ui);

	state->sites.len = 0;
	ui->all = snap->stacks.len;
	ui->matching = 0;
	vec_for_each(stack, &snap->stacks) {
		if (!ui_shows(ui, stack))
			continue;
		ui->matching++;
		if (ui->split && stack->share_count)
			add_parts(ui, state, stack);
		else
			add_site(ui, state, stack);
	}
	if (ui_is_partial(ui))
		set_rates(ui, state);
	sort(ui, state);
}

/* --- drawing --- */

/* The sign of the order stands in the gap behind its column. */
static void draw_header(struct ui *ui, struct area area, const bool show[COLUMNS_COUNT])
{
	const char *sign = glyph(ui->reversed ? GLYPH_UP : GLYPH_DOWN);
	int at = 0;

	draw_fill(area, 0, 0, area.columns, ROLE_HEADER, ' ');
	for (int i = 0; i < COLUMNS_COUNT; i++) {
		enum role role = i == (int)sort_column(ui) ? ROLE_SORTED : ROLE_HEADER;
		int width = column_width(i);

		if (!show[i])
			continue;
		if (width)
			draw_right(area, 0, at, width, role, column_header(i));
		else
			width = draw_text(area, 0, at, area.columns - at, role,
					  column_path_header(ui_snapshot(ui)));
		if (role == ROLE_SORTED)
			draw_text(area, 0, at + width, 1, role, sign);
		at += width + 1;
	}
}

static enum role role_of(const struct site *site, enum column column)
{
	if (column == COLUMN_GROWTH && site->m.growth_confidence >= 0.9)
		return site->m.growth_bytes_per_s > 0 ? ROLE_BAD : ROLE_GOOD;
	if (column == COLUMN_LIVE || column == COLUMN_RESIDENT)
		return ROLE_TITLE;
	return column_value(site, column) ? ROLE_TEXT : ROLE_DIM;
}

/* Between the extremes, but what varies by less than a hundredth is flat. */
static void draw_trend(struct area area, int row, int at, const struct trace *trace)
{
	int width = column_width(COLUMN_TREND);
	int64_t low = INT64_MAX, high = 0;
	uint32_t first;

	if (!trace)
		return;
	first = trace->len > (uint32_t)width ? trace->len - width : 0;
	for (uint32_t i = first; i < trace->len; i++) {
		low = trace->live[i] < low ? trace->live[i] : low;
		high = trace->live[i] > high ? trace->live[i] : high;
	}
	for (uint32_t i = first; i < trace->len; i++) {
		double level = high - low > high / 100 ?
			(double)(trace->live[i] - low) / (double)(high - low) : 0;

		draw_text(area, row, at + (int)(i - first), 1, ROLE_LIVE,
			  spark_glyph(level * 0.9 + 0.1));
	}
}

/* Pieces one after the other, of which @skip columns are left out at the beginning. */
struct pen { struct area area; int row, at, end, skip; };

static void put(struct pen *pen, enum role role, const char *text)
{
	while (pen->skip && *text) {
		for (text++; (*text & 0xc0) == 0x80; text++)
			;
		pen->skip--;
	}
	if (*text && pen->at < pen->end)
		pen->at += draw_text(pen->area, pen->row, pen->at, pen->end - pen->at, role, text);
}

static void draw_path(struct area area, int row, int at, int skip, const struct snapshot *snap,
		      const struct snapshot_stack *stack)
{
	const struct frame *frames = snapshot_frames(snap, stack);
	struct pen pen = { area, row, at, area.columns, skip };
	uint32_t first = site_frame(snap, stack);

	if (snapshot_in_focus(snap, stack)) {
		put(&pen, ROLE_GOOD, glyph(GLYPH_FOCUS));
		put(&pen, ROLE_GOOD, " ");
	}
	if (!stack->frame_count)
		put(&pen, ROLE_WARN, "[stack lost]");
	for (uint32_t i = first; i < stack->frame_count && pen.at < pen.end; i++) {
		struct strbuf text __cleanup_strbuf = { 0 };

		if (i > first) {
			put(&pen, ROLE_DIM, " ");
			put(&pen, ROLE_DIM, glyph(GLYPH_CALLER));
			put(&pen, ROLE_DIM, " ");
		}
		name_frame_short(&text, &frames[i]);
		put(&pen, i > first ? ROLE_DIM : ROLE_FUNCTION, strbuf_str(&text));
		if (i > first)
			continue;
		strbuf_reset(&text);
		name_place(&text, &frames[i]);
		if (text.len)
			put(&pen, ROLE_FILE, " ");
		put(&pen, ROLE_FILE, strbuf_str(&text));
	}
}

static void draw_thread(const struct ui *ui, struct area area, int row, int at,
			const struct site *site)
{
	struct strbuf text __cleanup_strbuf = { 0 };

	site_thread(&text, ui_snapshot(ui), site);
	draw_text(area, row, at, column_width(COLUMN_THREAD), ROLE_TEXT, strbuf_str(&text));
}

static void draw_site(struct ui *ui, struct sites_state *state, struct area area, int row,
		      const struct site *site, const bool show[COLUMNS_COUNT])
{
	char buf[COLUMN_TEXT_MAX];
	int at = 0;

	for (int i = 0; i < COLUMN_PATH; i++) {
		if (!show[i])
			continue;
		if (i == COLUMN_TREND && !site->partial)
			draw_trend(area, row, at, past_trace(&ui->past, site->stack));
		else if (i == COLUMN_TREND)
			draw_right(area, row, at, column_width(i), ROLE_DIM, "-");
		else if (i == COLUMN_THREAD)
			draw_thread(ui, area, row, at, site);
		else
			draw_right(area, row, at, column_width(i), role_of(site, i),
				   column_text(site, i, buf));
		at += column_width(i) + 1;
	}
	draw_path(area, row, at, state->scroll, ui_snapshot(ui), site->stack);
}

static const char *why_empty(const struct ui *ui)
{
	if (!ui->shown->targets.len)
		return "attaching ...";
	if (ui->all)
		return "no call path matches the filter; \\ takes it away";
	if (snapshot_is_growth(ui_snapshot(ui)))
		return "no new memory was touched yet since heapsonde attached";
	return "nothing was allocated yet since heapsonde attached";
}

/* What is left out, on a line of its own; returns whether there is one. */
static bool draw_subject(struct ui *ui, struct area area)
{
	struct strbuf text __cleanup_strbuf = { 0 };

	static const char *const splits[] = {
		"", "a line for each thread   ", "a line for each size class   ",
		"a line for each thread and size class   ",
	};

	if (ui->base)
		strbuf_addf(&text, "changes %s   ", ui->base_name);
	strbuf_addstr(&text, splits[ui->split]);
	if (ui->filter.text)
		strbuf_addf(&text, "filter: %s (%zu of %zu)", ui->filter.text, ui->matching,
			    ui->all);
	if (!text.len)
		return false;
	draw_fill(area, 0, 0, area.columns, ROLE_MATCH, ' ');
	draw_text(area, 0, 0, area.columns, ROLE_MATCH, strbuf_str(&text));
	return true;
}

static void sites_draw(struct ui *ui, void *arg, struct area area)
{
	struct sites_state *state = arg;
	struct list *list = &state->list;
	bool show[COLUMNS_COUNT];

	if (draw_subject(ui, area)) {
		area.row++;
		area.rows--;
	}
	columns_choose(&(struct columns_wish){
		.columns = area.columns, .sort = sort_column(ui),
		.shares = ui_snapshot(ui)->shares.len,
		.errors = ui_snapshot(ui)->totals.m.live_bytes_error > 0,
		.growth = snapshot_is_growth(ui_snapshot(ui)), .split = ui->split,
	}, show);
	draw_header(ui, area, show);
	list_fit(list, lines(ui, state), area.rows - 1);
	if (!list->count)
		draw_text(area, 1, 2, area.columns, ROLE_DIM, why_empty(ui));
	for (int row = 0; row < list->rows && list->top + row < list->count; row++) {
		const struct site *site = &state->sites.data[list->top + row];

		draw_site(ui, state, area, row + 1, site, show);
		if (list->top + row == list->cursor) {
			select_site(ui, site);
			draw_recolour(area, row + 1, 0, area.columns, ROLE_SELECTED);
		}
	}
}

/* --- keys --- */

static unsigned int move_sort(struct ui *ui, struct sites_state *state, int step)
{
	ui->sort = sort_column(ui);
	do
		ui->sort = ((int)ui->sort + step + COLUMNS_COUNT) % COLUMNS_COUNT;
	while (!column_is_known(ui_snapshot(ui), ui->sort));
	sort(ui, state);
	return EFFECT_DRAW;
}

static unsigned int move(struct ui *ui, struct sites_state *state, enum action action)
{
	unsigned int effects = list_act(&state->list, action);

	if (state->list.cursor < state->sites.len)
		select_site(ui, &state->sites.data[state->list.cursor]);
	return effects;
}

static unsigned int next_split(struct ui *ui)
{
	if (!ui_snapshot(ui)->shares.len)
		return ui_say(ui, NOTE_WARN, "%s", no_shares_text);
	ui->split = (ui->split + 1) % SPLITS_COUNT;
	return EFFECT_DERIVE;
}

static unsigned int sites_act(struct ui *ui, void *arg, enum action action)
{
	struct sites_state *state = arg;

	switch (action) {
	case ACTION_OPEN:
		return state->list.count ? ui_go(ui, VIEW_STACK) : EFFECT_NONE;
	case ACTION_SORT_LEFT:
		return move_sort(ui, state, -1);
	case ACTION_SORT_RIGHT:
		return move_sort(ui, state, 1);
	case ACTION_SPLIT:
		return next_split(ui);
	case ACTION_REVERSE:
		ui->reversed = !ui->reversed;
		sort(ui, state);
		return EFFECT_DRAW;
	case ACTION_LEFT:
		state->scroll -= state->scroll >= SCROLL_STEP ? SCROLL_STEP : state->scroll;
		return EFFECT_DRAW;
	case ACTION_RIGHT:
		state->scroll += SCROLL_STEP;
		return EFFECT_DRAW;
	default:
		return move(ui, state, action);
	}
}

const struct view_ops view_sites = {
	.state_bytes = sizeof(struct sites_state),
	.deinit = sites_deinit,
	.derive = sites_derive,
	.draw = sites_draw,
	.act = sites_act,
};
