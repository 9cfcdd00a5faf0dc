// SPDX-License-Identifier: GPL-2.0-or-later
/* Where a report or an export comes from; see source.h. */
#include "base/log.h"
#include "cmd/source.h"
#include "cmd/watch.h"

/* Whom to show each interval's snapshot to; NULL: nobody. */
struct audience {
	struct session *session;
	moment_visitor *each;
	void *arg;
};

static struct error *show_interval(void *arg)
{
	const struct audience *audience = arg;
	__cleanup(snapshot_destroyp) struct snapshot *snap = NULL;
	struct error *err = session_snapshot(audience->session, 0, &snap);

	if (!err)
		audience->each(audience->arg, snap);
	return err;
}

static struct error *live_snapshot(const struct options *opts, moment_visitor *each, void *arg,
				   struct snapshot **ret)
{
	__cleanup(session_destroyp) struct session *session = NULL;
	const char *command = command_name(opts->command);
	struct error *err;

	watch_catch_signals();
	err = watch_create(opts, &session);
	if (err)
		return err;
	watch_reduce(opts, opts->output.path ? opts->output.path : "-");
	if (opts->target.duration_s > 0)
		log_info("watching for %g s; Ctrl-C %ss what was seen so far",
			 opts->target.duration_s, command);
	else
		log_info("watching until the target exits; Ctrl-C %ss what was seen so far",
			 command);
	err = watch_run(session, opts, each ? show_interval : NULL,
			&(struct audience){ session, each, arg });
	if (err)
		return err;
	watch_end(session, opts);
	return session_snapshot(session, SNAPSHOT_NAMES | SNAPSHOT_OLDEST, ret);
}

struct error *source_snapshot(const struct options *opts, struct snapshot **ret)
{
	if (opts->files.len)
		return moment_read(opts->files.data[0], NULL, ret);
	return live_snapshot(opts, NULL, NULL, ret);
}

struct error *source_history(const struct options *opts, moment_visitor *each, void *arg,
			     struct snapshot **ret)
{
	if (opts->files.len)
		return moment_read_history(opts->files.data[0], each, arg, ret);
	return live_snapshot(opts, each, arg, ret);
}
