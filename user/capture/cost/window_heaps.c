// SPDX-License-Identifier: GPL-2.0-or-later
/* A table of heaps; see window_heaps.h. */
#include <string.h>

#include "capture/cost/choice.h"
#include "capture/cost/window_heaps.h"
#include "capture/ledger/jemalloc_heap.h"
#include "capture/ledger/musl_heap.h"

/* Of those that a process has, the last one stands in front of the others. */
static const struct window_heap heaps[] = {
	{ "glibc", POLL_GLIBC, window_chunk_bytes,
	  "its chunk's head, and a walk through the heap: the total is read" },
	{ "musl", POLL_MUSL, musl_slot_bytes,
	  "its slot's head, and a count of the heap: the total is read" },
	{ "jemalloc", POLL_JEMALLOC, jemalloc_block_bytes,
	  "its slab's bits and its contents, and a count of the heap: what threads' caches "
	  "hold is in the total" },
	{ "", POLL_ANY, window_chunk_bytes, "its contents alone: the total is too high" },
};

/* By a name of its own it stands beside the C library's, and blocks may be of either. */
static bool has_own_name(const struct object_plan *object)
{
	vec_for_each(probe, &object->probes)
		if (probe->function->group == GROUP_MALLOC &&
		    !strcmp(probe->symbol.name, probe->function->symbol))
			return false;
	return true;
}

const struct window_heap *window_heap_of(const struct object_plan *object)
{
	const char *name = object->allocator ?: "";
	size_t i = 0;

	if (!strcmp(name, "jemalloc") && has_own_name(object))
		name = "";
	while (heaps[i].allocator != POLL_ANY && strcmp(name, heaps[i].name))
		i++;
	return &heaps[i];
}

const struct window_heap *window_heap_in_front(const struct probe_plan *plan)
{
	const struct window_heap *front = NULL;

	vec_for_each(object, &plan->objects)
		if (choice_has_malloc(object) &&
		    (!front || window_heap_of(object)->allocator > front->allocator))
			front = window_heap_of(object);
	return front;
}
