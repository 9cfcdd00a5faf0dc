/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a probe in malloc's text (capture/discovery/large_path.h) is hit once for each
 * large request and by nothing else, found out on a child of heapsonde's own that runs
 * the same C library. What was found by its looks alone is not trusted.
 */
#ifndef HEAPSONDE_CAPTURE_COST_LARGE_TRIAL_H
#define HEAPSONDE_CAPTURE_COST_LARGE_TRIAL_H

#include <stdbool.h>

#include "capture/discovery/large_path.h"

/*
 * Takes some tens of milliseconds and a child process; no target is touched. True, and the
 * path in @ret, if one of those in @libc is proven; else why not in @why_ret, static.
 * Needs uprobe_multi links.
 */
bool large_path_prove(struct object *libc, struct large_path *ret, const char **why_ret);

#endif
