/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel says about a process's memory. */
#ifndef HEAPSONDE_CAPTURE_MEMORY_H
#define HEAPSONDE_CAPTURE_MEMORY_H

#include <stdint.h>

#include "model/snapshot.h"

/* Resident bytes now, cheaply; -1 if the process is gone. */
int64_t memory_rss_bytes(uint32_t pid);

/*
 * From @account (which may be NULL) and status. What cannot be read is -1.
 */
struct account;
void memory_read(uint32_t pid, const struct account *account, struct snapshot_process *ret);

#endif
