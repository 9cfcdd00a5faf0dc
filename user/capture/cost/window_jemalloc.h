/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What window_polls.h promises, of jemalloc's heap (capture/ledger/jemalloc_heap.h). It bears
 * no mark for each block given out: one that took the place of another between two looks is
 * known by its contents, and what threads keep for themselves counts as in use.
 */
#ifndef HEAPSONDE_CAPTURE_COST_WINDOW_JEMALLOC_H
#define HEAPSONDE_CAPTURE_COST_WINDOW_JEMALLOC_H

#include "capture/cost/window_polls_private.h"

bool jemalloc_polls_read_heap(uint32_t pid, struct windows *windows, pthread_mutex_t *lock,
			      struct poll_evidence *evidence, bool first,
			      struct heap_census *ret);
/* False when the process is gone. */
bool jemalloc_polls_look(struct poll *poll, const struct followed *all, size_t count);

#endif
