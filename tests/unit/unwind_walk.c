// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The BPF walker compiled natively, walking this process's own stack by the
 * tables of its own mappings. Wherever probe() is called from, its frames
 * must be those that the C library's unwinder finds. (Not backtrace(), to
 * which AddressSanitizer adds a frame.)
 */
#include <alloca.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unwind.h>

#include "tests/unit/test.h"
#include "tests/unit/unwind_self.h"

#define UNWIND_HOST
#include "bpf/unwind.bpf.h"

#ifdef __clang__
#define NO_FP __attribute__((noinline, disable_tail_calls))
#else
#define NO_FP __attribute__((noinline, optimize("omit-frame-pointer,no-optimize-sibling-calls")))
#endif

static struct unwind_self self;
static __u64 cache[UNWIND_CACHE_SIZE];
static size_t copies;

/* As a pending return probe would have it: word at slot, address it replaced. */
static struct { __u64 slot, real; } pending;

static long unwind_copy_user(void *to, __u32 size, __u64 from)
{
	struct iovec local = { to, size }, remote = { (void *)from, size };

	copies++;
	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == size ? 0 : -1;
}

static const __u32 *unwind_slab_word(__u32 word)
{
	return word < self.slab.len ? &self.slab.data[word] : NULL;
}

static const struct unwind_rule *unwind_rule_at(__u32 id)
{
	return id < self.rules.len ? &self.rules.data[id] : NULL;
}

static const struct unwind_range *unwind_range_at(__u32 i)
{
	return i < self.ranges.len ? &self.ranges.data[i] : NULL;
}

static __u64 *unwind_cache_at(__u32 i)
{
	return &cache[i];
}

static __u64 unwind_real_return(struct unwind_state *s)
{
	return s->slot && s->slot == pending.slot ? pending.real : 0;
}

/* What the last probe() found; a failure waits here for the test's end. */
static struct {
	int probes, frames;
	enum unwind_status status;
	__u32 guessed;
	char failure[256];
} found;

struct trace {
	void **pcs;
	int count, max, skip;
};

static _Unwind_Reason_Code trace_frame(struct _Unwind_Context *context, void *arg)
{
	struct trace *trace = arg;
	int exact = 0;
	char *pc = (char *)_Unwind_GetIPInfo(context, &exact);

	if (trace->skip-- > 0)
		return _URC_NO_REASON;
	if (!pc || trace->count == trace->max)
		return _URC_END_OF_STACK;
	trace->pcs[trace->count++] = pc + exact;
	return _URC_NO_REASON;
}

/* From the caller on; interrupted pcs plus one, as the walker gives them. */
static NO_FP int backtrace(void **pcs, int max)
{
	struct trace trace = { .pcs = pcs, .max = max, .skip = 1 };

	_Unwind_Backtrace(trace_frame, &trace);
	return trace.count;
}

static struct unwind_state state;
static __u32 generation = 1;

static void walk(enum unwind_start start, __u64 pc, __u64 sp, __u64 bp)
{
	memset(&state, 0, sizeof(state));
	state.space.generation = generation;
	state.space.count = self.ranges.len;
	unwind_enter(&state, pc, sp, bp, 0);
	if (unwind_begin(&state, start, MAX_DEPTH))
		unwind_run(&state);
}

static void compare(void *const *want, int count)
{
	found.probes++;
	found.frames = state.record.count;
	found.status = state.record.status;
	found.guessed = state.guessed;
	if (found.failure[0])
		return;
	if ((int)state.record.count != count)
		snprintf(found.failure, sizeof(found.failure), "%u frames, not %d (status %u)",
			 state.record.count, count, state.record.status);
	for (int i = 1; i < count && i < (int)state.record.count && !found.failure[0]; i++)
		if (state.pcs[i] != (__u64)want[i])
			snprintf(found.failure, sizeof(found.failure),
				 "frame %d of %d is %#llx, not %p", i, count,
				 (unsigned long long)state.pcs[i], want[i]);
}

/* Frame 0 is in this function, at two different calls: it is not compared. */
static NO_FP void probe(void)
{
	void *want[MAX_DEPTH];
	struct self_regs regs;
	int count;

	self_regs(&regs);
	walk(UNWIND_AT_RETURN, regs.pc, regs.sp, regs.bp);
	count = backtrace(want, MAX_DEPTH);
	compare(want, count);
}

static void begin(void)
{
#ifndef __x86_64__
	test_skip("walks of its own stack are written for x86-64");
#endif
	if (!self.ranges.len)
		unwind_self_init(&self, UNWIND_CALL_SITES);
	memset(&found, 0, sizeof(found));
	memset(&pending, 0, sizeof(pending));
}

static void end(int probes)
{
	if (found.failure[0])
		test_fail("%s", found.failure);
	check(found.probes >= probes);
	check_int(found.status, UNWIND_COMPLETE);
}

static NO_FP int descend(int depth)
{
	volatile int here = depth;

	if (!depth) {
		probe();
		return 0;
	}
	return descend(depth - 1) + here;
}

TEST(plain_call)
{
	begin();
	probe();
	end(1);
}

TEST(recursion_of_400)
{
	begin();
	descend(400);
	end(1);
	check(found.frames > 400);
}

TEST(deeper_than_max_depth)
{
	begin();
	descend(MAX_DEPTH + 100);
	check_int(found.frames, MAX_DEPTH);
	check_int(found.status, UNWIND_TRUNCATED);
}

static NO_FP int by_value(const void *a, const void *b)
{
	probe();
	return *(const int *)a - *(const int *)b;
}

TEST(callback_of_qsort)
{
	int v[] = { 3, 1, 2, 9, 5, 4 };

	begin();
	qsort(v, 6, sizeof(*v), by_value);
	end(5);
}

TEST(callback_of_bsearch)
{
	int v[] = { 1, 2, 3, 4, 5, 6 }, key = 5;

	begin();
	check(bsearch(&key, v, 6, sizeof(*v), by_value));
	end(1);
}

static NO_FP void with_alloca(int size)
{
	volatile char *p = alloca(size);

	p[0] = 1;
	if (size > 16)
		with_alloca(size / 2);
	else
		probe();
	p[size - 1] = 1;
}

TEST(alloca_frames)
{
	begin();
	with_alloca(5000);
	end(1);
}

/* Realigned: the CFA is found through a register saved in the frame. */
static NO_FP __attribute__((force_align_arg_pointer)) void realigned(int depth)
{
	_Alignas(64) volatile char area[192];
	volatile char *p = alloca(depth * 8 + 8);

	check((uintptr_t)area % 64 == 0);
	area[0] = p[0] = depth;
	if (depth)
		realigned(depth - 1);
	else
		probe();
	area[0] += area[depth];
}

TEST(realigned_stack)
{
	begin();
	realigned(5);
	end(1);
}

static NO_FP void big_frame(int depth)
{
	volatile char area[20000];

	area[depth] = depth;
	if (depth)
		big_frame(depth - 1);
	else
		probe();
	area[0] += area[depth];
}

TEST(frames_larger_than_the_window)
{
	begin();
	big_frame(20);
	end(1);
}

static NO_FP void on_signal(int sig)
{
	(void)sig;
	descend(3);
}

static void raise_with(int flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = flags };

	check(!sigaction(SIGUSR1, &sa, NULL));
	raise(SIGUSR1);
	signal(SIGUSR1, SIG_DFL);
}

TEST(signal_handler)
{
	begin();
	raise_with(0);
	if (found.failure[0])
		test_fail("%s", found.failure);
	check_int(found.status, UNWIND_GUESSED);	/* only call sites are known */
}

TEST(signal_handler_with_full_tables)
{
	struct unwind_self calls;

	begin();
	calls = self;
	generation++;
	unwind_self_init(&self, UNWIND_FULL);
	raise_with(0);
	unwind_self_deinit(&self);
	self = calls;
	generation++;
	end(1);
}

TEST(signal_handler_on_its_own_stack)
{
	char *area = malloc(64 << 10);
	stack_t ss = { .ss_sp = area, .ss_size = 64 << 10 }, off = { .ss_flags = SS_DISABLE };

	begin();
	check(!sigaltstack(&ss, NULL));
	raise_with(SA_ONSTACK);
	check(!sigaltstack(&off, NULL));
	free(area);
	if (found.failure[0])
		test_fail("%s", found.failure);
	check(found.frames > 8);
}

static void *on_thread(void *arg)
{
	descend(30);
	return arg;
}

TEST(thread)
{
	pthread_t thread;

	begin();
	check(!pthread_create(&thread, NULL, on_thread, NULL));
	pthread_join(thread, NULL);
	end(1);
	check(found.frames > 30);
}

static ucontext_t main_context, coroutine;

static void in_coroutine(void)
{
	descend(10);
}

TEST(coroutine_of_makecontext)
{
	char *stack = malloc(64 << 10);

	begin();
	getcontext(&coroutine);
	coroutine.uc_stack.ss_sp = stack;
	coroutine.uc_stack.ss_size = 64 << 10;
	coroutine.uc_link = &main_context;
	makecontext(&coroutine, in_coroutine, 0);
	swapcontext(&main_context, &coroutine);
	free(stack);
	end(1);
	check(found.frames > 10);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

TEST(callback_of_pthread_once)
{
	begin();
	pthread_once(&once, probe);
	end(1);
}

/* From the first instruction of self_entered(), whose frame is not there yet. */
static NO_FP void walk_entered(uint64_t sp, uint64_t bp)
{
	void *want[MAX_DEPTH];
	int count;

	walk(UNWIND_AT_ENTRY, (__u64)self_entered, sp, bp);
	count = backtrace(want, MAX_DEPTH);
	if (state.pcs[0] != (__u64)want[2])
		snprintf(found.failure, sizeof(found.failure), "wrong caller");
	compare(want + 2, count - 2);
}

TEST(from_a_function_s_entry)
{
	begin();
	self_entered(walk_entered);
	end(1);
}

/* Code that no table knows, as a JIT makes: push %rbp; mov %rsp,%rbp; call *%rdi; … */
TEST(unknown_code_with_frame_pointers)
{
	static const unsigned char code[] = {
		0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3,
	};
	unsigned char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void (*jit)(void (*)(void));

	begin();
	check(page != MAP_FAILED);
	memcpy(page, code, sizeof(code));
	memcpy(&jit, &page, sizeof(jit));
	jit(probe);
	munmap(page, 4096);
	check_int(found.status, UNWIND_GUESSED);
	check_int(found.guessed, 1);
	check(state.pcs[1] > (__u64)page && state.pcs[1] < (__u64)page + sizeof(code));
	check_int(state.pcs[2] >> 20, (__u64)test_unknown_code_with_frame_pointers >> 20);
}

/*
 * A pending return probe has put its trampoline, a page of its own, in place
 * of the return address of probe_hijacked().
 */
static NO_FP void probe_hijacked(void)
{
	__u64 *slot = __builtin_frame_address(0);
	struct self_regs regs;
	void *want[MAX_DEPTH];
	int count = backtrace(want, MAX_DEPTH);

	while (*slot != (__u64)want[1])
		slot++;
	pending.slot = (__u64)slot;
	pending.real = *slot;
	*(volatile __u64 *)slot = 0x7fffffffe000;
	self_regs(&regs);
	walk(UNWIND_AT_RETURN, regs.pc, regs.sp, regs.bp);
	*(volatile __u64 *)slot = pending.real;
	compare(want, count);
}

TEST(pending_return_probe)
{
	begin();
	probe_hijacked();
	end(1);
}

/* ---- made-up stacks ---- */

static __u64 stack_words[600];

static void walk_from(__u64 pc, __u64 sp, __u64 bp)
{
	walk(UNWIND_AT_RETURN, pc, sp, bp);
}

TEST(nonsense_ends_with_a_reason)
{
	__u64 code = (__u64)probe + 20, stack = (__u64)stack_words;

	begin();
	walk_from(0x1000, stack, 0);
	check_int(state.record.status, UNWIND_GUESSED);	/* bp 0 marks a bottom */
	check_int(state.record.count, 1);
	walk_from(0x1000, stack, 12345);
	check_int(state.record.status, UNWIND_NO_MAPPING);
	walk_from(code, 0x1000, 0x1000);			/* cannot be read */
	check_int(state.record.status, UNWIND_READ_FAULT);
	walk_from(code, stack + 4, stack + 4);
	check_int(state.record.status, UNWIND_BAD_CFA);
	walk_from(code, stack + 8, -4096ul);
	check(state.record.status != UNWIND_FAILED);
	walk_from(code, stack, stack);			/* zeroes are a bottom */
	check_int(state.record.count, 1);
	check_int(state.record.status, UNWIND_COMPLETE);
}

/* Warm: two reads of the stack do for 48 frames. */
TEST(few_reads)
{
	begin();
	descend(40);
	copies = 0;
	descend(40);
	printf("# %zu reads for %d frames\n", copies, found.frames);
	check(copies <= 5);
	end(2);
}
