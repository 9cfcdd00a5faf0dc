// SPDX-License-Identifier: GPL-2.0-or-later
/* The command line; see options.h. */
#include <getopt.h>
#include <math.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "bpf/events.h"
#include "base/format.h"
#include "base/strbuf.h"
#include "capture/session.h"
#include "cmd/options.h"
#include "model/snapshot.h"
#include "view/ui.h"

enum option_type {
	OPTION_FLAG,		/* bool */
	OPTION_PIDS,		/* struct pid_vec */
	OPTION_SECONDS,		/* double, > 0 */
	OPTION_PERCENT,		/* double, > 0 and at most 100 */
	OPTION_COUNT,		/* uint64_t within min and max */
	OPTION_BYTES,		/* uint64_t within min and max, suffixes allowed */
	OPTION_CHOICE,		/* int: which of choices */
	OPTION_METRIC,		/* const char *: a name of METRICS */
	OPTION_STRING,		/* const char * */
	OPTION_STRINGS,		/* struct path_vec */
	OPTION_ALLOCATOR,	/* struct allocator_choice */
	OPTION_CONDITION,	/* struct condition_vec */
};

struct option_row {
	const char *name;
	char short_name;	/* 0: none */
	enum option_type type;
	unsigned int commands;	/* mask of 1 << enum command */
	size_t offset;		/* in struct options */
	const char *arg;	/* what help calls the argument; NULL: none */
	const char *default_text; /* parsed as if given; NULL: stays zero */
	const char *choices;	/* "auto|exact" */
	uint64_t min, max;
	const char *help;
};

#define AT(member) offsetof(struct options, member)
#define M(command) (1u << COMMAND_##command)
#define WATCHES (M(TOP) | M(RECORD) | M(REPORT) | M(EXPORT))
#define ALL ((1u << COMMANDS_COUNT) - 1)

/* "a|b|c" from X(symbol, name) rows, without the last bar. */
#define X(symbol, name) "|" name
static const char mode_choices[] = MODE_CHOICES(X);
static const char stack_choices[] = STACK_CHOICES(X);
static const char attach_choices[] = ATTACH_CHOICES(X);
static const char format_choices[] = FORMAT_CHOICES(X);
static const char diff_format_choices[] = DIFF_FORMAT_CHOICES(X);
#undef X

#define PID_MAX (1u << 22)	/* the kernel's PID_MAX_LIMIT on 64 bits */

/* In the order of --help. */
static const struct option_row rows[] = {
	{ "pid", 'p', OPTION_PIDS, WATCHES | M(DOCTOR), AT(target.pids), "PID[,PID...]",
	  .min = 1, .max = PID_MAX,
	  .help = "processes to watch; repeatable" },
	{ "pid", 'p', OPTION_PIDS, M(MARK), AT(target.pids), "PID", .min = 1, .max = PID_MAX,
	  .help = "the 'heapsonde record' that is meant, if more than one runs" },
	{ "children", 0, OPTION_FLAG, WATCHES, AT(target.children),
	  .help = "also watch what they fork or exec (default for a started command)" },
	{ "no-children", 0, OPTION_FLAG, M(RECORD), AT(target.no_children),
	  .help = "watch a started command alone" },
	{ "duration", 'd', OPTION_SECONDS, WATCHES, AT(target.duration_s), "SECONDS",
	  .help = "stop by itself, fractions allowed (default: at the target's exit or Ctrl-C)" },
	{ "interval", 'i', OPTION_SECONDS, WATCHES, AT(target.interval_s), "SECONDS", "1",
	  .help = "time between snapshots and refreshes" },
	{ "mode", 0, OPTION_CHOICE, WATCHES, AT(target.mode), "LEVEL", "auto", mode_choices + 1,
	  .help = "how allocations are seen" },
	{ "sample-bytes", 0, OPTION_BYTES, WATCHES, AT(target.sample_bytes), "BYTES",
	  .min = 1, .max = SAMPLE_BYTES_MAX,
	  .help = "sampled: mean bytes between samples (default: 512K)" },
	{ "max-overhead", 0, OPTION_PERCENT, WATCHES, AT(target.max_overhead), "PCT",
	  .help = "what probes may take of the targets' CPU time: the level is lowered to keep it, "
		  "and where none keeps it the watching ends" },
	{ "stack", 0, OPTION_CHOICE, WATCHES, AT(target.stack), "HOW", "auto", stack_choices + 1,
	  .help = "how stacks are walked (dwarf: by unwind tables; fp: by frame pointers)" },
	{ "debuginfod", 0, OPTION_FLAG, WATCHES, AT(target.debuginfod),
	  .help = "when done, fetch missing debug files from $DEBUGINFOD_URLS" },
	{ "no-cache", 0, OPTION_FLAG, WATCHES, AT(target.no_cache),
	  .help = "neither read unwind tables from disk nor keep them there" },
	{ "max-depth", 0, OPTION_COUNT, WATCHES, AT(target.max_depth), "N", "128",
	  .min = 1, .max = MAX_DEPTH,
	  .help = "frames kept per stack" },
	{ "min-size", 0, OPTION_BYTES, WATCHES, AT(target.min_size), "BYTES",
	  .max = INT64_MAX,
	  .help = "ignore smaller allocations (K, M, G are binary)" },
	{ "max-size", 0, OPTION_BYTES, WATCHES, AT(target.max_size), "BYTES",
	  .min = 1, .max = INT64_MAX,
	  .help = "ignore larger allocations" },
	{ "ring-size", 0, OPTION_BYTES, WATCHES, AT(target.ring_size), "BYTES",
	  .min = 65536, .max = 1ull << 31,
	  .help = "bound of the event buffer (default: doctor prints it)" },
	{ "attach", 0, OPTION_CHOICE, WATCHES, AT(target.attach), "METHOD", "auto",
	  attach_choices + 1,
	  .help = "how probes are attached (auto: the best this kernel has)" },
	{ "allocator", 0, OPTION_ALLOCATOR, WATCHES | M(DOCTOR), AT(target.allocators),
	  "NAME|DESCRIPTION|@FILE",
	  .help = "an allocator of the application to watch as well (cpython, postgresql, apr, "
		  "glib, rust, or its functions: 'arena_alloc alloc size=1; arena_free free "
		  "ptr=1'), or the only one of those found by themselves (jemalloc); repeatable" },
	{ "allocator-lib", 0, OPTION_STRING, WATCHES | M(DOCTOR), AT(target.allocators.library),
	  "PATH",
	  .help = "watch the malloc and free of this object only" },
	{ "allocator-prefix", 0, OPTION_STRING, WATCHES | M(DOCTOR),
	  AT(target.allocators.prefix), "PREFIX",
	  .help = "look for PREFIXmalloc, PREFIXfree and so on as well" },
	{ "output", 'o', OPTION_STRING, M(RECORD), AT(output.path), "FILE",
	  .help = "the recording (default: heapsonde.heapsonde)" },
	{ "output", 'o', OPTION_STRING, M(REPORT) | M(EXPORT) | M(DIFF), AT(output.path), "FILE",
	  .help = "write there instead of stdout" },
	{ "format", 'f', OPTION_CHOICE, M(EXPORT), AT(output.format), "FORMAT", NULL,
	  format_choices + 1,
	  .help = "what to make of it" },
	{ "format", 'f', OPTION_CHOICE, M(DIFF), AT(output.diff_format), "FORMAT", "text",
	  diff_format_choices + 1,
	  .help = "how it is written (folded: two columns, for flame graph tools)" },
	{ "metric", 'm', OPTION_METRIC, M(EXPORT), AT(output.metric), "METRIC", "live_bytes",
	  .help = "what is counted" },
	{ "icicle", 0, OPTION_FLAG, M(EXPORT) | M(DIFF), AT(output.icicle),
	  .help = "svg: the root on top, callees hanging down" },
	{ "inverted", 0, OPTION_FLAG, M(EXPORT) | M(DIFF), AT(output.inverted),
	  .help = "svg: from the callers of the allocator to main, not from main down" },
	{ "sort", 's', OPTION_METRIC, M(TOP) | M(REPORT), AT(output.sort), "METRIC",
	  "live_bytes",
	  .help = "order of call paths, largest first" },
	{ "sort", 's', OPTION_METRIC, M(DIFF), AT(output.sort), "METRIC", "live_bytes",
	  .help = "what is compared; the largest changes come first" },
	{ "limit", 'n', OPTION_COUNT, M(TOP) | M(REPORT) | M(DIFF), AT(output.limit), "N",
	  .max = INT32_MAX,
	  .help = "call paths shown, 0 is all (default: 10 in text, 100 in JSON)" },
	{ "batch", 'b', OPTION_COUNT, M(TOP), AT(output.batch), "N",
	  .min = 1, .max = INT32_MAX,
	  .help = "print N plain refreshes, as top -b does, instead of a screen" },
	{ "json", 0, OPTION_FLAG, M(REPORT) | M(DIFF) | M(DOCTOR), AT(output.json),
	  .help = "JSON instead of text" },
	{ "no-symbolize", 0, OPTION_FLAG, M(RECORD), AT(target.no_symbolize),
	  .help = "read no symbols and no debug data now: 'heapsonde symbolize' does it later" },
	{ "debug-dir", 0, OPTION_STRINGS, M(SYMBOLIZE), AT(debug_dirs), "DIR",
	  .help = "look there first: for the objects themselves and for debug files, laid out as "
		  "in /usr/lib/debug; repeatable" },
	{ "fail-on", 0, OPTION_CONDITION, M(RECORD) | M(REPORT), AT(output.fail_on), "CONDITION",
	  .help = "exit with status 1 if it holds at the end, as in 'growth>1MB/min', "
		  "'live>100MB', 'leaks>0'; repeatable" },
	{ "max-file-size", 0, OPTION_BYTES, M(RECORD), AT(output.max_file_size), "BYTES",
	  .min = 1 << 20, .max = INT64_MAX,
	  .help = "thin out the recording's moments to stay below (default: no bound)" },
	{ "force", 0, OPTION_FLAG, M(RECORD) | M(REPORT) | M(EXPORT) | M(DIFF), AT(output.force),
	  .help = "overwrite whatever file is there" },
	{ "quiet", 'q', OPTION_FLAG, ALL, AT(quiet),
	  .help = "no progress and no warnings on stderr" },
	{ "help", 'h', OPTION_FLAG, ALL, AT(help),
	  .help = "this text" },
};

#define ROWS_COUNT (sizeof(rows) / sizeof(rows[0]))
#define LIMIT_UNSET UINT64_MAX

static const struct command_row {
	const char *name, *usage, *purpose;
} commands[] = {
#define X(symbol, name, usage, purpose) { name, usage, purpose },
	COMMANDS(X)
#undef X
};

const char *export_formats(void)
{
	return format_choices + 1;
}

int export_format_of(const char *name)
{
	static const char *const names[] = {
#define X(symbol, name) [symbol] = name,
		FORMAT_CHOICES(X)
#undef X
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(names[i], name))
			return (int)i;
	return -1;
}

const char *command_name(enum command command)
{
	return commands[command].name;
}

const char *command_purpose(enum command command)
{
	return commands[command].purpose;
}

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

	if (!parse_seconds(value, ret) || *ret <= 0 || *ret > 100)
		return usage_error(opts->command,
				   "--%s: '%s' is not a percentage above 0 and up to 100",
				   row->name, value);
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
		*(const char **)((char *)opts + row->offset) = value;
		return NULL;
	}
	return NULL;
}

/* getopt's tables, made from ours */

#define LONG_VALUE 256		/* getopt's value of row i is LONG_VALUE + i */

struct getopt_tables {
	struct option longs[ROWS_COUNT + 1];
	char shorts[2 + 2 * ROWS_COUNT + 1];
};

static void make_tables(struct getopt_tables *tables, enum command command)
{
	size_t n = 0, s = 0;

	*tables = (struct getopt_tables){ 0 };
	/* "-": what is no option comes in its turn; ":": a missing argument is told apart. */
	tables->shorts[s++] = '-';
	tables->shorts[s++] = ':';
	for (size_t i = 0; i < ROWS_COUNT; i++) {
		if (!(rows[i].commands & 1u << command))
			continue;
		tables->longs[n++] = (struct option){
			rows[i].name, rows[i].arg ? required_argument : no_argument, NULL,
			LONG_VALUE + (int)i,
		};
		if (!rows[i].short_name)
			continue;
		tables->shorts[s++] = rows[i].short_name;
		if (rows[i].arg)
			tables->shorts[s++] = ':';
	}
}

/* The row of what getopt returned, or NULL. */
static const struct option_row *find_row(enum command command, int value)
{
	for (size_t i = 0; i < ROWS_COUNT; i++)
		if (rows[i].commands & 1u << command &&
		    (value == LONG_VALUE + (int)i || (value && value == rows[i].short_name)))
			return &rows[i];
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
	for (size_t i = 0; i < ROWS_COUNT; i++) {
		struct error *err;

		if (!rows[i].default_text)
			continue;
		err = set_option(opts, &rows[i], rows[i].default_text);
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
		struct error *err;

		if (value == 1) {
			path_vec_push(&opts->files, optarg);
			continue;
		}
		if (value == '?' || value == ':')
			return bad_option(opts->command, value, argv[optind - 1]);
		err = set_option(opts, find_row(opts->command, value), optarg);
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
				   format_choices + 1);
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

static struct error *check_all(struct options *opts)
{
	bool json = opts->output.json || opts->output.diff_format == DIFF_FORMAT_JSON;

	if (opts->target.children && opts->target.no_children)
		return usage_error(opts->command, "give either --children or --no-children");
	opts->target.children |= opts->target.command && !opts->target.no_children;
	if (opts->target.min_size > opts->target.max_size)
		return usage_error(opts->command, "--min-size is larger than --max-size");
	if (opts->target.sample_bytes && opts->target.mode != MODE_SAMPLED)
		return usage_error(opts->command, "--sample-bytes goes with --mode sampled");
	if (opts->target.mode == MODE_SAMPLED && !opts->target.sample_bytes)
		opts->target.sample_bytes = SESSION_SAMPLE_BYTES;
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

/* Help */

#define HELP_COLUMN 28		/* where the explanations begin */
#define HELP_WIDTH 96

/* Breaks @text at spaces so that it stays right of @column. */
static void put_wrapped(FILE *f, const char *text, size_t column)
{
	size_t room = HELP_WIDTH - column;

	while (strlen(text) > room) {
		size_t cut = room;

		while (cut && text[cut] != ' ')
			cut--;
		if (!cut)
			break;
		fprintf(f, "%.*s\n%*s", (int)cut, text, (int)column, "");
		text += cut + 1;
	}
	fprintf(f, "%s\n", text);
}

static void add_limits(struct strbuf *help, const struct option_row *row)
{
	if (row->choices)
		strbuf_addf(help, ": %s", row->choices);
	if (row->type == OPTION_COUNT && row->min)
		strbuf_addf(help, ", %llu to %llu", (unsigned long long)row->min,
			    (unsigned long long)row->max);
	if (row->default_text)
		strbuf_addf(help, " (default: %s)", row->default_text);
}

static void put_option(FILE *f, const struct option_row *row)
{
	struct strbuf left __cleanup_strbuf = { 0 }, help __cleanup_strbuf = { 0 };

	if (row->short_name)
		strbuf_addf(&left, "  -%c, --%s", row->short_name, row->name);
	else
		strbuf_addf(&left, "      --%s", row->name);
	if (row->arg)
		strbuf_addf(&left, " %s", row->arg);
	strbuf_addstr(&help, row->help);
	add_limits(&help, row);
	if (left.len + 2 > HELP_COLUMN)
		fprintf(f, "%s\n%*s", strbuf_str(&left), HELP_COLUMN, "");
	else
		fprintf(f, "%-*s", HELP_COLUMN, strbuf_str(&left));
	put_wrapped(f, strbuf_str(&help), HELP_COLUMN);
}

void options_help(enum command command, FILE *out)
{
	bool metrics = false;

	fprintf(out, "Usage: heapsonde %s %s\n\nheapsonde %s: %s.\n\n", commands[command].name,
		commands[command].usage, commands[command].name, commands[command].purpose);
	for (size_t i = 0; i < ROWS_COUNT; i++) {
		if (!(rows[i].commands & 1u << command))
			continue;
		put_option(out, &rows[i]);
		metrics |= rows[i].type == OPTION_METRIC;
	}
	if (metrics) {
		fputs("\nMetrics: ", out);
		put_wrapped(out, metrics_names(), sizeof("Metrics: ") - 1);
	}
	if (command == COMMAND_TOP) {
		fputc('\n', out);
		ui_help(out);
	}
}
