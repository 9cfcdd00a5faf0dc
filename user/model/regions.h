/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mapped ranges of one image, as the program asked for them. A mapping
 * is one mmap or one raise of the break; unmapping parts of it cuts it into
 * pieces. Pieces are disjoint and sorted, so a range is found by binary search.
 */
#ifndef HEAPSONDE_MODEL_REGIONS_H
#define HEAPSONDE_MODEL_REGIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"

struct region_piece {
	uint64_t start, end;	/* [start, end) */
	uint32_t mapping;	/* index into mappings */
};

struct region_mapping {
	uint64_t birth_ns;
	uint32_t row;
	uint32_t pieces;	/* 0: free for reuse */
};

/* What a cut took from one piece. */
struct region_cut {
	uint64_t bytes;
	uint32_t row;
	bool last;		/* nothing of the mapping is left */
};

DEFINE_VEC(region_piece_vec, struct region_piece);
DEFINE_VEC(region_mapping_vec, struct region_mapping);
DEFINE_VEC(region_free_vec, uint32_t);
DEFINE_VEC(region_cut_vec, struct region_cut);

/* A zeroed struct is an empty set. */
struct regions {
	struct region_piece_vec pieces;
	struct region_mapping_vec mappings;
	struct region_free_vec free;
};

void regions_deinit(struct regions *regions);

/* The number of the first piece that ends behind @addr. */
size_t regions_behind(const struct regions *regions, uint64_t addr);
/* Whether both lie in one piece, @a before @b. */
bool regions_have_both(const struct regions *regions, uint64_t a, uint64_t b);
/* Enters [start, end), which must have been cut out before. */
void regions_add(struct regions *regions, uint64_t start, uint64_t end, uint32_t row,
		 uint64_t birth_ns);
/* Removes what lies in [start, end) and appends to @cuts what that was. */
void regions_cut(struct regions *regions, uint64_t start, uint64_t end,
		 struct region_cut_vec *cuts);

#endif
