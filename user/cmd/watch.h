/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What record, report -p and top share: options to a session, and signals. */
#ifndef HEAPSONDE_CMD_WATCH_H
#define HEAPSONDE_CMD_WATCH_H

#include <signal.h>

#include "capture/session.h"
#include "cmd/options.h"

/* What --attach asks for; ATTACH_BEST when it leaves the choice. */
enum attach_method watch_method(const struct options *opts);

/* Starts a session as the options say. */
struct error *watch_create(const struct options *opts, struct session **ret) __must_check;

/*
 * Now that all is attached, this thread and those it starts give up what watching does
 * not need (base/privileges.h). @path: what is written besides; NULL: any file.
 */
void watch_reduce(const struct options *opts, const char *path);

/*
 * Becomes true at SIGINT, SIGTERM or SIGHUP, once watch_catch_signals() was
 * called; the signal itself is left in watch_signal. Also where something else
 * wants attention: watch_wake().
 */
extern volatile sig_atomic_t watch_interrupted;
extern volatile sig_atomic_t watch_signal;
void watch_catch_signals(void);

/* How often SIGUSR1 came, after watch_catch_marks(). */
extern volatile sig_atomic_t watch_mark_signals;
void watch_catch_marks(void);

/* Brings watch_run_with() to call attention() soon; from any thread or signal handler. */
void watch_wake(void);

/*
 * Ends the watching, says what the numbers leave out and no figure of theirs
 * shows, and fetches debug files if that was asked for.
 */
void watch_end(struct session *session, const struct options *opts);

struct watch_calls {
	struct error *(*tick)(void *arg);	/* each interval; may be NULL */
	struct error *(*attention)(void *arg);	/* after watch_wake(); may be NULL */
	/* Memory runs short, for the reason told; may be NULL: then nobody looks. */
	struct error *(*alarm)(void *arg, const char *words);
	void *arg;
};

/*
 * Watches until the duration is over, all targets ended or a signal came. A
 * command that was started gets the first signal itself and is awaited; the
 * second one ends the watching.
 */
struct error *watch_run_with(struct session *session, const struct options *opts,
			     const struct watch_calls *calls) __must_check;
struct error *watch_run(struct session *session, const struct options *opts,
			struct error *(*tick)(void *arg), void *arg) __must_check;

#endif
