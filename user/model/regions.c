// SPDX-License-Identifier: GPL-2.0-or-later
/* Mapped ranges and their cutting; see regions.h. */
#include <string.h>

#include "model/regions.h"

void regions_deinit(struct regions *regions)
{
	region_piece_vec_deinit(&regions->pieces);
	region_mapping_vec_deinit(&regions->mappings);
	region_free_vec_deinit(&regions->free);
}

size_t regions_behind(const struct regions *regions, uint64_t addr)
{
	size_t low = 0, high = regions->pieces.len;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (regions->pieces.data[mid].end > addr)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static void piece_insert(struct regions *regions, size_t i, struct region_piece piece)
{
	struct region_piece *at;

	region_piece_vec_append(&regions->pieces);
	at = &regions->pieces.data[i];
	memmove(at + 1, at, (regions->pieces.len - 1 - i) * sizeof(*at));
	*at = piece;
}

static void pieces_remove(struct regions *regions, size_t i, size_t count)
{
	struct region_piece *at;

	if (!count)
		return;
	at = regions->pieces.data + i;
	memmove(at, at + count, (regions->pieces.len - i - count) * sizeof(*at));
	regions->pieces.len -= count;
}

bool regions_have_both(const struct regions *regions, uint64_t a, uint64_t b)
{
	size_t i = regions_behind(regions, a);
	const struct region_piece *piece = regions->pieces.data + i;

	return i < regions->pieces.len && piece->start <= a && b < piece->end;
}

void regions_add(struct regions *regions, uint64_t start, uint64_t end, uint32_t row,
		 uint64_t birth_ns)
{
	uint32_t mapping = regions->mappings.len;

	if (regions->free.len)
		mapping = regions->free.data[--regions->free.len];
	else
		region_mapping_vec_append(&regions->mappings);
	regions->mappings.data[mapping] = (struct region_mapping){ birth_ns, row, 1 };
	piece_insert(regions, regions_behind(regions, start),
		     (struct region_piece){ start, end, mapping });
}

/* One piece of the mapping is gone; whether it was the last. */
static bool mapping_drop_piece(struct regions *regions, uint32_t mapping)
{
	if (--regions->mappings.data[mapping].pieces)
		return false;
	region_free_vec_push(&regions->free, mapping);
	return true;
}

/*
 * Cuts [start, end) out of piece @i, which it touches. True if nothing of
 * the piece remains; a hole in its middle makes a second piece behind it.
 */
static bool piece_cut(struct regions *regions, size_t i, uint64_t start, uint64_t end,
		      struct region_cut_vec *cuts)
{
	struct region_piece *piece = &regions->pieces.data[i];
	struct region_mapping *mapping = &regions->mappings.data[piece->mapping];
	struct region_cut *cut = region_cut_vec_append(cuts);
	uint64_t from = piece->start > start ? piece->start : start;
	uint64_t to = piece->end < end ? piece->end : end;

	*cut = (struct region_cut){ to - from, mapping->row, false };
	if (from == piece->start && to == piece->end) {
		cut->last = mapping_drop_piece(regions, piece->mapping);
		return true;
	}
	if (from == piece->start) {
		piece->start = to;
	} else if (to == piece->end) {
		piece->end = from;
	} else {
		struct region_piece rest = { to, piece->end, piece->mapping };

		piece->end = from;
		mapping->pieces++;
		piece_insert(regions, i + 1, rest);
	}
	return false;
}

void regions_cut(struct regions *regions, uint64_t start, uint64_t end,
		 struct region_cut_vec *cuts)
{
	const struct region_piece_vec *pieces = &regions->pieces;
	size_t gone = 0, gone_at = 0;

	for (size_t i = regions_behind(regions, start);
	     i < pieces->len && pieces->data[i].start < end; i++) {
		if (piece_cut(regions, i, start, end, cuts)) {
			/* What goes whole is adjacent: only the outer two can be partial. */
			gone_at = gone ? gone_at : i;
			gone++;
		}
	}
	pieces_remove(regions, gone_at, gone);
}
