/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blocks of a Go heap that are known one by one (bpf/go_exact.bpf.h), by the
 * spans that they lie in: a swept span is told whole, and what was alive in it
 * before and is not any more has died.
 */
#ifndef HEAPSONDE_CAPTURE_GO_EXACT_H
#define HEAPSONDE_CAPTURE_GO_EXACT_H

#include <stdint.h>

#include "bpf/events.h"
#include "base/vec.h"
#include "model/map64.h"

struct model;

struct go_span {
	uint64_t start, size;				/* size: of its blocks */
	uint64_t live[GO_SPAN_OBJECTS / 64];		/* those that were seen born */
};

DEFINE_VEC(go_span_vec, struct go_span);

/* Zeroed at first. */
struct go_exact {
	struct go_span_vec spans;
	struct map64 by_start;		/* index of spans + 1 */
};

void go_exact_deinit(struct go_exact *exact);

/* Feed @model. @stack_id: as the model is to have it. */
void go_exact_born(struct go_exact *exact, struct model *model, const struct ev_go_alloc *ev,
		   uint64_t stack_id);
void go_exact_swept(struct go_exact *exact, struct model *model, const struct ev_go_swept *ev,
		    size_t record_size);

#endif
