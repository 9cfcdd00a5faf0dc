// SPDX-License-Identifier: GPL-2.0-or-later
/* Targets that seccomp confines; see confined.h. */
#include "capture/discovery/confined.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture/features.h"

#define SYS_URETPROBE 335	/* on x86-64, and nowhere else */
#define OUR_ANSWER E2BIG	/* what nothing else answers */

bool confined_passes(enum confined_answer free_child, enum confined_answer confined_child)
{
	if (free_child == ANSWER_MISSING)
		return true;
	return free_child == ANSWER_REACHED && confined_child == ANSWER_REACHED;
}

bool confined_allows_returns(const struct features *features, int seccomp, bool may_change)
{
	return features->return_passes || (!seccomp && !may_change);
}

#if defined(__x86_64__)

/* Denies the one system call, allows all others. */
static bool confine(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_URETPROBE, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | OUR_ANSWER),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void __attribute__((noreturn)) call_and_end(bool confined)
{
	const struct rlimit none = { 0, 0 };

	/* Being ended by a signal is one of the answers, and nobody's crash. */
	setrlimit(RLIMIT_CORE, &none);
	signal(SIGILL, SIG_DFL);
	if (confined && !confine())
		_exit(0);
	_exit(syscall(SYS_URETPROBE) == -1 ? errno : 0);
}

static enum confined_answer ask_child(bool confined)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		call_and_end(confined);
	if (pid < 0)
		return ANSWER_UNKNOWN;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return ANSWER_UNKNOWN;
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGILL ? ANSWER_REACHED : ANSWER_UNKNOWN;
	switch (WEXITSTATUS(status)) {
	case ENOSYS:
		return ANSWER_MISSING;
	case OUR_ANSWER:
		return ANSWER_FILTERED;
	default:
		return ANSWER_UNKNOWN;
	}
}

bool confined_ask_kernel(void)
{
	enum confined_answer free_child = ask_child(false);

	return confined_passes(free_child, free_child == ANSWER_MISSING ? ANSWER_UNKNOWN
									: ask_child(true));
}

#else

bool confined_ask_kernel(void)
{
	return true;
}

#endif
