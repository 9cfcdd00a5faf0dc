// SPDX-License-Identifier: GPL-2.0-or-later
/* Parsing the command line; see options.h. */
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/format.h"
#include "base/strbuf.h"
#include "capture/session.h"
#include "cmd/option_table.h"
#include "model/snapshot.h"

#define LIMIT_UNSET UINT64_MAX
#define WINDOWS_OVERHEAD_DEFAULT 2.0	/* percent */

/* Every complaint ends by saying where help is. */
static struct error *usage_error(enum command command, const char *fmt, ...)
	__printf(2, 3) __must_check;

static struct error *usage_error(enum command command, const char *fmt, ...)
{
	struct strbuf what __cleanup_strbuf = { 0 };
	va_list args;

	va_start(args, fmt);
	strbuf_vaddf(&what, fmt, args);
	va_end(args);
	return error_create(ERROR_USAGE, "%s: try 'heapsonde %s --help'", strbuf_str(&what),
			    command_name(command));
}

/* Values */

static struct error *set_pids(struct options *opts, const struct option_row *row,
			      const char *value)
{
	__cleanup_free char *copy = xstrdup(value);
	struct pid_vec *pids = &opts->target.pids;
	char *rest = copy, *item;

	while ((item = strsep(&rest, ","))) {
		bool known = false;
		uint64_t pid;

		if (!parse_uint(item, row->min, row->max, &pid))
			return usage_error(opts->command,
					   "--pid: '%s' is not a process ID", item);
		vec_for_each(p, pids)
			known |= *p == pid;
		if (!known)
			pid_vec_push(pids, (uint32_t)pid);
	}
	return NULL;
}

static struct error *set_seconds(struct options *opts, const struct option_row *row,
				 const char *value)
{
	double *ret = (double *)((char *)opts + row->offset);

	if (!parse_seconds(value, ret) || *ret < 0.001 || *ret > 1e9)
		return usage_error(opts->command,
				   "--%s: '%s' is not a number of seconds from 0.001 to 1e9",
				   row->name, value);
	return NULL;
}

static struct error *set_percent(struct options *opts, const struct option_row *row,
				 const char *value)
{
	double *ret = (double *)((char *)opts + row->offset);
	uint64_t most = row->max ? row->max : 100;

	if (!parse_seconds(value, ret) || *ret <= 0 || *ret > (double)most)
		return usage_error(opts->command,
				   "--%s: '%s' is not a percentage above 0 and up to %" PRIu64,
				   row->name, value, most);
	return NULL;
}

static struct error *set_count(struct options *opts, const struct option_row *row,
			       const char *value)
{
	if (!parse_uint(value, row->min, row->max, (uint64_t *)((char *)opts + row->offset)))
		return usage_error(opts->command, "--%s: '%s' is not a number from %llu to %llu",
				   row->name, value, (unsigned long long)row->min,
				   (unsigned long long)row->max);
	return NULL;
}

static struct error *set_bytes(struct options *opts, const struct option_row *row,
			       const char *value)
{
	char min[FORMAT_MAX], max[FORMAT_MAX];
	uint64_t bytes;

	if (!parse_bytes(value, &bytes))
		return usage_error(opts->command,
				   "--%s: '%s' is not a size such as 4096, 512K or 16M",
				   row->name, value);
	if (bytes < row->min || bytes > row->max)
		return usage_error(opts->command, "--%s: '%s' is not from %s to %s", row->name,
				   value, format_bytes((int64_t)row->min, min),
				   format_bytes((int64_t)row->max, max));
	memcpy((char *)opts + row->offset, &bytes, sizeof(bytes));
	return NULL;
}

static struct error *set_choice(struct options *opts, const struct option_row *row,
				const char *value)
{
	__cleanup_free char *copy = xstrdup(row->choices);
	char *rest = copy, *choice;

	for (int i = 0; (choice = strsep(&rest, "|")); i++) {
		if (strcmp(choice, value))
			continue;
		*(int *)((char *)opts + row->offset) = i;
		return NULL;
	}
	return usage_error(opts->command, "--%s: '%s' is not one of %s", row->name, value,
			   row->choices);
}

static struct error *set_metric(struct options *opts, const struct option_row *row,
				const char *value)
{
	static const struct metrics none;
	double ignored;

	if (!metrics_get(&none, value, &ignored))
		return usage_error(opts->command, "--%s: '%s' is not one of %s", row->name,
				   value, metrics_names());
	*(const char **)((char *)opts + row->offset) = value;
	return NULL;
}

static struct error *add_condition(struct options *opts, const struct option_row *row,
				   const char *value)
{
	struct condition_vec *conditions = (void *)((char *)opts + row->offset);
	__cleanup_free char *why = NULL;

	if (!condition_parse(value, condition_vec_append(conditions), &why))
		return usage_error(opts->command, "--%s '%s': %s", row->name, value, why);
	return NULL;
}

static struct error *set_option(struct options *opts, const struct option_row *row,
				const char *value)
{
	switch (row->type) {
	case OPTION_FLAG:
		*(bool *)((char *)opts + row->offset) = true;
		return NULL;
	case OPTION_PIDS:
		return set_pids(opts, row, value);
	case OPTION_SECONDS:
		return set_seconds(opts, row, value);
	case OPTION_PERCENT:
		return set_percent(opts, row, value);
	case OPTION_COUNT:
		return set_count(opts, row, value);
	case OPTION_BYTES:
		return set_bytes(opts, row, value);
	case OPTION_CHOICE:
		return set_choice(opts, row, value);
	case OPTION_METRIC:
		return set_metric(opts, row, value);
	case OPTION_STRINGS:
		path_vec_push((void *)((char *)opts + row->offset), value);
		return NULL;
	case OPTION_CONDITION:
		return add_condition(opts, row, value);
	case OPTION_ALLOCATOR:
		return allocator_choice_add(&opts->target.allocators, value);
	case OPTION_STRING:
		if (!*value)
			return usage_error(opts->command, "--%s: nothing is given", row->name);
		*(const char **)((char *)opts + row->offset) = value;
		return NULL;
	}
	return NULL;
}

/* getopt's tables, made from ours */

#define LONG_VALUE 256		/* getopt's value of row i is LONG_VALUE + i */

struct getopt_tables {
	struct option longs[OPTION_ROWS_MAX + 1];
	char shorts[2 + 2 * OPTION_ROWS_MAX + 1];
};

static void make_tables(struct getopt_tables *tables, enum command command)
{
	size_t n = 0, s = 0;

	*tables = (struct getopt_tables){ 0 };
	/* "-": what is no option comes in its turn; ":": a missing argument is told apart. */
	tables->shorts[s++] = '-';
	tables->shorts[s++] = ':';
	for (size_t i = 0; i < option_rows_count; i++) {
		const struct option_row *row = &option_rows[i];

		if (!option_is_of(row, command))
			continue;
		tables->longs[n++] = (struct option){
			row->name, row->given_text ? optional_argument :
				   row->arg ? required_argument : no_argument, NULL,
			LONG_VALUE + (int)i,
		};
		if (!row->short_name)
			continue;
		tables->shorts[s++] = row->short_name;
		if (row->arg)
			tables->shorts[s++] = ':';
	}
}

/* The row of what getopt returned, or NULL. */
static const struct option_row *find_row(enum command command, int value)
{
	for (size_t i = 0; i < option_rows_count; i++)
		if (option_is_of(&option_rows[i], command) &&
		    (value == LONG_VALUE + (int)i || (value && value == option_rows[i].short_name)))
			return &option_rows[i];
	return NULL;
}

static struct error *bad_option(enum command command, int value, const char *arg)
{
	const struct option_row *row = find_row(command, optopt);

	if (value == ':' && row)
		return usage_error(command, "--%s needs its %s", row->name, row->arg);
	if (row)
		return usage_error(command, "--%s takes no value", row->name);
	if (optopt && optopt < LONG_VALUE)
		return usage_error(command, "'%s' has no option '-%c'", command_name(command),
				   optopt);
	return usage_error(command, "'%s' has no option '%s', or more than one like it",
			   command_name(command), arg);
}

static struct error *set_defaults(struct options *opts)
{
	for (size_t i = 0; i < option_rows_count; i++) {
		struct error *err;

		if (!option_rows[i].default_text)
			continue;
		err = set_option(opts, &option_rows[i], option_rows[i].default_text);
		if (err)
			return err;
	}
	opts->target.max_size = UINT64_MAX;
	opts->output.limit = LIMIT_UNSET;
	opts->output.format = -1;
	return NULL;
}

static struct error *parse_all(struct options *opts, int argc, char **argv)
{
	struct getopt_tables tables;
	int value;

	make_tables(&tables, opts->command);
	opterr = 0;
	optind = 0;		/* GNU: start afresh */
	while ((value = getopt_long(argc, argv, tables.shorts, tables.longs, NULL)) != -1) {
		const struct option_row *row;
		struct error *err;

		if (value == 1) {
			path_vec_push(&opts->files, optarg);
			continue;
		}
		if (value == '?' || value == ':')
			return bad_option(opts->command, value, argv[optind - 1]);
		row = find_row(opts->command, value);
		err = set_option(opts, row, optarg ? optarg : row->given_text);
		if (err)
			return err;
	}
	/* Only "--" ends parsing before the last argument. */
	if (optind < argc && opts->command == COMMAND_RECORD)
		opts->target.command = argv + optind;
	else
		for (int i = optind; i < argc; i++)
			path_vec_push(&opts->files, argv[i]);
	return NULL;
}

/* What single options cannot know */

static struct error *check_files(const struct options *opts, size_t min, size_t max,
				 const char *what)
{
	const struct path_vec *files = &opts->files;

	if (files->len < min)
		return usage_error(opts->command, "'%s' needs %s", command_name(opts->command),
				   what);
	if (files->len > max)
		return usage_error(opts->command, "'%s' does not know what to do with '%s'",
				   command_name(opts->command), files->data[max]);
	return NULL;
}

static struct error *check_record(const struct options *opts)
{
	bool pids = opts->target.pids.len;

	if (pids && opts->target.command)
		return usage_error(opts->command, "give either -p PID or -- CMD, not both");
	if (!pids && !opts->target.command)
		return usage_error(opts->command, opts->files.len ?
				   "a command to start stands behind '--'" :
				   "'record' needs -p PID, or -- and a command to start");
	if (opts->output.path && !strcmp(opts->output.path, "-"))
		return usage_error(opts->command, "a recording is a file, it cannot go to stdout");
	return check_files(opts, 0, 0, "");
}

static struct error *check_source(const struct options *opts)
{
	if (opts->target.pids.len && opts->files.len)
		return usage_error(opts->command, "give either a recording or -p PID, not both");
	if (opts->target.pids.len)
		return NULL;
	return check_files(opts, 1, 1, "a recording, or -p PID");
}

/* @svg: whether a flame graph is what will be written. */
static struct error *check_graph(const struct options *opts, bool svg)
{
	if (!svg && (opts->output.icicle || opts->output.inverted))
		return usage_error(opts->command, "--%s goes with --format svg",
				   opts->output.icicle ? "icicle" : "inverted");
	return NULL;
}

static struct error *check_diff(const struct options *opts)
{
	bool svg = opts->output.diff_format == DIFF_FORMAT_SVG && !opts->output.json;
	struct error *err __cleanup_error = check_graph(opts, svg);
	const struct metric *metric;

	if (err)
		return steal_ptr(err);
	err = svg ? metric_find_counting(opts->output.sort, &metric) : NULL;
	if (err)
		return usage_error(opts->command, "--sort: %s", err->message);
	return check_files(opts, 2, 2, "two recordings, or two moments of one");
}

/* Nobody wants a terminal full of compressed bytes. */
static struct error *check_terminal(const struct options *opts)
{
	bool to_stdout = !opts->output.path || !strcmp(opts->output.path, "-");

	if (opts->output.format == FORMAT_PPROF && to_stdout && isatty(STDOUT_FILENO))
		return usage_error(opts->command, "a profile is binary, and stdout a terminal: "
				   "name a file with -o");
	return NULL;
}

static struct error *check_export(const struct options *opts)
{
	const struct metric *metric;
	struct error *err __cleanup_error =
		metric_find_counting(opts->output.metric, &metric);

	if (err)
		return usage_error(opts->command, "--metric: %s", err->message);
	if (opts->output.format < 0)
		return usage_error(opts->command, "'export' needs --format: one of %s",
				   export_formats());
	err = check_graph(opts, opts->output.format == FORMAT_SVG);
	if (!err)
		err = check_terminal(opts);
	return err ? steal_ptr(err) : check_source(opts);
}

static struct error *check_command(const struct options *opts)
{
	switch (opts->command) {
	case COMMAND_TOP:
		return check_source(opts);
	case COMMAND_RECORD:
		return check_record(opts);
	case COMMAND_REPORT:
		return check_source(opts);
	case COMMAND_EXPORT:
		return check_export(opts);
	case COMMAND_SYMBOLIZE:
		return check_files(opts, 1, 1, "a recording");
	case COMMAND_MARK:
		if (opts->target.pids.len > 1)
			return usage_error(opts->command, "a mark goes into one recording");
		if (opts->files.len && !*opts->files.data[0])
			return usage_error(opts->command, "a mark's name cannot be empty");
		return check_files(opts, 0, 2, "");
	case COMMAND_DIFF:
		return check_diff(opts);
	default:
		return check_files(opts, 0, 0, "");
	}
}

/* They belong to one process, and to the C library's interface. */
static struct error *check_windows(struct options *opts)
{
	struct target_options *target = &opts->target;

	if (target->mode != MODE_WINDOWS)
		return NULL;
	if (target->pids.len > 1)
		return usage_error(opts->command, "--mode windows watches one process");
	if (target->min_size || target->max_size != UINT64_MAX)
		return usage_error(opts->command,
				   "--mode windows has no bounds on sizes: what the heap holds is "
				   "read as a whole");
	target->children = false;
	if (!target->max_overhead)
		target->max_overhead = WINDOWS_OVERHEAD_DEFAULT;
	return NULL;
}

/* It takes up where windows leave off, and these watch one process. */
static struct error *check_focus(const struct options *opts)
{
	const struct target_options *target = &opts->target;
	bool in_auto = target->mode == MODE_AUTO && !target->command && !target->children &&
		       !target->min_size && target->max_size == UINT64_MAX;

	if (!target->focus)
		return NULL;
	if (target->mode == MODE_GROWTH)
		return usage_error(opts->command, "--focus traces allocations, and --mode growth "
				   "sees none: use --mode windows");
	if (target->mode != MODE_WINDOWS && target->mode != MODE_AUTO)
		return usage_error(opts->command, "--focus is for what windows do not see, and "
				   "this level has none: leave it out, or use --mode windows");
	if (target->pids.len > 1)
		return usage_error(opts->command, "--focus watches one process");
	if (target->mode == MODE_AUTO && !in_auto)
		return usage_error(opts->command, "--focus goes with windows, and --mode auto "
				   "does without them here: use --mode windows");
	return NULL;
}

static struct error *check_all(struct options *opts)
{
	bool json = opts->output.json || opts->output.diff_format == DIFF_FORMAT_JSON;
	struct error *err;

	if (opts->target.children && opts->target.no_children)
		return usage_error(opts->command, "give either --children or --no-children");
	opts->target.children |= opts->target.command && !opts->target.no_children;
	if (opts->target.min_size > opts->target.max_size)
		return usage_error(opts->command, "--min-size is larger than --max-size");
	if (opts->target.sample_bytes && opts->target.mode != MODE_SAMPLED)
		return usage_error(opts->command, "--sample-bytes goes with --mode sampled");
	if (opts->target.mode == MODE_SAMPLED && !opts->target.sample_bytes)
		opts->target.sample_bytes = SESSION_SAMPLE_BYTES;
	err = check_windows(opts);
	if (!err)
		err = check_focus(opts);
	if (err)
		return err;
	opts->output.limit_given = opts->output.limit != LIMIT_UNSET;
	if (!opts->output.limit_given)
		opts->output.limit = opts->command == COMMAND_EXPORT ? 0 : json ? 100 : 10;
	return check_command(opts);
}

struct error *options_parse(struct options *opts, enum command command, int argc, char **argv)
{
	struct error *err;

	*opts = (struct options){ .command = command };
	err = set_defaults(opts);
	if (!err)
		err = parse_all(opts, argc, argv);
	if (err || opts->help)
		return err;
	return check_all(opts);
}

void options_deinit(struct options *opts)
{
	allocator_choice_deinit(&opts->target.allocators);
	pid_vec_deinit(&opts->target.pids);
	condition_vec_deinit(&opts->output.fail_on);
	path_vec_deinit(&opts->debug_dirs);
	path_vec_deinit(&opts->files);
}
