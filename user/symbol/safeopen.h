/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening a file whose name a target chose. Root opens whatever stands there,
 * and opening a device or a FIFO can do something or block; so the file is
 * looked at before it is opened.
 */
#ifndef HEAPSONDE_SYMBOL_SAFEOPEN_H
#define HEAPSONDE_SYMBOL_SAFEOPEN_H

/* @path from @dir (or AT_FDCWD) for reading if it is a regular file; -1 with errno if not. */
int safeopen(int dir, const char *path);
/* The same as a process sees @path whose root directory is @root. */
int safeopen_in_root(int root, const char *path);

#endif
