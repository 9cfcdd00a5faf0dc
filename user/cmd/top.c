// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * heapsonde top: the screen people keep open, of a live process or of a
 * recording; plain refreshes where there is no screen (--batch, a pipe).
 *
 * The loop waits for keys and for the feed (cmd/feed.h), and nothing else.
 */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/command.h"
#include "cmd/feed.h"
#include "cmd/watch.h"
#include "export/history.h"
#include "export/json.h"
#include "export/output.h"
#include "view/batch.h"
#include "view/ui.h"

struct top {
	const struct options *opts;
	struct session *session;
	struct feed *feed;
	struct ui *ui;
	struct error *error;		/* why it cannot go on */
	bool over;
	/* A snapshot that waits for a pause between keys, and since when. */
	struct snapshot *waiting;
	double waiting_since_s, key_s;	/* key_s: when the last one came */
};

/*
 * What a view makes of 20,000 stacks takes some 20 ms. Who holds an arrow key
 * down wants the answer to that key first: a refresh waits for a pause of
 * PAUSE_S, but no longer than WAIT_S.
 */
#define PAUSE_S 0.15
#define WAIT_S 2.0

/* --- what the screen asks for --- */

static void host_set_interval(void *arg, double seconds)
{
	feed_set_interval(((struct top *)arg)->feed, seconds);
}

static void host_turn_focus(void *arg)
{
	feed_turn_focus(((struct top *)arg)->feed);
}

static void host_set_sampling(void *arg, uint64_t mean_bytes)
{
	feed_set_sampling(((struct top *)arg)->feed, mean_bytes);
}

static void host_record(void *arg, const char *path)
{
	feed_record(((struct top *)arg)->feed, path);
}

static void host_mark(void *arg)
{
	feed_mark(((struct top *)arg)->feed);
}

static void host_play(void *arg, bool on)
{
	feed_play(((struct top *)arg)->feed, on);
}

static void host_step(void *arg, long moments)
{
	feed_step(((struct top *)arg)->feed, moments);
}

static struct error *write_export(struct snapshot *snap, const char *path)
{
	struct history *history __cleanup(history_destroyp) = history_create();
	struct output *out __cleanup_output = NULL;
	const char *dot = strrchr(path, '.');
	struct output_options options = { .metric = "live_bytes" };
	struct error *err;

	options.format = export_format_of(dot ? dot + 1 : "");
	if (options.format < 0)
		return error_create(ERROR_USAGE, "'%s': the name's end tells the format: one of %s",
				    path, export_formats());
	err = output_open(path, false, &out);
	if (err)
		return err;
	snapshot_sort(snap, "live_bytes");
	history_add(history, snap);
	err = export_write(snap, history, output_file(out), &options);
	return err ? err : output_commit(steal_ptr(out));
}

static void host_export(void *arg, struct snapshot *snap, const char *path)
{
	feed_export(((struct top *)arg)->feed, snap, path, write_export);
}

static struct ui_host make_host(struct top *top)
{
	return (struct ui_host){
		.arg = top,
		.replay = !top->session,
		.interval_s = top->opts->target.interval_s,
		.level_note = top->session ? NULL :
			"this is a recording: its level was chosen when it was made",
		.set_sampling = host_set_sampling,
		.turn_focus = host_turn_focus,
		.set_interval = host_set_interval,
		.record = host_record,
		.export = host_export,
		.export_formats = export_formats(),
		.mark = host_mark,
		.play = host_play,
		.step = host_step,
		.moments = feed_moments(top->feed),
	};
}

/* --- the loop --- */

/* Lines that any thread logs while the screen is there. */
static void log_to_feed(void *arg, const char *line)
{
	feed_tell(arg, FEED_WARNING, line);
}

static unsigned int on_message(struct top *top, struct feed_message *message)
{
	__cleanup_free char *text = message->text;
	struct ui *ui = top->ui;

	switch (message->kind) {
	case FEED_NOTE:
		return ui_note(ui, NOTE_INFO, text);
	case FEED_WARNING:
		return ui_note(ui, NOTE_WARN, text);
	case FEED_FAILURE:
		return ui_note(ui, NOTE_BAD, text);
	case FEED_RECORDING:
		return ui_note(ui, NOTE_INFO, "recording from now on") | ui_recording(ui, text);
	case FEED_RECORDED:
		return ui_note(ui, NOTE_INFO, text) | ui_recording(ui, NULL);
	case FEED_MARK:
		return ui_add_mark(ui, message->snap, text);
	case FEED_ENDED:
		return ui_end(ui);
	case FEED_OVER:
		return EFFECT_QUIT;
	case FEED_BROKEN:
		top->error = error_create(ERROR_OS, "%s", text);
		return EFFECT_QUIT;
	}
	return EFFECT_NONE;
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Seconds that the waiting snapshot still has to wait; < 0: there is none. */
static double wait_s(const struct top *top)
{
	double now = now_s(), pause = top->key_s + PAUSE_S - now;
	double longest = top->waiting_since_s + WAIT_S - now;

	if (!top->waiting)
		return -1;
	return fmax(0, fmin(pause, longest));
}

static void let_wait(struct top *top, struct snapshot *snap)
{
	if (!top->waiting)
		top->waiting_since_s = now_s();
	snapshot_destroy(top->waiting);
	top->waiting = snap;
}

static unsigned int on_feed(struct top *top)
{
	struct snapshot *snap = feed_take(top->feed), *earlier;
	struct feed_message message;
	unsigned int effects = EFFECT_NONE;

	while ((earlier = feed_take_earlier(top->feed)))
		ui_remember(top->ui, earlier);
	if (snap)
		let_wait(top, snap);
	/* A step in a recording is itself the answer to a key. */
	if (top->waiting && (!top->session || wait_s(top) <= 0))
		effects |= ui_take(top->ui, steal_ptr(top->waiting));
	while (feed_message(top->feed, &message))
		effects |= on_message(top, &message);
	return effects;
}

static unsigned int on_keys(struct top *top)
{
	unsigned int effects = EFFECT_NONE;
	int key;

	while (!(effects & EFFECT_QUIT) && (key = screen_key()) != SCREEN_NO_KEY) {
		effects |= ui_key(top->ui, key);
		top->key_s = now_s();
	}
	return effects;
}

static void loop(struct top *top)
{
	struct pollfd fds[2] = {
		{ .fd = screen_fd(), .events = POLLIN }, { feed_fd(top->feed), POLLIN, 0 },
	};
	unsigned int effects = EFFECT_DRAW;
	int timeout_ms;

	while (!(effects & EFFECT_QUIT) && !watch_interrupted) {
		ui_apply(top->ui, effects);
		effects = EFFECT_NONE;
		timeout_ms = ui_prepare(top->ui) ? 0 : (int)ceil(1000 * wait_s(top));
		if (poll(fds, 2, timeout_ms) < 0 && errno != EINTR)
			return;
		/* The terminal is gone: nobody will press a key again. */
		if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL))
			return;
		effects |= on_keys(top);
		effects |= on_feed(top);
	}
}

static struct error *run_screen(struct top *top)
{
	const struct ui_host host = make_host(top);
	__cleanup(ui_destroyp) struct ui *ui = ui_create(&host, top->opts->output.sort,
							      top->opts->output.limit_given ?
							      top->opts->output.limit : 0);
	struct error *err = screen_open();

	if (err)
		return err;
	top->ui = ui;
	log_set_sink(log_to_feed, top->feed);
	loop(top);
	log_set_sink(NULL, NULL);
	screen_close();
	snapshot_destroy(top->waiting);
	return steal_ptr(top->error);
}

/* --- plain refreshes --- */

/* As text, or as the object that report --json prints, one after the other. */
static struct error *print(const struct options *opts, struct batch *batch,
			   struct snapshot *snap)
{
	struct output *out __cleanup_output = NULL;
	struct error *err = output_open("-", false, &out);

	if (err)
		return err;
	if (opts->output.json) {
		snapshot_sort(snap, snapshot_metric(snap, opts->output.sort));
		export_json(snap, output_file(out), opts->output.limit);
	} else {
		batch_print(batch, snap, output_file(out));
	}
	return output_commit(steal_ptr(out));
}

/* Waits for the feed; false when it has ended. */
static bool next_snapshot(struct top *top, struct snapshot **ret)
{
	struct pollfd fd = { .fd = feed_fd(top->feed), .events = POLLIN };
	struct feed_message message;

	*ret = NULL;
	while (!*ret && !top->over && !watch_interrupted) {
		if (poll(&fd, 1, -1) < 0)
			continue;
		*ret = feed_take(top->feed);
		while (feed_message(top->feed, &message)) {
			if (message.kind == FEED_BROKEN)
				top->error = error_create(ERROR_OS, "%s", message.text);
			top->over |= message.kind == FEED_ENDED || message.kind == FEED_OVER ||
				     message.kind == FEED_BROKEN;
			free(message.text);
			snapshot_destroy(message.snap);
		}
	}
	/* The last one is published before its end is told, perhaps just now. */
	if (!*ret)
		*ret = feed_take(top->feed);
	return *ret;
}

static uint64_t refreshes(const struct options *opts)
{
	return opts->output.batch ? opts->output.batch : UINT64_MAX;
}

static struct error *batch_live(struct top *top, struct batch *batch)
{
	struct snapshot *snap;

	for (uint64_t left = refreshes(top->opts); left && next_snapshot(top, &snap); left--) {
		struct error *err = print(top->opts, batch, snap);

		snapshot_destroy(snap);
		if (err)
			return err;
	}
	return steal_ptr(top->error);
}

/* A recording's moments from the first one on, as fast as they can be read. */
static struct error *batch_recorded(const struct options *opts, struct batch *batch)
{
	__cleanup(recording_reader_destroyp) struct recording_reader *reader = NULL;
	__cleanup(recording_times_deinit) struct recording_times times = { 0 };
	struct error *err = recording_open(opts->files.data[0], &reader);

	if (!err)
		err = recording_moment_times(reader, &times);
	for (size_t i = 0; !err && i < times.len && i < refreshes(opts); i++) {
		__cleanup(snapshot_destroyp) struct snapshot *snap = NULL;

		if (watch_interrupted)
			break;
		err = recording_snapshot(reader, times.data[i], &snap);
		if (!err)
			err = print(opts, batch, snap);
	}
	return err;
}

static struct error *run_batch(struct top *top)
{
	__cleanup(batch_destroyp) struct batch *batch =
		batch_create(top->opts->output.sort, top->opts->output.limit);

	return top->feed ? batch_live(top, batch) : batch_recorded(top->opts, batch);
}

/* --- both --- */

static struct error *open_source(struct top *top, bool batch, struct recording_reader **reader)
{
	const struct options *opts = top->opts;
	struct error *err;

	if (opts->files.len && batch)
		return NULL;
	if (opts->files.len) {
		err = recording_open(opts->files.data[0], reader);
		return err ? err : feed_replay(*reader, opts->files.data[0], &top->feed);
	}
	err = watch_create(opts, &top->session);
	if (!err)
		watch_reduce(opts, batch ? "-" : NULL);
	return err ? err : feed_watch(top->session, opts->target.interval_s,
				      opts->target.duration_s, &top->feed);
}

struct error *cmd_top(const struct options *opts, int *status)
{
	__cleanup(recording_reader_destroyp) struct recording_reader *reader = NULL;
	bool batch = opts->output.batch || opts->output.json || !isatty(STDOUT_FILENO);
	struct top top = { .opts = opts };
	struct error *err;

	watch_catch_signals();
	err = open_source(&top, batch, &reader);
	if (!err)
		err = batch ? run_batch(&top) : run_screen(&top);
	feed_destroy(top.feed);
	if (top.session)
		watch_end(top.session, opts);
	session_destroy(top.session);
	return err;
}
