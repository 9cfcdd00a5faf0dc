/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What threads and size classes have of a stack: sums over those of its
 * shares that a filter lets pass. Growth and temporary blocks' errors are
 * known of whole stacks only.
 */
#ifndef HEAPSONDE_VIEW_SHARES_H
#define HEAPSONDE_VIEW_SHARES_H

#include "base/strbuf.h"
#include "model/snapshot.h"
#include "view/filter.h"

/* Which shares; a bit each says what tells lines of the table apart. */
enum split { SPLIT_NONE = 0, SPLIT_THREAD = 1, SPLIT_CLASS = 2, SPLITS_COUNT = 4 };

struct share_key { uint32_t thread, size_class; };

/* The part of @share's key that @split tells apart; 0 in place of the rest. */
struct share_key share_key(const struct snapshot_share *share, enum split split);

#define shares_for_each(it, snap, stack)						\
	for (const struct snapshot_share *it = (snap)->shares.data + (stack)->share_first; \
	     it < (snap)->shares.data + (stack)->share_first + (stack)->share_count; it++)

/* Of those that @filter lets pass and, as far as @split tells apart, are of @key. */
struct metrics shares_sum(const struct snapshot *snap, const struct snapshot_stack *stack,
			  struct filter *filter, enum split split, struct share_key key);

/* Who has most of a stack, and how many there are. */
struct share_summary {
	uint32_t thread, threads;
	uint32_t size_class, classes;	/* all 0: not known */
};

struct share_summary shares_summary(const struct snapshot *snap,
				    const struct snapshot_stack *stack, struct filter *filter);

/* Why there are none. */
extern const char no_shares_text[];

/* "worker-3"; "4711 shop" where several are called so; "others". */
void share_thread_name(struct strbuf *sb, const struct snapshot *snap, uint32_t thread);
/* "64" for blocks of up to 64 bytes, "2K", "any". */
const char *share_class_name(uint32_t size_class, char buf[16]);

#endif
