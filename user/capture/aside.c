// SPDX-License-Identifier: GPL-2.0-or-later
/* Processes for what must not be cut off; see aside.h. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture/aside.h"

#define STACK_BYTES (256 << 10)
#define ENOUGH_S 60	/* should it hang alone, on a lock whose holder was killed */

struct work {
	void (*fn)(void *arg);
	void *arg;
};

static int work_main(void *arg)
{
	const struct work *work = arg;

	/* Not in the group that a terminal or a script may kill as a whole. */
	setpgid(0, 0);
	alarm(ENOUGH_S);
	work->fn(work->arg);
	return 0;
}

/*
 * As posix_spawn() does it: with the memory shared and this thread suspended,
 * the other process may use whatever this thread could.
 */
static pid_t start(struct work *work, void *stack)
{
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	sigdelset(&all, SIGALRM);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = clone(work_main, (char *)stack + STACK_BYTES, CLONE_VM | CLONE_FILES | CLONE_VFORK,
		    work);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pid;
}

void run_aside(void (*fn)(void *arg), void *arg)
{
	struct work work = { fn, arg };
	void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	pid_t pid = stack == MAP_FAILED ? -1 : start(&work, stack);

	if (pid < 0)
		fn(arg);
	else
		while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
			;
	if (stack != MAP_FAILED)
		munmap(stack, STACK_BYTES);
}
