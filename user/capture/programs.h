/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which of the skeleton's programs a kernel gets. There is a set for each way
 * to attach, with preemption switched off or, on kernels that cannot, without.
 */
#ifndef HEAPSONDE_CAPTURE_PROGRAMS_H
#define HEAPSONDE_CAPTURE_PROGRAMS_H

#include "capture/attach.h"

struct heapsonde_bpf;

/*
 * Before loading: nothing but the chosen programs will be loaded, and @ret
 * names them. @guarded is features.preempt_guard; a session needs it. @reports: what
 * programs tell by themselves may be watched; the program for it costs a
 * third of all loading.
 */
void programs_choose(struct heapsonde_bpf *skel, enum attach_method method, bool guarded,
		     bool reports, struct attach_programs *ret);

#endif
