// SPDX-License-Identifier: GPL-2.0-or-later
/* Blocks with mappings of their own, which system calls tell; see windows.h. */
#include <string.h>

#include "model/windows_private.h"

/*
 * Calls are told when they return. A thread that is kept from that for long tells of the
 * end of a mapping after another has got its addresses.
 */
#define LATE_NS 10000000000ull

/* The number of the first block that ends behind @addr. */
static size_t behind(const struct windows *w, uint64_t addr)
{
	size_t low = 0, high = w->mapped.len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (w->mapped.data[middle].b.end > addr)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

struct mapped *mapped_at(const struct windows *w, uint64_t addr)
{
	size_t i = behind(w, addr);

	return i < w->mapped.len && w->mapped.data[i].b.start <= addr ? &w->mapped.data[i] : NULL;
}

static double room_in(const struct mapped_block *block)
{
	return (double)(block->end - block->start - MAPPED_HEAD);
}

static void count_birth(struct windows *w, const struct mapped *block, int sign)
{
	struct mapped_sums *sums = &w->rows.data[block->row].mapped;

	sums->alloc_bytes += sign * room_in(&block->b);
	sums->alloc_count += sign;
}

static void count_live(struct windows *w, const struct mapped *block, int sign)
{
	struct mapped_sums *sums = &w->rows.data[block->row].mapped;

	sums->live_bytes += sign * room_in(&block->b);
	sums->live_count += sign;
}

static void insert(struct windows *w, const struct mapped *block)
{
	size_t at = behind(w, block->b.start);

	mapped_vec_push(&w->mapped, *block);
	memmove(&w->mapped.data[at + 1], &w->mapped.data[at],
		(w->mapped.len - 1 - at) * sizeof(*block));
	w->mapped.data[at] = *block;
}

static void end_mapped(struct windows *w, struct mapped *block)
{
	size_t at = (size_t)(block - w->mapped.data);

	count_live(w, block, -1);
	memmove(block, block + 1, (--w->mapped.len - at) * sizeof(*block));
}

/* The next block that has a part of [start, end), or NULL. */
static struct mapped *in_range(const struct windows *w, uint64_t start, uint64_t end)
{
	size_t i = behind(w, start);

	return i < w->mapped.len && w->mapped.data[i].b.start < end ? &w->mapped.data[i] : NULL;
}

void windows_map(struct windows *w, const struct mapped_block *block, uint64_t stack_id)
{
	struct mapped born = { .b = *block, .window = w->number };
	struct mapped *before;

	while ((before = in_range(w, block->start, block->end))) {
		w->late[w->late_next++ % LATE_ENDS] = (struct late_end){
			before->b.start, before->b.end, block->birth_ns + LATE_NS };
		end_mapped(w, before);
	}
	windows_end_at(w, block->start + MAPPED_HEAD, block->birth_ns);
	windows_row_of(w, stack_id, &born.row);
	count_birth(w, &born, 1);
	count_live(w, &born, 1);
	insert(w, &born);
}

/* Whether that is what a birth has told already. */
static bool is_late(struct windows *w, uint64_t start, uint64_t end, uint64_t now_ns)
{
	for (size_t i = 0; i < LATE_ENDS; i++) {
		struct late_end *late = &w->late[i];

		if (late->start == start && late->end == end && late->expires_ns > now_ns) {
			late->expires_ns = 0;
			return true;
		}
	}
	return false;
}

void windows_unmap(struct windows *w, uint64_t start, uint64_t end, uint64_t now_ns)
{
	struct mapped *block;

	if (is_late(w, start, end, now_ns))
		return;
	while ((block = in_range(w, start, end)))
		end_mapped(w, block);
	windows_end_at(w, start + MAPPED_HEAD, now_ns);
}

void mapped_give(struct windows *w, struct mapped *block, uint64_t stack_id)
{
	uint32_t number;

	windows_row_of(w, stack_id, &number);
	if (block->row == number)
		return;
	count_live(w, block, -1);
	if (block->window == w->number)
		count_birth(w, block, -1);
	block->row = number;
	count_birth(w, block, 1);
	count_live(w, block, 1);
}

/* --- what is read of them --- */

void windows_mapped(const struct windows *w, struct mapped_block_vec *ret)
{
	vec_for_each(block, &w->mapped)
		mapped_block_vec_push(ret, block->b);
}

void windows_note_mapped(struct windows *w, const struct mapped_block *b, enum mapped_look look)
{
	struct mapped *block = mapped_at(w, b->start);

	if (!block || block->b.start != b->start || block->b.birth_ns != b->birth_ns)
		return;
	if (look == MAPPED_IS_CHUNK)
		block->proven = true;
	if (look == MAPPED_IS_CHUNK || look == MAPPED_IS_EMPTY) {
		block->missed = false;
		return;
	}
	/* The call that has ended it may be on its way. */
	if (!block->missed) {
		block->missed = true;
		return;
	}
	if (!block->proven && look == MAPPED_IS_OTHER)
		count_birth(w, block, -1);
	end_mapped(w, block);
}

bool windows_counts_mapped(struct windows *w, uint64_t addr)
{
	if (mapped_at(w, addr))
		return false;
	map64_set(&w->strangers, addr, 1);
	return map64_get(&w->block_at, addr) || map64_get(&w->strangers_before, addr);
}

double mapped_bytes(const struct windows *w)
{
	double sum = 0;

	vec_for_each(block, &w->mapped)
		sum += (double)(block->b.end - block->b.start);
	return sum;
}

void mapped_add_to(const struct windows *w, struct heap_census *census)
{
	vec_for_each(block, &w->mapped) {
		uint64_t bytes = block->b.end - block->b.start;

		census->bytes[window_class(bytes)] += (double)bytes;
	}
}

void mapped_deinit(struct windows *w)
{
	mapped_vec_deinit(&w->mapped);
	map64_deinit(&w->strangers);
	map64_deinit(&w->strangers_before);
}
