/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's ledger of one image: what is mapped, by whom, and who touched
 * which page first. It counts in rows of its own (MEMORY_GROWTH), because what an
 * allocator maps is given out again as blocks: added to those it would be
 * counted twice.
 *
 *	EV_MEMORY -> regions, mapped bytes of rows -> reclaim events
 *	EV_TOUCH  -> pages, resident bytes of rows
 *
 * Where faults are many, a sample of them is told, and one fault may make many
 * pages resident: a huge page, what the kernel maps around a page of a file. So a
 * page counts at first for as many as the sample says, and the first of a block that
 * the kernel may fill with a huge page stands for all of it. From time to time the
 * kernel is asked what is resident in truth (model_check_pages()): pages that
 * nobody is known for, and that were not there before the watch, then belong to who
 * touched the nearest one before them, and each counts for itself.
 */
#ifndef HEAPSONDE_MODEL_RESIDENCE_H
#define HEAPSONDE_MODEL_RESIDENCE_H

#include <stdint.h>

#include "bpf/events.h"
#include "model/map64.h"
#include "model/page_set.h"
#include "model/regions.h"
#include "model/sink.h"

/* What was given back a short while ago, to see whether it comes again. */
#define DISCARDS_KEPT 64
#define REFAULT_SOON_NS 10000000000ull

struct discard {
	uint64_t start, end, time_ns;
	const char *how;	/* static */
};

/* A zeroed struct is an empty ledger. */
struct residence {
	struct regions accessible;	/* row 0: older than the watch; REGION_ bits */
	struct regions reserved;	/* mapped without any access */
	struct page_set pages;
	struct map64 rows;		/* stack id -> row of model.touched */
	uint64_t brk;			/* 0: not known */
	enum huge_pages huge_pages;
	struct discard discards[DISCARDS_KEPT];
	uint32_t discards_next;
};

/* Bits in a region's row. */
#define REGION_FILE (1u << 31)
#define REGION_SHARED (1u << 30)
#define REGION_HUGE (1u << 29)		/* MADV_HUGEPAGE */
#define REGION_SMALL (1u << 28)		/* MADV_NOHUGEPAGE */
#define REGION_BITS (REGION_FILE | REGION_SHARED | REGION_HUGE | REGION_SMALL)

void residence_deinit(struct residence *residence);

struct model;
struct image;

void residence_on_memory(struct model *model, struct image *image, const struct ev_memory *ev);
void residence_on_touch(struct model *model, struct image *image, const struct ev_touch *ev);
void residence_on_reclaim(struct model *model, const struct ev_reclaim *ev);
/* The page at @addr, which nobody held, is @page's row's now. */
void residence_touch(struct model *model, struct image *image, uint64_t addr, struct page page);

#endif
