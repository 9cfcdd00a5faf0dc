/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What watching a process would come to, before anything is touched: the
 * probes' price, what its stacks will be like, what could do harm or mislead and
 * what will be done about each. Told by doctor, as text and as JSON.
 */
#ifndef HEAPSONDE_CMD_PREFLIGHT_H
#define HEAPSONDE_CMD_PREFLIGHT_H

#include <stddef.h>
#include <stdint.h>

#include "base/vec.h"
#include "capture/discovery/discovery.h"
#include "capture/cost/price.h"
#include "symbol/symbolizer.h"

/*
 * X(kind, name): what a hazard is about. Names are stable, for scripts.
 */
#define HAZARDS(X)							\
	X(HAZARD_STEPPED,    "single_stepped")				\
	X(HAZARD_THROWS,     "may_throw")				\
	X(HAZARD_PASSES_ON,  "passes_on")				\
	X(HAZARD_SECCOMP,    "seccomp")					\
	X(HAZARD_GO,	     "go")					\
	X(HAZARD_FRAMES,     "no_call_frames")				\
	X(HAZARD_DELETED,    "deleted_file")				\
	X(HAZARD_NAMESPACES, "namespaces")

enum hazard_kind {
#define X(kind, name) kind,
	HAZARDS(X)
#undef X
};

struct hazard {
	enum hazard_kind kind;
	char *text;	/* what, and what will be done; owned */
};

DEFINE_VEC(hazard_vec, struct hazard);

struct preflight {
	size_t emulated, stepped;	/* probes by their price */
	size_t returns, exits;		/* functions with return probes, with probed exits */
	size_t awaited_frees;		/* frees that may pass on to another */
	double pair_ns;			/* the traps of one allocation and its free; < 0: unknown */
	size_t frames, no_frames;	/* objects by whether they tell how stacks are laid out */
	struct hazard_vec hazards;
};

/* @seccomp: the process's mode. @price: NULL if it could not be measured. */
void preflight_init(struct preflight *p, uint32_t pid, const struct probe_plan *plan,
		    const struct address_space *names, int seccomp, const struct price *price);
void preflight_deinit(struct preflight *p);

const char *hazard_name(enum hazard_kind kind);

#endif
