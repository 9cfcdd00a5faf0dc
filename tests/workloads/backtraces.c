// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * backtraces [PLUGIN...]: allocates from stacks of all shapes that C makes
 * and tells them itself (truth.h). Each shape has a site of its own, whose
 * name says it. PLUGINs (libplugin.c) are loaded, run and unloaded in turn,
 * the first of them once more at the end.
 */
#include <alloca.h>
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <search.h>
#include <setjmp.h>
#include <signal.h>
#include <time.h>
#include <ucontext.h>

#include "truth.h"

#define FAR_DEPTH 500
#define MIDDLE_DEPTH 100

/* ---- plain calls ---- */

SITE void site_plain(size_t n)
{
	ALLOCATE_HERE(n);
}

SITE void plain_one(size_t n)
{
	site_plain(n + 1);
	KEEP_FRAME();
}

SITE void plain_two(size_t n)
{
	plain_one(n + 1);
	KEEP_FRAME();
}

SITE void plain_three(size_t n)
{
	plain_two(n + 1);
	KEEP_FRAME();
}

SITE void site_recursion(int depth)
{
	if (depth)
		site_recursion(depth - 1);
	else
		ALLOCATE_HERE(31);
	KEEP_FRAME();
}

/* Arguments beyond the sixth travel on the stack. */
SITE void site_many_arguments(int a, int b, int c, int d, int e, int f, int g, int h, int i)
{
	ALLOCATE_HERE(a + b + c + d + e + f + g + h + i);
}

SITE void many_arguments(int n)
{
	site_many_arguments(n, n, n, n, n, n, n, n, n);
	site_many_arguments(n, n + 1, n, n, n, n, n, n + 5, n);
	KEEP_FRAME();
}

/* More than one copy of the stack holds lies between the frames. */
SITE void site_big_frame(int depth)
{
	char space[9000];

	TOUCH(space);
	if (depth)
		site_big_frame(depth - 1);
	else
		ALLOCATE_HERE(29);
	KEEP_FRAME();
}

/* ---- frames whose size only the frame pointer knows ---- */

SITE void site_alloca(size_t n)
{
	char *space = alloca(n);

	TOUCH(space);
	ALLOCATE_HERE(n);
}

SITE void site_vla(int n)
{
	char space[n];

	TOUCH(space);
	if (n > 100)
		site_vla(n / 2);
	else
		ALLOCATE_HERE(n);
	KEEP_FRAME();
}

/* ---- a stack that is aligned anew ---- */

SITE __attribute__((force_align_arg_pointer)) void site_realigned(int depth)
{
	char space[64] __attribute__((aligned(64)));

	TOUCH(space);
	if (depth)
		site_realigned(depth - 1);
	else
		ALLOCATE_HERE(37);
	KEEP_FRAME();
}

SITE __attribute__((force_align_arg_pointer)) void site_realigned_vla(int n)
{
	char aligned[128] __attribute__((aligned(128)));
	char space[n];

	TOUCH(aligned);
	TOUCH(space);
	ALLOCATE_HERE(n);
}

/* ---- callbacks of the C library ---- */

SITE int site_qsort(const void *a, const void *b)
{
	ALLOCATE_HERE(11);
	return *(const int *)a - *(const int *)b;
}

SITE int site_bsearch(const void *a, const void *b)
{
	ALLOCATE_HERE(12);
	return *(const int *)a - *(const int *)b;
}

SITE void site_once(void)
{
	ALLOCATE_HERE(13);
}

SITE void site_twalk(const void *node, VISIT visit, int depth)
{
	(void)node, (void)depth;
	if (visit == leaf)
		ALLOCATE_HERE(14);
	KEEP_FRAME();
}

SITE int site_dl_iterate_phdr(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)info, (void)size, (void)arg;
	ALLOCATE_HERE(15);
	return 1;
}

static int compare_ints(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

SITE void callbacks(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int numbers[] = { 5, 2, 4, 1 }, four = 4;
	void *tree = NULL;

	qsort(numbers, 4, sizeof(int), site_qsort);
	truth_kept = bsearch(&four, numbers, 4, sizeof(int), site_bsearch);
	pthread_once(&once, site_once);
	for (int i = 0; i < 3; i++)
		tsearch(&numbers[i], &tree, compare_ints);
	twalk(tree, site_twalk);
	dl_iterate_phdr(site_dl_iterate_phdr, NULL);
	KEEP_FRAME();
}

/* ---- signals ---- */

static sigjmp_buf after_fault;

SITE void site_signal(int signal)
{
	(void)signal;
	ALLOCATE_HERE(21);
}

SITE void site_signal_altstack(int signal)
{
	(void)signal;
	ALLOCATE_HERE(22);
}

SITE void site_signal_fault(int signal)
{
	(void)signal;
	ALLOCATE_HERE(23);
	siglongjmp(after_fault, 1);
}

static void on_signal(void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
}

SITE void raise_deep(int depth)
{
	if (depth)
		raise_deep(depth - 1);
	else
		raise(SIGUSR1);
	KEEP_FRAME();
}

/* Interrupted where no call is. */
SITE void fault_deep(int depth, volatile int *nowhere)
{
	if (depth)
		fault_deep(depth - 1, nowhere);
	else
		*nowhere = depth;
	KEEP_FRAME();
}

SITE void signals(void)
{
	static char stack[65536];
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };

	on_signal(site_signal, 0);
	raise_deep(3);
	sigaltstack(&alternate, NULL);
	on_signal(site_signal_altstack, SA_ONSTACK);
	raise_deep(20);
	on_signal(site_signal_fault, SA_ONSTACK | SA_NODEFER);
	if (!sigsetjmp(after_fault, 1))
		fault_deep(4, NULL);
	KEEP_FRAME();
}

/* ---- other stacks ---- */

static ucontext_t here, there;

SITE void site_coroutine(int depth)
{
	if (depth) {
		site_coroutine(depth - 1);
	} else {
		ALLOCATE_HERE(41);
		swapcontext(&there, &here);
		ALLOCATE_HERE(42);
	}
	KEEP_FRAME();
}

static void coroutine(void)
{
	site_coroutine(5);
	KEEP_FRAME();
}

SITE void coroutines(void)
{
	static char stack[65536];

	getcontext(&there);
	there.uc_stack.ss_sp = stack;
	there.uc_stack.ss_size = sizeof(stack);
	there.uc_link = &here;
	makecontext(&there, coroutine, 0);
	swapcontext(&here, &there);
	site_plain(43);
	swapcontext(&here, &there);
	KEEP_FRAME();
}

SITE void site_thread(int depth)
{
	if (depth)
		site_thread(depth - 1);
	else
		ALLOCATE_HERE(51);
	KEEP_FRAME();
}

static void *thread(void *arg)
{
	site_thread(*(int *)arg);
	KEEP_FRAME();
	return NULL;
}

SITE void threads(void)
{
	pthread_t id;

	for (int depth = 0; depth < 80; depth += 30)
		if (!pthread_create(&id, NULL, thread, &depth))
			pthread_join(id, NULL);
	KEEP_FRAME();
}

/* ---- jumps ---- */

static jmp_buf out;
static volatile int jumping = 1;

SITE void jump_from(int depth)
{
	if (depth)
		jump_from(depth - 1);
	else if (jumping)
		longjmp(out, 1);
	KEEP_FRAME();
}

SITE void site_after_longjmp(size_t n)
{
	ALLOCATE_HERE(n);
}

SITE void jumps(void)
{
	if (setjmp(out) == 0)
		jump_from(60);
	site_after_longjmp(61);
	KEEP_FRAME();
}

/* ---- libraries that come and go ---- */

static const struct timespec taken_over = { .tv_nsec = 250000000 };

SITE void call_back(void (*allocate)(void))
{
	allocate();
	KEEP_FRAME();
}

/* Waits as long as the profiler may take to see what was loaded. */
SITE void run_plugin(const char *path)
{
	void *plugin = dlopen(path, RTLD_NOW);
	void (*run)(void (*)(void (*)(void)), void (*)(const char *)) = NULL;

	if (plugin)
		*(void **)&run = dlsym(plugin, "plugin_run");
	if (!run)
		_exit(121);
	nanosleep(&taken_over, NULL);
	run(call_back, truth_note);
	nanosleep(&taken_over, NULL);
	dlclose(plugin);
}

SITE void run_all(int argc, char **argv)
{
	plain_three(100);
	site_recursion(MIDDLE_DEPTH);
	site_recursion(FAR_DEPTH - 10);
	many_arguments(3);
	site_big_frame(6);
	site_alloca(333);
	site_alloca(3333);
	site_vla(900);
	site_realigned(9);
	site_realigned_vla(77);
	callbacks();
	signals();
	coroutines();
	threads();
	jumps();
	for (int i = 1; i < argc; i++)
		run_plugin(argv[i]);
	if (argc > 1)
		run_plugin(argv[1]);
	KEEP_FRAME();
}

int main(int argc, char **argv)
{
	truth_begin();
	run_all(argc, argv);
	truth_end();
	return 0;
}
