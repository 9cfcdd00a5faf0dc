/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How 'heapsonde mark' reaches a running 'heapsonde record': a socket of the
 * abstract namespace that has the recorder's PID in its name, so that it goes
 * when the recorder goes, and needs no file. One message asks, one answers:
 *
 *	"?"		-> "PATH"	the recording's path
 *	"mark\0NAME"	-> "ok T_S\0NAME" once the moment is in the file
 *				"error\0TEXT"	if it could not be
 *
 * NAME may be empty: then the recorder numbers the mark. The recorder answers who
 * has its user id, is root, or called the sudo under which it runs; who asks
 * believes only a socket whose other end is the process that it is named after.
 */
#ifndef HEAPSONDE_CMD_MARK_CHANNEL_H
#define HEAPSONDE_CMD_MARK_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/vec.h"

#define MARK_NAME_MAX 100	/* bytes */

/* The recorder's end: a thread that takes requests. */
struct mark_listener;

/* @path is borrowed. @wake (in that thread) makes the recorder look for requests. */
struct error *mark_listener_create(const char *path, void (*wake)(void),
				   struct mark_listener **ret) __must_check;
/* Whoever waits for an answer is told that the recording ended. */
void mark_listener_destroy(struct mark_listener *listener);
DEFINE_CLEANUP(struct mark_listener *, mark_listener_destroy);

/* The name asked for ("": number it), which is to be answered; NULL if nobody asks. */
const char *mark_listener_request(struct mark_listener *listener);
/* @err (borrowed) is NULL when the mark @name is in the file at @t_s. */
void mark_listener_answer(struct mark_listener *listener, const char *name, double t_s,
			  const struct error *err);

/* The other end. */
struct mark_recorder {
	uint32_t pid;
	char *path;		/* "" if it does not answer us */
};

DEFINE_VEC(mark_recorder_vec, struct mark_recorder);

/* All recorders that run. */
void mark_recorders_find(struct mark_recorder_vec *ret);
void mark_recorders_deinit(struct mark_recorder_vec *recorders);

/* Sets a mark and waits until it is in the file; *name_ret is for the caller to free. */
struct error *mark_recorder_ask(uint32_t pid, const char *name, double *t_s_ret,
				char **name_ret) __must_check;

#endif
