/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The live heap of a Go program by call path, from outside and unprepared:
 * objects that its allocator hands out are sampled where it takes a new span
 * (bpf/go.bpf.h), and watched until the collector leaves one unmarked.
 *
 *	EV_GO_STACK, EV_GO_ALLOC, EV_GO_LOOK -> go_live -> the model's own records
 *
 * A sample stands for the room of its span, which is not all used when a
 * collection empties the caches; how much is looked up at that moment. And how many
 * objects of each size class were allocated is known exactly, from the runtime's
 * books: each sample gets its share of that, so that the classes' sums are right,
 * and only how they are divided among call paths is an estimate. So samples wait
 * here until their spans are used up or collected; the order of records is kept.
 * What was allocated after a class's last sample is divided in the end as all before
 * was, and not held to be live.
 *
 * Samples are systematic: of call paths that take turns in a fixed order within
 * one size class, some may be seen too often and others too rarely.
 */
#ifndef HEAPSONDE_CAPTURE_GO_LIVE_H
#define HEAPSONDE_CAPTURE_GO_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/events.h"
#include "base/cleanup.h"
#include "capture/go/runtime.h"

struct go_live;
struct model;

/* What the looks at samples, while the world was stopped, cost. */
struct go_sweeps {
	int64_t count, checked, dead;
	int64_t took_ns, longest_ns;
};

/*
 * @go (borrowed) must have been read; what was allocated until then is not
 * counted. @bytes_per_s is the program's pace so far.
 */
struct go_live *go_live_create(const struct go_runtime *go, double bytes_per_s,
			       uint32_t max_depth);
void go_live_destroy(struct go_live *live);
DEFINE_CLEANUP(struct go_live *, go_live_destroy);

/*
 * Takes a record of one of the kinds EV_GO_*. Blocks that are known one by one
 * (exact.h) go to @model at once; samples wait.
 */
void go_live_take(struct go_live *live, struct model *model, const struct ev_header *record,
		  size_t size);

/*
 * An EV_STACK record, @size_ret bytes, of the newest EV_GO_STACK, without the
 * runtime's own frames; NULL if there is none. The caller frees.
 */
struct ev_stack *go_live_next_stack(struct go_live *live, size_t *size_ret);

enum go_settle {
	GO_SETTLE_DUE,		/* what is used up or was collected by now */
	GO_SETTLE_ALL,		/* everything: nothing more will be read */
	GO_SETTLE_ENDED,	/* the same, of a process that has no books any more */
};

/* Feeds @model with samples; except for GO_SETTLE_ENDED, after a go_runtime_read(). */
void go_live_settle(struct go_live *live, struct model *model, enum go_settle which);

const struct go_sweeps *go_live_sweeps(const struct go_live *live);

/* Blocks that were seen born one by one so far. */
int64_t go_live_births(const struct go_live *live);

/* Only @share of the time spans are seen taken: samples stand for the rest as well. */
void go_live_set_share(struct go_live *live, double share);

/* Samples were taken @mean bytes apart. */
void go_live_note_mean(struct go_live *live, uint64_t mean);

/* How fast the program allocates, from its figures at @t_s and those before. */
void go_live_pace(struct go_live *live, const struct runtime_figures *f, double t_s);

/*
 * The mean between samples that the size of the heap and the program's pace
 * call for: a bounded number of samples is alive, so that a look at them takes
 * a bounded time, and a bounded number is taken each second.
 */
uint64_t go_live_mean(const struct go_live *live, const struct runtime_figures *f);

#endif
