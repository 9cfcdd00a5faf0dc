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

#include "capture/bpf_syscall.h"
#include "capture/features.h"
#include "heapsonde.skel.h"

#define INSTRUCTIONS_MAX 100000
#define STACK_MAX 64
#define LOG_BYTES (16u << 20)
#define STACK_WORD "stack depth "
#define INSTRUCTIONS_WORD "processed "

static int failed;

static void report(const char *name, const char *why)
{
	if (why)
		printf("not ok %s - %s\n", name, why);
	else
		printf("ok %s\n", name);
	failed |= !!why;
}

/* The largest of "stack depth A+B+C"; -1 if the verifier does not tell. */
static long deepest_function(const char *log)
{
	const char *at = strstr(log, STACK_WORD);
	long deepest = -1;
	char *end;

	if (!at)
		return -1;
	for (at += strlen(STACK_WORD);; at = end + 1) {
		long depth = strtol(at, &end, 10);

		if (depth > deepest)
			deepest = depth;
		if (*end != '+')
			return deepest;
	}
}

static void check_program(const char *name, const char *log, bool loaded)
{
	const char *at = strstr(log, INSTRUCTIONS_WORD);
	long instructions = at ? atol(at + strlen(INSTRUCTIONS_WORD)) : -1;
	long stack = deepest_function(log);
	char why[256];

	printf("# %s: %ld instructions verified, %ld bytes of stack at most\n", name,
	       instructions, stack);
	if (!loaded)
		snprintf(why, sizeof(why), "does not load");
	else if (instructions <= 0 || stack < 0)
		snprintf(why, sizeof(why), "the verifier said nothing");
	else if (instructions > INSTRUCTIONS_MAX)
		snprintf(why, sizeof(why), "%ld instructions, more than %d", instructions,
			 INSTRUCTIONS_MAX);
	else if (stack >= STACK_MAX)
		snprintf(why, sizeof(why), "%ld bytes of stack, not below %d", stack, STACK_MAX);
	else
		why[0] = '\0';
	report(name, why[0] ? why : NULL);
}

/* Loads the programs as the session does for one attach method. */
static void check_method(const char *label, bool session, int multi, bool guard)
{
	struct heapsonde_bpf *skel = heapsonde_bpf__open();
	struct bpf_program *prog;
	bool loaded;

	bpf_program__set_autoload(skel->progs.alloc_session, session);
	bpf_program__set_autoload(skel->progs.alloc_entry, !session);
	bpf_program__set_autoload(skel->progs.alloc_return, !session);
	bpf_program__set_expected_attach_type(skel->progs.alloc_session,
					      (enum bpf_attach_type)ATTACH_TYPE_UPROBE_SESSION);
	bpf_program__set_expected_attach_type(skel->progs.alloc_free, multi);
	bpf_program__set_expected_attach_type(skel->progs.alloc_entry, multi);
	bpf_program__set_expected_attach_type(skel->progs.alloc_return, multi);
	skel->rodata->cfg_preempt_guard = guard;
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
	if (err) {
		report("features", err->message);
		return 1;
	}
	if (features.uprobe_session)
		check_method("session", true, ATTACH_TYPE_UPROBE_MULTI, features.preempt_guard);
	if (features.uprobe_multi)
		check_method("multi", false, ATTACH_TYPE_UPROBE_MULTI, features.preempt_guard);
	check_method("single", false, 0, features.preempt_guard);
	check_method("unguarded", false, 0, false);
	return failed;
}
