/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which pages of a range of a process are in memory, by /proc/PID/pagemap: an
 * answer for any part of the range in constant time. Looking there touches no
 * page of the process, so nothing is brought in by it.
 */
#ifndef HEAPSONDE_CAPTURE_LEDGER_PAGES_H
#define HEAPSONDE_CAPTURE_LEDGER_PAGES_H

#include <stdbool.h>
#include <stdint.h>

struct pages {
	uint64_t start, end;	/* of whole pages */
	uint32_t *before;	/* resident pages below page i of the range; one entry more */
};

/* False, and an empty range, if the process is gone or may not be looked at. */
bool pages_read(uint32_t pid, uint64_t start, uint64_t end, struct pages *ret);
void pages_deinit(struct pages *pages);

/* Resident bytes of [@from, @to), cut to the range. */
uint64_t pages_resident(const struct pages *pages, uint64_t from, uint64_t to);

/* Where the run of resident pages that @addr lies in ends; @addr itself if its page is not. */
uint64_t pages_run_end(const struct pages *pages, uint64_t addr);

/* Bytes from @addr to the end of its page if that is in memory now, else 0. */
uint64_t pages_resident_now(uint32_t pid, uint64_t addr);

#endif
