// SPDX-License-Identifier: GPL-2.0-or-later
/* heapsonde top: a screenful, again and again. */
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/watch.h"
#include "export/output.h"
#include "view/table.h"

#define HOME_AND_CLEAR "\033[H\033[2J"

struct top {
	struct session *session;
	const struct options *opts;
	bool terminal;
};

/* Asked each time: terminals are resized. */
static struct table_size table_size(const struct top *top)
{
	struct winsize size;

	if (!top->terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_row)
		return TABLE_SIZE_PLAIN;
	return (struct table_size){ size.ws_row, size.ws_col };
}

static struct error *draw(void *arg)
{
	struct top *top = arg;
	__cleanup(snapshot_destroyp) struct snapshot *snap = NULL;
	struct output *out __cleanup_output = NULL;
	struct error *err = session_snapshot(top->session, SNAPSHOT_NAMES | SNAPSHOT_OLDEST, &snap);

	if (!err)
		err = output_open("-", false, &out);
	if (err)
		return err;
	snapshot_sort(snap, top->opts->output.sort);
	if (top->terminal)
		fputs(HOME_AND_CLEAR, output_file(out));
	view_table(snap, output_file(out), table_size(top));
	return output_commit(steal_ptr(out));
}

static struct error *check_terminal(const struct top *top)
{
	struct table_size size = table_size(top);

	if (size.rows >= TABLE_ROWS_MIN && size.columns >= TABLE_COLUMNS_MIN)
		return NULL;
	return error_create(ERROR_UNSUPPORTED,
			    "the terminal has %d rows of %d columns: top needs %d of %d",
			    size.rows, size.columns, TABLE_ROWS_MIN, TABLE_COLUMNS_MIN);
}

struct error *cmd_top(const struct options *opts, int *status)
{
	__cleanup(session_destroyp) struct session *session = NULL;
	struct top top = { .opts = opts, .terminal = isatty(STDOUT_FILENO) };
	struct error *err = check_terminal(&top);

	if (err)
		return err;
	watch_catch_signals();
	err = watch_create(opts, &session);
	if (err)
		return err;
	top.session = session;
	err = watch_run(session, opts, draw, &top);
	if (err)
		return err;
	session_stop(session);
	watch_warn(session);
	return draw(&top);
}
