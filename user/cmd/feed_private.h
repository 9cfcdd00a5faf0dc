/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of a feed, for the three files that make it up: feed.c (thread,
 * messages, wishes, exports), feed_live.c (a session, and the recording of it),
 * feed_replay.c (a recording that is shown).
 */
#ifndef HEAPSONDE_CMD_FEED_PRIVATE_H
#define HEAPSONDE_CMD_FEED_PRIVATE_H

#include <pthread.h>

#include "cmd/feed.h"
#include "recording/writer.h"

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
	uint64_t sample_bytes;
	bool sampling_changed, focus_turned;
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

struct wishes {
	bool stop, interval_changed, sampling_changed, focus_turned, play;
	double interval_s;
	uint64_t sample_bytes;
	char *record_path;
	long steps;
	int marks;
};

/* --- feed.c --- */

struct feed *feed_create(void);
struct error *feed_start(struct feed *feed, void *(*run)(void *)) __must_check;
/* Makes @snap the newest; consumes the reference. */
void feed_publish(struct feed *feed, struct snapshot *snap);
void feed_put(struct feed *feed, struct feed_message message);
/* Consumes the error. */
void feed_tell_error(struct feed *feed, enum feed_message_kind kind, struct error *err);
/* What was wished since the last call. */
struct wishes feed_take_wishes(struct feed *feed);
/* Waits until there is a wish. */
void feed_idle(struct feed *feed);

#endif
