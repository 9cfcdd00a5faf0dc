/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the resident memory of a process is made of: one line for each use
 * that it is put to, which together are its RSS to the byte. The mappings
 * (smaps) say what each page is for, the allocator's heap (glibc_heap.h) what
 * is in use, and the model which of that was allocated under the watch. Of other
 * allocators' heaps only the live blocks are known; the rest of their mappings is
 * not told from other anonymous memory.
 */
#ifndef HEAPSONDE_CAPTURE_LEDGER_ACCOUNT_H
#define HEAPSONDE_CAPTURE_LEDGER_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/ledger/glibc_heap.h"
#include "model/account_kinds.h"

enum account_kind {
#define X(symbol, name, heap) ACCOUNT_##symbol,
	ACCOUNT_LINES(X)
#undef X
	ACCOUNT_KINDS_COUNT
};
const char *account_kind_name(enum account_kind kind);

struct account {
	int64_t lines[ACCOUNT_KINDS_COUNT];
	int64_t unexplained;		/* with the lines: rss_bytes; never negative */
	/*
	 * Bytes taken off the lines of the heap, which grew while it was read: they were
	 * not in this RSS yet. Off which lines, is not known.
	 */
	int64_t adjusted_bytes;
	int64_t rss_bytes, pss_bytes, swap_bytes;
	int64_t anon_bytes, file_bytes, shmem_bytes;	/* as the kernel splits the RSS */
	bool has_census;
	struct glibc_heap_census census;
	int64_t older_count, older_bytes;	/* chunks in use that the model does not know */
};

/* A block that looks in use, to be asked about. */
struct account_block {
	uint64_t addr, chunk_bytes;
	int64_t asked_bytes;		/* of a live block: what was asked for; -1: not known */
	struct pages pages;		/* borrowed */
};

typedef void account_block_visitor(void *arg, uint64_t addr, uint64_t bytes);

struct account_live {
	/* Fills asked_bytes. */
	void (*find)(void *arg, struct account_block *blocks, size_t count);
	/* Calls @fn for every live block that an allocator handed out. */
	void (*each)(void *arg, account_block_visitor *fn, void *fn_arg);
	void *arg;
};

/*
 * Reads all of it. @live is NULL where live blocks are not all known. A
 * process that changes meanwhile is read again, a few times. False if it is
 * gone or may not be looked at.
 */
bool account_read(uint32_t pid, const struct account_live *live, struct account *ret);

#endif
