// SPDX-License-Identifier: GPL-2.0-or-later
/* musl's heap, read from outside; see musl_heap.h. */
#include <string.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/procfs.h"
#include "base/strbuf.h"
#include "capture/ledger/musl_heap.h"
#include "capture/ledger/smaps.h"

#define UNIT 16u
#define HEAD 4u				/* bytes before a block */
#define SLOTS_MAX 32u
#define GROUPS_IN_PAGE 101		/* as many descriptions fit behind its head */
#define PAGES_MAX (1u << 14)		/* for some 30 million blocks; more is nonsense */
#define CANDIDATES_MAX 16
#define CLASS_MAPPED 63
#define MAPPED_MIN 131052u		/* requests from here on are mappings of their own */
#define RESERVED_LONG 5			/* left over: as many as the slot's last bytes say */
#define RESERVED_MOVED 7		/* at a slot's start: the block begins further on */
#define READINGS 3			/* of what changes while it is read */

/* As they lie in memory. */
struct description {
	uint64_t prev, next, mem;
	uint32_t avail, freed;
	uint64_t last_slot : 5, freeable : 1, class : 6, pages : 52;
};

struct page {
	uint64_t secret, next;
	int32_t count, pad;
	struct description groups[GROUPS_IN_PAGE];
	char rest[32];
};

_Static_assert(sizeof(struct description) == 40, "as musl has it");
_Static_assert(sizeof(struct page) == MUSL_PAGE, "as musl has it");

/* Slots by class, in units. */
static const uint16_t class_units[] = {
	1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 18, 20, 25, 31, 36, 42, 50, 63, 72, 84, 102, 127,
	146, 170, 204, 255, 292, 340, 409, 511, 584, 682, 818, 1023, 1169, 1364, 1637, 2047,
	2340, 2730, 3276, 4095, 4680, 5460, 6552, 8191,
};

#define CLASSES (sizeof(class_units) / sizeof(class_units[0]))

static uint64_t mapped_stride(uint64_t pages)
{
	return pages * MUSL_PAGE - UNIT;
}

uint64_t musl_slot_bytes(uint64_t request)
{
	if (request >= MAPPED_MIN)
		return mapped_stride((request + HEAD + UNIT + MUSL_PAGE - 1) / MUSL_PAGE);
	for (size_t i = 0; i < CLASSES; i++)
		if (class_units[i] * UNIT >= request + HEAD)
			return class_units[i] * UNIT;
	return 0;
}

void musl_heap_deinit(struct musl_heap *heap)
{
	musl_group_vec_deinit(&heap->groups);
}

/* --- descriptions --- */

static uint64_t stride_of(const struct description *d)
{
	if (!d->last_slot && d->pages)
		return mapped_stride(d->pages);
	return d->class < CLASSES ? class_units[d->class] * UNIT : 0;
}

static bool is_sane(const struct description *d)
{
	return !(d->mem % UNIT) && stride_of(d) && (d->class < CLASSES || d->class == CLASS_MAPPED);
}

bool musl_groups_add_page(struct musl_heap *heap, const void *bytes, uint64_t secret,
			  uint64_t *next_ret)
{
	const struct page *page = bytes;

	if (!page->secret || (secret && page->secret != secret) ||
	    page->count != GROUPS_IN_PAGE || page->next % MUSL_PAGE)
		return false;
	*next_ret = page->next;
	for (int i = 0; i < GROUPS_IN_PAGE; i++) {
		const struct description *d = &page->groups[i];

		if (!d->mem)
			continue;
		if (!is_sane(d))
			return false;
		musl_group_vec_push(&heap->groups, (struct musl_group){
			.mem = d->mem, .stride = stride_of(d), .slots = (uint32_t)d->last_slot + 1,
			.in_use = ~(d->avail | d->freed) &
				  UINT32_MAX >> (SLOTS_MAX - 1 - d->last_slot),
		});
	}
	return true;
}

static uint64_t end_of(const struct musl_group *group)
{
	return group->mem + UNIT + group->stride * group->slots;
}

uint64_t musl_slot_start(const struct musl_group *group, uint32_t slot)
{
	return group->mem + UNIT + group->stride * slot;
}

static bool slot_at(const struct musl_group *group, uint64_t addr, uint32_t *slot_ret)
{
	if (addr < group->mem + UNIT || addr >= end_of(group))
		return false;
	*slot_ret = (uint32_t)((addr - group->mem - UNIT) / group->stride);
	return true;
}

static int by_mem(const void *a, const void *b)
{
	const struct musl_group *g = a, *h = b;

	return g->mem < h->mem ? -1 : g->mem > h->mem;
}

void musl_groups_order(struct musl_heap *heap)
{
	struct musl_group *groups = heap->groups.data;
	uint32_t around = 0;		/* index + 1 */

	if (groups)
		qsort(groups, heap->groups.len, sizeof(*groups), by_mem);
	for (size_t i = 0; i < heap->groups.len; i++) {
		uint32_t slot = 0;

		while (around && !slot_at(&groups[around - 1], groups[i].mem, &slot))
			around = groups[around - 1].parent;
		groups[i].parent = around;
		if (around)
			groups[around - 1].in_use &= ~(1u << slot);
		around = (uint32_t)i + 1;
	}
}

const struct musl_group *musl_group_at(const struct musl_heap *heap, uint64_t addr,
				       uint32_t *slot_ret)
{
	const struct musl_group *groups = heap->groups.data;
	size_t low = 0, high = heap->groups.len;
	uint32_t at;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (groups[middle].mem <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	for (at = (uint32_t)low; at; at = groups[at - 1].parent)
		if (slot_at(&groups[at - 1], addr, slot_ret))
			return &groups[at - 1];
	return NULL;
}

/* --- heads of blocks --- */

static uint64_t units_of(uint64_t head)
{
	return head >> 32 & 0xff ? (uint32_t)head : head >> 48;
}

static uint32_t reserved_of(uint64_t head)
{
	return head >> 45 & 7;
}

bool musl_head_is_block(uint64_t head, const struct musl_group *group, uint32_t slot,
			uint64_t addr)
{
	return (head >> 40 & 31) == slot && reserved_of(head) <= RESERVED_LONG &&
	       units_of(head) * UNIT == addr - group->mem - UNIT;
}

bool musl_head_fits_request(uint64_t head, const struct musl_group *group, uint32_t slot,
			    uint64_t addr, uint64_t size)
{
	uint64_t room = musl_slot_start(group, slot) + group->stride - HEAD - addr;
	uint32_t reserved = reserved_of(head);

	return reserved < RESERVED_LONG ? size + reserved == room
					: size + RESERVED_LONG <= room;
}

uint64_t musl_head_mark(uint64_t head)
{
	return head >> 32 | 1ull << 32;
}

uint64_t musl_block_in_slot(uint64_t head, uint64_t start)
{
	return start + (reserved_of(head) == RESERVED_MOVED ? (head >> 48) * UNIT : 0);
}

/* --- reading --- */

static bool read_at(uint32_t pid, uint64_t addr, void *ret, size_t size)
{
	struct iovec local = { ret, size }, remote = { (void *)(uintptr_t)addr, size };

	return process_vm_readv((pid_t)pid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

bool musl_heap_read(uint32_t pid, uint64_t first, struct musl_heap *ret)
{
	uint64_t secret = 0, next;
	struct page page;
	size_t pages = 0;

	for (uint64_t at = first; at; at = next) {
		if (pages++ == PAGES_MAX || !read_at(pid, at, &page, sizeof(page)) ||
		    !musl_groups_add_page(ret, &page, secret, &next))
			return false;
		secret = page.secret;
	}
	musl_groups_order(ret);
	return true;
}

/* Whether there are groups in the page, and each of them names its description in it. */
static bool proves_itself(uint32_t pid, uint64_t at)
{
	__cleanup(musl_heap_deinit) struct musl_heap heap = { 0 };
	uint64_t next, named;
	struct page page;

	if (!read_at(pid, at, &page, sizeof(page)) ||
	    !musl_groups_add_page(&heap, &page, 0, &next) || !heap.groups.len)
		return false;
	for (int i = 0; i < GROUPS_IN_PAGE; i++)
		if (page.groups[i].mem &&
		    (!read_at(pid, page.groups[i].mem, &named, sizeof(named)) ||
		     named != at + offsetof(struct page, groups[i])))
			return false;
	return true;
}

/* Each page names the next: of those that lie apart, the first one leads to the most. */
static bool find_once(uint32_t pid, uint64_t *first_ret)
{
	__cleanup(smaps_entry_vec_deinit) struct smaps_entry_vec maps = { 0 };
	struct strbuf text __cleanup_strbuf = { 0 };
	size_t most = 0, candidates = 0;

	if (procfs_read(pid, "maps", &text) || !text.len)
		return false;
	smaps_parse(text.data, &maps);
	vec_for_each(m, &maps) {
		__cleanup(musl_heap_deinit) struct musl_heap heap = { 0 };

		if (m->file || m->shared || !m->writable || candidates == CANDIDATES_MAX ||
		    !proves_itself(pid, m->start))
			continue;
		candidates++;
		if (!musl_heap_read(pid, m->start, &heap) || heap.groups.len <= most)
			continue;
		most = heap.groups.len;
		*first_ret = m->start;
	}
	return most > 0;
}

bool musl_heap_find(uint32_t pid, uint64_t *first_ret)
{
	for (int i = 0; i < READINGS; i++)
		if (find_once(pid, first_ret))
			return true;
	return false;
}
