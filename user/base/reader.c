// SPDX-License-Identifier: GPL-2.0-or-later
/* The steward and its readers; see reader.h. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/format.h"
#include "base/log.h"
#include "base/reader.h"
#include "base/strbuf.h"

#define MEMORY_DEFAULT (1ull << 30)
#define MEMORY_MIN (8ull << 20)
#define CPU_S 60		/* for what a loaded machine does in seconds */
#define SILENCE_MS 30000
#define SILENCE_LEAST_MS 1000
#define NOBODY 65534
#define IOPRIO_WHO_PROCESS 1	/* linux/ioprio.h, which older headers keep to the kernel */

struct start {
	void (*serve)(int socket, int file);
	uint64_t memory_bytes;
	int cpu_s;
	int nice, io_priority;		/* of who asks */
};

static struct {
	pthread_once_t once;
	pthread_mutex_t lock;	/* one start is sent whole */
	int socket;		/* -1: there is no steward */
	pid_t pid, owner;
	bool stay_here;
	atomic_ullong memory_bytes;
	atomic_int silence_ms, cpu_s;
	atomic_llong failures, excesses;
} steward = {
	.once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER, .socket = -1,
	.memory_bytes = MEMORY_DEFAULT, .silence_ms = SILENCE_MS, .cpu_s = CPU_S,
};

/* --- messages with descriptors -------------------------------------------- */

#define START_FDS 2

union fds_message {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(START_FDS * sizeof(int))];
};

static bool send_start(const struct start *start, const int fds[START_FDS])
{
	union fds_message control = { 0 };
	struct iovec iov = { (void *)start, sizeof(*start) };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(START_FDS * sizeof(int));
	memcpy(CMSG_DATA(c), fds, START_FDS * sizeof(int));
	return sendmsg(steward.socket, &message, MSG_NOSIGNAL) == sizeof(*start);
}

static bool receive_start(int socket, struct start *start, int fds[START_FDS])
{
	union fds_message control;
	struct iovec iov = { start, sizeof(*start) };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	const struct cmsghdr *c;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != sizeof(*start))
		return false;
	c = CMSG_FIRSTHDR(&message);
	if (!c || c->cmsg_len != CMSG_LEN(START_FDS * sizeof(int)))
		return false;
	memcpy(fds, CMSG_DATA(c), START_FDS * sizeof(int));
	return true;
}

/* --- giving up ------------------------------------------------------------ */

#if defined(__x86_64__)
#define AUDIT_ARCH_HERE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define AUDIT_ARCH_HERE AUDIT_ARCH_AARCH64
#else
#error "what seccomp calls this machine"
#endif

#define FIELD(member) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define ALLOW(name) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 1), \
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
/* The low half of an argument: all the flags there are. */
#define ALLOW_WITHOUT(name, argument, bits)				\
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 4),		\
	FIELD(args[argument]),						\
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 1, 0),		\
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),			\
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)

/* Memory that is not code, files to be read, the socket, and an end; else EPERM. */
static void filter_calls(void)
{
	struct sock_filter filter[] = {
		FIELD(arch),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_HERE, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		FIELD(nr),
		ALLOW(read), ALLOW(pread64), ALLOW(write), ALLOW(lseek), ALLOW(close),
		ALLOW(sendto), ALLOW(recvfrom), ALLOW(ppoll),
#ifdef __NR_poll
		ALLOW(poll),
#endif
		ALLOW(fstat), ALLOW(newfstatat), ALLOW(readlinkat), ALLOW(fcntl),
#ifdef __NR_readlink
		ALLOW(readlink),
#endif
#ifdef __NR_stat
		ALLOW(stat),
#endif
		ALLOW(brk), ALLOW(munmap), ALLOW(mremap), ALLOW(madvise),
		ALLOW(futex), ALLOW(getpid), ALLOW(gettid), ALLOW(tgkill),
		ALLOW(rt_sigprocmask), ALLOW(rt_sigaction), ALLOW(rt_sigreturn),
		ALLOW(clock_gettime), ALLOW(getrandom), ALLOW(exit), ALLOW(exit_group),
#ifdef __SANITIZE_ADDRESS__
		/* Its runtime looks at the stacks whenever something ends. */
		ALLOW(sigaltstack), ALLOW(sched_yield),
#endif
		ALLOW_WITHOUT(openat, 2, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC),
		ALLOW_WITHOUT(mmap, 2, 4 /* PROT_EXEC */),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	};
	const struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void bound(int resource, uint64_t most)
{
	const struct rlimit limit = { most, most };

	setrlimit(resource, &limit);
}

/* The steward's lot, and so its readers'; each step for itself, as far as it is allowed. */
static void give_up_privileges(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	const struct __user_cap_data_struct none[2] = { 0 };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++)
		prctl(PR_CAPBSET_DROP, capability);
	if (!geteuid()) {
		(void)!setgroups(0, NULL);
		(void)!setresgid(NOBODY, NOBODY, NOBODY);
		(void)!setresuid(NOBODY, NOBODY, NOBODY);
	}
	syscall(SYS_capset, &header, none);
	prctl(PR_SET_DUMPABLE, 0);
	bound(RLIMIT_CORE, 0);
}

#define SOCKET 3
#define SCORE 4

/* Nothing is left open but @socket, which becomes SOCKET, and our oom_score_adj. */
static void close_all_but(int socket)
{
	int null = open("/dev/null", O_RDWR), score = open("/proc/self/oom_score_adj", O_RDWR);

	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	dup2(socket, SOCKET);
	dup2(score, SCORE);
	syscall(SYS_close_range, score < 0 ? SCORE : SCORE + 1, ~0u, 0);
}

/* --- the steward's side --------------------------------------------------- */

static void set_score(const char *text)
{
	(void)!pwrite(SCORE, text, strlen(text), 0);
}

/*
 * Should memory run short, readers go first: such a child has the score that we have at
 * that moment. The steward itself is as any other, for without it nothing more is read.
 * (Nobody needs power to take back what he has raised; a file of /proc that was opened
 * before we gave up being root lets us write still.)
 */
static pid_t fork_victim(void)
{
	char own[16] = "";
	pid_t pid;

	(void)!pread(SCORE, own, sizeof(own) - 1, 0);
	set_score("1000");
	pid = fork();
	if (pid)
		set_score(own);
	return pid;
}

static int served;
static uint64_t memory_here = UINT64_MAX;

static void on_io(int sig)
{
	struct pollfd fd = { .fd = served };

	if (poll(&fd, 1, 0) > 0 && fd.revents & POLLHUP)
		_exit(0);
}

/* Also one that is in a loop without end: nobody waits for its answer any more. */
static void end_when_left(int socket)
{
	struct sigaction action = { .sa_handler = on_io, .sa_flags = SA_RESTART };

	served = socket;
	sigaction(SIGIO, &action, NULL);
	fcntl(socket, F_SETOWN, getpid());
	fcntl(socket, F_SETFL, O_ASYNC);
}

static void __attribute__((noreturn)) read_and_end(const struct start *start, const int fds[])
{
	close(SOCKET);
	close(SCORE);
	/* A sanitizer reserves more addresses than there is memory. */
#ifndef __SANITIZE_ADDRESS__
	bound(RLIMIT_DATA, start->memory_bytes);
	memory_here = start->memory_bytes;
#endif
	bound(RLIMIT_CPU, (uint64_t)start->cpu_s);
	setpriority(PRIO_PROCESS, 0, start->nice);
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, start->io_priority);
	bound(RLIMIT_FSIZE, 0);
	end_when_left(fds[0]);
	filter_calls();
	start->serve(fds[0], fds[1]);
	_exit(0);
}

static void __attribute__((noreturn)) be_steward(int socket)
{
	struct start start;
	int fds[START_FDS];
	sigset_t none;

	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_NAME, "heapsonde-read");
	close_all_but(socket);
	give_up_privileges();
	while (receive_start(SOCKET, &start, fds)) {
		if (!fork_victim())
			read_and_end(&start, fds);
		close(fds[0]);
		close(fds[1]);
	}
	_exit(0);
}

/* --- heapsonde's side ----------------------------------------------------- */

static void end_steward(void)
{
	/* A child that was forked for something else has our handlers too. */
	if (steward.socket < 0 || steward.owner != getpid())
		return;
	close(steward.socket);
	while (waitpid(steward.pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void start_steward(void)
{
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return;
	pid = fork();
	if (!pid)
		be_steward(ends[1]);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return;
	}
	steward.socket = ends[0];
	steward.pid = pid;
	steward.owner = getpid();
	atexit(end_steward);
}

void reader_begin(void)
{
	pthread_once(&steward.once, start_steward);
}

void reader_set_patience(int silence_ms, int cpu_s)
{
	steward.silence_ms = silence_ms;
	steward.cpu_s = cpu_s;
}

void reader_set_memory(uint64_t bytes)
{
	steward.memory_bytes = bytes > MEMORY_MIN ? bytes : MEMORY_MIN;
}

void reader_stay_here(void)
{
	steward.stay_here = true;
}

/* A reader that is a thread. */
struct guest {
	void (*serve)(int socket, int file);
	int socket, file;
};

#define GUESTS_MAX 64

static pthread_t guests[GUESTS_MAX];
static int guests_count;

static void *be_guest(void *arg)
{
	struct guest guest = *(struct guest *)arg;

	free(arg);
	guest.serve(guest.socket, guest.file);
	close(guest.file);
	close(guest.socket);
	return NULL;
}

void reader_await_guests(void)
{
	while (guests_count)
		pthread_join(guests[--guests_count], NULL);
}

static int start_here(void (*serve)(int socket, int file), int file)
{
	struct guest *guest = xmalloc(sizeof(*guest));
	int ends[2];

	if (guests_count == GUESTS_MAX ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		abort();
	*guest = (struct guest){ serve, ends[1], fcntl(file, F_DUPFD_CLOEXEC, 0) };
	if (pthread_create(&guests[guests_count++], NULL, be_guest, guest))
		abort();
	return ends[0];
}

int reader_start(void (*serve)(int socket, int file), int file)
{
	return reader_start_large(serve, file, 0);
}

int reader_start_large(void (*serve)(int socket, int file), int file, uint64_t memory_bytes)
{
	const struct start start = {
		serve, memory_bytes > steward.memory_bytes ? memory_bytes : steward.memory_bytes,
		steward.cpu_s, getpriority(PRIO_PROCESS, 0),
		(int)syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0),
	};
	int ends[2], fds[START_FDS];
	bool sent;

	if (steward.stay_here)
		return start_here(serve, file);
	reader_begin();
	if (steward.socket < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return -1;
	fds[0] = ends[1];
	fds[1] = file;
	pthread_mutex_lock(&steward.lock);
	sent = send_start(&start, fds);
	pthread_mutex_unlock(&steward.lock);
	close(ends[1]);
	if (sent)
		return ends[0];
	close(ends[0]);
	return -1;
}

bool reader_send(int socket, const void *data, size_t len)
{
	const char *at = data;

	while (len) {
		ssize_t n = send(socket, at, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

int reader_patience_ms(void)
{
	long long failures = steward.failures;
	int silence_ms = steward.silence_ms;

	for (; failures > 0 && silence_ms > SILENCE_LEAST_MS; failures--)
		silence_ms = silence_ms / 2 > SILENCE_LEAST_MS ? silence_ms / 2 : SILENCE_LEAST_MS;
	return silence_ms;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Whether something comes until then. */
static bool is_heard(int socket, int64_t until_ms)
{
	struct pollfd fd = { .fd = socket, .events = POLLIN };
	int64_t left_ms;
	int ret;

	do {
		left_ms = until_ms - now_ms();
		ret = poll(&fd, 1, left_ms > 0 ? (int)left_ms : 0);
	} while (ret < 0 && errno == EINTR);
	return ret > 0;
}

bool reader_receive(int socket, void *data, size_t len)
{
	int64_t until_ms = now_ms() + reader_patience_ms();
	char *at = data;

	while (len) {
		ssize_t n = steward.socket < 0 || is_heard(socket, until_ms) ?
			    recv(socket, at, len, 0) : 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

uint64_t reader_memory(void)
{
	return memory_here;
}

int64_t reader_failures(void)
{
	return steward.failures + steward.excesses;
}

void reader_note_excess(const char *path, const char *what)
{
	struct strbuf name __cleanup_strbuf = { 0 };

	steward.excesses++;
	format_escaped(&name, path);
	log_warn("%s: it has more %s than there is room for: what has none is left out",
		 strbuf_str(&name), what);
}

void reader_note_failure(const char *path, const char *what)
{
	struct strbuf name __cleanup_strbuf = { 0 };

	steward.failures++;
	format_escaped(&name, path);
	log_warn("%s: whoever reads its %s crashed, or took too long or too much: they are left"
		 " out", strbuf_str(&name), what);
}
