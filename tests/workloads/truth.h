/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A workload's own word on its call stacks: what libgcc's unwinder finds right
 * after an allocation, at the same call site, so that a test can compare a
 * profiler's stacks frame by frame. Protocol as in books.h; the line of JSON
 * is {"stacks": [{"site": FUNCTION, "pcs": [HEX...]}...]}, leaf first.
 *
 * pcs[0] lies in the site, some bytes behind the allocator's return address;
 * all others are return addresses exactly. Of a frame that a signal
 * interrupted it is the pc plus one, so that subtracting one leads into the
 * right instruction for every frame.
 *
 * The unwinder reads the same .eh_frame as the profiler does, but with code
 * that is not ours and none of the profiler's shortcuts.
 */
#ifndef HEAPSONDE_TESTS_TRUTH_H
#define HEAPSONDE_TESTS_TRUTH_H

#include <stdint.h>
#include <unwind.h>

#include "books.h"

#define TRUTH_FRAMES 600
#ifndef TRUTH_STACKS
#define TRUTH_STACKS 96
#endif

struct truth {
	char site[32];		/* a copy: a library takes its strings along */
	int count;
	uintptr_t pcs[TRUTH_FRAMES];
};

static struct truth truths[TRUTH_STACKS];
static int truths_count;

/* Where allocations are kept, so that no compiler leaves them out. */
static void *volatile truth_kept;

static _Unwind_Reason_Code truth_frame(struct _Unwind_Context *context, void *arg)
{
	struct truth *truth = (struct truth *)arg;
	int before = 0;
	uintptr_t pc = _Unwind_GetIPInfo(context, &before);

	/* Beyond the outermost frame comes one more call, without a pc. */
	if (pc && truth->count < TRUTH_FRAMES)
		truth->pcs[truth->count++] = pc + (before ? 1 : 0);
	return _URC_NO_REASON;
}

/* Called by the site itself: the frame of truth_note() is left out again. */
SITE void truth_note(const char *site)
{
	struct truth *truth = &truths[truths_count++];

	if (truths_count > TRUTH_STACKS)
		abort();
	snprintf(truth->site, sizeof(truth->site), "%s", site);
	truth->count = 0;
	_Unwind_Backtrace(truth_frame, truth);
	truth->count--;
	memmove(truth->pcs, truth->pcs + 1, truth->count * sizeof(truth->pcs[0]));
}

/* Keeps the enclosing function's frame: no call before this is a tail call. */
#define KEEP_FRAME() __asm__ volatile("" ::: "memory")

/* Makes a variable look used. */
#define TOUCH(p) __asm__ volatile("" : : "r"(p) : "memory")

/* Allocates from the function in which it stands. */
#define ALLOCATE_HERE(n)						\
	do {								\
		truth_kept = malloc(n);					\
		truth_note(__func__);					\
		KEEP_FRAME();						\
	} while (0)

/* What the unwinder sets up at its first use must not be among the stacks. */
static inline void truth_begin(void)
{
	truth_note("");
	truths_count = 0;
	books_ready();
}

static inline void truth_end(void)
{
	const char *separator = "";

	books_say("{\"stacks\":[");
	for (const struct truth *t = truths; t < truths + truths_count; t++) {
		books_say("%s{\"site\":\"%s\",\"pcs\":[", separator, t->site);
		for (int i = 0; i < t->count; i++)
			books_say("%s\"%#lx\"", i ? "," : "", (unsigned long)t->pcs[i]);
		books_say("]}");
		separator = ",";
	}
	books_say("]}\n");
	books_send();
	books_wait();
}

#endif
