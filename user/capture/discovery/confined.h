/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Return probes in targets that seccomp confines. Since v6.11 (ff474a78cef5
 * "uprobe: Add uretprobe syscall to speed up return probe") a probed return goes
 * through a system call of its own on x86-64, and until v6.14 (cf6cb56ef244
 * "seccomp: passthrough uretprobe systemcall without filtering", ported back to
 * some) a filter that does not know it ends the target there.
 */
#ifndef HEAPSONDE_CAPTURE_DISCOVERY_CONFINED_H
#define HEAPSONDE_CAPTURE_DISCOVERY_CONFINED_H

#include <stdbool.h>
#include <stdint.h>

struct features;

/* How the system call ended for a child of ours that had no business calling it. */
enum confined_answer {
	ANSWER_UNKNOWN,		/* no child could be had, or it ended in another way */
	ANSWER_MISSING,		/* there is no such system call */
	ANSWER_REACHED,		/* the kernel's code was reached, and took offence */
	ANSWER_FILTERED,	/* the child's own filter answered */
};

/*
 * What follows from the answers to a child without a filter and to one with a
 * filter that denies this system call: whether a confined target lives.
 */
bool confined_passes(enum confined_answer free_child, enum confined_answer confined_child);

/* Asks the running kernel. Takes a millisecond: two processes live and end. */
bool confined_ask_kernel(void);

/*
 * Whether a process may have return probes. @seccomp: its mode now, as
 * /proc/PID/status has it; @may_change: it is at its beginning, where
 * programs confine themselves.
 */
bool confined_allows_returns(const struct features *features, int seccomp, bool may_change);

#endif
