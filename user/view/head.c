// SPDX-License-Identifier: GPL-2.0-or-later
/* The head: whose heap, how much, how fast, at what price, and what is missing. */
#include <math.h>

#include "view/ui.h"

#define LABEL_COLUMNS 6
#define BAR_COLUMNS_MAX 60

struct head {
	struct ui *ui;
	const struct snapshot *snap;
	struct area area;
	struct metrics m;	/* of all targets, or of the one that is shown alone */
	bool alone;
};

static int put(const struct head *head, int row, int at, enum role role, const char *text)
{
	return draw_text(head->area, row, at, head->area.columns - at, role, text);
}

static int label(const struct head *head, int row, const char *text)
{
	put(head, row, 0, ROLE_LABEL, text);
	return LABEL_COLUMNS;
}

static const char *mode_text(const struct ui *ui)
{
	if (ui->ended)
		return "ENDED";
	if (ui->host->replay)
		return ui->playing ? "PLAYING" : "RECORDED";
	return ui->paused ? "PAUSED" : "";
}

static void add_target(struct strbuf *text, const struct snapshot_target *target)
{
	char buf[FORMAT_MAX];

	strbuf_addf(text, "%s %u", target->comm, target->pid);
	if (target->exited)
		strbuf_addf(text, " (%s)", target->exit_reason ? target->exit_reason : "ended");
	else if (target->stopped)
		strbuf_addstr(text, " (stopped)");
	else if (target->uptime_s > 0)
		strbuf_addf(text, " up %s", format_duration(target->uptime_s, buf));
}

/* An exec leaves the old image behind: it is told only while nothing else is. */
static bool is_worth_telling(const struct snapshot *snap, const struct snapshot_target *target)
{
	vec_for_each(other, &snap->targets)
		if (other > target && other->pid == target->pid)
			return false;
	return true;
}

#define TARGETS_TOLD 3		/* of more, those that ended are only counted */

static int draw_targets(const struct head *head, int at, int width)
{
	struct strbuf text __cleanup_strbuf = { 0 };
	const struct snapshot *snap = head->snap;
	size_t ended = 0;
	bool gone = false;

	if (head->ui->target != ALL_TARGETS && (size_t)head->ui->target < snap->targets.len) {
		add_target(&text, &snap->targets.data[head->ui->target]);
		strbuf_addstr(&text, " alone");
	} else {
		vec_for_each(target, &snap->targets) {
			if (!is_worth_telling(snap, target))
				continue;
			if (target->exited && target > snap->targets.data &&
			    snap->targets.len > TARGETS_TOLD) {
				ended++;
				continue;
			}
			strbuf_addstr(&text, text.len ? ", " : "");
			add_target(&text, target);
			gone |= target->exited || target->stopped;
		}
		if (ended)
			strbuf_addf(&text, ", %zu more ended", ended);
	}
	return draw_text(head->area, 0, at, width, gone ? ROLE_WARN : ROLE_TITLE,
			 strbuf_str(&text));
}

/* After a change of level: since when the numbers are what it says. */
static void add_level(struct strbuf *text, const struct head *head)
{
	size_t focused = snapshot_focused(head->snap);
	char buf[FORMAT_MAX];

	strbuf_addf(text, "%s", head->snap->mode);
	if (head->snap->sample_bytes > 0)
		strbuf_addf(text, " 1 in %s",
			    format_bytes_short(head->snap->sample_bytes, false, buf));
	else
		strbuf_addstr(text, " level");
	if (focused)
		strbuf_addf(text, " + focus %zu", focused);
	if (head->ui->level_since_s > 0 && !head->ui->until)
		strbuf_addf(text, " since %s", format_duration_short(head->ui->level_since_s, buf));
}

static void draw_first(const struct head *head)
{
	struct strbuf right __cleanup_strbuf = { 0 };
	const char *mode = mode_text(head->ui);
	char buf[FORMAT_MAX];
	int columns = head->area.columns, used;

	add_level(&right, head);
	strbuf_addf(&right, "  %s", format_duration(head->snap->duration_s, buf));
	used = (int)right.len + 1;
	draw_right(head->area, 0, columns - used, used, ROLE_TEXT, strbuf_str(&right));
	if (*mode) {
		used += 10;
		draw_right(head->area, 0, columns - used, 9,
			   head->ui->ended ? ROLE_BAD : ROLE_WARN, mode);
	}
	if (head->ui->recording) {
		used += 6;
		draw_text(head->area, 0, columns - used, 1, ROLE_BAD, glyph(GLYPH_RECORD));
		draw_text(head->area, 0, columns - used + 1, 4, ROLE_BAD, " REC");
	}
	draw_targets(head, 0, columns - used - 2);
}

static const char *bytes(int64_t value, char buf[FORMAT_MAX])
{
	return value < 0 ? "?" : format_bytes_short(value, false, buf);
}

static int bar_columns(const struct head *head)
{
	int room = head->area.columns - LABEL_COLUMNS - 58;

	return room > BAR_COLUMNS_MAX ? BAR_COLUMNS_MAX : room < 12 ? 12 : room;
}

/* Of all targets; the kernel's other figures are those of one. */
static int64_t resident(const struct snapshot *snap)
{
	const struct snapshot_sample_vec *t = &snap->timeline;

	return snap->targets.len > 1 && t->len ? t->data[t->len - 1].rss_bytes :
		snap->memory.rss_bytes;
}

static void draw_rss(const struct head *head)
{
	const struct snapshot_memory *m = &head->snap->memory;
	int64_t rss = resident(head->snap);
	const struct bar_part part = { (double)rss, ROLE_RSS };
	int at = label(head, 1, "RSS"), width = bar_columns(head);
	char a[FORMAT_MAX], b[FORMAT_MAX];

	draw_right(head->area, 1, at, 6, ROLE_TITLE, bytes(rss, a));
	at += 7;
	draw_bar(head->area, 1, at, width, &part, 1, (double)m->limit_bytes);
	at += width + 1;
	if (m->limit_bytes < 0)
		at += put(head, 1, at, ROLE_DIM, "no limit known");
	else
		at += draw_format(head->area, 1, at, ROLE_TEXT, "of %s %s",
				  bytes(m->limit_bytes, a), m->limit_kind);
	if (head->alone) {
		put(head, 1, at, ROLE_DIM, "  (all targets)");
		return;
	}
	if (m->growth_bytes_per_s)
		at += draw_format(head->area, 1, at, ROLE_TEXT, "  %s/s",
				  format_bytes_short(llround(m->growth_bytes_per_s), true, b));
	if (m->seconds_to_limit < 0)
		return;
	at += draw_format(head->area, 1, at, m->seconds_to_limit < 3600 ? ROLE_BAD : ROLE_TEXT,
			  "  full in %s", format_duration_short(m->seconds_to_limit, b));
	if (m->growth_confidence < GROWTH_SURE)
		draw_format(head->area, 1, at, ROLE_DIM, " (%.0f%% sure)",
			    100 * m->growth_confidence);
}

/* The last minutes of live bytes, as many samples as fit. */
static void draw_minutes(const struct head *head, int at)
{
	const struct snapshot_sample_vec *t = &head->snap->timeline;
	int width = head->area.columns - at - 1;
	double values[512];
	size_t n = 0, first;

	width = width > 512 ? 512 : width;
	if (width < 4)
		return;
	first = t->len > (size_t)width ? t->len - width : 0;
	for (size_t i = first; i < t->len; i++)
		values[n++] = (double)t->data[i].live_bytes;
	draw_sparkline(head->area, 2, at, width, ROLE_LIVE, values, n);
}

static void draw_live(const struct head *head)
{
	const struct metrics *m = &head->m;
	double rss = (double)resident(head->snap);
	const struct bar_part part = { (double)m->live_bytes, ROLE_LIVE };
	int at = label(head, 2, "live"), width = bar_columns(head);
	char buf[FORMAT_MAX];

	draw_right(head->area, 2, at, 6, ROLE_TITLE, bytes(m->live_bytes, buf));
	at += 7;
	draw_bar(head->area, 2, at, width, &part, 1, rss);
	at += width + 1;
	if (m->live_bytes_error > 0)
		at += draw_format(head->area, 2, at, ROLE_TEXT, "+-%s in ",
				  bytes(llround(m->live_bytes_error), buf));
	at += draw_format(head->area, 2, at, ROLE_TEXT, "%s blocks",
			  format_count_short(m->live_count, buf));
	at += draw_format(head->area, 2, at,
			  m->growth_bytes_per_s > 0 && m->growth_confidence > 0.9 ? ROLE_WARN :
			  ROLE_TEXT, "  %s/s",
			  format_bytes_short(llround(m->growth_bytes_per_s), true, buf));
	if (!head->alone)
		draw_minutes(head, at + 2);
}

static void draw_rates(const struct head *head)
{
	const struct rates *r = &head->ui->rates;
	const struct metrics *m = &head->m;
	int at = label(head, 3, "rate");
	char a[FORMAT_MAX], b[FORMAT_MAX];

	at += draw_format(head->area, 3, at, ROLE_TEXT, "alloc %s/s %s/s",
			  format_count_short(llround(r->allocs), a),
			  format_bytes_short(llround(r->alloc_bytes), false, b));
	at += draw_format(head->area, 3, at, ROLE_TEXT, "   free %s/s %s/s",
			  format_count_short(llround(r->frees), a),
			  format_bytes_short(llround(r->free_bytes), false, b));
	if (head->alone)
		at += put(head, 3, at, ROLE_DIM, " (all)");
	if (m->alloc_count)
		draw_format(head->area, 3, at, ROLE_TEXT, "   %.0f%% temporary",
			    100.0 * (double)m->temporary_count / (double)m->alloc_count);
}

static int draw_unwind(const struct head *head, int row, int at)
{
	const struct snapshot_unwind *u = &head->snap->unwind;
	double all = (double)(u->complete + u->truncated + u->guessed + u->failed);
	double whole = all > 0 ? 100 * (double)u->complete / all : 100;

	/* Not 100 as long as a single one is not. */
	if (whole < 100 && whole > 99)
		whole = 99;
	return draw_format(head->area, row, at, whole < 90 ? ROLE_WARN : ROLE_TEXT,
			   "%.0f%% of %.0f stacks whole", whole, all);
}

static void draw_price(const struct head *head)
{
	const struct snapshot_cost *cost = &head->snap->cost;
	const struct rates *r = &head->ui->rates;
	int at = label(head, 4, "price");
	char buf[FORMAT_MAX];

	at += draw_format(head->area, 4, at, ROLE_TEXT, "%s hits/s",
			  format_count_short(llround(r->probe_hits), buf));
	if (cost->target_cpu_share >= 0)
		at += draw_format(head->area, 4, at, ROLE_TEXT, "  %.1f%% of target",
				  100 * cost->target_cpu_share);
	at += draw_format(head->area, 4, at, ROLE_TEXT, "  own %.1f%% CPU %s",
			  100 * r->own_cpu, bytes(cost->own_rss_bytes, buf));
	draw_unwind(head, 4, at + 3);
}

static void draw_losses(const struct head *head)
{
	const struct snapshot_loss *loss = &head->snap->loss;
	int at = label(head, 5, "lost");
	int64_t unknown = head->snap->totals.unknown_free_count;
	char a[FORMAT_MAX], b[FORMAT_MAX], c[FORMAT_MAX], d[FORMAT_MAX];

	if (loss->complete)
		at += put(head, 5, at, ROLE_GOOD, "nothing");
	else
		at += draw_format(head->area, 5, at, ROLE_BAD,
				  "%s events %s stacks dropped, %s allocs untracked,"
				  " %s probes missed",
				  format_count_short(loss->dropped_events, a),
				  format_count_short(loss->dropped_stacks, b),
				  format_count_short(loss->untracked_allocs, c),
				  format_count_short(loss->missed_probes, d));
	if (head->snap->shares_full)
		at += put(head, 5, at, ROLE_WARN, "   new rows by path only");
	if (unknown > 0)
		draw_format(head->area, 5, at, ROLE_DIM, "   %s frees of older blocks",
			    format_count_short(unknown, a));
}

/* Growth is that of its call paths; the fit over their sum is known for all only. */
static struct metrics totals_of_target(const struct snapshot *snap, uint32_t target)
{
	struct metrics sum = { 0 };

	vec_for_each(stack, &snap->stacks) {
		if (stack->target != target)
			continue;
		sum.live_bytes += stack->m.live_bytes;
		sum.live_bytes_error = hypot(sum.live_bytes_error, stack->m.live_bytes_error);
		sum.live_count += stack->m.live_count;
		sum.alloc_count += stack->m.alloc_count;
		sum.temporary_count += stack->m.temporary_count;
		sum.growth_bytes_per_s += stack->m.growth_bytes_per_s;
	}
	return sum;
}

void head_draw(struct ui *ui, struct area area)
{
	struct head head = { ui, ui_snapshot(ui), area, ui_snapshot(ui)->totals.m,
			     ui->target != ALL_TARGETS };

	if (head.alone)
		head.m = totals_of_target(head.snap, (uint32_t)ui->target);

	draw_first(&head);
	draw_rss(&head);
	draw_live(&head);
	draw_rates(&head);
	draw_price(&head);
	draw_losses(&head);
}
