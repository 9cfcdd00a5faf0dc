// SPDX-License-Identifier: GPL-2.0-or-later
/* Snapshots from a thread of their own; see feed.h. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/alloc.h"
#include "cmd/feed.h"
#include "recording/writer.h"

#define FIRST_S 0.2		/* until the first snapshot: long enough to show something */
#define CONTEXT 6		/* moments that are read before one that is jumped to */
#define PLAY_MAX_S 2.0		/* a moment of a recording is shown no longer than that */

DEFINE_VEC(feed_message_vec, struct feed_message);
DEFINE_VEC(earlier_vec, struct snapshot *);

struct feed {
	/* One of them is there; both are used by the thread alone. */
	struct session *session;
	struct recording_reader *reader;
	pthread_t thread;
	bool started;
	int fd;
	volatile sig_atomic_t poke;	/* ends the session's sleep: there is a wish */

	pthread_mutex_t lock;
	pthread_cond_t wished;
	/* Under the lock. */
	struct snapshot *newest;
	struct earlier_vec earlier;
	struct feed_message_vec messages;
	bool stop;
	double interval_s;
	bool interval_changed;
	char *record_path;		/* "": end it; NULL: no wish */
	int marks;			/* to be set */
	bool play;
	long steps;
	int exports;			/* threads that write files */

	/* The thread's own. */
	double duration_s, shown_s;
	bool ended;
	struct recording *recording;
	char *recording_path;
	struct snapshot_mark_vec marks_set;	/* in it; names NULL: their numbers */
	struct recording_times times;	/* of the recording's moments */
	long at;
};

static void wake(struct feed *feed)
{
	uint64_t one = 1;

	if (write(feed->fd, &one, sizeof(one)) < 0)
		return;		/* it is full, so it is readable */
}

static void put_message(struct feed *feed, struct feed_message message)
{
	pthread_mutex_lock(&feed->lock);
	feed_message_vec_push(&feed->messages, message);
	pthread_mutex_unlock(&feed->lock);
	wake(feed);
}

void feed_tell(struct feed *feed, enum feed_message_kind kind, const char *text)
{
	put_message(feed, (struct feed_message){ kind, text ? xstrdup(text) : NULL, NULL });
}

/* Consumes the error. */
static void tell_error(struct feed *feed, enum feed_message_kind kind, struct error *err)
{
	feed_tell(feed, kind, err->message);
	error_destroy(err);
}

static void publish(struct feed *feed, struct snapshot *snap)
{
	struct snapshot *missed;

	pthread_mutex_lock(&feed->lock);
	missed = feed->newest;
	feed->newest = snap;
	pthread_mutex_unlock(&feed->lock);
	snapshot_destroy(missed);
	wake(feed);
}

/* --- recording --- */

static void end_recording(struct feed *feed)
{
	struct error *err = recording_close(steal_ptr(feed->recording));
	__cleanup_free char *path = steal_ptr(feed->recording_path);
	__cleanup_free char *text = NULL;

	if (err) {
		tell_error(feed, FEED_FAILURE, err);
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
		tell_error(feed, FEED_FAILURE, err);
		return;
	}
	feed->recording_path = xstrdup(path);
	feed_tell(feed, FEED_RECORDING, path);
}

static void append(struct feed *feed, struct snapshot *snap)
{
	struct error *err;
	char name[24];

	if (!feed->recording)
		return;
	for (size_t i = 0; i < feed->marks_set.len; i++) {
		struct snapshot_mark *mark = &feed->marks_set.data[i];

		/* One that is being set is of this very moment. */
		if (mark->t_s < 0)
			mark->t_s = snap->duration_s;
		snprintf(name, sizeof(name), "%zu", i + 1);
		snapshot_mark_vec_push(&snap->marks, (struct snapshot_mark){
			mark->t_s, snapshot_string(snap, name) });
	}
	err = recording_append(feed->recording, snap, false);
	if (!err)
		return;
	tell_error(feed, FEED_FAILURE, err);
	end_recording(feed);
}

/* --- wishes --- */

struct wishes {
	bool stop, interval_changed, play;
	double interval_s;
	char *record_path;
	long steps;
	int marks;
};

static struct wishes take_wishes(struct feed *feed)
{
	struct wishes wishes;

	pthread_mutex_lock(&feed->lock);
	feed->poke = 0;
	wishes = (struct wishes){ feed->stop, feed->interval_changed, feed->play,
				  feed->interval_s, steal_ptr(feed->record_path), feed->steps,
				  feed->marks };
	feed->interval_changed = false;
	feed->steps = 0;
	feed->marks = 0;
	pthread_mutex_unlock(&feed->lock);
	return wishes;
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

/* --- a live session --- */

static struct error *take_snapshot(struct feed *feed)
{
	struct snapshot *snap;
	struct error *err = session_snapshot(feed->session, SNAPSHOT_NAMES | SNAPSHOT_OLDEST,
					     &snap);

	if (err)
		return err;
	append(feed, snap);
	feed->shown_s = snap->duration_s;
	publish(feed, snap);
	return NULL;
}

static struct error *grant(struct feed *feed, struct wishes *wishes)
{
	__cleanup_free char *path = steal_ptr(wishes->record_path);

	if (wishes->interval_changed)
		session_set_interval(feed->session, wishes->interval_s);
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

/* What the target's end leaves to do: wait for wishes, with probes gone. */
static void idle(struct feed *feed)
{
	pthread_mutex_lock(&feed->lock);
	while (!feed->poke)
		pthread_cond_wait(&feed->wished, &feed->lock);
	pthread_mutex_unlock(&feed->lock);
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
	if (state != SESSION_RUNNING)
		return NULL;
	if (feed->duration_s > 0 && *watched_s >= feed->duration_s - 1e-9) {
		err = end_session(feed);
		feed_tell(feed, FEED_OVER, NULL);
		return err;
	}
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
		struct wishes wishes = take_wishes(feed);

		if (wishes.interval_changed && left > wishes.interval_s)
			left = wishes.interval_s;
		err = grant(feed, &wishes);
		if (wishes.stop)
			break;
		if (feed->ended)
			idle(feed);
		else if (!err)
			err = watch_once(feed, &left, wishes.interval_s, &watched_s);
		if (err) {
			tell_error(feed, FEED_BROKEN, steal_ptr(err));
			feed->ended = true;
		}
	}
	error_destroy(err);
	if (feed->recording)
		end_recording(feed);
	return NULL;
}

/* --- a recording --- */

static struct snapshot *read_moment(struct feed *feed, long at)
{
	struct snapshot *snap = NULL;
	struct error *err = recording_snapshot(feed->reader, feed->times.data[at], &snap);

	if (err)
		tell_error(feed, FEED_BROKEN, err);
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
		publish(feed, snap);
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
			tell_error(feed, FEED_FAILURE, err);
			return;
		}
		put_message(feed, message);
	}
}

static void *replay_main(void *arg)
{
	struct feed *feed = arg;

	tell_marks(feed);
	show_moment(feed, -1 - CONTEXT);
	for (;;) {
		struct wishes wishes = take_wishes(feed);
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
			idle(feed);
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

/* --- both --- */

static struct error *start(struct feed *feed, void *(*run)(void *))
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

static struct feed *feed_create(void)
{
	struct feed *feed = xcalloc(1, sizeof(*feed));

	feed->fd = -1;
	pthread_mutex_init(&feed->lock, NULL);
	pthread_cond_init(&feed->wished, NULL);
	return feed;
}

struct error *feed_watch(struct session *session, double interval_s, double duration_s,
			 struct feed **ret)
{
	__cleanup(feed_destroyp) struct feed *feed = feed_create();
	struct error *err;

	feed->session = session;
	feed->interval_s = interval_s;
	feed->duration_s = duration_s;
	err = start(feed, watch_main);
	if (err)
		return err;
	*ret = steal_ptr(feed);
	return NULL;
}

struct error *feed_replay(struct recording_reader *reader, const char *path, struct feed **ret)
{
	__cleanup(feed_destroyp) struct feed *feed = feed_create();
	struct error *err;

	feed->reader = reader;
	err = read_times(feed, path);
	if (!err)
		err = start(feed, replay_main);
	if (err)
		return err;
	*ret = steal_ptr(feed);
	return NULL;
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
		tell_error(feed, FEED_FAILURE, err);
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
