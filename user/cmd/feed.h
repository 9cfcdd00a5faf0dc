/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Snapshots from a thread of their own. Reading maps, naming addresses and
 * attaching to a new image take as long as they take; a screen must answer a
 * key meanwhile. So the feed's thread owns the session (or the recording's
 * reader) and leaves the newest snapshot where the screen's thread takes it:
 *
 *	session -> feed thread -> newest snapshot, messages -> eventfd -> screen
 *	                       <- wishes: interval, record, play, step, stop
 *
 * Only the newest snapshot is kept: a screen that is slow misses some.
 */
#ifndef HEAPSONDE_CMD_FEED_H
#define HEAPSONDE_CMD_FEED_H

#include <stdbool.h>

#include "capture/session.h"
#include "model/snapshot.h"
#include "recording/reader.h"

struct feed;

enum feed_message_kind {
	FEED_NOTE, FEED_WARNING, FEED_FAILURE,	/* text for people */
	FEED_RECORDING,		/* a recording began; text: its path */
	FEED_RECORDED,		/* it ended well; text for people */
	FEED_ENDED,		/* all targets ended, or the duration is over; text: NULL */
	FEED_OVER,		/* the duration is over; text: NULL */
	FEED_MARK,		/* the recording that is shown has a mark; text: its name, snap */
	FEED_BROKEN,		/* nothing will come any more; text: why */
};

struct feed_message {
	enum feed_message_kind kind;
	char *text;		/* the receiver's; NULL where said so */
	struct snapshot *snap;	/* the receiver's; NULL except of FEED_MARK */
};

/* @duration_s 0: without end. Nobody else touches the session until feed_destroy(). */
struct error *feed_watch(struct session *session, double interval_s, double duration_s,
			 struct feed **ret) __must_check;
/* Begins at the last moment, paused. Nobody else touches the reader until feed_destroy(). */
struct error *feed_replay(struct recording_reader *reader, const char *path,
			  struct feed **ret) __must_check;
/*
 * Ends the thread, after it closed a recording it was writing, and waits for
 * files that are being exported. The session goes on until its owner ends it.
 */
void feed_destroy(struct feed *feed);
DEFINE_CLEANUP(struct feed *, feed_destroy);

/* Readable when feed_take() or feed_message() has something. */
int feed_fd(const struct feed *feed);
/* The newest snapshot, the caller's; NULL if there is none since the last call. */
struct snapshot *feed_take(struct feed *feed);
/*
 * Moments before the newest one, oldest first, that were not shown and say how
 * it came to that: where one jumps in a recording. The caller's, one by one.
 */
struct snapshot *feed_take_earlier(struct feed *feed);
bool feed_message(struct feed *feed, struct feed_message *ret);
/* Puts a message in, from any thread. */
void feed_tell(struct feed *feed, enum feed_message_kind kind, const char *text);

/* Wishes. They return at once; what became of them is told. */
void feed_set_interval(struct feed *feed, double seconds);
/* As session_set_sampling(). */
void feed_set_sampling(struct feed *feed, uint64_t mean_bytes);
/* Begins a session's focus on some likely leaks, or ends it. */
void feed_turn_focus(struct feed *feed);
void feed_record(struct feed *feed, const char *path);	/* NULL: end it */
/* If a recording is being written, this moment gets a mark in it. */
void feed_mark(struct feed *feed);
void feed_play(struct feed *feed, bool on);
void feed_step(struct feed *feed, long moments);
long feed_moments(const struct feed *feed);

/* Runs @write(snap, path) in a thread of its own and tells how it went. */
void feed_export(struct feed *feed, struct snapshot *snap, const char *path,
		 struct error *(*write)(struct snapshot *snap, const char *path));

#endif
