// SPDX-License-Identifier: GPL-2.0-or-later
/* Snapshots from a thread of their own; see feed.h. */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/alloc.h"
#include "cmd/feed_private.h"

static void wake(struct feed *feed)
{
	uint64_t one = 1;

	if (write(feed->fd, &one, sizeof(one)) < 0)
		return;		/* it is full, so it is readable */
}

void feed_put(struct feed *feed, struct feed_message message)
{
	pthread_mutex_lock(&feed->lock);
	feed_message_vec_push(&feed->messages, message);
	pthread_mutex_unlock(&feed->lock);
	wake(feed);
}

void feed_tell(struct feed *feed, enum feed_message_kind kind, const char *text)
{
	feed_put(feed, (struct feed_message){ kind, text ? xstrdup(text) : NULL, NULL });
}

void feed_tell_error(struct feed *feed, enum feed_message_kind kind, struct error *err)
{
	feed_tell(feed, kind, err->message);
	error_destroy(err);
}

void feed_publish(struct feed *feed, struct snapshot *snap)
{
	struct snapshot *missed;

	pthread_mutex_lock(&feed->lock);
	missed = feed->newest;
	feed->newest = snap;
	pthread_mutex_unlock(&feed->lock);
	snapshot_destroy(missed);
	wake(feed);
}

/* --- wishes --- */

struct wishes feed_take_wishes(struct feed *feed)
{
	struct wishes wishes;

	pthread_mutex_lock(&feed->lock);
	feed->poke = 0;
	wishes = (struct wishes){ feed->stop, feed->interval_changed, feed->sampling_changed,
				  feed->focus_turned, feed->play, feed->interval_s,
				  feed->sample_bytes, steal_ptr(feed->record_path), feed->steps,
				  feed->marks };
	feed->focus_turned = false;
	feed->interval_changed = feed->sampling_changed = false;
	feed->steps = 0;
	feed->marks = 0;
	pthread_mutex_unlock(&feed->lock);
	return wishes;
}

void feed_idle(struct feed *feed)
{
	pthread_mutex_lock(&feed->lock);
	while (!feed->poke)
		pthread_cond_wait(&feed->wished, &feed->lock);
	pthread_mutex_unlock(&feed->lock);
}

/* With the lock held. */
static void wish(struct feed *feed)
{
	feed->poke = 1;
	pthread_cond_signal(&feed->wished);
}

#define WISH(feed, statement)			\
	pthread_mutex_lock(&(feed)->lock);	\
	statement;				\
	wish(feed);				\
	pthread_mutex_unlock(&(feed)->lock)

void feed_set_interval(struct feed *feed, double seconds)
{
	WISH(feed, feed->interval_s = seconds; feed->interval_changed = true);
}

void feed_set_sampling(struct feed *feed, uint64_t mean_bytes)
{
	WISH(feed, feed->sample_bytes = mean_bytes; feed->sampling_changed = true);
}

void feed_turn_focus(struct feed *feed)
{
	WISH(feed, feed->focus_turned = !feed->focus_turned);
}

void feed_record(struct feed *feed, const char *path)
{
	WISH(feed, free(feed->record_path); feed->record_path = xstrdup(path ? path : ""));
}

void feed_mark(struct feed *feed)
{
	WISH(feed, feed->marks++);
}

void feed_play(struct feed *feed, bool on)
{
	WISH(feed, feed->play = on);
}

void feed_step(struct feed *feed, long moments)
{
	WISH(feed, feed->steps += moments);
}

struct error *feed_start(struct feed *feed, void *(*run)(void *))
{
	sigset_t all, before;
	int ret;

	feed->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (feed->fd < 0)
		return error_errno(errno, "creating an eventfd");
	/* Signals are the screen's. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	ret = pthread_create(&feed->thread, NULL, run, feed);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (ret)
		return error_errno(ret, "starting a thread");
	feed->started = true;
	return NULL;
}

struct feed *feed_create(void)
{
	struct feed *feed = xcalloc(1, sizeof(*feed));

	feed->fd = -1;
	pthread_mutex_init(&feed->lock, NULL);
	pthread_cond_init(&feed->wished, NULL);
	return feed;
}

static void wait_for_exports(struct feed *feed)
{
	pthread_mutex_lock(&feed->lock);
	while (feed->exports)
		pthread_cond_wait(&feed->wished, &feed->lock);
	pthread_mutex_unlock(&feed->lock);
}

void feed_destroy(struct feed *feed)
{
	if (!feed)
		return;
	WISH(feed, feed->stop = true);
	if (feed->started)
		pthread_join(feed->thread, NULL);
	wait_for_exports(feed);
	snapshot_destroy(feed->newest);
	vec_for_each(snap, &feed->earlier)
		snapshot_destroy(*snap);
	earlier_vec_deinit(&feed->earlier);
	vec_for_each(message, &feed->messages) {
		free(message->text);
		snapshot_destroy(message->snap);
	}
	snapshot_mark_vec_deinit(&feed->marks_set);
	feed_message_vec_deinit(&feed->messages);
	free(feed->record_path);
	recording_times_deinit(&feed->times);
	closep(&feed->fd);
	pthread_cond_destroy(&feed->wished);
	pthread_mutex_destroy(&feed->lock);
	free(feed);
}

int feed_fd(const struct feed *feed)
{
	return feed->fd;
}

struct snapshot *feed_take(struct feed *feed)
{
	struct snapshot *snap;
	uint64_t count;

	if (read(feed->fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return NULL;
	pthread_mutex_lock(&feed->lock);
	snap = steal_ptr(feed->newest);
	pthread_mutex_unlock(&feed->lock);
	return snap;
}

struct snapshot *feed_take_earlier(struct feed *feed)
{
	struct snapshot *snap = NULL;

	pthread_mutex_lock(&feed->lock);
	if (feed->earlier.len) {
		snap = feed->earlier.data[0];
		memmove(feed->earlier.data, feed->earlier.data + 1,
			--feed->earlier.len * sizeof(snap));
	}
	pthread_mutex_unlock(&feed->lock);
	return snap;
}

bool feed_message(struct feed *feed, struct feed_message *ret)
{
	bool any;

	pthread_mutex_lock(&feed->lock);
	any = feed->messages.len;
	if (any) {
		*ret = feed->messages.data[0];
		memmove(feed->messages.data, feed->messages.data + 1,
			--feed->messages.len * sizeof(*ret));
	}
	pthread_mutex_unlock(&feed->lock);
	return any;
}

/* --- exports --- */

struct export_job {
	struct feed *feed;
	struct snapshot *snap;
	char *path;
	struct error *(*write)(struct snapshot *snap, const char *path);
};

static void *export_main(void *arg)
{
	struct export_job *job = arg;
	struct feed *feed = job->feed;
	struct error *err = job->write(job->snap, job->path);
	__cleanup_free char *text = xasprintf("written to %s", job->path);

	if (err)
		feed_tell_error(feed, FEED_FAILURE, err);
	else
		feed_tell(feed, FEED_NOTE, text);
	snapshot_destroy(job->snap);
	free(job->path);
	free(job);
	WISH(feed, feed->exports--);
	return NULL;
}

void feed_export(struct feed *feed, struct snapshot *snap, const char *path,
		 struct error *(*write)(struct snapshot *snap, const char *path))
{
	struct export_job *job = xcalloc(1, sizeof(*job));
	sigset_t all, before;
	pthread_t thread;

	*job = (struct export_job){ feed, snapshot_ref(snap), xstrdup(path), write };
	pthread_mutex_lock(&feed->lock);
	feed->exports++;
	pthread_mutex_unlock(&feed->lock);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	if (pthread_create(&thread, NULL, export_main, job))
		export_main(job);
	else
		pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}
