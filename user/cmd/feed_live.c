// SPDX-License-Identifier: GPL-2.0-or-later
/* Snapshots of a live session, and the recording of it; see feed_private.h. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/format.h"
#include "cmd/feed_private.h"

#define FIRST_S 0.2		/* until the first snapshot: long enough to show something */

/* --- the recording of it --- */

static void end_recording(struct feed *feed)
{
	struct error *err = recording_close(steal_ptr(feed->recording));
	__cleanup_free char *path = steal_ptr(feed->recording_path);
	__cleanup_free char *text = NULL;

	if (err) {
		feed_tell_error(feed, FEED_FAILURE, err);
		feed_tell(feed, FEED_RECORDED, "the recording could not be closed well");
		return;
	}
	text = xasprintf("recorded to %s", path);
	feed_tell(feed, FEED_RECORDED, text);
}

static void begin_recording(struct feed *feed, const char *path)
{
	struct recording_settings settings = RECORDING_SETTINGS_DEFAULT;
	struct error *err = recording_create(path, &settings, &feed->recording);

	feed->marks_set.len = 0;
	if (err) {
		feed_tell_error(feed, FEED_FAILURE, err);
		return;
	}
	feed->recording_path = xstrdup(path);
	feed_tell(feed, FEED_RECORDING, path);
}

static void append(struct feed *feed, struct snapshot *snap)
{
	struct error *err;
	bool exactly = false;
	char name[24];

	if (!feed->recording)
		return;
	for (size_t i = 0; i < feed->marks_set.len; i++) {
		struct snapshot_mark *mark = &feed->marks_set.data[i];

		/* One that is being set is of this very moment. */
		if (mark->t_s < 0) {
			mark->t_s = snap->duration_s;
			exactly = true;
		}
		snprintf(name, sizeof(name), "%zu", i + 1);
		snapshot_mark_vec_push(&snap->marks, (struct snapshot_mark){
			mark->t_s, snapshot_string(snap, name) });
	}
	err = recording_append(feed->recording, snap, exactly);
	if (!err)
		return;
	feed_tell_error(feed, FEED_FAILURE, err);
	end_recording(feed);
}

/* --- a live session --- */

static struct error *take_snapshot(struct feed *feed)
{
	struct snapshot *snap;
	struct error *err = session_snapshot(feed->session, SNAPSHOT_NAMES | SNAPSHOT_OLDEST |
					     SNAPSHOT_SHARES, &snap);

	if (err)
		return err;
	append(feed, snap);
	feed->shown_s = snap->duration_s;
	feed_publish(feed, snap);
	return NULL;
}

/* The screen's head goes on saying what the numbers are since (view/head.c). */
static struct error *change_sampling(struct feed *feed, uint64_t mean)
{
	char size[FORMAT_MAX];
	__cleanup_free char *text = NULL;

	if (!session_can_sample(feed->session) || !session_probes_allocations(feed->session)) {
		feed_tell(feed, FEED_FAILURE, "the level stays: only sessions whose probes stand"
			  " all the time can change it");
		return NULL;
	}
	session_set_sampling(feed->session, mean);
	text = mean ? xasprintf("one allocation in %s is recorded from now on; live blocks known"
				" until now are in the sample", format_bytes((int64_t)mean, size)) :
		xstrdup("every allocation is recorded from now on; blocks that were not sampled"
			" stay unknown");
	feed_tell(feed, FEED_NOTE, text);
	return take_snapshot(feed);
}

static void turn_focus(struct feed *feed)
{
	__cleanup_free char *text = NULL;
	uint64_t calls = session_focus(feed->session) ? 0 : SESSION_FOCUS_CALLS;

	session_set_focus(feed->session, calls);
	text = calls ? xasprintf("focus: each allocation of up to %" PRIu64 " call paths that look"
				 " most like leaks is traced from now on", calls) :
		xstrdup("focus: ended");
	feed_tell(feed, FEED_NOTE, text);
}

static struct error *grant(struct feed *feed, struct wishes *wishes)
{
	__cleanup_free char *path = steal_ptr(wishes->record_path);

	if (wishes->interval_changed)
		session_set_interval(feed->session, wishes->interval_s);
	if (wishes->sampling_changed && !feed->ended) {
		struct error *err = change_sampling(feed, wishes->sample_bytes);

		if (err)
			return err;
	}
	if (wishes->focus_turned && !feed->ended)
		turn_focus(feed);
	for (int i = 0; feed->recording && i < wishes->marks; i++) {
		struct error *err;

		snapshot_mark_vec_push(&feed->marks_set, (struct snapshot_mark){ -1, NULL });
		err = take_snapshot(feed);
		if (err)
			return err;
	}
	if (!path)
		return NULL;
	if (feed->recording)
		end_recording(feed);
	if (*path)
		begin_recording(feed, path);
	/* What is there now is in it, however soon it ends. */
	return feed->recording ? take_snapshot(feed) : NULL;
}

static double next_step(const struct feed *feed, double interval_s, double *watched_s)
{
	double step = *watched_s ? interval_s : fmin(FIRST_S, interval_s);

	if (feed->duration_s > 0)
		step = fmin(step, fmax(0, feed->duration_s - *watched_s));
	return step;
}

static struct error *end_session(struct feed *feed)
{
	struct error *err;

	session_stop(feed->session);
	err = take_snapshot(feed);
	feed->ended = true;
	return err;
}

/* One interval, or until there is a wish. */
static struct error *watch_once(struct feed *feed, double *left, double interval_s,
				double *watched_s)
{
	enum session_state state;
	double before = session_watched_s(feed->session);
	struct error *err = session_run(feed->session, *left, &feed->poke, &state);
	double ran = session_watched_s(feed->session) - before;

	*watched_s += ran;
	*left = fmax(0, *left - ran);
	if (err)
		return err;
	if (state == SESSION_ENDED) {
		err = end_session(feed);
		feed_tell(feed, FEED_ENDED, NULL);
		return err;
	}
	if (state == SESSION_TOO_DEAR ||
	    (feed->duration_s > 0 && *watched_s >= feed->duration_s - 1e-9)) {
		err = end_session(feed);
		feed_tell(feed, FEED_OVER, NULL);
		return err;
	}
	if (state == SESSION_INTERRUPTED)
		return NULL;
	err = take_snapshot(feed);
	*left = next_step(feed, interval_s, watched_s);
	return err;
}

static void *watch_main(void *arg)
{
	struct feed *feed = arg;
	double watched_s = 0, left = next_step(feed, feed->interval_s, &watched_s);
	struct error *err = NULL;

	for (;;) {
		struct wishes wishes = feed_take_wishes(feed);

		if (wishes.interval_changed && left > wishes.interval_s)
			left = wishes.interval_s;
		err = grant(feed, &wishes);
		if (wishes.stop)
			break;
		if (feed->ended)
			feed_idle(feed);
		else if (!err)
			err = watch_once(feed, &left, wishes.interval_s, &watched_s);
		if (err) {
			feed_tell_error(feed, FEED_BROKEN, steal_ptr(err));
			feed->ended = true;
		}
	}
	error_destroy(err);
	if (feed->recording)
		end_recording(feed);
	return NULL;
}

struct error *feed_watch(struct session *session, double interval_s, double duration_s,
			 struct feed **ret)
{
	__cleanup(feed_destroyp) struct feed *feed = feed_create();
	struct error *err;

	feed->session = session;
	feed->interval_s = interval_s;
	feed->duration_s = duration_s;
	err = feed_start(feed, watch_main);
	if (err)
		return err;
	*ret = steal_ptr(feed);
	return NULL;
}

