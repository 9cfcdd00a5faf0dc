/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What heapsonde takes for itself. Its memory is kept below a limit: that which
 * nobody else can use, anonymous pages and the kernel's memory of its maps;
 * pages of files, its own code and what it reads, are the kernel's to drop.
 * When the limit nears, the model is told how much room is left, and what finds
 * none is counted as not tracked.
 */
#ifndef HEAPSONDE_CAPTURE_COST_THRIFT_H
#define HEAPSONDE_CAPTURE_COST_THRIFT_H

#include <stdint.h>

#define THRIFT_LIMIT_MIN (16ull << 20)

struct thrift {
	int64_t limit_bytes;
	int64_t kernel_bytes;	/* of the BPF maps */
	int64_t most_bytes;	/* that was taken in all, at any look */
	unsigned int trimmed_looks;
};

/*
 * A sixteenth of the machine's memory, or of what the cgroup that we live in may have if
 * that is less; and 64 MiB at least.
 */
int64_t thrift_default_limit(void);

/*
 * What a ring buffer, the room for unwind tables to come, or the memory of stacks
 * whose frames have travelled may take of a limit.
 */
uint64_t thrift_ring_bytes(int64_t limit_bytes);
uint64_t thrift_spare_table_bytes(int64_t limit_bytes);
uint64_t thrift_seen_bytes(int64_t limit_bytes);

/*
 * What each process that reads a file (base/reader.h) may take, and how many may
 * keep what they have read of source lines.
 */
uint64_t thrift_reader_bytes(int64_t limit_bytes);
int thrift_readers(int64_t limit_bytes);

/* Adds a map's memory. */
void thrift_add_map(struct thrift *thrift, int map_fd);

/* Looks: bytes that may still be taken, less than 0 when it is too much already. */
int64_t thrift_room(struct thrift *thrift);

/*
 * This thread waits for the disk behind all others; from the end of the watching on,
 * when it can lose nothing any more, for a processor too.
 */
void thrift_yield_disk(void);
void thrift_yield_processor(void);

#endif
