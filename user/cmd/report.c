// SPDX-License-Identifier: GPL-2.0-or-later
/* heapsonde report: what a recording, or some seconds of a live process, shows. */
#include "base/log.h"
#include "cmd/command.h"
#include "cmd/moment.h"
#include "cmd/watch.h"
#include "export/json.h"
#include "export/output.h"
#include "export/text.h"

static struct error *live_snapshot(const struct options *opts, struct snapshot **ret)
{
	__cleanup(session_destroyp) struct session *session = NULL;
	struct error *err;

	watch_catch_signals();
	err = watch_create(opts, &session);
	if (err)
		return err;
	if (opts->target.duration_s > 0)
		log_info("watching for %g s; Ctrl-C reports what was seen so far",
			 opts->target.duration_s);
	else
		log_info("watching until the target exits; Ctrl-C reports what was seen so far");
	err = watch_run(session, opts, NULL, NULL);
	if (err)
		return err;
	session_stop(session);
	watch_warn(session);
	return session_snapshot(session, SNAPSHOT_NAMES | SNAPSHOT_OLDEST, ret);
}

struct error *cmd_report(const struct options *opts, int *status)
{
	__cleanup(snapshot_destroyp) struct snapshot *snap = NULL;
	struct output *out __cleanup_output = NULL;
	struct error *err;

	if (opts->files.len)
		err = moment_read(opts->files.data[0], NULL, &snap);
	else
		err = live_snapshot(opts, &snap);
	if (err)
		return err;
	snapshot_sort(snap, opts->output.sort);
	err = output_open(opts->output.path ? opts->output.path : "-", opts->output.force, &out);
	if (err)
		return err;
	if (opts->output.json)
		export_json(snap, output_file(out), opts->output.limit);
	else
		export_text(snap, output_file(out), &(struct text_options){
			.limit = opts->output.limit, .sort = opts->output.sort });
	return output_commit(steal_ptr(out));
}
