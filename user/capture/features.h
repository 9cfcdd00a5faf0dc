/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the running kernel offers. Every feature is tried, never concluded
 * from a version; distributions port things back and switch things off.
 */
#ifndef HEAPSONDE_CAPTURE_FEATURES_H
#define HEAPSONDE_CAPTURE_FEATURES_H

#include <stdbool.h>

#include "base/error.h"

/* X(member, name, without it); of the last ones the first that is there is used. */
#define FEATURES(X)							\
	X(btf, "kernel types (BTF)",					\
	  "heapsonde cannot run: kernel built without CONFIG_DEBUG_INFO_BTF") \
	X(task_storage, "task storage (5.13)",		\
	  "heapsonde cannot run: nowhere to keep a thread's state")	\
	X(attach_cookie, "attach cookies (5.15)",		\
	  "heapsonde cannot run: a probe does not know its function")	\
	X(uprobe_multi, "uprobe_multi links (6.6)",			\
	  "single uprobes: attach and detach take seconds")		\
	X(uprobe_session, "uprobe session (6.13)",			\
	  "separate entry and return probes: nested calls trap twice")	\
	X(oom_victim, "oom:mark_victim with its task (6.9)",		\
	  "that the OOM killer ended a target is concluded from counters") \
	X(preempt_guard, "bpf_preempt_disable (6.10)",			\
	  "programs rely on task storage alone, and walk stacks without bpf_loop()") \
	X(call_functions, "system calls at their own functions (5.5)",	\
	  "who maps and gives back is seen at the end of every system call") \
	X(call_tracepoint, "tracepoint of system calls",		\
	  "the same by the C library's functions only")			\
	X(fault_tracepoints, "tracepoints of page faults",		\
	  "who touched resident memory is not seen")			\
	X(reclaim_tracepoints, "tracepoints of reclaim",		\
	  "direct reclaim and reclaim within the cgroup are not seen") \
	X(return_passes, "return probes under seccomp",			\
	  "6.11 to 6.13 end a confined target there: return instructions are probed")

/*
 * X(member, refused, what there is, and why that matters): what makes a kernel or host
 * dangerous to watch on, or to be watched on. Where @refused, nothing is attached.
 */
#define HOST_HAZARDS(X)							\
	X(private_stacks, true,						\
	  "this kernel gives probes' programs one stack a processor (6.13 and newer) and "	\
	  "lets them interrupt each other there: it may panic under load, use one with "	\
	  "bpf_preempt_disable()")					\
	X(no_storage, true,						\
	  "this kernel finds no memory for a thread's state, as 6.19 and newer do on "	\
	  "processors without CMPXCHG16B: use an older one, or let a virtual machine have it") \
	X(lockdown, true,						\
	  "this kernel is locked down for confidentiality, programs may read no memory "	\
	  "and would see nothing: boot it with lockdown=integrity or without")	\
	X(panic_on_warn, false,						\
	  "kernel.panic_on_warn is set: what other kernels would only note in their log, "	\
	  "about probes too, ends this machine")

struct features {
#define X(member, name, without) bool member;
	FEATURES(X)
#undef X
	struct {
#define X(member, refused, why) bool member;
		HOST_HAZARDS(X)
#undef X
	} hazards;
};

/*
 * Fails only when nothing can be tried: no permission, no bpf(2). Members, hazards too, named
 * in the environment's HEAPSONDE_WITHOUT (commas between) are taken for absent:
 * so every fallback can be had, and tested, on a newer kernel.
 */
struct error *features_detect(struct features *ret) __must_check;

/* An error if something is missing that there is no fallback for, or a hazard is there. */
struct error *features_check(const struct features *features) __must_check;

#endif
