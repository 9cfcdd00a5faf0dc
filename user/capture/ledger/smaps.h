/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mappings of a process with what of each is in memory: /proc/PID/smaps. */
#ifndef HEAPSONDE_CAPTURE_LEDGER_SMAPS_H
#define HEAPSONDE_CAPTURE_LEDGER_SMAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"

struct smaps_entry {
	uint64_t start, end;
	bool readable, writable, shared;
	bool file;		/* has an inode: a file, or shared memory of any kind */
	const char *path;	/* as maps has it; "" for anonymous memory; points into the text */
	/* Bytes. */
	int64_t rss, anonymous, pss, swap, lazy_free;
};

DEFINE_VEC(smaps_entry_vec, struct smaps_entry);

/* Appends the mappings in @text in their order; writes into it, to end the paths. */
void smaps_parse(char *text, struct smaps_entry_vec *ret);

#endif
