/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a trap costs on this machine, measured here and now on code of our own:
 * on virtual machines, under mitigations and from kernel to kernel it differs
 * more than tenfold, so that no table could say it.
 */
#ifndef HEAPSONDE_CAPTURE_COST_PRICE_H
#define HEAPSONDE_CAPTURE_COST_PRICE_H

#include "base/error.h"
#include "capture/attach.h"

/* Nanoseconds of the probed thread's time per hit, with a program that does nothing. */
struct price {
	double emulated_ns;	/* at an instruction that the kernel emulates */
	double stepped_ns;	/* at one that it single-steps */
	double return_ns;	/* of a return probe, on top of its entry's */
};

/* The same of what is attached to the kernel itself. */
struct kernel_price {
	double tracepoint_ns;	/* at a tracepoint */
	double call_ns;		/* of a system call, when somebody listens at the end of all */
	double clock_ns;	/* of the clock that programs are timed by: no part of them */
};

/*
 * Sets probes of its own, for some tens of milliseconds, on functions of
 * heapsonde itself that a thread of its own calls; no target is touched.
 */
struct error *price_measure(enum attach_method method, struct price *ret) __must_check;

/*
 * Before anything of the session is at the end of system calls: takes a millisecond.
 * False where that cannot be tried.
 */
bool price_measure_kernel(struct kernel_price *ret);

#endif
