// SPDX-License-Identifier: GPL-2.0-or-later
/* Moments of a recording: stepped through, or played; see feed_private.h. */
#include <errno.h>
#include <math.h>
#include <time.h>

#include "cmd/feed_private.h"

#define CONTEXT 6		/* moments that are read before one that is jumped to */
#define PLAY_MAX_S 2.0		/* a moment of a recording is shown no longer than that */

static struct snapshot *read_moment(struct feed *feed, long at)
{
	struct snapshot *snap = NULL;
	struct error *err = recording_snapshot(feed->reader, feed->times.data[at], &snap);

	if (err)
		feed_tell_error(feed, FEED_BROKEN, err);
	return snap;
}

static void push_earlier(struct feed *feed, struct snapshot *snap)
{
	pthread_mutex_lock(&feed->lock);
	earlier_vec_push(&feed->earlier, snap);
	pthread_mutex_unlock(&feed->lock);
}

/* @from: the moment shown before; those between are read, too, for trends and rates. */
static void show_moment(struct feed *feed, long from)
{
	bool onwards = from < feed->at && from >= feed->at - CONTEXT;
	long first = onwards ? from + 1 : feed->at > CONTEXT ? feed->at - CONTEXT : 0;
	struct snapshot *snap;

	for (long i = first; i < feed->at; i++) {
		snap = read_moment(feed, i);
		if (!snap)
			return;
		push_earlier(feed, snap);
	}
	snap = read_moment(feed, feed->at);
	if (snap)
		feed_publish(feed, snap);
}

static void wait_for_wish(struct feed *feed, double seconds)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += (time_t)seconds;
	until.tv_nsec += (long)((seconds - floor(seconds)) * 1e9);
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&feed->lock);
	while (!feed->poke &&
	       pthread_cond_timedwait(&feed->wished, &feed->lock, &until) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&feed->lock);
}

static double until_next(const struct feed *feed)
{
	double span = feed->times.data[feed->at + 1] - feed->times.data[feed->at];

	return fmin(fmax(span, 0.05), PLAY_MAX_S);
}

/* What was marked when it was recorded can be compared from the start. */
static void tell_marks(struct feed *feed)
{
	struct snapshot *last __cleanup(snapshot_destroyp) = read_moment(feed, feed->at);

	if (!last)
		return;
	vec_for_each(mark, &last->marks) {
		struct feed_message message = { .kind = FEED_MARK, .text = xstrdup(mark->name) };
		struct error *err = recording_snapshot(feed->reader, mark->t_s, &message.snap);

		if (err) {
			free(message.text);
			feed_tell_error(feed, FEED_FAILURE, err);
			return;
		}
		feed_put(feed, message);
	}
}

static void *replay_main(void *arg)
{
	struct feed *feed = arg;

	tell_marks(feed);
	show_moment(feed, -1 - CONTEXT);
	for (;;) {
		struct wishes wishes = feed_take_wishes(feed);
		long to = feed->at + wishes.steps;

		if (wishes.stop)
			return NULL;
		/* Played to its end, it begins again. */
		if (wishes.play && !wishes.steps && feed->at + 1 == feed_moments(feed))
			to = 0;
		to = to < 0 ? 0 : to >= feed_moments(feed) ? feed_moments(feed) - 1 : to;
		if (to != feed->at) {
			long from = feed->at;

			feed->at = to;
			show_moment(feed, from);
		}
		if (!wishes.play) {
			feed_idle(feed);
			continue;
		}
		wait_for_wish(feed, feed->at + 1 < feed_moments(feed) ? until_next(feed) : 0);
		pthread_mutex_lock(&feed->lock);
		if (!feed->poke && feed->at + 1 < feed_moments(feed))
			feed->steps++;
		else if (feed->at + 1 == feed_moments(feed))
			feed->play = false;
		pthread_mutex_unlock(&feed->lock);
		if (feed->at + 1 == feed_moments(feed))
			feed_tell(feed, FEED_ENDED, NULL);
	}
}

static struct error *read_times(struct feed *feed, const char *path)
{
	struct error *err = recording_moment_times(feed->reader, &feed->times);

	if (!err && !feed->times.len)
		err = error_create(ERROR_NOT_FOUND, "'%s' holds no moment: it was ended before its"
				   " first interval", path);
	feed->at = (long)feed->times.len - 1;
	return err;
}

long feed_moments(const struct feed *feed)
{
	return (long)feed->times.len;
}

struct error *feed_replay(struct recording_reader *reader, const char *path, struct feed **ret)
{
	__cleanup(feed_destroyp) struct feed *feed = feed_create();
	struct error *err;

	feed->reader = reader;
	err = read_times(feed, path);
	if (!err)
		err = feed_start(feed, replay_main);
	if (err)
		return err;
	*ret = steal_ptr(feed);
	return NULL;
}

