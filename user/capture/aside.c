// SPDX-License-Identifier: GPL-2.0-or-later
/* The keeper, and what it does for us; see aside.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hold.h"
#include "base/privileges.h"
#include "capture/aside.h"

#define SHARED_BYTES (64ull << 20)	/* of addresses; of memory what is used */
#define BEGUN_MS 2000	/* for what a keeper had begun that was killed */
#define ENOUGH_S 60	/* should it hang alone, on a lock whose holder was killed */

/* Written whole, as it is smaller than PIPE_BUF. */
struct order {
	void (*fn)(void *arg);	/* NULL: end */
	void *arg;
	int done_fd;		/* an eventfd: to be told that it is done */
};

static struct {
	pthread_once_t once;
	pid_t owner, pid;
	int owner_fd, fd;	/* pidfds of both */
	int orders[2];		/* a pipe */
	atomic_bool there;
} keeper = { .once = PTHREAD_ONCE_INIT };

/* --- memory that both see ------------------------------------------------- */

/* Pieces lie one behind the other, the last reaching to the end. */
struct piece {
	size_t bytes;		/* with this head */
	bool used;
} __attribute__((aligned(16)));

static char *shared;
static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;

static struct piece *piece_after(const struct piece *p)
{
	return (struct piece *)((char *)p + p->bytes);
}

static bool is_end(const struct piece *p)
{
	return (char *)p == shared + SHARED_BYTES;
}

static void join_free(struct piece *p)
{
	struct piece *next = piece_after(p);

	while (!is_end(next) && !next->used) {
		p->bytes += next->bytes;
		next = piece_after(p);
	}
}

static void split(struct piece *p, size_t bytes)
{
	struct piece *rest;

	if (p->bytes - bytes < sizeof(*p))
		return;
	rest = (struct piece *)((char *)p + bytes);
	rest->bytes = p->bytes - bytes;
	rest->used = false;
	p->bytes = bytes;
}

/* The first free piece that is large enough: there are few, and they change seldom. */
static struct piece *take_piece(size_t bytes)
{
	for (struct piece *p = (struct piece *)shared; !is_end(p); p = piece_after(p)) {
		if (p->used)
			continue;
		join_free(p);
		if (p->bytes < bytes)
			continue;
		split(p, bytes);
		p->used = true;
		return p;
	}
	return NULL;
}

static void out_of_memory(void)
{
	fputs("heapsonde: out of memory for probes\n", stderr);
	exit(1);
}

void *aside_alloc(size_t count, size_t size)
{
	size_t bytes;
	struct piece *p;

	aside_begin();
	if (!shared || __builtin_mul_overflow(count, size, &bytes) || bytes > SHARED_BYTES)
		out_of_memory();
	bytes = (bytes + 2 * sizeof(*p) - 1) & ~(sizeof(*p) - 1);
	pthread_mutex_lock(&shared_lock);
	p = take_piece(bytes);
	pthread_mutex_unlock(&shared_lock);
	if (!p)
		out_of_memory();
	return memset(p + 1, 0, bytes - sizeof(*p));
}

void aside_free(void *memory)
{
	if (!memory)
		return;
	pthread_mutex_lock(&shared_lock);
	((struct piece *)memory - 1)->used = false;
	pthread_mutex_unlock(&shared_lock);
}

static void map_shared(void)
{
	void *map = mmap(NULL, SHARED_BYTES, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return;
	shared = map;
	((struct piece *)shared)->bytes = SHARED_BYTES;
}

/* --- the keeper's side ---------------------------------------------------- */

/* fork() itself would run the handlers of libraries; here is nothing to be put right. */
static pid_t fork_sharing_files(int end_signal)
{
	return (pid_t)syscall(SYS_clone, (unsigned long)(CLONE_FILES | end_signal), 0, 0, 0, 0);
}

pid_t aside_fork(void)
{
	return fork_sharing_files(SIGCHLD);
}

static void carry_out(const struct order *order)
{
	order->fn(order->arg);
	eventfd_write(order->done_fd, 1);
}

/* By the keeper itself, and so for all whom it forks. */
static void reduce_itself(void *arg)
{
	privileges_reduce((unsigned int)(uintptr_t)arg);
}

/* Several at once: each waits for a grace period of the kernel. */
static void take_order(const struct order *order)
{
	pid_t pid = aside_fork();

	if (pid > 0)
		return;
	if (!pid)
		alarm(ENOUGH_S);
	carry_out(order);
	if (!pid)
		_exit(0);
}

/* Nobody's group, and nobody's signals but the alarm. */
static void stand_apart(void)
{
	sigset_t all;

	setsid();
	sigfillset(&all);
	sigdelset(&all, SIGALRM);
	sigprocmask(SIG_SETMASK, &all, NULL);
	signal(SIGALRM, SIG_DFL);
	signal(SIGCHLD, SIG_IGN);
	prctl(PR_SET_NAME, "heapsonde-keep");
}

/* False: it is to end. */
static bool serve_order(void)
{
	struct order order;

	if (read(keeper.orders[0], &order, sizeof(order)) != sizeof(order) || !order.fn)
		return false;
	if (order.fn == reduce_itself)
		carry_out(&order);
	else
		take_order(&order);
	return true;
}

/* Until it is told to end, or heapsonde has ended, which makes its pidfd readable. */
static void __attribute__((noreturn)) keep(void)
{
	struct pollfd fds[] = {
		{ .fd = keeper.owner_fd, .events = POLLIN },
		{ .fd = keeper.orders[0], .events = POLLIN },
	};

	/* Nothing for an OOM killer. */
	hold_life(-1000);
	stand_apart();
	while (poll(fds, 2, -1) > 0 && !fds[0].revents && serve_order())
		;
	_exit(0);
}

/* --- heapsonde's side ----------------------------------------------------- */

static bool give(const struct order *order)
{
	return write(keeper.orders[1], order, sizeof(*order)) == sizeof(*order);
}

static void end_keeper(void)
{
	const struct order end = { 0 };

	/* A child that was forked for something else has our handlers too. */
	if (keeper.pid <= 0 || keeper.owner != getpid() || !give(&end))
		return;
	while (waitpid(keeper.pid, NULL, __WALL) < 0 && errno == EINTR)
		;
}

static int pidfd_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static void start_keeper(void)
{
	map_shared();
	keeper.owner = getpid();
	keeper.owner_fd = pidfd_open(keeper.owner);
	if (!shared || keeper.owner_fd < 0 || pipe2(keeper.orders, O_CLOEXEC))
		return;
	/* No SIGCHLD: those are for the command that we may start. */
	keeper.pid = fork_sharing_files(0);
	if (!keeper.pid)
		keep();
	if (keeper.pid < 0)
		return;
	keeper.fd = pidfd_open(keeper.pid);
	keeper.there = keeper.fd >= 0;
	atexit(end_keeper);
}

void aside_begin(void)
{
	pthread_once(&keeper.once, start_keeper);
}

/* @word is heard once, and forgotten. */
static bool is_done(int done_fd, struct aside_word *word, int timeout_ms)
{
	struct pollfd fds[] = {
		{ .fd = done_fd, .events = POLLIN },
		{ .fd = timeout_ms < 0 ? keeper.fd : -1, .events = POLLIN },
		{ .fd = word->fd, .events = POLLIN },
	};

	for (;;) {
		if (poll(fds, 3, timeout_ms) < 0 && errno == EINTR)
			continue;
		if (!(fds[2].revents & POLLIN))
			return fds[0].revents & POLLIN;
		fds[2].fd = word->fd = -1;
		fds[2].revents = 0;
		word->heard(word->arg);
	}
}

/* Somebody may have killed the keeper: then what it had begun goes on alone. */
static bool do_by_keeper(const struct order *order, struct aside_word *word)
{
	if (order->done_fd < 0 || !keeper.there || !give(order))
		return false;
	if (is_done(order->done_fd, word, -1))
		return true;
	keeper.there = false;
	return is_done(order->done_fd, word, BEGUN_MS);
}

/* Whether the keeper did it. */
static bool order(void (*fn)(void *arg), void *arg, struct aside_word word)
{
	struct order order = { fn, arg, eventfd(0, EFD_CLOEXEC) };
	bool done;

	aside_begin();
	done = do_by_keeper(&order, &word);
	if (order.done_fd >= 0)
		close(order.done_fd);
	return done;
}

void run_aside_hearing(void (*fn)(void *arg), void *arg, struct aside_word word)
{
	if (!order(fn, arg, word))
		fn(arg);
}

static const struct aside_word silence = { .fd = -1 };

void run_aside(void (*fn)(void *arg), void *arg)
{
	run_aside_hearing(fn, arg, silence);
}

void aside_reduce(unsigned int also)
{
	order(reduce_itself, (void *)(uintptr_t)also, silence);
}
