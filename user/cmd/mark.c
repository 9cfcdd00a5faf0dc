// SPDX-License-Identifier: GPL-2.0-or-later
/* heapsonde mark: gives this moment of a running recording a name. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "cmd/command.h"
#include "cmd/mark_channel.h"

/* Names must not look like other moments (cmd/moment.h), nor drive a terminal. */
static struct error *check_name(const char *name)
{
	struct strbuf escaped __cleanup_strbuf = { 0 };
	const char *why = NULL;

	format_escaped(&escaped, name);
	if (strlen(name) > MARK_NAME_MAX)
		why = "is too long";
	else if (strcmp(strbuf_str(&escaped), name))
		why = "has characters that cannot be printed";
	else if (strchr(name, '@'))
		why = "has an @";
	else if (strchr("0123456789+-.", *name))
		why = "begins like a time";
	if (!why)
		return NULL;
	return error_create(ERROR_USAGE, "'%s' cannot be a mark's name: it %s",
			    strbuf_str(&escaped), why);
}

static bool is_wanted(const struct mark_recorder *recorder, const struct pid_vec *pids,
		      const char *file)
{
	__cleanup_free char *path = file ? file_resolve(file) : NULL;

	if (path && strcmp(path, recorder->path))
		return false;
	return !pids->len || pids->data[0] == recorder->pid;
}

static struct error *none_runs(const struct pid_vec *pids, const char *file)
{
	if (pids->len)
		return error_create(ERROR_NOT_FOUND, "process %" PRIu32
				    " is no 'heapsonde record' that runs", pids->data[0]);
	if (file)
		return error_create(ERROR_NOT_FOUND,
				    "no 'heapsonde record' that runs writes to '%s'", file);
	return error_create(ERROR_NOT_FOUND, "no 'heapsonde record' runs: start one first");
}

/* The one recorder that is meant. */
static struct error *find_recorder(const struct options *opts, const char *file, uint32_t *ret)
{
	__cleanup(mark_recorders_deinit) struct mark_recorder_vec all = { 0 };
	struct strbuf list __cleanup_strbuf = { 0 };
	size_t count = 0;

	mark_recorders_find(&all);
	vec_for_each(recorder, &all) {
		if (!is_wanted(recorder, &opts->target.pids, file))
			continue;
		strbuf_addf(&list, "%s%" PRIu32 " (%s)", count++ ? ", " : "", recorder->pid,
			    recorder->path);
		*ret = recorder->pid;
	}
	if (!count)
		return none_runs(&opts->target.pids, file);
	if (count > 1)
		return error_create(ERROR_NOT_FOUND,
				    "more than one 'heapsonde record' runs, say which with -p: %s",
				    strbuf_str(&list));
	return NULL;
}

struct error *cmd_mark(const struct options *opts, int *status)
{
	const struct path_vec *words = &opts->files;
	/* A single word that is a file is one. */
	bool lone_file = words->len == 1 && !access(words->data[0], F_OK);
	const char *name = words->len && !lone_file ? words->data[0] : "";
	const char *file = lone_file ? words->data[0] : words->len > 1 ? words->data[1] : NULL;
	__cleanup_free char *given = NULL;
	struct error *err = *name ? check_name(name) : NULL;
	uint32_t pid = 0;
	double t_s;

	if (!err)
		err = find_recorder(opts, file, &pid);
	if (!err)
		err = mark_recorder_ask(pid, name, &t_s, &given);
	if (err)
		return err;
	log_info("mark '%s' set at %.3f s", given, t_s);
	return NULL;
}
