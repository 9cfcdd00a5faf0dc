// SPDX-License-Identifier: GPL-2.0-or-later
/* Go call paths; see stack.h. */
#include "capture/go/runtime.h"
#include "capture/go/stack.h"
#include "symbol/go/binary.h"

uint32_t go_stack_trim(const struct go_runtime *go, enum go_stack_source source,
		       const uint64_t *pcs, uint32_t count)
{
	const struct go_points *points = &go_runtime_binary(go)->points;
	uint64_t bias = go_runtime_bias(go);
	uint32_t inner = 0, i;

	while (inner < count && go_points_in_allocator(points, pcs[inner] - 1 - bias))
		inner++;
	for (i = inner; i < count && go_points_in_runtime(points, pcs[i] - 1 - bias); i++)
		if (source == GO_STACK_SAMPLE &&
		    go_points_in_allocator(points, pcs[i] - 1 - bias))
			return inner;
	return i < count ? i : 0;
}

uint64_t go_stack_id(const uint64_t *pcs, uint32_t count, enum go_stack_source source)
{
	uint64_t hash = (uint64_t)source + 1;

	for (uint32_t i = 0; i < count; i++) {
		hash = (hash ^ pcs[i]) * 0x9e3779b97f4a7c15;
		hash ^= hash >> 29;
	}
	return hash | 1;
}
