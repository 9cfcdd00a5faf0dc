// SPDX-License-Identifier: GPL-2.0-or-later
/* heapsonde top: the report's table, again and again. */
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/command.h"
#include "cmd/watch.h"
#include "export/output.h"
#include "export/text.h"

struct top {
	struct session *session;
	const struct options *opts;
	bool terminal;
};

static struct error *draw(void *arg)
{
	struct top *top = arg;
	__cleanup(snapshot_destroyp) struct snapshot *snap = NULL;
	struct output *out __cleanup_output = NULL;
	struct error *err = session_snapshot(top->session, SNAPSHOT_NAMES, &snap);

	if (!err)
		err = output_open("-", false, &out);
	if (err)
		return err;
	snapshot_sort(snap, top->opts->output.sort);
	/* Home, draw over, clear the rest: no flicker. */
	if (top->terminal)
		fputs("\033[H\033[2J", output_file(out));
	export_text(snap, output_file(out), &(struct text_options){
		.limit = top->opts->output.limit,
		.depth = 4,
		.sort = top->opts->output.sort,
	});
	return output_commit(steal_ptr(out));
}

struct error *cmd_top(const struct options *opts, int *status)
{
	__cleanup(session_destroyp) struct session *session = NULL;
	struct top top = { .opts = opts, .terminal = isatty(STDOUT_FILENO) };
	struct error *err;

	watch_catch_signals();
	err = watch_create(opts, &session);
	if (err)
		return err;
	top.session = session;
	err = watch_run(session, opts, draw, &top);
	if (err)
		return err;
	session_stop(session);
	return draw(&top);
}
