// SPDX-License-Identifier: GPL-2.0-or-later
/* The command table, nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/command.h"
#include "cmd/manual.h"
#include "cmd/version.h"

static struct error *(*const commands[COMMANDS_COUNT])(const struct options *, int *) = {
	[COMMAND_TOP] = cmd_top,
	[COMMAND_RECORD] = cmd_record,
	[COMMAND_REPORT] = cmd_report,
	[COMMAND_EXPORT] = cmd_export,
	[COMMAND_SYMBOLIZE] = cmd_symbolize,
	[COMMAND_MARK] = cmd_mark,
	[COMMAND_DIFF] = cmd_diff,
	[COMMAND_DOCTOR] = cmd_doctor,
};

static void usage(FILE *out)
{
	fputs("usage: heapsonde COMMAND [options]\n\n"
	      "A heap profiler for running Linux processes.\n\n", out);
	for (int i = 0; i < COMMANDS_COUNT; i++)
		fprintf(out, "  %-10s %s\n", command_name(i), command_purpose(i));
	fputs("\n'heapsonde COMMAND --help' tells more; "
	      "'heapsonde --version -v' what this kernel has;\n"
	      "'heapsonde --completion bash|zsh|fish' is for your shell.\n",
	      out);
}

/* What was printed must have arrived: a full disk or a closed pipe is told. */
static int finish(int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	log_error("cannot write to standard output: %s", strerror(errno));
	return 1;
}

/* Prints the one line and gives the exit status that goes with it. */
static int fail(struct error *err, int status)
{
	log_error("%s", err->message);
	if (err->code == ERROR_USAGE)
		status = 2;
	error_destroy(err);
	return status ? status : 1;
}

static int tell(struct error *err)
{
	return err ? fail(err, 0) : finish(0);
}

static int run(int argc, char **argv)
{
	__cleanup(options_deinit) struct options opts = { 0 };
	int command = command_find(argv[1]), status = 0;
	struct error *err;

	if (command < 0) {
		log_error("there is no command '%s': try 'heapsonde --help'", argv[1]);
		return 2;
	}
	err = options_parse(&opts, command, argc - 1, argv + 1);
	if (err)
		return fail(err, 0);
	if (opts.help) {
		options_help(command, stdout);
		return finish(0);
	}
	log_set_quiet(opts.quiet);
	err = commands[command](&opts, &status);
	return err ? fail(err, status) : status;
}

/*
 * Who starts us without them must not have our next file, or a map of the
 * kernel's, taken for the standard output: reads end, writes fail as they would.
 */
static void guard_standard_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int main(int argc, char **argv)
{
	guard_standard_streams();
	/* A file that may not grow is told as a full disk is. */
	signal(SIGXFSZ, SIG_IGN);
	if (argc < 2) {
		usage(stderr);
		return 2;
	}
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help")) {
		usage(stdout);
		return finish(0);
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
		return finish(cmd_version(argc > 2 && !strcmp(argv[2], "-v")));
	if (argc == 3 && !strcmp(argv[1], "--completion"))
		return tell(completion_write(argv[2], stdout));
	if (argc == 3 && !strcmp(argv[1], "--manual"))
		return tell(manual_write(argv[2], stdin, stdout));
	return run(argc, argv);
}
