// SPDX-License-Identifier: GPL-2.0-or-later
/* The live-block table; layout and reasons in blocks.h. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "model/blocks.h"

#define CAP_MIN 8
/*
 * Entries from which a full segment splits. Segments of 1 << 18, in huge
 * pages, were a seventh faster at 10 million blocks and no faster at a million,
 * but splitting one took 25 ms, during which the ring fills; this takes 1 or 2.
 */
#define SEGMENT_SPLIT (1u << 14)
#define DEPTH_MAX 24		/* a directory of 128 MiB; no honest hash goes there */
#define BYTES_EXTRA UINT32_MAX	/* in an entry: see blocks->extra */
#define TRIM_BYTES (16u << 20)	/* freed memory worth giving back to the system */

static uint16_t entry_birth(const struct block_entry *e)
{
	return (e->hash & 0xff) << 8 | (e->rest & 0xff);
}

static uint32_t entry_row(const struct block_entry *e)
{
	return e->rest >> 8 & BLOCK_ROW_MAX;
}

static struct block_entry entry_make(uint64_t hash, uint32_t bytes, uint32_t row, uint16_t birth)
{
	return (struct block_entry){
		.hash = hash | birth >> 8,
		.rest = (uint64_t)bytes << 32 | (uint64_t)row << 8 | (birth & 0xff),
	};
}

static size_t slots_bytes(const struct block_segment *segment)
{
	return segment->slots ? ((size_t)segment->total + 1) * sizeof(*segment->slots) : 0;
}

/* The place of entry @e that comes after one at @last (or -1): its home or the next. */
static size_t place(const struct block_segment *segment, const struct block_entry *e, size_t last)
{
	size_t home = block_home(segment, e->hash);

	return home > last || last == SIZE_MAX ? home : last + 1;
}

/*
 * Gives an empty segment @cap homes and fills it with the first @len entries
 * of @src, which are in order and may have gaps between them. Two passes, the
 * first to learn how far the last entries run over.
 */
static void segment_fill(struct block_segment *segment, const struct block_entry *src, size_t len,
			 uint32_t cap)
{
	size_t last = SIZE_MAX, next = 0, left = len;

	segment->cap = cap;
	for (const struct block_entry *e = src; left; e++) {
		if (e->hash) {
			last = place(segment, e, last);
			left--;
		}
	}
	segment->total = (len && last >= cap ? last + 1 : cap) + 8 + cap / 128;
	segment->len = len;
	segment->slots = xmalloc(((size_t)segment->total + 1) * sizeof(*src));
	last = SIZE_MAX;
	for (const struct block_entry *e = src; len; e++) {
		if (!e->hash)
			continue;
		last = place(segment, e, last);
		memset(&segment->slots[next], 0, (last - next) * sizeof(*e));
		segment->slots[last] = *e;
		next = last + 1;
		len--;
	}
	memset(&segment->slots[next], 0, (segment->total + 1 - next) * sizeof(*src));
}

static void segment_resize(struct blocks *blocks, struct block_segment *segment, uint32_t cap)
{
	struct block_entry *old = segment->slots;

	blocks->bytes -= slots_bytes(segment);
	segment_fill(segment, old, segment->len, cap);
	blocks->bytes += slots_bytes(segment);
	free(old);
}

/*
 * Room for @len entries and some growth. How much depends on the segment:
 * otherwise all segments, which fill alike, would grow at the same moment.
 */
static uint32_t cap_after_split(uint32_t len, uint64_t hash, unsigned int depth)
{
	uint32_t phase = (uint32_t)(hash >> (64 - depth)) * 0x9e3779b9u >> 28;

	return CAP_MIN + len + len * (5 + phase * 7 / 16) / 16;
}

static void dir_double(struct blocks *blocks)
{
	size_t len = (size_t)1 << blocks->dir_bits;

	blocks->dir = xreallocarray(blocks->dir, 2 * len, sizeof(*blocks->dir));
	for (size_t i = len; i--;)
		blocks->dir[2 * i] = blocks->dir[2 * i + 1] = blocks->dir[i];
	blocks->dir_bits++;
	blocks->bytes += len * sizeof(*blocks->dir);
}

static struct block_segment *segment_create(struct blocks *blocks, unsigned int depth)
{
	struct block_segment *segment = xcalloc(1, sizeof(*segment));

	segment->depth = depth;
	blocks->bytes += sizeof(*segment);
	return segment;
}

/* Moves the upper half of a segment's hashes, @hash being one of all, to a new one. */
static void segment_split(struct blocks *blocks, struct block_segment *low, uint64_t hash)
{
	struct block_segment *high = segment_create(blocks, low->depth + 1);
	struct block_entry *old = low->slots;
	uint64_t bit = 1ull << (63 - low->depth);
	uint64_t first = hash & -bit & ~bit;	/* the shared bits, then 0 */
	uint32_t low_len = 0, high_len, i;
	size_t from, to;

	if (low->depth == blocks->dir_bits)
		dir_double(blocks);
	for (i = 0; i < low->total && !(old[i].hash & bit); i++)
		low_len += !!old[i].hash;
	high_len = low->len - low_len;
	blocks->bytes -= slots_bytes(low);
	low->depth++;
	segment_fill(low, old, low_len, cap_after_split(low_len, first, low->depth));
	segment_fill(high, old + i, high_len, cap_after_split(high_len, first | bit, low->depth));
	blocks->bytes += slots_bytes(low) + slots_bytes(high);
	free(old);
	from = (first | bit) >> (64 - blocks->dir_bits);
	to = from + ((size_t)1 << (blocks->dir_bits - high->depth));
	while (from < to)
		blocks->dir[from++] = high;
}

/* Makes room for one more entry of hash @hash. */
static void make_room(struct blocks *blocks, struct block_segment *segment, uint64_t hash)
{
	bool full = segment->len >= segment->cap - segment->cap / 5;

	if (!full && segment->cap)	/* only the overflow at its end is full */
		segment_resize(blocks, segment, segment->cap);
	else if (segment->len < SEGMENT_SPLIT || segment->depth >= DEPTH_MAX)
		segment_resize(blocks, segment, segment->cap + segment->cap * 2 / 5 + CAP_MIN);
	else
		segment_split(blocks, segment, hash);
	if (blocks->bytes > blocks->bytes_high)
		blocks->bytes_high = blocks->bytes;
}

/*
 * After mass frees, a segment less than a quarter full shrinks to four
 * sevenths; from there it is as far to growing as to shrinking again.
 */
static void maybe_shrink(struct blocks *blocks, struct block_segment *segment)
{
	if (segment->len >= segment->cap / 4 || segment->cap <= 8 * CAP_MIN)
		return;
	segment_resize(blocks, segment, segment->len + segment->len * 3 / 4 + CAP_MIN);
	if (blocks->bytes < blocks->bytes_high / 2 &&
	    blocks->bytes_high - blocks->bytes > TRIM_BYTES) {
		malloc_trim(0);
		blocks->bytes_high = blocks->bytes;
	}
}

void blocks_init(struct blocks *blocks)
{
	*blocks = (struct blocks){ .bytes = sizeof(*blocks->dir) };
	blocks->dir = xmalloc(sizeof(*blocks->dir));
	blocks->dir[0] = segment_create(blocks, 0);
}

/* Visits each segment once: one of small depth has several places in the directory. */
#define for_each_segment(segment, blocks)				\
	for (size_t dir_i = 0; dir_i < (size_t)1 << (blocks)->dir_bits;	\
	     dir_i += (size_t)1 << ((blocks)->dir_bits - (blocks)->dir[dir_i]->depth)) \
		for (struct block_segment *segment = (blocks)->dir[dir_i]; segment; segment = NULL)

void blocks_deinit(struct blocks *blocks)
{
	size_t i = 0, len = (size_t)1 << blocks->dir_bits;

	while (blocks->dir && i < len) {
		struct block_segment *segment = blocks->dir[i];

		i += (size_t)1 << (blocks->dir_bits - segment->depth);
		free(segment->slots);
		free(segment);
	}
	free(blocks->dir);
	map64_deinit(&blocks->extra_index);
	block_extra_vec_deinit(&blocks->extra);
	block_index_vec_deinit(&blocks->extra_free);
	*blocks = (struct blocks){ 0 };
}

/* The low 56 bits, to key what is not in the table itself. */
static uint64_t untagged(uint64_t addr)
{
	return addr & (UINT64_MAX >> 8);
}

static void extra_put(struct blocks *blocks, uint64_t addr, const struct block *block)
{
	uint32_t i;

	if (blocks->extra_free.len) {
		i = blocks->extra_free.data[--blocks->extra_free.len];
	} else {
		i = blocks->extra.len;
		block_extra_vec_append(&blocks->extra);
	}
	blocks->extra.data[i] = (struct block_extra){
		block->bytes, block->count, block->variance,
	};
	map64_set(&blocks->extra_index, untagged(addr), i + 1);
}

static struct block_extra extra_take(struct blocks *blocks, uint64_t addr)
{
	uint32_t i = map64_get(&blocks->extra_index, untagged(addr)) - 1;

	map64_remove(&blocks->extra_index, untagged(addr));
	block_index_vec_push(&blocks->extra_free, i);
	return blocks->extra.data[i];
}

static uint64_t extra_bytes(const struct blocks *blocks, uint64_t addr)
{
	return blocks->extra.data[map64_get(&blocks->extra_index, untagged(addr)) - 1].bytes;
}

/* Reads an entry out and forgets what it had besides. */
static void entry_take(struct blocks *blocks, uint64_t addr, const struct block_entry *e,
		       struct block *ret)
{
	uint32_t bytes = e->rest >> 32;

	*ret = (struct block){
		.bytes = bytes, .count = 1, .row = entry_row(e), .birth = entry_birth(e),
	};
	if (bytes == BYTES_EXTRA) {
		struct block_extra extra = extra_take(blocks, addr);

		ret->bytes = extra.bytes;
		ret->count = extra.count;
		ret->variance = extra.variance;
	}
}

/* The entry of this hash or the place before which it belongs. */
static struct block_entry *segment_find(const struct block_segment *segment, uint64_t hash)
{
	struct block_entry *e = segment->slots + block_home(segment, hash);

	while (e->hash && (e->hash | 0xff) < hash)
		e++;
	return e;
}

static bool entry_is(const struct block_entry *e, uint64_t hash)
{
	return (e->hash ^ hash) <= 0xff;
}

/* Opens a gap at @e by moving what follows one on; false if the end is reached. */
static bool open_gap(const struct block_segment *segment, struct block_entry *e)
{
	struct block_entry *end = e;

	while (end->hash)
		end++;
	if (end == segment->slots + segment->total)
		return false;
	for (; end > e; end--)
		*end = end[-1];
	return true;
}

bool blocks_put(struct blocks *blocks, uint64_t addr, const struct block *block, struct block *old)
{
	uint64_t hash = block_hash(addr);
	bool extra = block->bytes >= BYTES_EXTRA || block->count != 1 ||
		     block->variance.bytes > 0 || block->variance.count > 0;
	bool replaced = false;
	struct block_segment *segment;
	struct block_entry *e;

	for (;;) {
		segment = blocks_segment(blocks, hash);
		if (segment->slots) {
			e = segment_find(segment, hash);
			if (entry_is(e, hash)) {
				entry_take(blocks, addr, e, old);
				replaced = true;
				break;
			}
			if (segment->len < segment->cap - segment->cap / 5 &&
			    open_gap(segment, e))
				break;
		}
		make_room(blocks, segment, hash);
	}
	if (extra)
		extra_put(blocks, addr, block);
	*e = entry_make(hash, extra ? BYTES_EXTRA : block->bytes, block->row, block->birth);
	segment->len += !replaced;
	blocks->len += !replaced;
	return replaced;
}

/* Moves back what was pushed on by the entry at @e, up to one at its home. */
static void close_gap(const struct block_segment *segment, struct block_entry *e)
{
	while (e[1].hash && segment->slots + block_home(segment, e[1].hash) <= e) {
		e[0] = e[1];
		e++;
	}
	*e = (struct block_entry){ 0 };
}

bool blocks_take(struct blocks *blocks, uint64_t addr, struct block *ret)
{
	uint64_t hash = block_hash(addr);
	struct block_segment *segment = blocks_segment(blocks, hash);
	struct block_entry *e;

	if (!segment->slots)
		return false;
	e = segment_find(segment, hash);
	if (!entry_is(e, hash))
		return false;
	entry_take(blocks, addr, e, ret);
	close_gap(segment, e);
	segment->len--;
	blocks->len--;
	maybe_shrink(blocks, segment);
	return true;
}

/* The entry of @addr, or NULL. */
static const struct block_entry *find(const struct blocks *blocks, uint64_t addr)
{
	uint64_t hash = block_hash(addr);
	const struct block_segment *segment = blocks_segment(blocks, hash);
	const struct block_entry *e = segment->slots ? segment_find(segment, hash) : NULL;

	return e && entry_is(e, hash) ? e : NULL;
}

static uint64_t bytes_of(const struct blocks *blocks, const struct block_entry *e, uint64_t addr)
{
	uint64_t bytes = e->rest >> 32;

	return bytes == BYTES_EXTRA ? extra_bytes(blocks, addr) : bytes;
}

bool blocks_find(const struct blocks *blocks, uint64_t addr, uint64_t *bytes_ret)
{
	const struct block_entry *e = find(blocks, addr);

	if (!e)
		return false;
	*bytes_ret = bytes_of(blocks, e, addr);
	return true;
}

#define PART_SHIFT (64 - BLOCKS_PART_BITS)

/* A part is the hashes that begin alike: a piece of one segment, or several whole ones. */
void blocks_each(const struct blocks *blocks, unsigned int part,
		 void (*fn)(void *arg, uint64_t addr, uint64_t bytes, uint32_t row), void *arg)
{
	uint64_t hash = (uint64_t)part << PART_SHIFT;

	while (hash >> PART_SHIFT == part) {
		const struct block_segment *segment = blocks_segment(blocks, hash);
		uint64_t step = segment->depth ? 1ull << (64 - segment->depth) : 0;

		for (uint32_t i = 0; segment->slots && i < segment->total; i++) {
			const struct block_entry *e = &segment->slots[i];
			uint64_t addr = block_addr(e->hash);

			if (e->hash && e->hash >> PART_SHIFT == part)
				fn(arg, addr, bytes_of(blocks, e, addr), entry_row(e));
		}
		hash += step;
		if (!step || hash < step)
			return;
	}
}

uint32_t blocks_row(const struct blocks *blocks, uint64_t addr)
{
	const struct block_entry *e = find(blocks, addr);

	return e ? entry_row(e) : 0;
}

void blocks_oldest(const struct blocks *blocks, uint16_t *oldest)
{
	for_each_segment(segment, blocks) {
		for (uint32_t i = 0; i < segment->total; i++) {
			const struct block_entry *e = &segment->slots[i];
			uint16_t birth = entry_birth(e);
			uint32_t row = entry_row(e);

			if (e->hash && birth < oldest[row])
				oldest[row] = birth;
		}
	}
}

void blocks_drain(struct blocks *blocks,
		  void (*fn)(void *arg, uint64_t addr, const struct block *block), void *arg)
{
	struct blocks old = *blocks;

	blocks_init(blocks);
	for_each_segment(segment, &old) {
		for (uint32_t i = 0; i < segment->total; i++) {
			const struct block_entry *e = &segment->slots[i];
			struct block block;

			if (!e->hash)
				continue;
			entry_take(&old, block_addr(e->hash), e, &block);
			fn(arg, block_addr(e->hash), &block);
		}
	}
	blocks_deinit(&old);
}

void blocks_coarsen(struct blocks *blocks, unsigned int shift)
{
	for_each_segment(segment, blocks) {
		for (uint32_t i = 0; i < segment->total; i++) {
			struct block_entry *e = &segment->slots[i];

			if (e->hash)
				*e = entry_make(e->hash & ~0xffull, e->rest >> 32, entry_row(e),
						entry_birth(e) >> shift);
		}
	}
}
