// SPDX-License-Identifier: GPL-2.0-or-later
/* Resident pages of a range; see pages.h. */
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "capture/ledger/pagemap.h"
#include "capture/ledger/pages.h"

#define BATCH 1024

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

bool pages_read(uint32_t pid, uint64_t start, uint64_t end, struct pages *ret)
{
	uint64_t page = page_size(), first = start / page;
	size_t count = (end + page - 1) / page - first, done = 0;
	__cleanup_free uint32_t *before = xcalloc(count + 1, sizeof(*before));
	uint64_t entries[BATCH];

	*ret = (struct pages){ 0 };
	while (done < count) {
		size_t want = count - done < BATCH ? count - done : BATCH;
		size_t got = pagemap_read(pid, first + done, entries, want);

		if (!got)
			return false;
		for (size_t i = 0; i < got; i++, done++)
			before[done + 1] = before[done] + pagemap_is_resident(entries[i]);
	}
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

	if (!pagemap_read(pid, addr / page, &entry, 1) || !pagemap_is_resident(entry))
		return 0;
	return page - addr % page;
}
