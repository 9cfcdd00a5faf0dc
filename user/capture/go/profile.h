/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The heap profile that a Go program keeps of itself (runtime.MemProfile, what
 * net/http/pprof serves), read from outside. It is there when MemProfileRate
 * is not 0, which the linker sees to when nothing can ask for the profile, and
 * it speaks of the time since the program's start, as of a collection that is over.
 *
 *	runtime.mbuckets -> bucket { stack, object size, { allocs, frees } }
 *
 * Buckets are never freed and their stacks never change, so that only new ones
 * are read whole; the counts are read twice, and believed if the runtime
 * published no new cycle meanwhile. One sample stands for 1 / (1 - exp(-size /
 * rate)) objects, as in pprof's own scaling.
 */
#ifndef HEAPSONDE_CAPTURE_GO_PROFILE_H
#define HEAPSONDE_CAPTURE_GO_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"
#include "model/map64.h"
#include "model/metrics.h"

struct go_runtime;

/* A call path, without the runtime's own frames at its leaf. */
struct go_profile_row {
	uint64_t stack_id;
	uint32_t first, count;		/* slice of pcs: return addresses, leaf first */
	struct metrics m;		/* estimates and their errors; no rates, no ages */
};

struct go_bucket {
	uint64_t address, size;
	uint32_t row, stack_words;
};

DEFINE_VEC(go_profile_row_vec, struct go_profile_row);
DEFINE_VEC(go_bucket_vec, struct go_bucket);
DEFINE_VEC(go_pc_vec, uint64_t);

struct go_profile {
	int64_t rate;			/* mean bytes between samples; 0: there is no profile */
	uint64_t as_of_ns;		/* since 1970, the collection that it is of; 0: none yet */
	struct go_profile_row_vec rows;
	struct go_pc_vec pcs;
	struct metrics total;		/* of all rows */
	struct go_bucket_vec buckets;
	struct map64 by_stack;		/* stack_id -> row + 1 */
};

/*
 * Brings @profile (zeroed at first) up to date; to be called after a successful
 * go_runtime_read(). False if it could not be read or was torn each time:
 * @profile stays as it was, and may be tried again.
 */
bool go_profile_read(const struct go_runtime *go, struct go_profile *profile);
void go_profile_deinit(struct go_profile *profile);

#endif
