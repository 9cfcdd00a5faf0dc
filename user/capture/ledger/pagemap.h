/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /proc/PID/pagemap. Frame numbers stand in it only for who had CAP_SYS_ADMIN when he
 * opened it, which heapsonde soon has not (base/privileges.h): so it stays open.
 */
#ifndef HEAPSONDE_CAPTURE_LEDGER_PAGEMAP_H
#define HEAPSONDE_CAPTURE_LEDGER_PAGEMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_FRAME ((1ull << 55) - 1)	/* 0 where it is not told */

/*
 * Entries of @count pages from the page number @first on: how many could be read; 0 if the
 * process is gone or may not be looked at. From any thread.
 */
size_t pagemap_read(uint32_t pid, uint64_t first, uint64_t *entries, size_t count);

/* Whether the page is in memory and its own: the page of zeros, which is nobody's, is not. */
bool pagemap_is_resident(uint64_t entry);

/* To be said once while we still have all capabilities. */
void pagemap_begin(void);
/* Of a process that was attached to, and of one that has ended. */
void pagemap_keep(uint32_t pid);
void pagemap_forget(uint32_t pid);

#endif
