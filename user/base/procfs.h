/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reading files of /proc, whose size is not known before they are read. */
#ifndef HEAPSONDE_BASE_PROCFS_H
#define HEAPSONDE_BASE_PROCFS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strbuf.h"

/* Appends /proc/PID/NAME whole, NUL bytes included; 0 or -errno. */
int procfs_read(uint32_t pid, const char *name, struct strbuf *ret);
/* The same of /proc/self/NAME. */
int procfs_read_self(const char *name, struct strbuf *ret);

/*
 * The number behind "KEY:" at a line's start, as in status, smaps_rollup and
 * meminfo ("VmRSS:	  1234 kB" gives 1234 * 1024); false if it is not there.
 */
bool procfs_field(const char *text, const char *key, int64_t *ret);

#endif
