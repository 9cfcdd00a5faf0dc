// SPDX-License-Identifier: GPL-2.0-or-later
/* What a process that works aside has to say before its end. */
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/test.h"
#include "capture/aside.h"

#define LOOKS 2000		/* of a millisecond */

/* In memory that both see. */
struct talk {
	int fd;
	pid_t by;
	volatile int heard, heard_in_time, ended;
};

static void say_and_wait(void *arg)
{
	const struct timespec look = { 0, 1000000 };
	struct talk *talk = arg;

	talk->by = getpid();
	eventfd_write(talk->fd, 1);
	for (int i = 0; i < LOOKS && !talk->heard; i++)
		nanosleep(&look, NULL);
	talk->heard_in_time = talk->heard;
	talk->ended = 1;
}

static void hear(void *arg)
{
	struct talk *talk = arg;

	check(!talk->ended);
	talk->heard++;
}

TEST(a_word_is_heard_once_while_work_goes_on)
{
	struct talk *talk __cleanup_aside = aside_alloc(1, sizeof(*talk));

	talk->fd = eventfd(0, EFD_CLOEXEC);
	run_aside_hearing(say_and_wait, talk, (struct aside_word){ talk->fd, hear, talk });
	check(talk->by != getpid());
	check(talk->ended && talk->heard_in_time);
	check_int(talk->heard, 1);
	close(talk->fd);
}

static void say_nothing(void *arg)
{
	((struct talk *)arg)->ended = 1;
}

TEST(nothing_is_heard_of_who_says_nothing)
{
	struct talk *talk __cleanup_aside = aside_alloc(1, sizeof(*talk));

	talk->fd = eventfd(0, EFD_CLOEXEC);
	run_aside_hearing(say_nothing, talk, (struct aside_word){ talk->fd, hear, talk });
	check(talk->ended && !talk->heard);
	close(talk->fd);
}
