/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names of code that a target made at run time, as it tells perf: lines
 * "START SIZE NAME" of /tmp/perf-PID.map, with the target's own idea of /tmp
 * and PID (tools/perf/Documentation/jit-interface.txt). Node, Java and
 * Python write it when asked to.
 */
#ifndef HEAPSONDE_SYMBOL_JITMAP_H
#define HEAPSONDE_SYMBOL_JITMAP_H

#include <stdint.h>

#include "base/cleanup.h"

struct jitmap;

/*
 * @proc_fd: /proc/PID; @root_fd: its root directory, borrowed for the map's
 * life. Both may be -1: then nothing has a name. No file is read yet.
 */
struct jitmap *jitmap_create(int proc_fd, int root_fd);
void jitmap_destroy(struct jitmap *map);
DEFINE_CLEANUP(struct jitmap *, jitmap_destroy);

/*
 * The newest entry's name for @addr, or NULL; owned by the map. The file is
 * looked at again when it has grown and @addr is not known. It must be a
 * regular file of the target's user or of root.
 */
const char *jitmap_find(struct jitmap *map, uint64_t addr);

#endif
