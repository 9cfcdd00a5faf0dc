// SPDX-License-Identifier: GPL-2.0-or-later
/* The progress line: on a terminal, after a second, and gone at the end. */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/progress.h"
#include "tests/unit/test.h"

/* Runs a minute's work, with stderr on @fd. */
static void work(int fd)
{
	int kept = dup(STDERR_FILENO);
	struct progress progress;

	dup2(fd, STDERR_FILENO);
	progress_begin(&progress, "testing");
	progress_update(&progress, 1, 300);
	progress.start_ns -= 60000000000ull;
	progress_update(&progress, 120, 300);
	progress_update(&progress, 121, 300);
	progress_end(&progress);
	dup2(kept, STDERR_FILENO);
	close(kept);
}

static size_t read_what_is_there(int fd, char *ret, size_t size)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t len = 0;

	while (len < size - 1 && poll(&p, 1, 100) > 0 && p.revents & POLLIN) {
		ssize_t n = read(fd, ret + len, size - 1 - len);

		if (n <= 0)
			break;
		len += n;
	}
	ret[len] = '\0';
	return len;
}

static int open_terminal(int *slave_ret)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);

	if (master < 0 || grantpt(master) || unlockpt(master))
		test_skip("no pseudo-terminal");
	*slave_ret = open(ptsname(master), O_RDWR | O_NOCTTY);
	check(*slave_ret >= 0);
	return master;
}

TEST(a_terminal_sees_it_and_then_no_more)
{
	int slave, master = open_terminal(&slave);
	char text[256];

	work(slave);
	read_what_is_there(master, text, sizeof(text));
	check_str(text, "\r\033[Kheapsonde: testing: 120 of 300\r\033[K");
}

/* It has a line of its own, whatever the progress line had come to. */
TEST(a_message_in_between)
{
	int slave, master = open_terminal(&slave), kept = dup(STDERR_FILENO);
	struct progress progress;
	char text[256];

	dup2(slave, STDERR_FILENO);
	progress_begin(&progress, "testing");
	progress.start_ns -= 60000000000ull;
	progress_update(&progress, 120, 300);
	log_warn("one");
	log_warn("two");
	progress_end(&progress);
	dup2(kept, STDERR_FILENO);
	close(kept);
	read_what_is_there(master, text, sizeof(text));
	check_str(text, "\r\033[Kheapsonde: testing: 120 of 300\r\033[K"
			"heapsonde: warning: one\r\nheapsonde: warning: two\r\n\r\033[K");
}

TEST(quiet_is_quiet)
{
	int slave, master = open_terminal(&slave);
	char text[256];

	log_set_quiet(true);
	work(slave);
	log_set_quiet(false);
	check_int(read_what_is_there(master, text, sizeof(text)), 0);
}

TEST(a_pipe_sees_nothing)
{
	char text[256];
	int fds[2];

	check(!pipe(fds));
	work(fds[1]);
	check_int(read_what_is_there(fds[0], text, sizeof(text)), 0);
}
