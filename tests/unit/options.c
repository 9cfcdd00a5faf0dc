// SPDX-License-Identifier: GPL-2.0-or-later
/* The command line: what is understood, and what is said of what is not. */
#include "cmd/options.h"
#include "tests/unit/test.h"

#define MAX_ARGS 40

static struct options opts;
static char *args[MAX_ARGS];

/* Splits @line at spaces; "''" is an empty argument. */
static struct error *parse(enum command command, const char *line)
{
	static char copy[512];
	char *rest = copy, *word;
	int argc = 0;

	options_deinit(&opts);
	snprintf(copy, sizeof(copy), "%s", line);
	args[argc++] = (char *)command_name(command);
	while ((word = strsep(&rest, " ")) && *word)
		args[argc++] = strcmp(word, "''") ? word : word + 2;
	args[argc] = NULL;
	return options_parse(&opts, command, argc, args);
}

static void check_refused(enum command command, const char *line, const char *says)
{
	struct error *err __cleanup_error = parse(command, line);

	if (!err)
		test_fail("'%s' was taken", line);
	check_int(err->code, ERROR_USAGE);
	if (!strstr(err->message, says))
		test_fail("'%s': \"%s\" does not say \"%s\"", line, err->message, says);
	check(strstr(err->message, "--help'") && strstr(err->message, command_name(command)));
	check(!strchr(err->message, '\n'));
}

TEST(defaults)
{
	check_ok(parse(COMMAND_TOP, "-p 1"));
	check_int(opts.target.pids.len, 1);
	check(opts.target.duration_s == 0 && opts.target.interval_s == 1);
	check_int(opts.target.mode, MODE_AUTO);
	check_int(opts.target.stack, STACK_AUTO);
	check_int(opts.target.attach, ATTACH_CHOICE_AUTO);
	check_int(opts.target.max_depth, 128);
	check_int(opts.target.min_size, 0);
	check(opts.target.max_size == UINT64_MAX);
	check_int(opts.target.ring_size, 0);
	check_str(opts.output.sort, "live_bytes");
	check_str(opts.output.metric, "live_bytes");
	check_int(opts.output.limit, 10);
	check(!opts.quiet && !opts.help && !opts.output.json && !opts.output.force);
	check(!opts.target.command && !opts.output.path);
}

TEST(pids)
{
	check_ok(parse(COMMAND_TOP, "-p 12,34 --pid 56 -p12"));
	check_int(opts.target.pids.len, 3);
	check_int(opts.target.pids.data[0], 12);
	check_int(opts.target.pids.data[1], 34);
	check_int(opts.target.pids.data[2], 56);
	check_refused(COMMAND_TOP, "-p 12,", "'' is not a process ID");
	check_refused(COMMAND_TOP, "-p x", "'x' is not a process ID");
	check_refused(COMMAND_TOP, "-p 0", "'0'");
	check_refused(COMMAND_TOP, "-p -1", "'-1'");
	check_refused(COMMAND_TOP, "-p 99999999999", "'99999999999'");
	check_refused(COMMAND_TOP, "-p", "--pid needs its PID");
	check_refused(COMMAND_TOP, "", "'top' needs a recording, or -p PID");
}

TEST(values)
{
	check_ok(parse(COMMAND_REPORT, "-p 1 -d 0.25 -i 2.5 --mode exact --stack fp --attach multi"
		       " --max-depth 512 --min-size 1K --max-size 2M --ring-size 16MiB"
		       " --sort alloc_count --limit 0 --json -q"));
	check(opts.target.duration_s == 0.25 && opts.target.interval_s == 2.5);
	check_int(opts.target.mode, MODE_EXACT);
	check_int(opts.target.stack, STACK_FP);
	check_int(opts.target.attach, ATTACH_CHOICE_MULTI);
	check_int(opts.target.max_depth, 512);
	check_int(opts.target.min_size, 1024);
	check_int(opts.target.max_size, 2 << 20);
	check_int(opts.target.ring_size, 16 << 20);
	check_str(opts.output.sort, "alloc_count");
	check_int(opts.output.limit, 0);
	check(opts.output.json && opts.quiet);
}

TEST(bad_values_name_what_is_possible)
{
	check_refused(COMMAND_REPORT, "-p 1 -d x", "--duration: 'x'");
	check_refused(COMMAND_REPORT, "-p 1 -d -1", "--duration: '-1'");
	check_refused(COMMAND_REPORT, "-p 1 -d nan", "--duration");
	check_refused(COMMAND_REPORT, "-p 1 -d inf", "--duration");
	check_refused(COMMAND_REPORT, "-p 1 -i 0", "0.001 to 1e9");
	check_refused(COMMAND_REPORT, "-p 1 --mode doors", "auto|exact|sampled|windows");
	check_refused(COMMAND_REPORT, "-p 1,2 -d 1 --mode windows", "one process");
	check_refused(COMMAND_REPORT, "-p 1 -d 1 --mode windows --min-size 5", "bounds");
	check_refused(COMMAND_REPORT, "-p 1 --stack lbr", "auto|dwarf|fp");
	check_refused(COMMAND_REPORT, "-p 1 --attach ptrace", "auto|session|multi|single");
	check_refused(COMMAND_REPORT, "-p 1 --max-depth 0", "from 1 to 512");
	check_refused(COMMAND_REPORT, "-p 1 --max-depth 513", "from 1 to 512");
	check_refused(COMMAND_REPORT, "-p 1 --max-depth 8x", "'8x'");
	check_refused(COMMAND_REPORT, "-p 1 --min-size 1Z", "'1Z' is not a size");
	check_refused(COMMAND_REPORT, "-p 1 --min-size 2K --max-size 1K", "larger than --max-size");
	check_refused(COMMAND_REPORT, "-p 1 --ring-size 1", "64.0 KiB to 2.0 GiB");
	check_refused(COMMAND_REPORT, "-p 1 --sort colour", "live_bytes, live_count");
	check_refused(COMMAND_REPORT, "-p 1 --limit -1", "--limit: '-1'");
	check_refused(COMMAND_REPORT, "-p 1 --mode ''", "--mode: ''");
}

TEST(focus)
{
	check_ok(parse(COMMAND_REPORT, "-p 1 -d 1 --mode windows"));
	check_int(opts.target.focus, 0);
	check_ok(parse(COMMAND_REPORT, "-p 1 -d 1 --mode windows --focus"));
	check_int(opts.target.focus, 5);
	check_ok(parse(COMMAND_TOP, "--focus=2 -p 1"));
	check_int(opts.target.focus, 2);
	check_refused(COMMAND_REPORT, "-p 1 -d 1 --focus=0", "from 1 to 32");
	check_refused(COMMAND_REPORT, "-p 1 -d 1 --mode exact --focus", "use --mode windows");
	check_refused(COMMAND_REPORT, "-p 1 -d 1 --mode sampled --focus", "use --mode windows");
	check_refused(COMMAND_REPORT, "-p 1 -d 1 --mode growth --focus", "use --mode windows");
	check_refused(COMMAND_REPORT, "-p 1,2 -d 1 --focus", "--focus watches one process");
	check_refused(COMMAND_REPORT, "-p 1 -d 1 --focus --min-size 9", "use --mode windows");
	check_refused(COMMAND_RECORD, "--focus -- true", "use --mode windows");
}

TEST(unknown_options)
{
	check_refused(COMMAND_TOP, "-p 1 --siblings", "no option '--siblings'");
	check_refused(COMMAND_TOP, "-p 1 -x", "no option '-x'");
	check_refused(COMMAND_TOP, "-p 1 --format folded", "no option '--format'");
	check_refused(COMMAND_TOP, "-p 1 --quiet=1", "--quiet takes no value");
	check_refused(COMMAND_TOP, "-p 1 --duration", "--duration needs its SECONDS");
}

TEST(record_a_command)
{
	check_ok(parse(COMMAND_RECORD, "-o x.heapsonde -- ls -l -- --help"));
	check_str(opts.output.path, "x.heapsonde");
	check(opts.target.command && !opts.help);
	check_str(opts.target.command[0], "ls");
	check_str(opts.target.command[1], "-l");
	check_str(opts.target.command[2], "--");
	check_str(opts.target.command[3], "--help");
	check(!opts.target.command[4]);
	check_ok(parse(COMMAND_RECORD, "-o -- -- true"));
	check_str(opts.output.path, "--");
	check_str(opts.target.command[0], "true");
	check_refused(COMMAND_RECORD, "ls", "behind '--'");
	check_refused(COMMAND_RECORD, "", "needs -p PID");
	check_refused(COMMAND_RECORD, "--", "needs -p PID");
	check_refused(COMMAND_RECORD, "-p 1 -- ls", "not both");
	check_refused(COMMAND_RECORD, "-p 1 -o -", "cannot go to stdout");
	check_refused(COMMAND_RECORD, "-p 1 x", "what to do with 'x'");
}

TEST(files)
{
	check_ok(parse(COMMAND_REPORT, "a.heapsonde --json"));
	check_int(opts.files.len, 1);
	check_str(opts.files.data[0], "a.heapsonde");
	check_int(opts.output.limit, 100);
	check_ok(parse(COMMAND_REPORT, "-- -odd-name"));
	check_str(opts.files.data[0], "-odd-name");
	check_ok(parse(COMMAND_EXPORT, "--format json a -o -"));
	check_int(opts.output.format, FORMAT_JSON);
	check_str(opts.output.path, "-");
	check_int(opts.output.limit, 0);
	check_ok(parse(COMMAND_DIFF, "a b"));
	check_int(opts.files.len, 2);
	check_ok(parse(COMMAND_DOCTOR, ""));
	check_refused(COMMAND_REPORT, "", "needs a recording, or -p PID");
	check_refused(COMMAND_REPORT, "a -p 1", "not both");
	check_refused(COMMAND_REPORT, "a b", "what to do with 'b'");
	check_refused(COMMAND_EXPORT, "a", "needs --format: one of folded|");
	check_refused(COMMAND_EXPORT, "a --format stone", "folded|");
	check_refused(COMMAND_EXPORT, "--format json", "needs a recording, or -p PID");
	check_refused(COMMAND_EXPORT, "--format json a -p 1", "not both");
	check_refused(COMMAND_EXPORT, "--format json a --metric oldest_live_s", "live_bytes");
	check_refused(COMMAND_DIFF, "a", "needs two recordings");
	check_ok(parse(COMMAND_DIFF, "a b --format svg --icicle --inverted"));
	check_refused(COMMAND_DIFF, "a b --icicle", "--icicle goes with --format svg");
	check_refused(COMMAND_DIFF, "a b --format svg --sort growth_confidence", "live_bytes");
	check_refused(COMMAND_EXPORT, "a --format json --inverted", "--inverted goes with");
	check_ok(parse(COMMAND_EXPORT, "a --format svg --icicle"));
	check_refused(COMMAND_DOCTOR, "x", "what to do with 'x'");
}

/* Help: everything a command takes, and nothing else is asked of it. */

TEST(help_for_every_command)
{
	for (int command = 0; command < COMMANDS_COUNT; command++) {
		char *text = NULL;
		size_t size;
		FILE *f = open_memstream(&text, &size);

		check_ok(parse(command, "-h"));
		check(opts.help);
		check_ok(parse(command, "--help"));
		check(opts.help);
		options_help(command, f);
		fclose(f);
		check(strstr(text, command_name(command)));
		check(strstr(text, command_purpose(command)));
		check(strstr(text, "-h, --help"));
		for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
			if (strlen(line) > 100)
				test_fail("too long: %s", line);
		free(text);
	}
}

/* What help shows, parsing takes: each "--name" of it is no unknown option. */
TEST(help_and_parser_agree)
{
	for (int command = 0; command < COMMANDS_COUNT; command++) {
		char *text = NULL;
		size_t size;
		FILE *f = open_memstream(&text, &size);

		options_help(command, f);
		fclose(f);
		for (char *p = text; (p = strstr(p, "--")); p += 2) {
			char line[64], name[32];
			struct error *err __cleanup_error = NULL;

			if (sscanf(p, "--%31[a-z-]", name) != 1)
				continue;
			snprintf(line, sizeof(line), "--%s", name);
			err = parse(command, line);
			if (err && strstr(err->message, "has no option") &&
			    strcmp(name, "format"))
				test_fail("%s: --%s", command_name(command), name);
		}
		free(text);
	}
}
