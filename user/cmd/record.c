// SPDX-License-Identifier: GPL-2.0-or-later
/* heapsonde record: watch a process, or start one, and keep a recording. */
#include <sys/wait.h>

#include "base/format.h"
#include "base/hold.h"
#include "base/log.h"
#include "base/strpool.h"
#include "cmd/command.h"
#include "cmd/mark_channel.h"
#include "cmd/watch.h"
#include "recording/writer.h"

#define DEFAULT_PATH "heapsonde.heapsonde"

/*
 * Ages of the oldest blocks cost a look at every live block, which is worth it each
 * interval up to this many, and beyond at marks and the end.
 */
#define AGES_EACH_INTERVAL (1 << 20)

struct record {
	struct session *session;
	struct recording *recording;
	struct mark_listener *listener;
	struct snapshot_mark_vec marks;
	struct strpool *mark_names;
	int mark_signals;		/* how many of them were answered */
	int64_t live_count;		/* at the last interval */
	const struct condition_vec *fail_on;
	bool failed;			/* at the last append */
	int alarms;			/* memory ran short */
};

static struct error *append(struct record *record, unsigned int flags, bool exactly,
			    double *t_s_ret)
{
	__cleanup(snapshot_destroyp) struct snapshot *snap = NULL;
	struct error *err = session_snapshot(record->session, flags, &snap);

	if (err)
		return err;
	/* A mark that is being set is of this very moment. */
	vec_for_each(mark, &record->marks) {
		if (mark->t_s < 0)
			mark->t_s = snap->duration_s;
		snapshot_mark_vec_push(&snap->marks, (struct snapshot_mark){
			mark->t_s, snapshot_string(snap, mark->name) });
	}
	record->live_count = snap->totals.m.live_count;
	*t_s_ret = snap->duration_s;
	if (flags & SNAPSHOT_NAMES)
		record->failed = conditions_check(record->fail_on, snap);
	return recording_append(record->recording, snap, exactly);
}

static struct error *record_tick(void *arg)
{
	struct record *record = arg;
	bool ages = record->live_count <= AGES_EACH_INTERVAL;
	double t_s;

	return append(record, SNAPSHOT_NEW_NAMES | (ages ? SNAPSHOT_OLDEST : 0), false, &t_s);
}

/* What is known now is kept before anybody is killed. */
static struct error *record_alarm(void *arg, const char *words)
{
	struct record *record = arg;
	double t_s;
	struct error *err = append(record, SNAPSHOT_NEW_NAMES, false, &t_s);

	if (!err && !record->alarms++)
		log_info("at %.1f s %s: what is known is on the disk", t_s, words);
	return err;
}

/* @name "": the number of the mark. */
static struct error *set_mark(struct record *record, const char *name, double *t_s_ret,
			      const char **name_ret)
{
	__cleanup_free char *number = xasprintf("%zu", record->marks.len + 1);

	*name_ret = strpool_intern(record->mark_names, *name ? name : number);
	snapshot_mark_vec_push(&record->marks, (struct snapshot_mark){ -1, *name_ret });
	return append(record, SNAPSHOT_NEW_NAMES | SNAPSHOT_OLDEST | SNAPSHOT_SHARES, true,
		      t_s_ret);
}

static struct error *record_attention(void *arg)
{
	struct record *record = arg;
	const char *name, *given;
	struct error *err = NULL;
	double t_s;

	while (!err && record->mark_signals != watch_mark_signals) {
		record->mark_signals++;
		err = set_mark(record, "", &t_s, &given);
	}
	while (!err && record->listener && (name = mark_listener_request(record->listener))) {
		err = set_mark(record, name, &t_s, &given);
		mark_listener_answer(record->listener, given, t_s, err);
	}
	return err;
}

/* Without it one can still record, and mark by SIGUSR1. */
static void listen_for_marks(struct record *record, const char *path)
{
	struct error *err __cleanup_error = mark_listener_create(path, watch_wake,
								 &record->listener);

	if (err)
		log_warn("%s", err->message);
}

static void record_deinit(struct record *record)
{
	mark_listener_destroy(record->listener);
	snapshot_mark_vec_deinit(&record->marks);
	strpool_destroy(record->mark_names);
}

#define RESERVE_BYTES (8 << 20)

/*
 * In the target's own cgroup, what is needed when that is full is taken beforehand. Who is
 * killed then is the kernel's to choose, and whoever started us has said by our
 * oom_score_adj what we are worth to him: were it lower than the target's by our doing,
 * others would be killed for what we hold.
 */
static void hold_out(struct session *session)
{
	if (!session_shares_limit(session))
		return;
	if (!hold_memory(RESERVE_BYTES))
		log_warn("heapsonde lives under the target's memory limit and may not lock its"
			 " memory: when the limit is met, the last moments may be missing");
}

/* As a shell tells it: 128 + N for signal N. */
static int shell_status(int status)
{
	if (status < 0)
		return 0;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* When the recording fails, on a full disk say, the command is not left alone. */
static struct error *await_command(struct session *session, const struct options *opts,
				   struct error *failure, int *status)
{
	struct error *err __cleanup_error = NULL;

	if (!opts->target.command)
		return failure;
	log_warn("the recording ended early, the command runs on: %s", failure->message);
	err = watch_run(session, opts, NULL, NULL);
	*status = shell_status(session_exit_status(session));
	return failure;
}

/* Why a command could not be started is told as a shell tells it. */
static void start_status(const struct error *err, const struct options *opts, int *status)
{
	if (!opts->target.command)
		return;
	if (err->code == ERROR_NOT_FOUND)
		*status = 127;
	else if (err->code == ERROR_EXEC)
		*status = 126;
}

struct error *cmd_record(const struct options *opts, int *status)
{
	__cleanup(recording_destroyp) struct recording *recording = NULL;
	__cleanup(session_destroyp) struct session *session = NULL;
	const char *path = opts->output.path ? opts->output.path : DEFAULT_PATH;
	struct recording_settings settings = RECORDING_SETTINGS_DEFAULT;
	struct record record __cleanup(record_deinit) = { .mark_names = strpool_create() };
	struct error *err;
	bool oversize;
	double t_s;

	watch_catch_signals();
	watch_catch_marks();
	settings.force = opts->output.force;
	settings.max_bytes = opts->output.max_file_size;
	err = recording_create(path, &settings, &recording);
	if (err)
		return err;
	err = watch_create(opts, &session);
	if (err) {
		start_status(err, opts, status);
		return err;
	}
	record.session = session;
	record.recording = recording;
	record.fail_on = &opts->output.fail_on;
	listen_for_marks(&record, path);
	hold_out(session);
	watch_reduce(opts, path);
	if (!opts->target.command)
		log_info("recording to %s; Ctrl-C ends it", path);
	err = watch_run_with(session, opts, &(struct watch_calls){
		.tick = record_tick, .attention = record_attention, .alarm = record_alarm,
		.arg = &record });
	if (err)
		return await_command(session, opts, err, status);
	watch_end(session, opts);
	err = append(&record, SNAPSHOT_NAMES | SNAPSHOT_OLDEST | SNAPSHOT_SHARES, true, &t_s);
	oversize = recording_is_oversize(recording);
	if (!err)
		err = recording_close(steal_ptr(recording));
	if (err)
		return err;
	if (oversize)
		log_warn("'%s' is larger than --max-file-size: what stands in it once, its call"
			 " paths and names, is already more", path);
	log_info("recorded to %s: see 'heapsonde report %s'", path, path);
	*status = shell_status(session_exit_status(session));
	if (!*status)
		*status = record.failed;
	return NULL;
}
