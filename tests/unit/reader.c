// SPDX-License-Identifier: GPL-2.0-or-later
/* What confined readers can do, what they cannot, and what becomes of us when they fail. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/reader.h"
#include "tests/unit/test.h"

static int open_self(void)
{
	return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
}

/* What @serve answers with one number; -1: with silence. */
static int ask(void (*serve)(int socket, int file))
{
	int file __cleanup_close = open_self();
	int socket __cleanup_close = reader_start(serve, file);
	int answer;

	check(socket >= 0);
	return reader_receive(socket, &answer, sizeof(answer)) ? answer : -1;
}

static void tell(int socket, int answer)
{
	reader_send(socket, &answer, sizeof(answer));
}

static void read_file(int socket, int file)
{
	char magic[4] = "";

	tell(socket, pread(file, magic, 4, 0) == 4 && !memcmp(magic, "\177ELF", 4));
}

static void crash(int socket, int file)
{
	raise(SIGSEGV);
}

static void abort_it(int socket, int file)
{
	abort();
}

static bool connects(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) >= 0;
}

/* How many of the things that it must not be able to do it could do. */
static void misbehave(int socket, int file)
{
	int could = 0;

	could += open("/tmp", O_RDWR | O_TMPFILE, 0600) >= 0;
	could += open("/dev/null", O_WRONLY) >= 0;
	could += open("/etc/shadow", O_RDONLY) >= 0;
	could += connects();
	could += mkdir("/tmp/heapsonde-reader", 0700) == 0;
	could += unlink("/tmp/heapsonde-reader") == 0;
	could += kill(getppid(), 0) == 0;
	could += mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
		 MAP_FAILED;
	could += fork() >= 0;
	could += execl("/bin/true", "true", NULL) == 0;
	tell(socket, could);
}

static void give_half(int socket, int file)
{
	reader_send(socket, "ab", 2);
}

/* What "/proc/@pid/@name" holds, behind @before. */
static int number_in(int pid, const char *name, const char *before)
{
	char path[64], text[4096] = "";
	int fd __cleanup_close = -1;
	const char *at;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	check(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	at = strstr(text, before);
	check(at);
	return atoi(at + strlen(before));
}

static int score_of(int pid)
{
	return number_in(pid, "oom_score_adj", "");
}

static void tell_who(int socket, int file)
{
	char c;

	tell(socket, getpid());
	reader_receive(socket, &c, 1);
}

static void tell_files(int socket, int file)
{
	int count = 0;

	for (int fd = 0; fd < 1000; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	tell(socket, count);
}

/* An OOM killer takes a reader before anybody else, and the steward no sooner than us. */
TEST(is_a_victim_and_the_steward_is_not)
{
	for (int i = 0; i < 3; i++) {
		int file __cleanup_close = open_self(), pid;
		int socket __cleanup_close = reader_start(tell_who, file);

		check(reader_receive(socket, &pid, sizeof(pid)));
		check_int(score_of(pid), 1000);
		check_int(score_of(number_in(pid, "status", "PPid:")), score_of(getpid()));
	}
}

/* Three of nothing, the socket and the file. */
TEST(has_no_other_files)
{
	check_int(ask(tell_files), 5);
}

TEST(reads_its_file)
{
	check_int(ask(read_file), 1);
}

TEST(does_nothing_else)
{
	check_int(ask(misbehave), 0);
}

TEST(crashes_alone)
{
	check_int(ask(crash), -1);
	check_int(ask(abort_it), -1);
	check_int(ask(give_half), -1);
	check_int(ask(read_file), 1);
}

#ifndef __SANITIZE_ADDRESS__
#define GREED (64ul << 20)

static void want_memory(int socket, int file)
{
	char *memory = malloc(GREED);

	if (memory)
		memset(memory, 1, GREED);
	tell(socket, memory != NULL);
}

TEST(gets_no_more_memory_than_it_may)
{
	reader_set_memory(GREED / 2);
	check_int(ask(want_memory), 0);
	reader_set_memory(4 * GREED);
	check_int(ask(want_memory), 1);
}
#endif

/* --- hanging ones --- */

static void loop_without_end(int socket, int file)
{
	int pid = getpid();

	tell(socket, pid);
	for (;;)
		__asm__ volatile("" ::: "memory");
}

/* Also where it does not hear that it was left. */
static void loop_deaf(int socket, int file)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	loop_without_end(socket, file);
}

static bool is_gone(int pid)
{
	for (int i = 0; i < 1000; i++) {
		if (kill(pid, 0) && errno == ESRCH)
			return true;
		usleep(10000);
	}
	return false;
}

static void check_hang(void (*serve)(int socket, int file))
{
	int file __cleanup_close = open_self();
	int socket = reader_start(serve, file), pid, more;

	check(reader_receive(socket, &pid, sizeof(pid)));
	check(!reader_receive(socket, &more, sizeof(more)));
	close(socket);
	check(is_gone(pid));
	check_int(ask(read_file), 1);
}

TEST(hangs_alone)
{
	reader_set_patience(100, 600);
	check_hang(loop_without_end);
	reader_set_patience(100, 1);
	check_hang(loop_deaf);
	reader_set_patience(30000, 60);
}

/* --- as nice as we are --- */

TEST(is_as_nice_as_who_asks)
{
	int file __cleanup_close = open_self(), pid;
	int socket __cleanup_close = -1;

	check(!setpriority(PRIO_PROCESS, 0, 3));
	check(!syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 6));
	socket = reader_start(tell_who, file);
	check(reader_receive(socket, &pid, sizeof(pid)));
	check_int(getpriority(PRIO_PROCESS, (id_t)pid), 3);
	check_int(syscall(SYS_ioprio_get, 1, pid), 2 << 13 | 6);
}

/* The second of many that hang is waited for half as long, the last for a second. */
TEST(patience_ends)
{
	reader_set_patience(30000, 60);
	check_int(reader_patience_ms(), 30000);
	reader_note_failure("one", "tables");
	check_int(reader_patience_ms(), 15000);
	for (int i = 0; i < 100; i++)
		reader_note_failure("another", "tables");
	check_int(reader_patience_ms(), 1000);
	reader_set_patience(100, 60);
	check_int(reader_patience_ms(), 100);
}

TEST(failures_are_counted)
{
	int64_t before = reader_failures();

	reader_note_failure("a\033[31mfile", "tables");
	check_int(reader_failures(), before + 1);
}
