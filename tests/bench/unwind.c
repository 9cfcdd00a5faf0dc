// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a frame costs, without any probe: BPF_PROG_TEST_RUN runs the walker in
 * this very process, at the bottom of a recursion, and the program takes its
 * own time. The ways take turns, and each figure is a median:
 *
 *	tables	.eh_frame tables, code without frame pointers. Every walk comes
 *		from another call than the one before, so that nothing of it is
 *		remembered
 *	memo	the same walk again and again, as in a loop that allocates; of as
 *		many frames as are remembered
 *	kernel	bpf_get_stackid() by frame pointers, code that has them
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "tests/kernel/kernel_stack.h"
#include "tests/kernel/unwind_object.h"
#include "tests/kernel/unwind_self.h"

#define ROUNDS 15
#define RUNS 2000		/* a round and way */

#ifdef __clang__
#define NO_FP __attribute__((noinline, disable_tail_calls))
#else
#define NO_FP __attribute__((noinline, optimize("omit-frame-pointer,no-optimize-sibling-calls")))
#endif

enum way { TABLES, MEMO, KERNEL, WAYS };

static const uint32_t wanted[WAYS] = { [TABLES] = 48, [MEMO] = 30, [KERNEL] = 48 };

static struct {
	int walk, kernel, stacks;	/* file descriptors */
	volatile struct walk_result *walked;
	volatile struct kernel_stack *taken;
} bpf;

static uint64_t times[WAYS][ROUNDS * RUNS];
static size_t times_len[WAYS];
static uint32_t frames[WAYS];

static void die(const char *what)
{
	fprintf(stderr, "unwind: %s: %s\n", what, strerror(errno));
	exit(1);
}

/*
 * As a system call of its own: the kernel begins at the caller's registers, and
 * the C library's syscall() leaves the frame pointer alone, which libbpf does not.
 */
static inline __attribute__((always_inline)) void run_program(int fd, uint64_t *args,
							      uint32_t size)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = fd;
	attr.test.ctx_in = (uintptr_t)args;
	attr.test.ctx_size_in = size;
	if (syscall(__NR_bpf, BPF_PROG_TEST_RUN, &attr, sizeof(attr)) || attr.test.retval)
		die("running a program");
}

static NO_FP void walk(enum way way)
{
	struct self_regs regs;
	uint64_t args[5];

	self_regs(&regs);
	args[0] = regs.pc;
	args[1] = regs.sp;
	args[2] = regs.bp;
	args[3] = getpid();
	args[4] = MAX_DEPTH;
	run_program(bpf.walk, args, sizeof(args));
	if (bpf.walked->status != UNWIND_COMPLETE) {
		fprintf(stderr, "unwind: a walk ended with status %u\n", bpf.walked->status);
		exit(1);
	}
	frames[way] = bpf.walked->count;
	if (times_len[way] < ROUNDS * RUNS)
		times[way][times_len[way]++] = bpf.walked->elapsed_ns;
}

static NO_FP void walk_by_tables(int runs)
{
	for (int i = 0; i < runs; i += 2) {
		walk(TABLES);
		walk(TABLES);
	}
}

static NO_FP void walk_from_memo(int runs)
{
	for (int i = 0; i < runs; i++)
		walk(MEMO);
}

/* The frame pointer is a saved register as any, as it is in most such code. */
static NO_FP int descend(int depth, void (*fn)(int runs), int runs)
{
	volatile int local[4] = { depth };

	if (depth)
		local[1] = descend(depth - 1, fn, runs);
	else
		fn(runs);
	return local[0] + local[1] + depth * runs;
}

/* Makes the function that it stands in have a frame pointer. */
#define WITH_FRAME_POINTER() __asm__ volatile("" :: "r"(__builtin_frame_address(0)))

static uint32_t kernel_frames(void)
{
	uint64_t pcs[KERNEL_STACK_FRAMES_MAX] = { 0 };
	uint32_t id = bpf.taken->id, count = 0;

	if (bpf.taken->id < 0)
		errno = -bpf.taken->id;
	if (bpf.taken->id < 0 || bpf_map_lookup_elem(bpf.stacks, &id, pcs))
		die("the kernel's stack");
	while (count < KERNEL_STACK_FRAMES_MAX && pcs[count])
		count++;
	return count;
}

static __attribute__((noinline)) void take_by_kernel(int runs)
{
	uint64_t none = 0;

	WITH_FRAME_POINTER();
	for (int i = 0; i < runs; i++) {
		run_program(bpf.kernel, &none, sizeof(none));
		if (times_len[KERNEL] < ROUNDS * RUNS)
			times[KERNEL][times_len[KERNEL]++] = bpf.taken->elapsed_ns;
	}
	frames[KERNEL] = kernel_frames();
}

static __attribute__((noinline)) int descend_with_fp(int depth, void (*fn)(int runs), int runs)
{
	volatile int local[4] = { depth };

	WITH_FRAME_POINTER();
	if (depth)
		local[1] = descend_with_fp(depth - 1, fn, runs);
	else
		fn(runs);
	return local[0] + local[1] + depth * runs;
}

/* ---- the programs ---- */

static struct bpf_object *open_object(const char *name)
{
	const char *o = getenv("O");
	struct bpf_object *object;
	char path[4096];

	snprintf(path, sizeof(path), "%s/tests/%s.bpf.o", o ? o : "build", name);
	object = bpf_object__open_file(path, NULL);
	if (!object)
		die(path);
	return object;
}

static int program_fd(struct bpf_object *object, const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(object, name));
}

static void *map_memory(int fd, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		die("mapping a map");
	return p;
}

static void load_walker(struct bpf_object *object, const struct unwind_self *self)
{
	size_maps(object, self);
	if (bpf_object__load(object) || !fill_maps(object, self))
		die("loading the walker");
	bpf.walk = program_fd(object, "walk_self");
	bpf.walked = map_memory(map_fd(object, "result"), sizeof(*bpf.walked));
}

static void load_kernel(struct bpf_object *object)
{
	if (bpf_object__load(object))
		die("loading the program that asks the kernel");
	bpf.kernel = program_fd(object, "stack_of_kernel");
	bpf.stacks = map_fd(object, "stacks");
	bpf.taken = map_memory(map_fd(object, ".bss"), sizeof(*bpf.taken));
}

/* ---- measuring ---- */

static int depth[WAYS];

static void run(enum way way, int runs)
{
	if (way == TABLES)
		descend(depth[way], walk_by_tables, runs);
	else if (way == MEMO)
		descend(depth[way], walk_from_memo, runs);
	else
		descend_with_fp(depth[way], take_by_kernel, runs);
}

/* So that as many frames are found as are wanted. */
static void choose_depth(enum way way)
{
	depth[way] = 20;
	run(way, 2);
	depth[way] += wanted[way] - frames[way];
	run(way, 2);
	if (frames[way] != wanted[way]) {
		fprintf(stderr, "unwind: %u frames, not %u\n", frames[way], wanted[way]);
		exit(1);
	}
	times_len[way] = 0;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void say(enum way way, const char *name, const char *aim)
{
	qsort(times[way], times_len[way], sizeof(**times), compare);
	printf("bench %s %.1f ns/frame%s\n", name,
	       (double)times[way][times_len[way] / 2] / wanted[way], aim);
}

int main(void)
{
	struct bpf_object *walker = open_object("kernel/unwind_self");
	struct bpf_object *kernel = open_object("kernel/kernel_stack");
	struct unwind_self self;

	setvbuf(stdout, NULL, _IOLBF, 0);
	unwind_self_init(&self, UNWIND_CALL_SITES);
	load_walker(walker, &self);
	load_kernel(kernel);
	for (enum way way = 0; way < WAYS; way++)
		choose_depth(way);
	for (int round = 0; round < ROUNDS; round++)
		for (enum way way = 0; way < WAYS; way++)
			run(way, RUNS);
	say(TABLES, "unwind_by_tables_48_frames", " <=35");
	say(MEMO, "unwind_repeated_30_frames", "");
	say(KERNEL, "kernel_stackid_fp_48_frames", "");
	bpf_object__close(walker);
	bpf_object__close(kernel);
	unwind_self_deinit(&self);
	return 0;
}
