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
 * What few targets have. The kernel proves a program for as long as all else takes at an
 * attach: those that would find nothing to do are left out.
 */
enum source {
	SOURCE_REPORTS = 0x1,	/* what programs tell by themselves */
	SOURCE_GO = 0x2,	/* Go's allocator */
	SOURCE_FOCUS = 0x4,	/* calls that are focused on, at their own instructions */
	SOURCE_LARGE = 0x8,	/* malloc's large requests, between windows */
	SOURCES_ALL = 0xf,
};

/*
 * Before loading: nothing but the chosen programs will be loaded, and @ret
 * names them. @guarded is features.preempt_guard; a session needs it. @sources:
 * what there may be, enum source.
 */
void programs_choose(struct heapsonde_bpf *skel, enum attach_method method, bool guarded,
		     unsigned int sources, struct attach_programs *ret);

/* The program of PROBE_FOCUS_END, which is loaded with SOURCE_FOCUS. */
struct bpf_program *programs_behind_calls(struct heapsonde_bpf *skel, bool guarded);
/* That of PROBE_LARGE, which is loaded with SOURCE_LARGE. */
struct bpf_program *programs_large(struct heapsonde_bpf *skel, bool guarded);

/* The ways to see what targets ask of the kernel, the best first. */
enum call_source { CALLS_AT_FUNCTIONS, CALLS_AT_TRACEPOINT, CALLS_AT_LIBRARY };

struct features;

/* At most one program for each call, one for page faults, at two places, two for reclaim. */
#define GROWTH_PROGRAMS_MAX 12

struct growth_program {
	struct bpf_program *program;
	const char *tracepoint;		/* NULL: where its section says */
};

struct growth_programs {
	enum call_source calls;
	struct growth_program programs[GROWTH_PROGRAMS_MAX];
	size_t count;
};

/*
 * After programs_choose(), before loading: the kernel's ledger, by what there
 * is in @features; none at all if it is NULL.
 */
void programs_choose_growth(struct heapsonde_bpf *skel, const struct features *features,
			    struct growth_programs *ret);

#endif
