// SPDX-License-Identifier: GPL-2.0-or-later
/* The interactive screen: state and dispatch; see ui.h. */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "base/alloc.h"
#include "model/changes.h"
#include "view/calls.h"

#define NOTES_MAX 1000

struct ui *ui_create(const struct ui_host *host, const char *sort, size_t limit)
{
	struct ui *ui = xcalloc(1, sizeof(*ui));

	ui->host = host;
	ui->interval_s = host->interval_s;
	ui->shown = snapshot_create();
	ui->newest = snapshot_ref(ui->shown);
	ui->view = VIEW_SITES;
	ui->target = ALL_TARGETS;
	ui->limit = limit;
	ui->sort = column_of_metric(sort);
	ui->metric = metric_find("live_bytes");
	ui->loss_noted.complete = true;
	for (int i = 0; i < VIEWS_COUNT; i++) {
		ui->views[i].state = xcalloc(1, view_ops(i)->state_bytes);
		ui->views[i].stale = true;
	}
	return ui;
}

static void clear_base(struct ui *ui)
{
	stack_index_deinit(&ui->base_index);
	snapshot_destroy(steal_ptr(ui->base));
	snapshot_destroy(steal_ptr(ui->until));
	free(steal_ptr(ui->base_name));
}

void ui_destroy(struct ui *ui)
{
	if (!ui)
		return;
	for (int i = 0; i < VIEWS_COUNT; i++) {
		if (view_ops(i)->deinit)
			view_ops(i)->deinit(ui->views[i].state);
		free(ui->views[i].state);
	}
	calls_deinit(&ui->calls);
	clear_base(ui);
	vec_for_each(mark, &ui->marks) {
		snapshot_destroy(mark->snap);
		free(mark->name);
	}
	mark_vec_deinit(&ui->marks);
	vec_for_each(note, &ui->notes)
		free(note->text);
	log_vec_deinit(&ui->notes);
	filter_deinit(&ui->filter);
	filter_deinit(&ui->search);
	prompt_deinit(&ui->prompt);
	past_deinit(&ui->past);
	snapshot_destroy(ui->shown);
	snapshot_destroy(ui->newest);
	free(ui->message);
	free(ui->recording);
	free(ui);
}

/* --- what happens --- */

static void add_note(struct ui *ui, double t_s, enum note_level level, const char *text)
{
	if (ui->notes.len == NOTES_MAX) {
		free(ui->notes.data[0].text);
		memmove(ui->notes.data, ui->notes.data + 1,
			(NOTES_MAX - 1) * sizeof(*ui->notes.data));
		ui->notes.len--;
	}
	log_vec_push(&ui->notes, (struct log_line){ t_s, level, xstrdup(text) });
}

unsigned int ui_note(struct ui *ui, enum note_level level, const char *text)
{
	add_note(ui, ui->newest->duration_s, level, text);
	free(ui->message);
	ui->message = xstrdup(text);
	ui->message_level = level;
	return EFFECT_DRAW;
}

unsigned int ui_say(struct ui *ui, enum note_level level, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	free(ui->message);
	ui->message = xvasprintf(fmt, args);
	va_end(args);
	ui->message_level = level;
	return EFFECT_DRAW;
}

static void note_format(struct ui *ui, double t_s, enum note_level level, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void note_format(struct ui *ui, double t_s, enum note_level level, const char *fmt, ...)
{
	__cleanup_free char *text = NULL;
	va_list args;

	va_start(args, fmt);
	text = xvasprintf(fmt, args);
	va_end(args);
	add_note(ui, t_s, level, text);
}

static void note_target(struct ui *ui, const struct snapshot *before,
			const struct snapshot_target *target, size_t i)
{
	const struct snapshot_target *old = i < before->targets.len ?
		&before->targets.data[i] : NULL;
	double now_s = ui->newest->duration_s;

	if (!old)
		note_format(ui, now_s, NOTE_INFO, "watching %s (pid %u)", target->comm,
			    target->pid);
	if (target->exited && !(old && old->exited))
		note_format(ui, now_s, NOTE_WARN, "%s (pid %u): %s", target->comm, target->pid,
			    target->exit_reason ? target->exit_reason : "ended");
	/* A target can be stopped before the first snapshot has seen it run. */
	if (target->stopped != (old && old->stopped))
		note_format(ui, now_s, NOTE_WARN, "%s (pid %u): %s", target->comm, target->pid,
			    target->stopped ? "stopped" : "continued");
}

/* That a Go heap's samples follow its pace is no news. */
static void note_level(struct ui *ui, const struct snapshot *before, const struct snapshot *now)
{
	if (!before->targets.len || !strcmp(before->mode, now->mode))
		return;
	ui->level_since_s = now->duration_s;
	note_format(ui, now->duration_s, NOTE_WARN, "level: %s, after %s", now->mode, before->mode);
}

static void note_losses(struct ui *ui, const struct snapshot *now)
{
	if (now->threads_full && !ui->threads_noted) {
		ui->threads_noted = true;
		note_format(ui, now->duration_s, NOTE_WARN,
			    "%zu threads are told apart: what later ones allocate is of 'others'",
			    now->threads.len - 1);
	}
	if (now->shares_full && !ui->shares_noted) {
		ui->shares_noted = true;
		note_format(ui, now->duration_s, NOTE_WARN,
			    "new rows are of call paths only, of 'others' and 'any': %zu tell"
			    " threads and size classes apart", now->shares.len);
	}
	if (ui->loss_noted.complete && !now->loss.complete)
		note_format(ui, now->duration_s, NOTE_BAD,
			    "losses began: numbers are no longer exact");
	ui->loss_noted = now->loss;
}

/* What the new snapshot says that the one before did not. */
static void note_changes(struct ui *ui, const struct snapshot *before, const struct snapshot *now)
{
	char buf[FORMAT_MAX];

	for (size_t i = 0; i < now->targets.len; i++)
		note_target(ui, before, &now->targets.data[i], i);
	note_losses(ui, now);
	note_level(ui, before, now);
	for (size_t i = before->reclaim.len; i < now->reclaim.len; i++)
		note_format(ui, now->reclaim.data[i].t_s, NOTE_INFO, "reclaim: %s %s %s",
			    now->reclaim.data[i].kind,
			    now->reclaim.data[i].bytes < 0 ? "" :
			    format_bytes(now->reclaim.data[i].bytes, buf),
			    now->reclaim.data[i].detail);
}


unsigned int ui_add_mark(struct ui *ui, struct snapshot *snap, const char *name)
{
	mark_vec_push(&ui->marks, (struct mark){ snap, xstrdup(name) });
	note_format(ui, snap->duration_s, NOTE_INFO, "mark %zu: %s", ui->marks.len, name);
	return EFFECT_DRAW;
}

unsigned int ui_end(struct ui *ui)
{
	/* A recording that was played to its end can be played again. */
	ui->ended = !ui->host->replay;
	ui->playing = false;
	return EFFECT_DRAW;
}

unsigned int ui_recording(struct ui *ui, const char *path)
{
	free(ui->recording);
	ui->recording = path ? xstrdup(path) : NULL;
	return EFFECT_DRAW;
}

/* --- what is shown --- */

const struct snapshot *ui_snapshot(const struct ui *ui)
{
	return ui->until ? ui->until : ui->shown;
}

static bool has_share(struct ui *ui, const struct snapshot_stack *stack)
{
	const struct snapshot *snap = ui_snapshot(ui);

	shares_for_each(share, snap, stack)
		if (filter_matches_share(&ui->filter, snap, share))
			return true;
	return false;
}

bool ui_shows(struct ui *ui, const struct snapshot_stack *stack)
{
	if (ui->target != ALL_TARGETS && stack->target != (uint32_t)ui->target)
		return false;
	if (!snapshot_shows(ui_snapshot(ui), stack))
		return false;
	return filter_matches(&ui->filter, ui_snapshot(ui), stack) &&
	       (!filter_wants_shares(&ui->filter) || has_share(ui, stack));
}

bool ui_is_partial(const struct ui *ui)
{
	return ui->split || filter_wants_shares(&ui->filter);
}

/* What @old has of each goes off; its samples are others, so errors add up in squares. */
static void take_off(struct metrics *m, const struct metrics *old)
{
	m->live_bytes -= old->live_bytes;
	m->live_count -= old->live_count;
	m->alloc_bytes -= old->alloc_bytes;
	m->alloc_count -= old->alloc_count;
	m->free_bytes -= old->free_bytes;
	m->free_count -= old->free_count;
	m->temporary_count -= old->temporary_count;
	m->peak_live_bytes -= old->peak_live_bytes;
#define X(name, unit) m->name##_error = hypot(m->name##_error, old->name##_error);
	ESTIMATED_METRICS(X)
#undef X
}

static struct metrics metrics_in(struct ui *ui, const struct snapshot *snap,
				 const struct snapshot_stack *stack, enum split split,
				 struct share_key key)
{
	if (!split && !filter_wants_shares(&ui->filter))
		return stack->m;
	return shares_sum(snap, stack, &ui->filter, split, key);
}

struct metrics ui_share_metrics(struct ui *ui, const struct snapshot_stack *stack,
				enum split split, struct share_key key)
{
	struct metrics m = metrics_in(ui, ui_snapshot(ui), stack, split, key);
	const struct snapshot_stack *old;
	double span;

	if (!ui->base)
		return m;
	old = ui->until ? NULL : stack_index_find(&ui->base_index, stack_key(stack));
	if (old) {
		const struct metrics before = metrics_in(ui, ui->base, old, split, key);

		take_off(&m, &before);
	}
	span = ui_snapshot(ui)->duration_s - ui->base->duration_s;
	m.growth_bytes_per_s = span > 0 ? (double)m.live_bytes / span : 0;
	m.growth_confidence = 1;
	return m;
}

struct metrics ui_metrics(struct ui *ui, const struct snapshot_stack *stack)
{
	return ui_share_metrics(ui, stack, SPLIT_NONE, (struct share_key){ 0 });
}

const struct snapshot_stack *ui_selected(const struct ui *ui)
{
	const struct snapshot *snap = ui_snapshot(ui);

	vec_for_each(stack, &snap->stacks)
		if (stack_key(stack) == ui->selected)
			return stack;
	return NULL;
}

struct snapshot *ui_extract(struct ui *ui)
{
	struct snapshot *all = ui->until ? ui->until : ui->shown;
	struct snapshot *snap = snapshot_derive(all);

	filter_begin(&ui->filter);
	vec_for_each(stack, &all->stacks) {
		struct snapshot_stack copy = *stack;

		if (!ui_shows(ui, stack))
			continue;
		copy.shared_frames = snapshot_frames(all, stack);
		copy.m = ui_metrics(ui, stack);
		snapshot_stack_vec_push(&snap->stacks, copy);
	}
	return snap;
}

unsigned int ui_since(struct ui *ui, struct snapshot *base, struct snapshot *until,
		      const char *name)
{
	clear_base(ui);
	if (base) {
		ui->base = snapshot_ref(base);
		ui->until = until ? changes_between(base, until) : NULL;
		ui->base_name = xstrdup(name);
		stack_index_init(&ui->base_index, base);
	}
	return EFFECT_DERIVE;
}

unsigned int ui_go(struct ui *ui, enum view_id view)
{
	if (view == ui->view)
		return EFFECT_NONE;
	if (ui->before_len == VIEWS_BEFORE_MAX) {
		memmove(ui->before, ui->before + 1, (VIEWS_BEFORE_MAX - 1) * sizeof(ui->before[0]));
		ui->before_len--;
	}
	ui->before[ui->before_len++] = ui->view;
	ui->view = view;
	return EFFECT_DRAW;
}

unsigned int ui_back(struct ui *ui)
{
	if (ui->before_len)
		ui->view = ui->before[--ui->before_len];
	return EFFECT_DRAW;
}

/* --- effects --- */

static struct area body_area(struct area screen)
{
	return (struct area){ HEAD_ROWS, 0, screen.rows - HEAD_ROWS - FOOTER_ROWS,
			      screen.columns };
}

/* What the view shows is derived when it is looked at, not before. */
static void derive(struct ui *ui)
{
	const struct view_ops *ops = view_ops(ui->view);

	if (ui->views[ui->view].stale && ops->derive) {
		filter_begin(&ui->filter);
		filter_begin(&ui->search);
		ops->derive(ui, ui->views[ui->view].state);
	}
	ui->views[ui->view].stale = false;
}

static void draw_too_small(struct area screen)
{
	draw_format(screen, 0, 0, ROLE_WARN, "%d x %d is too small: %d x %d needed",
		    screen.columns, screen.rows, SCREEN_COLUMNS_MIN, SCREEN_ROWS_MIN);
}

static void draw(struct ui *ui)
{
	struct area screen = screen_area();

	screen_erase();
	screen_cursor(0, -1);
	if (!screen_fits()) {
		draw_too_small(screen);
	} else {
		head_draw(ui, screen);
		derive(ui);
		view_ops(ui->view)->draw(ui, ui->views[ui->view].state,
					 body_area(screen));
		footer_draw(ui, (struct area){ screen.rows - FOOTER_ROWS, 0, FOOTER_ROWS,
					       screen.columns });
	}
	screen_show();
}

void ui_apply(struct ui *ui, unsigned int effects)
{
	if (effects & (EFFECT_DRAW | EFFECT_DERIVE | EFFECT_REDRAW))
		draw(ui);
	if (effects & EFFECT_REDRAW)
		screen_redraw();
}

bool ui_prepare(struct ui *ui)
{
	return calls_prepare(ui);
}

/* At once: what views hold points into snapshots that may be gone. */
static unsigned int note_effects(struct ui *ui, unsigned int effects)
{
	if (!(effects & EFFECT_DERIVE))
		return effects;
	for (int i = 0; i < VIEWS_COUNT; i++)
		ui->views[i].stale = true;
	ui->calls.fresh[false] = ui->calls.fresh[true] = false;
	ui->calls.walked = 0;
	return effects;
}

static unsigned int act(struct ui *ui, enum action action)
{
	const struct view_ops *ops = view_ops(ui->view);
	unsigned int effects = EFFECT_PASS;

	if (action <= ACTION_VIEW_LAST)
		return ui_go(ui, action - ACTION_VIEW);
	derive(ui);
	if (ops->act)
		effects = ops->act(ui, ui->views[ui->view].state, action);
	return effects & EFFECT_PASS ? ui_act(ui, action) : effects;
}

unsigned int ui_key(struct ui *ui, int key)
{
	enum action action;

	if (key == SCREEN_RESIZED)
		return EFFECT_DRAW;
	if (ui->prompt.open)
		return note_effects(ui, prompt_key(ui, &ui->prompt, key));
	action = action_of_key(key, ui->view);
	if (action == ACTION_NONE)
		return EFFECT_NONE;
	free(steal_ptr(ui->message));
	return note_effects(ui, act(ui, action)) | EFFECT_DRAW;
}

void ui_remember(struct ui *ui, struct snapshot *snap)
{
	past_take(&ui->past, snap);
	snapshot_destroy(snap);
}

/* The past is that of what is shown: while it is held, it rests, too. */
unsigned int ui_show_newest(struct ui *ui)
{
	past_take(&ui->past, ui->newest);
	snapshot_destroy(ui->shown);
	ui->shown = snapshot_ref(ui->newest);
	ui->rates = ui->past.rates;
	return note_effects(ui, EFFECT_DERIVE);
}

unsigned int ui_take(struct ui *ui, struct snapshot *snap)
{
	struct snapshot *before __cleanup(snapshot_destroyp) = ui->newest;
	bool first = !before->targets.len;

	ui->newest = snap;
	if (snap->duration_s > ui->noted_s || first) {
		note_changes(ui, before, snap);
		ui->noted_s = snap->duration_s;
	}
	if (first)
		free(steal_ptr(ui->message));
	return ui->paused && !first ? EFFECT_DRAW : ui_show_newest(ui);
}
