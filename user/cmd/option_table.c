// SPDX-License-Identifier: GPL-2.0-or-later
/* The options and commands; see option_table.h. */
#include <string.h>

#include "bpf/events.h"
#include "capture/cost/thrift.h"
#include "capture/session.h"
#include "cmd/option_table.h"

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

#define OWN_CPU_MAX 102400	/* percent: a thousand processors */
#define FOCUS_MAX 32
#define TEXT_OF(macro) TOKENS_TEXT(macro)
#define TOKENS_TEXT(tokens) #tokens
#define PID_MAX (1u << 22)	/* the kernel's PID_MAX_LIMIT on 64 bits */

const struct option_row option_rows[] = {
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
	  .help = "how allocations are seen (auto: exactly, and in windows while that is too dear; "
		  "growth: not at all, only who maps and touches memory, which is often not who "
		  "leaks it, at next to no price)" },
	{ "sample-bytes", 0, OPTION_BYTES, WATCHES, AT(target.sample_bytes), "BYTES",
	  .min = 1, .max = SAMPLE_BYTES_MAX,
	  .help = "sampled: mean bytes between samples (default: 512K)" },
	{ "max-overhead", 0, OPTION_PERCENT, WATCHES, AT(target.max_overhead), "PCT",
	  .help = "what probes may take of the targets' CPU time: the level is lowered to keep it, "
		  "and where none keeps it the watching ends (default: windows 2, auto 5 and at "
		  "least half a percent of a core)" },
	{ "focus", 0, OPTION_COUNT, WATCHES, AT(target.focus), "N", .min = 1, .max = FOCUS_MAX,
	  .given_text = TEXT_OF(SESSION_FOCUS_CALLS),
	  .help = "windows: half of the budget goes to tracing every allocation of the N call "
		  "paths that look most like leaks, by probes at their own calls" },
	{ "max-own-cpu", 0, OPTION_PERCENT, WATCHES, AT(target.max_own_cpu), "PCT",
	  .max = OWN_CPU_MAX,
	  .help = "what heapsonde itself may take of a processor for some seconds: beyond it looks "
		  "more seldom, samples where it may, and at last ends the watching (default: "
		  "75 % of all processors, 200 at most)" },
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
	{ "memory-limit", 0, OPTION_BYTES, WATCHES, AT(target.memory_limit), "BYTES",
	  .min = THRIFT_LIMIT_MIN, .max = INT64_MAX,
	  .help = "bound of what heapsonde takes for itself: beyond it, new blocks are counted "
		  "and no more (default: doctor prints it)" },
	{ "small", 0, OPTION_FLAG, WATCHES, AT(target.small),
	  .help = "take as little as possible: --memory-limit 16M, and no source lines" },
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
	{ "json", 0, OPTION_FLAG, M(TOP), AT(output.json),
	  .help = "print at each refresh the object that 'report --json' prints" },
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

const size_t option_rows_count = sizeof(option_rows) / sizeof(option_rows[0]);
_Static_assert(sizeof(option_rows) / sizeof(option_rows[0]) <= OPTION_ROWS_MAX, "more options");

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

int command_find(const char *name)
{
	for (int i = 0; i < COMMANDS_COUNT; i++)
		if (!strcmp(commands[i].name, name))
			return i;
	return -1;
}

const char *command_usage(enum command command)
{
	return commands[command].usage;
}

const char *command_purpose(enum command command)
{
	return commands[command].purpose;
}
