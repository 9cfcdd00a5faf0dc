// SPDX-License-Identifier: GPL-2.0-or-later
/* Resident pages of a range; see pages.h. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "capture/ledger/pages.h"

#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_FRAME ((1ull << 55) - 1)
#define BATCH 1024

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

/*
 * Memory that was only read is mapped to one page of zeros, which the kernel
 * does not count as resident: its frame number, by a page of our own; 0 where
 * frame numbers are hidden.
 */
static uint64_t zero_frame(void)
{
	static uint64_t frame;
	static bool known;
	uint64_t page = page_size(), entry;
	__cleanup_close int fd = -1;
	volatile char *memory;

	if (known)
		return frame;
	known = true;
	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	memory = mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return 0;
	(void)*memory;
	if (pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)memory / page * sizeof(entry))) ==
	    sizeof(entry) && entry & PAGEMAP_PRESENT)
		frame = entry & PAGEMAP_FRAME;
	munmap((void *)memory, page);
	return frame;
}

static bool is_resident(uint64_t entry, uint64_t zero)
{
	return entry & PAGEMAP_PRESENT && (!zero || (entry & PAGEMAP_FRAME) != zero);
}

bool pages_read(uint32_t pid, uint64_t start, uint64_t end, struct pages *ret)
{
	uint64_t page = page_size(), zero = zero_frame(), first = start / page;
	size_t count = (end + page - 1) / page - first, done = 0;
	__cleanup_free uint32_t *before = xcalloc(count + 1, sizeof(*before));
	__cleanup_close int fd = -1;
	uint64_t entries[BATCH];
	char path[64];

	*ret = (struct pages){ 0 };
	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && done < count) {
		size_t want = count - done < BATCH ? count - done : BATCH;
		ssize_t got = pread(fd, entries, want * sizeof(*entries),
				    (off_t)((first + done) * sizeof(*entries)));

		if (got < (ssize_t)sizeof(*entries))
			return false;
		for (size_t i = 0; i < got / sizeof(*entries); i++, done++)
			before[done + 1] = before[done] + is_resident(entries[i], zero);
	}
	if (fd < 0)
		return false;
	*ret = (struct pages){ first * page, (first + count) * page, steal_ptr(before) };
	return true;
}

void pages_deinit(struct pages *pages)
{
	free(pages->before);
	*pages = (struct pages){ 0 };
}

static bool page_resident(const struct pages *pages, uint64_t nr)
{
	return pages->before[nr + 1] > pages->before[nr];
}

/* Resident bytes from the range's start to @addr. */
static uint64_t resident_below(const struct pages *pages, uint64_t addr)
{
	uint64_t page = page_size(), nr = (addr - pages->start) / page;
	uint64_t bytes = pages->before[nr] * page;

	if (addr % page && page_resident(pages, nr))
		bytes += addr % page;
	return bytes;
}

uint64_t pages_resident(const struct pages *pages, uint64_t from, uint64_t to)
{
	if (from < pages->start)
		from = pages->start;
	if (to > pages->end)
		to = pages->end;
	return from < to ? resident_below(pages, to) - resident_below(pages, from) : 0;
}

uint64_t pages_run_end(const struct pages *pages, uint64_t addr)
{
	uint64_t page = page_size(), nr;

	if (addr < pages->start || addr >= pages->end)
		return addr;
	nr = (addr - pages->start) / page;
	if (!page_resident(pages, nr))
		return addr;
	while (pages->start + nr * page < pages->end && page_resident(pages, nr))
		nr++;
	return pages->start + nr * page;
}

uint64_t pages_resident_now(uint32_t pid, uint64_t addr)
{
	uint64_t page = page_size(), entry;
	__cleanup_close int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, &entry, sizeof(entry),
			    (off_t)(addr / page * sizeof(entry))) != sizeof(entry) ||
	    !is_resident(entry, zero_frame()))
		return 0;
	return page - addr % page;
}
