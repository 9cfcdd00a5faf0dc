/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What window_polls.h promises, of musl's heap (capture/ledger/musl_heap.h). */
#ifndef HEAPSONDE_CAPTURE_COST_WINDOW_MUSL_H
#define HEAPSONDE_CAPTURE_COST_WINDOW_MUSL_H

#include "capture/cost/window_polls_private.h"

bool musl_polls_read_heap(uint32_t pid, struct windows *windows, pthread_mutex_t *lock,
			  struct poll_evidence *evidence, bool first, struct heap_census *ret);
/* False when the process is gone, or its heap cannot be read. */
bool musl_polls_look(struct poll *poll, const struct followed *all, size_t count);

#endif
