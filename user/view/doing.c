// SPDX-License-Identifier: GPL-2.0-or-later
/* Actions that are the same in all views: pause, marks, filter, files, targets. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/format.h"
#include "view/ui.h"

static unsigned int refuse(struct ui *ui, struct error *err)
{
	unsigned int effects = ui_say(ui, NOTE_BAD, "%s", err->message);

	error_destroy(err);
	return effects;
}

/* --- time --- */

static unsigned int pause_or_play(struct ui *ui)
{
	if (ui->host->replay) {
		ui->playing = !ui->playing;
		ui->host->play(ui->host->arg, ui->playing);
		return EFFECT_DRAW;
	}
	ui->paused = !ui->paused;
	return ui->paused ? EFFECT_DRAW : ui_show_newest(ui);
}

static unsigned int step(struct ui *ui, long moments)
{
	if (!ui->host->replay)
		return ui_say(ui, NOTE_WARN, "this is live: only a recording has moments to go to");
	ui->host->step(ui->host->arg, moments);
	return EFFECT_DRAW;
}

static long tenth(const struct ui *ui)
{
	return ui->host->moments / 10 > 1 ? ui->host->moments / 10 : 1;
}

static unsigned int set_interval(struct ui *ui, const char *text)
{
	double seconds;

	if (!parse_seconds(text, &seconds) || seconds < 0.05 || seconds > 3600)
		return ui_say(ui, NOTE_BAD, "'%s' is not a number of seconds from 0.05 to 3600",
			      text);
	ui->interval_s = seconds;
	ui->host->set_interval(ui->host->arg, seconds);
	return ui_say(ui, NOTE_INFO, "a refresh every %g s", seconds);
}

static unsigned int ask_interval(struct ui *ui)
{
	char now[32];

	snprintf(now, sizeof(now), "%g", ui->interval_s);
	prompt_open(&ui->prompt, "seconds between refreshes", now, set_interval);
	return EFFECT_DRAW;
}

/* --- marks --- */

static unsigned int set_mark(struct ui *ui)
{
	char when[FORMAT_MAX];

	mark_vec_push(&ui->marks, (struct mark){ snapshot_ref(ui->shown), NULL });
	ui->host->mark(ui->host->arg);
	return ui_say(ui, NOTE_INFO, "mark %zu set at %s: d shows what changes since",
		      ui->marks.len, format_duration(ui->shown->duration_s, when));
}

/* "mark 2 (1 m 20 s)", "mark 1 warmed-up (5.0 s)"; the caller frees. */
static char *mark_name(const struct ui *ui, size_t i)
{
	const struct mark *mark = &ui->marks.data[i];
	char when[FORMAT_MAX];

	return xasprintf("mark %zu%s%s (%s)", i + 1, mark->name ? " " : "",
			 mark->name ? mark->name : "",
			 format_duration(mark->snap->duration_s, when));
}

static unsigned int since_mark(struct ui *ui)
{
	__cleanup_free char *mark = NULL, *name = NULL;
	size_t last = ui->marks.len - 1;

	if (ui->base)
		return ui_since(ui, NULL, NULL, NULL);
	if (!ui->marks.len)
		return ui_say(ui, NOTE_WARN, "no mark is set: m sets one");
	mark = mark_name(ui, last);
	name = xasprintf("since %s", mark);
	return ui_since(ui, ui->marks.data[last].snap, NULL, name);
}

/* By number or by name; 0 if there is none. */
static size_t find_mark(const struct ui *ui, const char *word)
{
	uint64_t number;

	for (size_t i = 0; i < ui->marks.len; i++)
		if (ui->marks.data[i].name && !strcmp(ui->marks.data[i].name, word))
			return i + 1;
	return parse_uint(word, 1, ui->marks.len, &number) ? number : 0;
}

static unsigned int compare_marks(struct ui *ui, const char *text)
{
	__cleanup_free char *copy = xstrdup(text), *old = NULL, *new = NULL, *name = NULL;
	char *rest = copy, *first = strsep(&rest, " ");
	size_t from = find_mark(ui, first), to = rest ? find_mark(ui, rest) : 0;

	if (!from || !to || from == to)
		return ui_say(ui, NOTE_BAD, "two different marks of %zu, by number or name,"
			      " such as '1 2'", ui->marks.len);
	old = mark_name(ui, from - 1);
	new = mark_name(ui, to - 1);
	name = xasprintf("from %s to %s", old, new);
	return ui_since(ui, ui->marks.data[from - 1].snap, ui->marks.data[to - 1].snap, name);
}

static unsigned int ask_marks(struct ui *ui)
{
	char last[64];

	if (ui->marks.len < 2)
		return ui_say(ui, NOTE_WARN, "%zu marks are set, two are needed: m sets one",
			      ui->marks.len);
	snprintf(last, sizeof(last), "%zu %zu", ui->marks.len - 1, ui->marks.len);
	prompt_open(&ui->prompt, "changes from mark, to mark", last, compare_marks);
	return EFFECT_DRAW;
}

/* --- level --- */

static unsigned int set_level(struct ui *ui, const char *text)
{
	uint64_t mean = 0;

	if (strcmp(text, "exact") && (!parse_bytes(text, &mean) || mean < 1 || mean >> 40))
		return ui_say(ui, NOTE_BAD, "'%s' is neither 'exact' nor a number of bytes such"
			      " as 512K", text);
	ui->host->set_sampling(ui->host->arg, mean);
	return EFFECT_DRAW;
}

static unsigned int ask_level(struct ui *ui)
{
	if (ui->host->level_note)
		return ui_say(ui, NOTE_WARN, "%s", ui->host->level_note);
	if (ui->ended)
		return ui_say(ui, NOTE_WARN, "nothing is watched any more");
	prompt_open(&ui->prompt, "exact, or mean bytes between samples",
		    ui->newest->sample_bytes > 0 ? "exact" : "512K", set_level);
	return EFFECT_DRAW;
}

static unsigned int focus(struct ui *ui)
{
	if (ui->host->level_note)
		return ui_say(ui, NOTE_WARN, "%s", ui->host->level_note);
	if (ui->ended)
		return ui_say(ui, NOTE_WARN, "nothing is watched any more");
	if (!ui->newest->windows.evidence)
		return ui_say(ui, NOTE_WARN, "focus is for what windows do not see: the level is"
			      " %s", ui->newest->mode);
	ui->host->turn_focus(ui->host->arg);
	return EFFECT_DRAW;
}

/* --- filter and search --- */

/* ERROR_USAGE also where it asks for what the snapshots do not have. */
static struct error *try_filter(struct ui *ui, const char *text)
{
	struct filter fresh = { 0 };
	struct error *err = filter_set(&fresh, text);

	if (!err && filter_wants_shares(&fresh) && !ui->shown->shares.len)
		err = error_create(ERROR_USAGE, "%s", no_shares_text);
	filter_deinit(&fresh);
	return err ? err : filter_set(&ui->filter, text);
}

static unsigned int filter_changed(struct ui *ui, const char *text)
{
	struct error *err = try_filter(ui, text);

	/* Half a word may be no expression yet: what was shown stays. */
	error_destroy(err);
	return err ? EFFECT_DRAW : EFFECT_DERIVE;
}

static unsigned int set_filter(struct ui *ui, const char *text)
{
	struct error *err = try_filter(ui, text);

	return err ? refuse(ui, err) : EFFECT_DERIVE;
}

static unsigned int ask_filter(struct ui *ui)
{
	prompt_open(&ui->prompt, "show paths with", ui->filter.text ? ui->filter.text : "",
		    set_filter);
	ui->prompt.changed = filter_changed;
	return EFFECT_DRAW;
}

static unsigned int set_search(struct ui *ui, const char *text)
{
	struct error *err = filter_set(&ui->search, text);

	return err ? refuse(ui, err) : EFFECT_DERIVE;
}

static unsigned int ask_search(struct ui *ui)
{
	prompt_open(&ui->prompt, "search", ui->search.text ? ui->search.text : "", set_search);
	return EFFECT_DRAW;
}

static unsigned int unfilter(struct ui *ui)
{
	filter_deinit(&ui->filter);
	filter_deinit(&ui->search);
	return EFFECT_DERIVE;
}

/* --- files --- */

static unsigned int start_recording(struct ui *ui, const char *path)
{
	if (*path)
		ui->host->record(ui->host->arg, path);
	return EFFECT_DRAW;
}

static unsigned int record(struct ui *ui)
{
	__cleanup_free char *name = NULL;
	const struct snapshot_target *target = ui->shown->targets.data;

	if (ui->host->replay)
		return ui_say(ui, NOTE_WARN, "this is a recording already");
	if (ui->recording) {
		ui->host->record(ui->host->arg, NULL);
		return EFFECT_DRAW;
	}
	name = target ? xasprintf("heapsonde-%u.heapsonde", target->pid) :
		xstrdup("heapsonde.heapsonde");
	prompt_open(&ui->prompt, "record from now on to", name, start_recording);
	return EFFECT_DRAW;
}

static unsigned int export_to(struct ui *ui, const char *path)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = NULL;

	if (!*path)
		return EFFECT_DRAW;
	snap = ui_extract(ui);
	ui->host->export(ui->host->arg, snap, path);
	return EFFECT_DRAW;
}

static unsigned int ask_export(struct ui *ui)
{
	prompt_open(&ui->prompt, ui->host->export_formats, "heapsonde.folded", export_to);
	return EFFECT_DRAW;
}

static unsigned int print_to(struct ui *ui, const char *path)
{
	int fd __cleanup_close = -1;
	FILE *f __cleanup_fclose = NULL;

	if (!*path)
		return EFFECT_DRAW;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return ui_say(ui, NOTE_BAD, "cannot write '%s': %s", path, strerror(errno));
	file_give_to_invoker(fd);
	f = fdopen(steal_fd(&fd), "w");
	if (f)
		screen_print(f);
	if (!f || fflush(f))
		return ui_say(ui, NOTE_BAD, "cannot write '%s': %s", path, strerror(errno));
	return ui_say(ui, NOTE_INFO, "this screen went to %s", path);
}

static unsigned int ask_print(struct ui *ui)
{
	prompt_open(&ui->prompt, "this screen as text to", "heapsonde.txt", print_to);
	return EFFECT_DRAW;
}

/* --- the rest --- */

static unsigned int next_target(struct ui *ui)
{
	int count = (int)ui->shown->targets.len;

	if (count < 2)
		return ui_say(ui, NOTE_WARN, "there is one target only: -p A,B watches several");
	ui->target = ui->target + 1 < count ? ui->target + 1 : ALL_TARGETS;
	return EFFECT_DERIVE;
}

unsigned int ui_act(struct ui *ui, enum action action)
{
	switch (action) {
	case ACTION_BACK:
		return ui_back(ui);
	case ACTION_FILTER:
		return ask_filter(ui);
	case ACTION_SEARCH:
		return ask_search(ui);
	case ACTION_UNFILTER:
		return unfilter(ui);
	case ACTION_TARGET:
		return next_target(ui);
	case ACTION_PAUSE:
		return pause_or_play(ui);
	case ACTION_STEP_BACK:
		return step(ui, -1);
	case ACTION_STEP_ON:
		return step(ui, 1);
	case ACTION_JUMP_BACK:
		return step(ui, -tenth(ui));
	case ACTION_JUMP_ON:
		return step(ui, tenth(ui));
	case ACTION_MARK:
		return set_mark(ui);
	case ACTION_SINCE:
		return since_mark(ui);
	case ACTION_COMPARE:
		return ask_marks(ui);
	case ACTION_INTERVAL:
		return ask_interval(ui);
	case ACTION_LEVEL:
		return ask_level(ui);
	case ACTION_FOCUS:
		return focus(ui);
	case ACTION_RECORD:
		return record(ui);
	case ACTION_EXPORT:
		return ask_export(ui);
	case ACTION_PRINT:
		return ask_print(ui);
	case ACTION_REDRAW:
		return EFFECT_REDRAW;
	case ACTION_QUIT:
		return EFFECT_QUIT;
	default:
		return EFFECT_NONE;
	}
}
