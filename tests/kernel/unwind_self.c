// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The stack walker in the running kernel, on this process's own stack:
 *
 *	unwind_self unwind_self.bpf.o…
 *
 * Each object passes the verifier within its budget, none of its functions
 * uses 64 bytes of stack, it finds the frames that the C library's unwinder
 * finds, from a function's entry and return as well and through pending return
 * probes, and what a frame costs is reported.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unwind.h>

#include "tests/kernel/unwind_object.h"
#include "tests/kernel/unwind_self.h"
#include "tests/kernel/verifier_log.h"

#define VERIFIER_BUDGET 200000
#define RUNS 3000

#ifdef __clang__
#define NO_FP __attribute__((noinline, disable_tail_calls))
#else
#define NO_FP __attribute__((noinline, optimize("omit-frame-pointer,no-optimize-sibling-calls")))
#endif

static struct unwind_self self;
static int program, failed;
static volatile struct walk_result *result;
static char verifier_log[256 << 10];

static void report(const char *name, const char *why)
{
	if (why)
		printf("not ok %s - %s\n", name, why);
	else
		printf("ok %s\n", name);
	failed |= !!why;
}

static void check_budget(void)
{
	long instructions = verifier_instructions(verifier_log);
	long stack = verifier_deepest_function(verifier_log);
	const char *why = NULL;

	printf("# verifier: %ld instructions, %ld bytes of stack at most\n", instructions, stack);
	if (instructions <= 0 || stack < 0)
		why = "the verifier said nothing";
	else if (instructions > VERIFIER_BUDGET)
		why = "too many instructions";
	else if (stack >= VERIFIER_STACK_MAX)
		why = "a function uses too much stack";
	report("verifier_budget", why);
}

static void load_log(struct bpf_object *object, const char *name)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(object, name);

	bpf_program__set_log_level(prog, 4);
	bpf_program__set_log_buf(prog, verifier_log, sizeof(verifier_log));
}

static struct bpf_object *load(const char *path)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	void *p;

	if (!object)
		return NULL;
	size_maps(object, &self);
	load_log(object, "walk_return");
	if (bpf_object__load(object) || !fill_maps(object, &self)) {
		fprintf(stderr, "%.4000s\n", verifier_log);
		bpf_object__close(object);
		return NULL;
	}
	program = bpf_program__fd(bpf_object__find_program_by_name(object, "walk_self"));
	p = mmap(NULL, sizeof(*result), PROT_READ, MAP_SHARED, map_fd(object, "result"), 0);
	result = p == MAP_FAILED ? NULL : p;
	check_budget();
	return object;
}

struct trace {
	uint64_t pcs[MAX_DEPTH];
	uint32_t count, skip;
};

static _Unwind_Reason_Code trace_frame(struct _Unwind_Context *context, void *arg)
{
	struct trace *trace = arg;
	uint64_t pc = _Unwind_GetIP(context);

	if (trace->skip) {
		trace->skip--;
		return _URC_NO_REASON;
	}
	if (!pc || trace->count == MAX_DEPTH)
		return _URC_END_OF_STACK;
	trace->pcs[trace->count++] = pc;
	return _URC_NO_REASON;
}

/* From the caller on. */
static NO_FP void backtrace(struct trace *trace)
{
	trace->count = 0;
	trace->skip = 1;
	_Unwind_Backtrace(trace_frame, trace);
}

static struct {
	uint64_t best_ns;
	uint32_t frames;
	const char *failure;
} walk;

static int run_program(const struct self_regs *regs)
{
	uint64_t args[5] = { regs->pc, regs->sp, regs->bp, getpid(), MAX_DEPTH };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args, .ctx_size_in = sizeof(args));

	return bpf_prog_test_run_opts(program, &opts) || opts.retval ? -1 : 0;
}

static NO_FP void probe(void)
{
	struct self_regs regs;
	struct trace trace;

	walk.best_ns = UINT64_MAX;
	self_regs(&regs);
	for (int i = 0; i < RUNS; i++) {
		if (run_program(&regs)) {
			walk.failure = "the program does not run";
			return;
		}
		if (result->elapsed_ns < walk.best_ns)
			walk.best_ns = result->elapsed_ns;
	}
	backtrace(&trace);
	walk.frames = result->count;
	if (result->status != UNWIND_COMPLETE)
		walk.failure = "not complete";
	else if (result->count != trace.count)
		walk.failure = "wrong number of frames";
	for (uint32_t i = 1; i < trace.count && !walk.failure; i++)
		if (result->pcs[i] != trace.pcs[i])
			walk.failure = "another frame";
}

/* Rows of frames with a little of everything: saved registers and locals. */
static NO_FP int descend(int depth)
{
	volatile int local[8] = { depth };

	if (depth)
		local[1] = descend(depth - 1);
	else
		probe();
	return local[0] + local[1];
}

static int target_depth;

static NO_FP int by_value(const void *a, const void *b)
{
	static int calls;

	if (!calls++)
		descend(target_depth);
	return *(const int *)a - *(const int *)b;
}

static void walk_at(int depth)
{
	char name[64];

	memset(&walk, 0, sizeof(walk));
	descend(depth);
	snprintf(name, sizeof(name), "own_stack_at_depth_%d", depth);
	report(name, walk.failure);
	printf("# %u frames: %lu ns, %.1f ns a frame\n", walk.frames,
	       (unsigned long)walk.best_ns, (double)walk.best_ns / walk.frames);
}

static void walk_in_qsort(void)
{
	int v[] = { 5, 2, 8, 1 };

	memset(&walk, 0, sizeof(walk));
	target_depth = 20;
	qsort(v, 4, sizeof(*v), by_value);
	report("through_qsort", walk.failure);
}

/* ---- probes ---- */

static NO_FP void leaf(void)
{
#ifdef __x86_64__
	__asm__ volatile("push %%rax; pop %%rax" ::: "memory");
#else
	__asm__ volatile("nop" ::: "memory");
#endif
}

static struct trace expected;

static NO_FP void call_leaf(void)
{
	leaf();
	backtrace(&expected);
}

static NO_FP int descend_to(int depth, void (*fn)(void))
{
	volatile int local[8] = { depth };

	if (depth)
		local[1] = descend_to(depth - 1, fn);
	else
		fn();
	return local[0] + local[1];
}

/* Attaches @name to the function @fn of this program. */
static struct bpf_link *attach(struct bpf_object *object, const char *name,
			       const void *fn, bool at_return)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	struct bpf_link *link = NULL;
	struct self_mapping m;

	while (maps && next_mapping(maps, &m))
		if ((uint64_t)fn >= m.start && (uint64_t)fn < m.end)
			link = bpf_program__attach_uprobe(
				bpf_object__find_program_by_name(object, name), at_return,
				getpid(), m.path, (uint64_t)fn - m.start + m.offset);
	if (maps)
		fclose(maps);
	return link;
}

/*
 * Walks from a probe at leaf()'s entry or return, while return probes pend in
 * all of the frames of descend_to() if @pending. All frames from call_leaf()'s
 * caller on are those seen without probes.
 */
static void walk_from_probe(struct bpf_object *object, const char *name,
			    const char *program_name, bool at_return, bool pending)
{
	struct bpf_link *link, *hijack = NULL;
	const char *failure = NULL;
	uint64_t walks = result->walks;

	descend_to(10, call_leaf);
	if (pending)
		hijack = attach(object, "nothing", descend_to, true);
	link = attach(object, program_name, leaf, at_return);
	descend_to(10, leaf);
	bpf_link__destroy(link);
	bpf_link__destroy(hijack);
	if (!link || (pending && !hijack))
		failure = "cannot attach";
	else if (result->walks != walks + 1)
		failure = "no walk";
	else if (result->status != UNWIND_COMPLETE)
		failure = "not complete";
	else if (result->count + 1 != expected.count)
		failure = "wrong number of frames";
	/* Not the last frame of each: it is another call here than there. */
	for (uint32_t i = 0; i + 2 < expected.count && !failure && i < 11; i++)
		if (result->pcs[i] != expected.pcs[i + 1])
			failure = "another frame";
	report(name, failure);
}

static void walk_from_probes(struct bpf_object *object)
{
	walk_from_probe(object, "from_entry_probe", "walk_entry", false, false);
	walk_from_probe(object, "from_return_probe", "walk_return", true, false);
	walk_from_probe(object, "entry_under_pending_return_probes", "walk_entry", false, true);
	walk_from_probe(object, "return_under_pending_return_probes", "walk_return", true, true);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	unwind_self_init(&self, UNWIND_CALL_SITES);
	for (int i = 1; i < argc; i++) {
		struct bpf_object *object = load(argv[i]);

		printf("# %s: %zu ranges, %u rules, %zu KB of tables\n", argv[i],
		       self.ranges.len, self.rules.len, self.slab.len * 4 / 1024);
		if (!object) {
			report("load", strerror(errno));
			continue;
		}
		walk_at(20);
		walk_at(41);
		walk_at(83);
		walk_at(400);
		walk_in_qsort();
		walk_from_probes(object);
		bpf_object__close(object);
	}
	unwind_self_deinit(&self);
	return failed;
}
