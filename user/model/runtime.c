// SPDX-License-Identifier: GPL-2.0-or-later
/* What a runtime's figures mean; see runtime.h. */
#include <stdlib.h>
#include <string.h>

#include "model/runtime.h"

#define HEAP_MINIMUM (4 << 20)	/* of GOGC 100: no collection before */

void runtime_list(const struct runtime_figures *f,
		  struct runtime_figure ret[RUNTIME_FIGURES_COUNT])
{
	const struct runtime_figure all[] = {
#define X(name, type, unit, text) { #name, RUNTIME_##unit, (double)f->name, text },
		RUNTIME_FIGURES(X)
#undef X
	};

	memcpy(ret, all, sizeof(all));
}

static int larger_first(const void *a, const void *b)
{
	const struct runtime_holding *x = a, *y = b;

	return (y->bytes > x->bytes) - (y->bytes < x->bytes);
}

/* Before the first collection nothing tells what is live. */
static int64_t known_live(const struct runtime_figures *f)
{
	if (!f->NumGC)
		return 0;
	return f->HeapMarked < f->HeapAlloc ? f->HeapMarked : f->HeapAlloc;
}

int runtime_holdings(const struct runtime_figures *f, int64_t rss_bytes, int64_t c_heap_bytes,
		     struct runtime_holding ret[RUNTIME_HOLDINGS])
{
	int64_t live = known_live(f), sum = 0;
	const struct runtime_holding all[] = {
		{ "live when the last collection ended", live },
		{ f->NumGC ? "allocated since, or garbage not collected yet" :
			     "allocated; no collection has told yet what of it is live",
		  f->HeapAlloc - live },
		{ "unused room between live objects (fragmentation)", f->HeapInuse - f->HeapAlloc },
		{ "idle, not returned to the system yet", f->HeapIdle - f->HeapReleased },
		{ "goroutines' stacks", f->StackInuse },
		{ "C's heap (cgo): blocks, and what malloc keeps of freed ones", c_heap_bytes },
		{ "the runtime's own", f->Sys - f->HeapSys - f->StackInuse },
	};
	int count = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		sum += all[i].bytes;
		if (all[i].bytes)
			ret[count++] = all[i];
	}
	qsort(ret, (size_t)count, sizeof(*ret), larger_first);
	if (rss_bytes >= sum)
		ret[count++] = (struct runtime_holding){
			"the rest: code and data from files, thread stacks", rss_bytes - sum };
	else
		ret[count++] = (struct runtime_holding){
			"of these, mapped but not resident", sum - rss_bytes };
	return count;
}

#define HEADROOM_MIN (1 << 20)
#define HEADROOM_PERCENT 3

int64_t runtime_limit_goal(const struct runtime_figures *f, int64_t limit_bytes)
{
	int64_t other = f->Sys - f->HeapIdle - f->HeapAlloc;
	int64_t goal = limit_bytes - other;
	int64_t headroom = goal / 100 * HEADROOM_PERCENT;

	return goal - (headroom > HEADROOM_MIN ? headroom : HEADROOM_MIN);
}

int64_t runtime_goal(const struct runtime_figures *f, int64_t gogc)
{
	int64_t minimum = HEAP_MINIMUM * gogc / 100;
	int64_t goal = f->HeapMarked +
		       (f->HeapMarked + f->StackScan + f->GlobalsScan) * gogc / 100;

	return goal > minimum ? goal : minimum;
}
