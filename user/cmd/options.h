/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line, after the command's name. One table (options.c) holds
 * every option of every command; parsing, defaults, checks and --help derive
 * from it. Nothing here acts: commands read the struct.
 */
#ifndef HEAPSONDE_CMD_OPTIONS_H
#define HEAPSONDE_CMD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "base/vec.h"
#include "capture/discovery/description.h"
#include "cmd/condition.h"

/*
 * X(symbol, name, what stands on the usage line behind the name, purpose)
 * The help of a command begins with its row.
 */
#define COMMANDS(X)							\
	X(COMMAND_TOP, "top", "{-p PID[,PID...] | FILE} [options]",	\
	  "live view of a running process (or a recording): what holds memory, what grows") \
	X(COMMAND_RECORD, "record", "{-p PID[,PID...] | -- CMD [ARG...]} [-o FILE] [options]", \
	  "watch a running process, or start CMD, and keep a recording")	\
	X(COMMAND_REPORT, "report", "{FILE[@MOMENT] | -p PID[,PID...] -d SECONDS} [options]", \
	  "print what a recording, or some seconds of a live process, shows") \
	X(COMMAND_EXPORT, "export",						\
	  "{FILE[@MOMENT] | -p PID -d SECONDS} --format FORMAT [-o OUT] [options]", \
	  "turn a recording, or some seconds of a live process, into another tool's format")	\
	X(COMMAND_SYMBOLIZE, "symbolize", "FILE [--debug-dir DIR]...",	\
	  "name the frames of a recording later, or on another machine, by build id") \
	X(COMMAND_MARK, "mark", "[NAME] [-p PID | FILE]",		\
	  "give this moment of a running recording a name, for FILE@NAME later") \
	X(COMMAND_DIFF, "diff", "OLD[@MOMENT] NEW[@MOMENT] [options]",			\
	  "what grew between two recordings, or two moments of one")				\
	X(COMMAND_DOCTOR, "doctor", "[-p PID] [options]",		\
	  "what this kernel, this user and this target allow")

enum command {
#define X(symbol, name, usage, purpose) symbol,
	COMMANDS(X)
#undef X
	COMMANDS_COUNT
};

/* Choices: X(symbol, name). The first one is the default where there is one. */
#define MODE_CHOICES(X)	  X(MODE_AUTO, "auto") X(MODE_EXACT, "exact") \
			  X(MODE_SAMPLED, "sampled") X(MODE_WINDOWS, "windows") \
			  X(MODE_GROWTH, "growth")
#define STACK_CHOICES(X)  X(STACK_AUTO, "auto") X(STACK_DWARF, "dwarf") X(STACK_FP, "fp")
#define ATTACH_CHOICES(X) X(ATTACH_CHOICE_AUTO, "auto") X(ATTACH_CHOICE_SESSION, "session") \
			  X(ATTACH_CHOICE_MULTI, "multi") X(ATTACH_CHOICE_SINGLE, "single")
#define FORMAT_CHOICES(X) X(FORMAT_FOLDED, "folded") X(FORMAT_PPROF, "pprof") \
			  X(FORMAT_SPEEDSCOPE, "speedscope") X(FORMAT_SVG, "svg") \
			  X(FORMAT_HTML, "html") X(FORMAT_JSON, "json")

#define DIFF_FORMAT_CHOICES(X) X(DIFF_FORMAT_TEXT, "text") X(DIFF_FORMAT_JSON, "json") \
			  X(DIFF_FORMAT_FOLDED, "folded") X(DIFF_FORMAT_SVG, "svg")

#define X(symbol, name) symbol,
enum mode_choice { MODE_CHOICES(X) };
enum stack_choice { STACK_CHOICES(X) };
enum attach_choice { ATTACH_CHOICES(X) };
enum format_choice { FORMAT_CHOICES(X) };
enum diff_format_choice { DIFF_FORMAT_CHOICES(X) };
#undef X

DEFINE_VEC(pid_vec, uint32_t);
DEFINE_VEC(path_vec, const char *);

/* Whom to watch and how. */
struct target_options {
	struct pid_vec pids;		/* each once, in the order given */
	char **command;			/* CMD ARG… NULL, borrowed from argv; NULL if none */
	bool children;			/* also what they fork or exec */
	bool no_children;		/* settled into children */
	double duration_s;		/* 0: until the target exits or Ctrl-C */
	double interval_s;
	int mode;			/* enum mode_choice */
	uint64_t sample_bytes;		/* mean between samples; 0 unless mode is sampled */
	double max_own_cpu;		/* percent of a processor; 0: the default */
	double max_overhead;		/* percent; 0: no bound */
	uint64_t focus;			/* call paths whose allocations are all traced; 0: none */
	int stack;			/* enum stack_choice */
	int attach;			/* enum attach_choice */
	struct allocator_choice allocators;	/* descriptions in files are read already */
	bool debuginfod;		/* fetch debug files afterwards */
	bool no_cache;			/* of unwind tables on disk */
	uint64_t max_depth;		/* 1 to MAX_DEPTH */
	uint64_t min_size, max_size;	/* bytes; max_size UINT64_MAX: no bound */
	bool no_symbolize;		/* addresses only, to be named later */
	uint64_t ring_size;		/* bytes; 0: chosen by the session */
	uint64_t memory_limit;		/* likewise */
	bool small;			/* the least that is possible */
};

/* What becomes of the result. */
struct output_options {
	bool json;
	const char *path;		/* "-" is stdout; NULL: the command's default */
	int format;			/* enum format_choice */
	int diff_format;		/* enum diff_format_choice */
	const char *metric, *sort;	/* names of METRICS, never NULL */
	uint64_t limit;			/* stacks shown; 0 is all, as exports do */
	bool limit_given;		/* by the user, not by default */
	uint64_t batch;			/* refreshes to print; 0: until the end */
	bool force;
	struct condition_vec fail_on;
	uint64_t max_file_size;		/* bytes; 0: no bound */
	bool icicle, inverted;		/* of flame graphs */
};

/* Strings are borrowed from argv. */
struct options {
	enum command command;
	bool help;			/* print options_help() and end well */
	bool quiet;
	struct target_options target;
	struct output_options output;
	struct path_vec debug_dirs;	/* of symbolize */
	struct path_vec files;		/* what stands without an option */
};

/* "folded|json"; and the one of that name, -1 if there is none. */
const char *export_formats(void);
int export_format_of(const char *name);

const char *command_name(enum command command);
/* The command of that name; -1 if there is none. */
int command_find(const char *name);
/* One line: what the command is for. */
const char *command_purpose(enum command command);

/*
 * Parses argv[1..]; argv[0] is the command's name. @opts is initialised
 * here, in failure as well; options_deinit() in any case. With --help nothing
 * else is checked. Whatever is wrong is one ERROR_USAGE line that names it.
 */
struct error *options_parse(struct options *opts, enum command command, int argc,
			    char **argv) __must_check;
void options_deinit(struct options *opts);

/* Usage line, purpose and options with their defaults. */
void options_help(enum command command, FILE *out);

#endif
