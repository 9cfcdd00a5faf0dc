/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keeping our own memory where it is, for one who must go on when memory runs
 * out: what is written to and the code that runs are locked into memory, as far
 * as they are in it or come into it, and a reserve is taken from the system
 * beforehand, from which malloc() then serves. Files that are mapped to be read
 * (debug information) are not locked: they may be large, and can be had again.
 */
#ifndef HEAPSONDE_BASE_HOLD_H
#define HEAPSONDE_BASE_HOLD_H

#include <stddef.h>

/* Best effort: bytes that were locked as mappings, 0 if it is not allowed. */
size_t hold_memory(size_t reserve_bytes);

/*
 * Makes this process less of a choice for OOM killers: oom_score_adj becomes @score,
 * thousandths of the memory that there is (of a cgroup: its limit), unless it is lower. To
 * go below what we were given takes CAP_SYS_RESOURCE; without it, what was made a victim
 * can still be made none.
 */
void hold_life(int score);

#endif
