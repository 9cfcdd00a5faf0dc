// SPDX-License-Identifier: GPL-2.0-or-later
/* Starting programs and following their children; see spawn.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

#include "base/procfs.h"
#include "base/vec.h"
#include "capture/spawn.h"

#define SYSCALL_STOP (SIGTRAP | 0x80)	/* PTRACE_O_TRACESYSGOOD */


/* A thread under trace. */
struct tracee {
	pid_t tid;
	bool leader;		/* it is a process */
	bool loading;		/* stopped at each system call until it has started */
	bool mapping;		/* in a system call that would map code */
};

DEFINE_VEC(tracee_vec, struct tracee);

struct spawned {
	struct spawn_watcher watcher;
	pid_t pid;
	bool ended;		/* the program that was started */
	bool released;
	int fd;			/* tells of stops and ends */
	sigset_t mask;		/* as it was before */
	struct tracee_vec tracees;
};

static bool follows(const struct spawned *s)
{
	return s->watcher.forked;
}

/* Never returns. Waits until it is traced; tells why exec failed, if it does. */
static void __attribute__((noreturn)) run_child(const struct spawned *s, char **argv,
						const int go[2], int failure)
{
	char c;
	int errnum;

	/* The parent closes its end when it has hold of us. */
	close(go[1]);
	while (read(go[0], &c, 1) < 0 && errno == EINTR)
		;
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	sigprocmask(SIG_SETMASK, &s->mask, NULL);
	execvp(argv[0], argv);
	errnum = errno;
	if (write(failure, &errnum, sizeof(errnum)) != sizeof(errnum))
		_exit(126);
	_exit(errnum == ENOENT ? 127 : 126);
}

static struct error *exec_error(const char *name, int errnum)
{
	if (errnum == ENOENT)
		return error_create(ERROR_NOT_FOUND, "cannot start '%s': command not found", name);
	return error_create(ERROR_EXEC, "cannot start '%s': %s", name, strerror(errnum));
}

static struct tracee *find_tracee(struct spawned *s, pid_t tid)
{
	vec_for_each(t, &s->tracees)
		if (t->tid == tid)
			return t;
	return NULL;
}

static void forget_tracee(struct spawned *s, pid_t tid)
{
	struct tracee *t = find_tracee(s, tid);

	if (t)
		*t = s->tracees.data[--s->tracees.len];
}

static bool is_process(pid_t tid)
{
	struct strbuf status __cleanup_strbuf = { 0 };
	int64_t tgid;

	return !procfs_read(tid, "status", &status) &&
	       procfs_field(strbuf_str(&status), "Tgid", &tgid) && tgid == tid;
}

/* What a stop at a system call means. */
struct syscall_stop {
	bool mapped;		/* one has returned that mapped something executable */
	bool entered;		/* one is about to be made, at ip */
	uint64_t ip;
};

static struct syscall_stop syscall_stop(struct tracee *t)
{
	struct ptrace_syscall_info info = { 0 };
	struct syscall_stop stop = { 0 };

	if (ptrace(PTRACE_GET_SYSCALL_INFO, t->tid, sizeof(info), &info) <= 0)
		return stop;
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
		t->mapping = info.entry.nr == SYS_mmap && (info.entry.args[2] & PROT_EXEC);
		stop.entered = true;
		stop.ip = info.instruction_pointer;
	} else if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
		stop.mapped = t->mapping && !info.exit.is_error;
	}
	return stop;
}

static bool is_job_control(int sig)
{
	return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

/*
 * Lets a stopped thread go on. Signals of the program's own are passed on;
 * stops of ptrace's making are not.
 */
static void resume(struct spawned *s, const struct tracee *t, int status)
{
	int sig = WSTOPSIG(status), event = status >> 16;
	int pass = event || sig == SYSCALL_STOP ? 0 : sig;

	if (!t->loading && (s->released || !follows(s))) {
		ptrace(PTRACE_DETACH, t->tid, NULL, pass);
		forget_tracee(s, t->tid);
	} else if (event == PTRACE_EVENT_STOP && is_job_control(sig)) {
		/* It stays stopped as it would without us, and SIGCONT is seen. */
		ptrace(PTRACE_LISTEN, t->tid, NULL, 0);
	} else {
		ptrace(t->loading ? PTRACE_SYSCALL : PTRACE_CONT, t->tid, NULL, pass);
	}
}

/* A thread or process that one of the traced has made. */
static struct error *on_birth(struct spawned *s, pid_t tid)
{
	struct tracee *t = tracee_vec_append(&s->tracees);

	*t = (struct tracee){ .tid = tid, .leader = is_process(tid) };
	return t->leader && !s->released ? s->watcher.forked(tid, s->watcher.arg) : NULL;
}

static struct error *on_syscall(struct spawned *s, struct tracee *t)
{
	struct syscall_stop stop = syscall_stop(t);

	if (stop.mapped)
		return s->watcher.mapped(t->tid, s->watcher.arg);
	if (stop.entered && s->watcher.started(t->tid, stop.ip, s->watcher.arg))
		t->loading = false;
	return NULL;
}

static struct error *on_exec(struct spawned *s, struct tracee *t)
{
	t->leader = true;
	t->loading = !s->released;
	return s->released ? NULL : s->watcher.mapped(t->tid, s->watcher.arg);
}

static struct error *on_stop(struct spawned *s, pid_t tid, int status)
{
	struct tracee *t = find_tracee(s, tid);
	struct error *err = NULL;

	if (!t)
		err = on_birth(s, tid);
	else if (status >> 16 == PTRACE_EVENT_EXEC)
		err = on_exec(s, t);
	else if (WSTOPSIG(status) == SYSCALL_STOP && t->loading)
		err = on_syscall(s, t);
	t = find_tracee(s, tid);
	if (err || s->released)
		t->loading = false;
	resume(s, t, status);
	return err;
}

static void on_end(struct spawned *s, pid_t tid, int status)
{
	struct tracee *t = find_tracee(s, tid);
	bool process = tid == s->pid || (t && t->leader);

	if (tid == s->pid)
		s->ended = true;
	forget_tracee(s, tid);
	if (process)
		s->watcher.ended(tid, status, s->watcher.arg);
}

/* Takes what one process waits for, if there is one; *@any: there was. */
static struct error *serve_one(struct spawned *s, int flags, bool *any)
{
	int status;
	pid_t tid = waitpid(follows(s) ? -1 : s->pid, &status, flags | __WALL);

	*any = tid > 0;
	if (tid < 0 && errno == EINTR)
		*any = true;
	if (tid <= 0)
		return NULL;
	if (WIFSTOPPED(status))
		return on_stop(s, tid, status);
	on_end(s, tid, status);
	return NULL;
}

struct error *spawned_serve(struct spawned *s)
{
	struct signalfd_siginfo told;
	struct error *first = NULL;
	bool any = true;

	while (read(s->fd, &told, sizeof(told)) > 0)
		;
	while (any) {
		struct error *err = serve_one(s, WNOHANG, &any);

		if (first)
			error_destroy(err);
		else
			first = err;
	}
	return first;
}

/* Runs from stop to stop, exec first, until the program has started or ended. */
static struct error *run_until_started(struct spawned *s)
{
	const struct tracee *t;

	while (!s->ended && (t = find_tracee(s, s->pid)) && t->loading) {
		bool any;
		struct error *err = serve_one(s, 0, &any);

		if (err)
			return err;
		if (!any)
			return error_errno(errno, "waiting for the program");
	}
	return NULL;
}

static struct error *seize(struct spawned *s, const char *name)
{
	long options = PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD;

	if (follows(s))
		options |= PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
	if (ptrace(PTRACE_SEIZE, s->pid, NULL, options))
		return error_errno(errno, "holding '%s' at its start", name);
	tracee_vec_push(&s->tracees, (struct tracee){
		.tid = s->pid, .leader = true, .loading = true });
	return NULL;
}

/* SIGCHLD tells of stops, and comes through a descriptor. */
static struct error *listen_for_stops(struct spawned *s)
{
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &child, &s->mask);
	s->fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->fd < 0 ? error_errno(errno, "listening for what happens to the program") : NULL;
}

static struct error *start(struct spawned *s, char **argv)
{
	int go[2], failure[2], errnum;
	struct error *err;

	if (pipe2(go, O_CLOEXEC) || pipe2(failure, O_CLOEXEC))
		return error_errno(errno, "starting '%s'", argv[0]);
	s->pid = fork();
	if (s->pid < 0)
		return error_errno(errno, "starting '%s'", argv[0]);
	if (!s->pid)
		run_child(s, argv, go, failure[1]);
	close(go[0]);
	close(failure[1]);
	err = seize(s, argv[0]);
	close(go[1]);
	if (!err)
		err = run_until_started(s);
	/* Closed by exec, so there is something to read only when it failed. */
	if (!err && read(failure[0], &errnum, sizeof(errnum)) == sizeof(errnum))
		err = exec_error(argv[0], errnum);
	close(failure[0]);
	return err;
}

struct error *spawn(char **argv, const struct spawn_watcher *watcher, struct spawned **ret)
{
	__cleanup(spawned_destroyp) struct spawned *s = xcalloc(1, sizeof(*s));
	struct error *err;

	s->watcher = *watcher;
	s->fd = -1;
	err = listen_for_stops(s);
	if (!err)
		err = start(s, argv);
	if (err) {
		if (s->pid > 0 && !s->ended) {
			kill(s->pid, SIGKILL);
			waitpid(s->pid, NULL, __WALL);
		}
		return err;
	}
	*ret = steal_ptr(s);
	return NULL;
}

/* Whether threads are left that can be told to stop; those that are gone are forgotten. */
static bool interrupt_all(struct spawned *s)
{
	for (size_t i = s->tracees.len; i-- > 0;)
		if (ptrace(PTRACE_INTERRUPT, s->tracees.data[i].tid, NULL, NULL))
			forget_tracee(s, s->tracees.data[i].tid);
	return s->tracees.len;
}

void spawned_release(struct spawned *s)
{
	bool any = interrupt_all(s);

	s->released = true;
	/* In any order: one that waits for its vfork'ed child stops after that one. */
	while (any && s->tracees.len)
		error_destroy(serve_one(s, 0, &any));
}

void spawned_destroy(struct spawned *s)
{
	if (!s)
		return;
	if (!s->released)
		spawned_release(s);
	if (s->fd >= 0)
		close(s->fd);
	pthread_sigmask(SIG_SETMASK, &s->mask, NULL);
	tracee_vec_deinit(&s->tracees);
	free(s);
}

pid_t spawned_pid(const struct spawned *s)
{
	return s->pid;
}

int spawned_fd(const struct spawned *s)
{
	return s->fd;
}
