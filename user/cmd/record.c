// SPDX-License-Identifier: GPL-2.0-or-later
/* heapsonde record: watch a process, or start one, and keep a recording. */
#include <sys/wait.h>

#include "base/format.h"
#include "base/log.h"
#include "cmd/command.h"
#include "cmd/watch.h"
#include "recording/writer.h"

#define DEFAULT_PATH "heapsonde.heapsonde"

struct record {
	struct session *session;
	struct recording *recording;
};

static struct error *append(struct record *record, unsigned int flags)
{
	__cleanup(snapshot_destroyp) struct snapshot *snap = NULL;
	struct error *err = session_snapshot(record->session, flags, &snap);

	if (err)
		return err;
	return recording_append(record->recording, snap, flags & SNAPSHOT_NAMES);
}

static struct error *record_tick(void *arg)
{
	return append(arg, SNAPSHOT_NEW_NAMES);
}

/* As a shell tells it: 128 + N for signal N. */
static int shell_status(int status)
{
	if (status < 0)
		return 0;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
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
	struct record record;
	struct error *err;

	watch_catch_signals();
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
	record = (struct record){ session, recording };
	if (!opts->target.command)
		log_info("recording to %s; Ctrl-C ends it", path);
	err = watch_run(session, opts, record_tick, &record);
	if (err)
		return err;
	session_stop(session);
	watch_warn(session);
	err = append(&record, SNAPSHOT_NAMES | SNAPSHOT_OLDEST);
	if (!err)
		err = recording_close(steal_ptr(recording));
	if (err)
		return err;
	log_info("recorded to %s: see 'heapsonde report %s'", path, path);
	*status = shell_status(session_exit_status(session));
	return NULL;
}
