// SPDX-License-Identifier: GPL-2.0-or-later
/* Starting the program to be watched; see spawn.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

#include "capture/spawn.h"

#define SYSCALL_STOP (SIGTRAP | 0x80)	/* PTRACE_O_TRACESYSGOOD */

/* Never returns. Waits until it is traced; tells why exec failed, if it does. */
static void __attribute__((noreturn)) run_child(char **argv, const int go[2], int failure)
{
	char c;
	int errnum;

	/* The parent closes its end when it has hold of us. */
	close(go[1]);
	while (read(go[0], &c, 1) < 0 && errno == EINTR)
		;
	signal(SIGPIPE, SIG_DFL);
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

static int wait_for(pid_t pid, int *status)
{
	pid_t ret;

	do {
		ret = waitpid(pid, status, __WALL);
	} while (ret < 0 && errno == EINTR);
	return ret == pid ? 0 : -errno;
}

/* What a stop at a system call means. */
struct syscall_stop {
	bool mapped;		/* one has returned that mapped something executable */
	bool entered;		/* one is about to be made, at ip */
	uint64_t ip;
};

/* @mapping: kept between stops, whether the call that was entered would map code. */
static struct syscall_stop syscall_stop(pid_t pid, bool *mapping)
{
	struct ptrace_syscall_info info = { 0 };
	struct syscall_stop stop = { 0 };

	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) <= 0)
		return stop;
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
		*mapping = info.entry.nr == SYS_mmap && (info.entry.args[2] & PROT_EXEC);
		stop.entered = true;
		stop.ip = info.instruction_pointer;
	} else if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
		stop.mapped = *mapping && !info.exit.is_error;
	}
	return stop;
}

/* Signals of the program's own are passed on; stops of ptrace's making are not. */
static int signal_to_pass(int status)
{
	int sig = WSTOPSIG(status);

	return status >> 16 || sig == SYSCALL_STOP ? 0 : sig;
}

static bool has_ended(const siginfo_t *info)
{
	return info->si_code == CLD_EXITED || info->si_code == CLD_KILLED ||
	       info->si_code == CLD_DUMPED;
}

/* Tells @watcher what the stop means; *@free_ret: let the program go. */
static struct error *on_stop(pid_t pid, int status, const struct spawn_watcher *watcher,
			     bool *mapping, bool *free_ret)
{
	struct syscall_stop stop;

	*free_ret = false;
	if (status >> 8 == (SIGTRAP | (PTRACE_EVENT_EXEC << 8)))
		return watcher->mapped(pid, watcher->arg);
	if (WSTOPSIG(status) != SYSCALL_STOP)
		return NULL;
	stop = syscall_stop(pid, mapping);
	if (stop.mapped)
		return watcher->mapped(pid, watcher->arg);
	if (stop.entered)
		*free_ret = watcher->started(pid, stop.ip, watcher->arg);
	return NULL;
}

/*
 * Runs from stop to stop, exec first, until the program has started or ended
 * by itself (its status is left for whoever waits for it next).
 */
static struct error *run_until_started(pid_t pid, const struct spawn_watcher *watcher)
{
	bool mapping = false, started;
	siginfo_t info;
	int status;

	for (;;) {
		struct error *err;

		if (waitid(P_PID, pid, &info, WEXITED | WSTOPPED | WNOWAIT | __WALL) < 0) {
			if (errno == EINTR)
				continue;
			return error_errno(errno, "waiting for the program");
		}
		if (has_ended(&info))
			return NULL;
		if (wait_for(pid, &status))
			return error_errno(errno, "waiting for the program");
		err = on_stop(pid, status, watcher, &mapping, &started);
		if (err)
			return err;
		if (started) {
			ptrace(PTRACE_DETACH, pid, NULL, signal_to_pass(status));
			return NULL;
		}
		ptrace(PTRACE_SYSCALL, pid, NULL, signal_to_pass(status));
	}
}

struct error *spawn(char **argv, const struct spawn_watcher *watcher, pid_t *pid_ret)
{
	int go[2], failure[2], errnum, status;
	struct error *err = NULL;
	pid_t pid;

	if (pipe2(go, O_CLOEXEC) || pipe2(failure, O_CLOEXEC))
		return error_errno(errno, "starting '%s'", argv[0]);
	pid = fork();
	if (pid < 0)
		return error_errno(errno, "starting '%s'", argv[0]);
	if (!pid)
		run_child(argv, go, failure[1]);
	close(go[0]);
	close(failure[1]);
	if (ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD))
		err = error_errno(errno, "holding '%s' at its start", argv[0]);
	close(go[1]);
	if (!err)
		err = run_until_started(pid, watcher);
	/* Closed by exec, so there is something to read only when it failed. */
	if (!err && read(failure[0], &errnum, sizeof(errnum)) == sizeof(errnum))
		err = exec_error(argv[0], errnum);
	close(failure[0]);
	if (err) {
		kill(pid, SIGKILL);
		wait_for(pid, &status);
		return err;
	}
	*pid_ret = pid;
	return NULL;
}
