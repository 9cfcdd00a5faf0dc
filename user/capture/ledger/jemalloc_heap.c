// SPDX-License-Identifier: GPL-2.0-or-later
/* jemalloc's heap, read from outside; see jemalloc_heap.h. */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/procfs.h"
#include "base/strbuf.h"
#include "capture/ledger/jemalloc_heap.h"
#include "capture/ledger/smaps.h"

#define PAGE 4096ull
#define LEAF_BITS 18			/* of a page's number; the root has as many */
#define LEAF_ENTRIES (1ull << LEAF_BITS)
#define ROOT_BYTES (LEAF_ENTRIES * 8)
#define ENTRY_SIZE_SHIFT 48
#define ENTRY_ADDR (((1ull << 48) - 1) & ~127ull)
#define ENTRY_SLAB 1ull
#define SIZES 232			/* from this number on: not in use */
#define FREE_COUNT_SHIFT 8		/* behind the size */
#define FREE_WORD 8			/* of a description: where its bits begin */
#define SHIFT_FIRST 17			/* 5.0; 5.3 has 20 */
#define SHIFT_LAST 20
#define ENOUGH 4			/* extents that agree, for it to be a tree */
#define HOPELESS 100			/* so many that do not, and few that do */
#define BSS_MAX (64ull << 20)		/* searched of one object */
#define MAPPING_MAX (1ull << 40)	/* larger ones are reservations, or a shadow */
#define TRIES_MAX (4u << 20)		/* words, times what they may be leaves of */
#define CHUNK_ENTRIES 8192u		/* read of a leaf at once */
#define EXTENTS_MAX (1u << 20)	/* more are not read */

/* --- sizes --- */

/* 8, four times 16 apart, then four to the doubling. */
static uint64_t size_of(uint32_t number)
{
	uint32_t group, step;

	if (!number)
		return 8;
	group = (number - 1) / 4;
	step = (number - 1) % 4 + 1;
	return group ? (16ull << (group + 1)) + step * (8ull << group) : step * 16ull;
}

uint64_t jemalloc_block_bytes(uint64_t request)
{
	for (uint32_t i = 0; i < SIZES; i++)
		if (size_of(i) >= request)
			return size_of(i);
	return request;
}

/* --- extents --- */

static uint32_t count_free(const struct jemalloc_extent *extent)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < extent->blocks; i++)
		count += jemalloc_is_free(extent, i);
	return count;
}

bool jemalloc_parse(uint64_t entry, const uint64_t *words, unsigned int size_shift,
		    struct jemalloc_extent *ret)
{
	uint32_t size = (uint32_t)(entry >> ENTRY_SIZE_SHIFT);
	uint64_t bytes = words[2] & ~(PAGE - 1);

	*ret = (struct jemalloc_extent){ 0 };
	if (size >= SIZES || !bytes || (words[0] >> size_shift & 255) != size)
		return false;
	ret->addr = words[1];
	ret->block_bytes = size_of(size);
	ret->blocks = 1;
	if (entry & ENTRY_SLAB) {
		if (ret->addr % PAGE || bytes % ret->block_bytes ||
		    bytes / ret->block_bytes > JEMALLOC_REGIONS_MAX)
			return false;
		ret->blocks = (uint32_t)(bytes / ret->block_bytes);
		ret->free_blocks = words[0] >> (size_shift + FREE_COUNT_SHIFT) & 1023;
		memcpy(ret->free, words + FREE_WORD, sizeof(ret->free));
	} else if (ret->block_bytes > bytes) {
		return false;
	}
	ret->bytes = bytes;
	return true;
}

bool jemalloc_is_free(const struct jemalloc_extent *extent, uint32_t block)
{
	return extent->free[block / 64] >> block % 64 & 1;
}

bool jemalloc_has_block(const struct jemalloc_extent *extent, uint64_t addr)
{
	uint64_t from = addr - extent->addr;

	return extent->bytes && addr >= extent->addr && !(from % extent->block_bytes) &&
	       from / extent->block_bytes < extent->blocks &&
	       !jemalloc_is_free(extent, (uint32_t)(from / extent->block_bytes));
}

static bool reaches(const struct jemalloc_extent *extent, uint64_t page)
{
	uint64_t first = extent->addr & ~(PAGE - 1);

	return page >= first && page < first + extent->bytes;
}

/* --- reading --- */

static bool read_at(uint32_t pid, uint64_t addr, void *ret, size_t size)
{
	struct iovec local = { ret, size }, remote = { (void *)(uintptr_t)addr, size };

	return process_vm_readv((pid_t)pid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}

/* Reads @size bytes at each address; where that is 0 or cannot be read there are zeros. */
static bool read_each(uint32_t pid, const uint64_t *addrs, int count, void *ret, size_t size)
{
	struct iovec remote[JEMALLOC_BATCH];
	char *bytes = ret;

	memset(ret, 0, (size_t)count * size);
	for (int at = 0; at < count;) {
		struct iovec local;
		ssize_t len;
		int n = 0;

		for (; at + n < count && addrs[at + n]; n++)
			remote[n] = (struct iovec){ (void *)(uintptr_t)addrs[at + n], size };
		local = (struct iovec){ bytes + (size_t)at * size, (size_t)n * size };
		len = n ? process_vm_readv((pid_t)pid, &local, 1, remote, (unsigned long)n, 0) : 0;
		if (len < 0 && errno != EFAULT)
			return false;
		if (len > 0)
			at += (int)((size_t)len / size);
		if (len < (ssize_t)local.iov_len || at < count)
			at++;
	}
	return true;
}

static uint64_t root_entry(const struct jemalloc_tree *tree, uint64_t addr)
{
	return tree->root + 8 * (addr >> (12 + LEAF_BITS) & (LEAF_ENTRIES - 1));
}

static uint64_t leaf_entry(uint64_t leaf, uint64_t addr)
{
	return leaf + 8 * (addr / PAGE & (LEAF_ENTRIES - 1));
}

bool jemalloc_look_up(uint32_t pid, const struct jemalloc_tree *tree, const uint64_t *addrs,
		      int count, struct jemalloc_extent *ret)
{
	uint64_t at[JEMALLOC_BATCH] = { 0 }, words[JEMALLOC_BATCH], entries[JEMALLOC_BATCH];
	uint64_t descriptions[JEMALLOC_BATCH][JEMALLOC_WORDS];

	for (int i = 0; i < count; i++)
		at[i] = root_entry(tree, addrs[i]);
	if (!read_each(pid, at, count, words, 8))
		return false;
	for (int i = 0; i < count; i++)
		at[i] = words[i] ? leaf_entry(words[i], addrs[i]) : 0;
	if (!read_each(pid, at, count, entries, 8))
		return false;
	for (int i = 0; i < count; i++)
		at[i] = entries[i] & ENTRY_ADDR;
	if (!read_each(pid, at, count, descriptions, sizeof(descriptions[0])))
		return false;
	for (int i = 0; i < count; i++)
		if (!jemalloc_parse(entries[i], descriptions[i], tree->size_shift, &ret[i]) ||
		    !reaches(&ret[i], addrs[i] & ~(PAGE - 1)))
			ret[i] = (struct jemalloc_extent){ 0 };
	return true;
}

/* What is read of a leaf becomes extents, some at a time. */
struct walk {
	uint32_t pid;
	unsigned int size_shift;
	struct jemalloc_extent_vec *extents;
	uint64_t entries[JEMALLOC_BATCH], at[JEMALLOC_BATCH], pages[JEMALLOC_BATCH];
	int waiting;
	uint64_t last;			/* description seen last */
	size_t good, bad;
};

static void flush(struct walk *walk)
{
	uint64_t descriptions[JEMALLOC_BATCH][JEMALLOC_WORDS];
	struct jemalloc_extent extent;

	if (!read_each(walk->pid, walk->at, walk->waiting, descriptions,
		       sizeof(descriptions[0])))
		walk->bad++;
	for (int i = 0; i < walk->waiting; i++) {
		if (!jemalloc_parse(walk->entries[i], descriptions[i], walk->size_shift, &extent) ||
		    !reaches(&extent, walk->pages[i]) ||
		    count_free(&extent) != extent.free_blocks) {
			walk->bad++;
			continue;
		}
		walk->good++;
		if (walk->extents && walk->extents->len < EXTENTS_MAX)
			jemalloc_extent_vec_push(walk->extents, extent);
	}
	walk->waiting = 0;
}

static void take_entry(struct walk *walk, uint64_t entry, uint64_t page)
{
	uint64_t description = entry & ENTRY_ADDR;

	/* All pages of a slab have the same, and the first and last of a large block. */
	if (!description || description == walk->last || entry >> ENTRY_SIZE_SHIFT >= SIZES)
		return;
	walk->last = description;
	walk->entries[walk->waiting] = entry;
	walk->at[walk->waiting] = description;
	walk->pages[walk->waiting++] = page;
	if (walk->waiting == JEMALLOC_BATCH)
		flush(walk);
}

/* Some change while they are read. */
static bool makes_sense(const struct walk *walk)
{
	return walk->good >= ENOUGH && walk->bad <= walk->good / 10;
}

/* It is no leaf, and there is no need to read all of it. */
static bool is_hopeless(const struct walk *walk)
{
	return walk->bad > HOPELESS && !makes_sense(walk);
}

/* Entries of the pages from @from to @end, all in one leaf. */
static void walk_leaf(struct walk *walk, uint64_t leaf, uint64_t from, uint64_t end)
{
	uint64_t entries[CHUNK_ENTRIES];

	while (from < end && !is_hopeless(walk)) {
		uint64_t count = (end - from) / PAGE;

		count = count < CHUNK_ENTRIES ? count : CHUNK_ENTRIES;
		if (!read_at(walk->pid, leaf_entry(leaf, from), entries, count * 8))
			return;
		for (uint64_t i = 0; i < count && !is_hopeless(walk); i++)
			take_entry(walk, entries[i], from + i * PAGE);
		from += count * PAGE;
	}
	flush(walk);
}

static bool may_hold_extents(const struct smaps_entry *m)
{
	return !m->file && !m->shared && m->writable && m->end - m->start <= MAPPING_MAX;
}

static uint64_t leaf_end(uint64_t addr)
{
	return (addr | (LEAF_ENTRIES * PAGE - 1)) + 1;
}

/* Of the part of each mapping that is @leaf's; 0: of all, by way of the root. */
static void walk_mappings(struct walk *walk, const struct smaps_entry_vec *maps,
			  const struct jemalloc_tree *tree, uint64_t only, uint64_t leaf)
{
	vec_for_each(m, maps) {
		if (!may_hold_extents(m))
			continue;
		for (uint64_t at = m->start; at < m->end && !is_hopeless(walk); at = leaf_end(at)) {
			uint64_t end = leaf_end(at) < m->end ? leaf_end(at) : m->end;
			uint64_t entry = root_entry(tree, at);

			if (only ? entry == only
				 : read_at(walk->pid, entry, &leaf, sizeof(leaf)) && leaf)
				walk_leaf(walk, leaf, at, end);
		}
	}
}

static bool read_maps(uint32_t pid, struct strbuf *text, struct smaps_entry_vec *ret)
{
	if (procfs_read(pid, "maps", text) || !text->len)
		return false;
	smaps_parse(text->data, ret);
	return ret->len > 0;
}

bool jemalloc_read(uint32_t pid, const struct jemalloc_tree *tree,
		   struct jemalloc_extent_vec *ret)
{
	struct walk walk = { .pid = pid, .size_shift = tree->size_shift, .extents = ret };
	__cleanup(smaps_entry_vec_deinit) struct smaps_entry_vec maps = { 0 };
	struct strbuf text __cleanup_strbuf = { 0 };

	if (!read_maps(pid, &text, &maps))
		return false;
	walk_mappings(&walk, &maps, tree, 0, 0);
	return makes_sense(&walk) && ret->len < EXTENTS_MAX;
}

/* --- finding the tree --- */

struct search {
	uint32_t pid;
	const struct smaps_entry_vec *maps;
	const struct smaps_entry *bss;
	uint64_t tried;			/* with this word: what ends here; 0: nothing yet */
	struct jemalloc_tree best;
	size_t most, tries;
};

/* If the word at @at leads to a leaf of what is mapped at @addr, here lies the tree. */
static void try_tree(struct search *s, uint64_t at, uint64_t leaf, uint64_t addr)
{
	struct jemalloc_tree tree = { 0 };
	uint64_t offset = root_entry(&tree, addr);

	s->tries++;
	if (at < s->bss->start + offset || at - offset + ROOT_BYTES > s->bss->end)
		return;
	tree.root = at - offset;
	for (tree.size_shift = SHIFT_FIRST; tree.size_shift <= SHIFT_LAST; tree.size_shift++) {
		struct walk walk = { .pid = s->pid, .size_shift = tree.size_shift };

		walk_mappings(&walk, s->maps, &tree, at, leaf);
		if (!makes_sense(&walk) || walk.good <= s->most)
			continue;
		s->most = walk.good;
		s->best = tree;
	}
}

static void try_mapping(struct search *s, uint64_t at, uint64_t leaf,
			const struct smaps_entry *m)
{
	if (!may_hold_extents(m))
		return;
	for (uint64_t a = m->start; a < m->end && s->tries < TRIES_MAX; a = leaf_end(a)) {
		if (leaf_end(a) != s->tried)
			try_tree(s, at, leaf, a);
		s->tried = leaf_end(a);
	}
}

static void try_word(struct search *s, uint64_t at, uint64_t word)
{
	if (!word || word % 64)
		return;
	vec_for_each(m, s->maps) {
		if (!may_hold_extents(m) || word < m->start || word >= m->end)
			continue;
		/* It is a pointer to what may be a leaf: of any of what is mapped. */
		s->tried = 0;
		vec_for_each(of, s->maps)
			try_mapping(s, at, word, of);
		return;
	}
}

static void search_bss(struct search *s)
{
	static const size_t part = 1 << 16;
	uint64_t *words __cleanup_free = xcalloc(part, 1);

	for (uint64_t at = s->bss->start; at < s->bss->end; at += part) {
		size_t len = s->bss->end - at < part ? s->bss->end - at : part;

		if (!read_at(s->pid, at, words, len))
			return;
		for (size_t i = 0; i < len / 8; i++)
			try_word(s, at + i * 8, words[i]);
	}
}

/* What is zero when a program begins lies behind what is not, which is mapped from its file. */
static bool is_bss(const struct smaps_entry *before, const struct smaps_entry *m)
{
	return may_hold_extents(m) && before->file && before->end == m->start &&
	       m->end - m->start >= ROOT_BYTES && m->end - m->start <= BSS_MAX;
}

bool jemalloc_find(uint32_t pid, struct jemalloc_tree *ret)
{
	__cleanup(smaps_entry_vec_deinit) struct smaps_entry_vec maps = { 0 };
	struct strbuf text __cleanup_strbuf = { 0 };
	struct search search = { .pid = pid, .maps = &maps };

	if (!read_maps(pid, &text, &maps))
		return false;
	for (size_t i = 1; i < maps.len; i++) {
		search.bss = &maps.data[i];
		if (is_bss(&maps.data[i - 1], search.bss))
			search_bss(&search);
	}
	*ret = search.best;
	return search.most > 0;
}
