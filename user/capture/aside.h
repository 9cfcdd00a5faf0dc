/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What must not be cut off half-way when heapsonde is killed.
 *
 * To set or to remove a breakpoint the kernel has to reach a page of the
 * target, which it refuses to somebody who is being killed (the check for
 * fatal_signal_pending() in __get_user_pages()). A link that was half made is
 * then left half made, and the kernel only says "leaking uprobe": the target
 * keeps breakpoints for good. So neither is done by a process that anybody
 * has a reason to kill.
 */
#ifndef HEAPSONDE_CAPTURE_ASIDE_H
#define HEAPSONDE_CAPTURE_ASIDE_H

/*
 * Runs fn(arg) to its end in a process of its own that shares our memory and
 * our descriptors, while this thread waits. If heapsonde is killed meanwhile,
 * that process goes on alone; whatever descriptors are left are closed as it
 * ends. Runs it here if there can be no such process.
 */
void run_aside(void (*fn)(void *arg), void *arg);

#endif
