/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first signs that memory runs short for the targets, told before anybody
 * is killed for it: the room below the limit shrinks, the cgroup meets its
 * limit or memory.high, its processes wait for memory (PSI). One looks some
 * twenty times a second, so that only the smallest files are read.
 *
 * A sign is told when it is news: of the room when it is an eighth of the limit, or
 * what is used up in two seconds at the present slope, and each time it has halved
 * since; of all else when a second has passed.
 */
#ifndef HEAPSONDE_CAPTURE_LEDGER_DISTRESS_H
#define HEAPSONDE_CAPTURE_LEDGER_DISTRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/ledger/ledger.h"

/* X(sign, words) */
#define DISTRESS_SIGNS(X)						\
	X(DISTRESS_NONE, "none")					\
	X(DISTRESS_ROOM, "little room is left below the memory limit")	\
	X(DISTRESS_LIMIT, "the cgroup met its memory limit")		\
	X(DISTRESS_HIGH, "the cgroup exceeded memory.high")		\
	X(DISTRESS_WAITING, "everybody waited for memory")	\
	X(DISTRESS_VICTIM, "the OOM killer chose a target")

enum distress_sign {
#define X(sign, words) sign,
	DISTRESS_SIGNS(X)
#undef X
	DISTRESS_SIGNS_COUNT
};
const char *distress_sign_words(enum distress_sign sign);

/* A zeroed struct has seen nothing. */
struct distress {
	bool known;			/* there is something to compare with */
	int64_t limit_events, high_events, full_us;	/* of all cgroups, at the last look */
	int64_t alarm_room;		/* below it the next alarm is given; 0: not yet */
	double looked_s, told_s;
	double limit_met_s;		/* when a limit was last met; 0: never */
};

/* What is news at @t_s of the limit and the cgroups of @ledger, which is brought up to date. */
enum distress_sign distress_look(struct distress *distress, struct ledger *ledger, double t_s);

/*
 * Processes that the machine's OOM killer has ended so far, whichever of its
 * memories was short; -1: not told.
 */
int64_t distress_kills(void);

#endif
