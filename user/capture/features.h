/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the running kernel offers. Every feature is tried, never concluded
 * from a version; distributions port things back and switch things off.
 */
#ifndef HEAPSONDE_CAPTURE_FEATURES_H
#define HEAPSONDE_CAPTURE_FEATURES_H

#include <stdbool.h>

#include "base/error.h"

/* X(member, name, without it) */
#define FEATURES(X)							\
	X(btf, "kernel types (BTF)",					\
	  "heapsonde cannot run: kernel built without CONFIG_DEBUG_INFO_BTF") \
	X(uprobe_multi, "uprobe_multi links (6.6)",			\
	  "single uprobes: attach and detach take seconds")		\
	X(uprobe_session, "uprobe session (6.13)",			\
	  "separate entry and return probes: nested calls trap twice")	\
	X(preempt_guard, "bpf_preempt_disable (6.10)",			\
	  "programs rely on task storage alone")

struct features {
#define X(member, name, without) bool member;
	FEATURES(X)
#undef X
};

/* Fails only when nothing can be tried: no permission, no bpf(2). */
struct error *features_detect(struct features *ret) __must_check;

#endif
