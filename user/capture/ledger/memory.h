/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel says about a process's memory. */
#ifndef HEAPSONDE_CAPTURE_LEDGER_MEMORY_H
#define HEAPSONDE_CAPTURE_LEDGER_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "model/snapshot.h"

/* Resident bytes now, cheaply; -1 if the process is gone. */
int64_t memory_rss_bytes(uint32_t pid);

/*
 * From @account (which may be NULL) and status. What cannot be read is -1. False
 * if a SIGKILL is on its way: what was read may be what the kernel has left of it.
 */
struct account;
bool memory_read(uint32_t pid, const struct account *account, struct snapshot_process *ret);

#endif
