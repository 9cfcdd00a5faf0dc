// SPDX-License-Identifier: GPL-2.0-or-later
/* Where a report or an export comes from; see source.h. */
#include "base/log.h"
#include "cmd/moment.h"
#include "cmd/source.h"
#include "cmd/watch.h"

static struct error *live_snapshot(const struct options *opts, struct snapshot **ret)
{
	__cleanup(session_destroyp) struct session *session = NULL;
	const char *command = command_name(opts->command);
	struct error *err;

	watch_catch_signals();
	err = watch_create(opts, &session);
	if (err)
		return err;
	if (opts->target.duration_s > 0)
		log_info("watching for %g s; Ctrl-C %ss what was seen so far",
			 opts->target.duration_s, command);
	else
		log_info("watching until the target exits; Ctrl-C %ss what was seen so far",
			 command);
	err = watch_run(session, opts, NULL, NULL);
	if (err)
		return err;
	session_stop(session);
	watch_warn(session);
	return session_snapshot(session, SNAPSHOT_NAMES | SNAPSHOT_OLDEST, ret);
}

struct error *source_snapshot(const struct options *opts, struct snapshot **ret)
{
	if (opts->files.len)
		return moment_read(opts->files.data[0], NULL, ret);
	return live_snapshot(opts, ret);
}
