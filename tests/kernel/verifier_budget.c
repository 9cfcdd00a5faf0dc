// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The product's own programs against the running kernel's verifier: each loads,
 * within a tenth of the instructions allowed, and no function of theirs takes
 * 64 bytes of stack (from there on kernels since 6.13 give a program a
 * per-CPU stack, which preemption would share).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "capture/features.h"
#include "capture/programs.h"
#include "heapsonde.skel.h"
#include "tests/kernel/verifier_log.h"

#define INSTRUCTIONS_MAX 100000
#define LOG_BYTES (16u << 20)

static int failed;

/* What libbpf says of a load that fails, without the verifier's whole log. */
static int remark(enum libbpf_print_level level, const char *fmt, va_list args)
{
	return level == LIBBPF_WARN && !strstr(fmt, "PROG LOAD LOG") ? vprintf(fmt, args) : 0;
}

static void report(const char *name, const char *why)
{
	if (why)
		printf("not ok %s - %s\n", name, why);
	else
		printf("ok %s\n", name);
	failed |= !!why;
}

/* What the verifier said last: why it refuses the program. */
static void print_reason(const char *log)
{
	size_t len = strlen(log);
	const char *from = len > 600 ? log + len - 600 : log;

	for (const char *line = strtok(strdup(from), "\n"); line; line = strtok(NULL, "\n"))
		printf("# %s\n", line);
}

static void check_program(const char *name, const char *log, bool loaded)
{
	long instructions = verifier_instructions(log), stack = verifier_deepest_function(log);
	char why[256];

	printf("# %s: %ld instructions verified, %ld bytes of stack at most\n", name,
	       instructions, stack);
	if (!loaded)
		print_reason(log);
	if (!loaded)
		snprintf(why, sizeof(why), "does not load");
	else if (instructions <= 0 || stack < 0)
		snprintf(why, sizeof(why), "the verifier said nothing");
	else if (instructions > INSTRUCTIONS_MAX)
		snprintf(why, sizeof(why), "%ld instructions, more than %d", instructions,
			 INSTRUCTIONS_MAX);
	else if (stack >= VERIFIER_STACK_MAX)
		snprintf(why, sizeof(why), "%ld bytes of stack, not below %d", stack,
			 VERIFIER_STACK_MAX);
	else
		why[0] = '\0';
	report(name, why[0] ? why : NULL);
}

/* Loads the programs as the session does for one attach method. */
static void check_method(const char *label, enum attach_method method,
			 const struct features *features)
{
	struct growth_programs ledger;
	struct heapsonde_bpf *skel = heapsonde_bpf__open();
	struct attach_programs programs;
	struct bpf_program *prog;
	bool loaded;

	programs_choose(skel, method, features->preempt_guard, SOURCES_ALL, &programs);
	programs_choose_growth(skel, features, &ledger);
	bpf_object__for_each_program(prog, skel->obj) {
		bpf_program__set_log_buf(prog, calloc(1, LOG_BYTES), LOG_BYTES);
		bpf_program__set_log_level(prog, 4);
	}
	loaded = !heapsonde_bpf__load(skel);
	bpf_object__for_each_program(prog, skel->obj) {
		size_t size;
		const char *log = bpf_program__log_buf(prog, &size);
		char name[128];

		if (!bpf_program__autoload(prog))
			continue;
		snprintf(name, sizeof(name), "%s_%s", label, bpf_program__name(prog));
		check_program(name, log, loaded);
	}
	heapsonde_bpf__destroy(skel);
}

int main(void)
{
	struct features features;
	struct error *err = features_detect(&features);

	setvbuf(stdout, NULL, _IOLBF, 0);
	libbpf_set_print(remark);
	if (err) {
		report("features", err->message);
		return 1;
	}
	for (enum attach_method method = 0; method < ATTACH_METHODS_COUNT; method++)
		if (attach_method_there(method, &features))
			check_method(attach_method_name(method), method, &features);
	/* Each way to see system calls, and all of it as older kernels get it. */
	features.call_functions = false;
	if (features.preempt_guard)
		check_method("tracepoint", ATTACH_SINGLE, &features);
	features.preempt_guard = false;
	check_method("unguarded", ATTACH_SINGLE, &features);
	return failed;
}
