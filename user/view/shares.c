// SPDX-License-Identifier: GPL-2.0-or-later
/* Shares of threads and size classes; see shares.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "view/shares.h"

const char no_shares_text[] =
	"threads and size classes are not told apart here: a recording has them at its marks"
	" and its end";

struct share_key share_key(const struct snapshot_share *share, enum split split)
{
	return (struct share_key){
		split & SPLIT_THREAD ? share->thread : 0,
		split & SPLIT_CLASS ? share->size_class : 0,
	};
}

static bool is_of(const struct snapshot_share *share, enum split split, struct share_key key)
{
	struct share_key own = share_key(share, split);

	return own.thread == key.thread && own.size_class == key.size_class;
}

/* Samples are independent: their errors add up in squares. */
static void add(struct metrics *m, const struct snapshot_share *share)
{
	m->live_bytes += share->live_bytes;
	m->live_count += share->live_count;
	m->alloc_bytes += share->alloc_bytes;
	m->alloc_count += share->alloc_count;
	m->free_bytes += share->alloc_bytes - share->live_bytes;
	m->free_count += share->alloc_count - share->live_count;
	m->temporary_count += share->temporary_count;
	m->peak_live_bytes += share->peak_live_bytes;
	m->oldest_live_s = fmax(m->oldest_live_s, share->oldest_live_s);
	m->live_bytes_error = hypot(m->live_bytes_error, share->live_bytes_error);
	m->live_count_error = hypot(m->live_count_error, share->live_count_error);
	m->alloc_bytes_error = hypot(m->alloc_bytes_error, share->alloc_bytes_error);
	m->alloc_count_error = hypot(m->alloc_count_error, share->alloc_count_error);
}

struct metrics shares_sum(const struct snapshot *snap, const struct snapshot_stack *stack,
			  struct filter *filter, enum split split, struct share_key key)
{
	struct metrics sum = { 0 };

	shares_for_each(share, snap, stack)
		if (is_of(share, split, key) && filter_matches_share(filter, snap, share))
			add(&sum, share);
	return sum;
}

/*
 * What decides who has most: what is live or, of what lives no more, all there
 * was. Of changes both may be below zero.
 */
static int64_t weight(const struct snapshot_stack *stack, const struct snapshot_share *share)
{
	return stack->m.live_bytes ? share->live_bytes : share->alloc_bytes;
}

static void summarize_classes(const int64_t by_class[SIZE_CLASS_ANY + 1], uint64_t seen[2],
			      struct share_summary *ret)
{
	int64_t most = -1;

	for (uint32_t i = 0; i <= SIZE_CLASS_ANY; i++) {
		if (!(seen[i / 64] >> i % 64 & 1))
			continue;
		ret->classes++;
		if (llabs(by_class[i]) > most) {
			most = llabs(by_class[i]);
			ret->size_class = i;
		}
	}
}

struct share_summary shares_summary(const struct snapshot *snap,
				    const struct snapshot_stack *stack, struct filter *filter)
{
	int64_t by_class[SIZE_CLASS_ANY + 1] = { 0 }, most = -1, of_thread = 0;
	uint64_t seen[2] = { 0 };
	struct share_summary ret = { 0 };
	uint32_t before = 0;

	/* Those of a thread stand side by side. */
	shares_for_each(share, snap, stack) {
		if (!filter_matches_share(filter, snap, share))
			continue;
		if (!ret.threads || share->thread != before) {
			ret.threads++;
			of_thread = 0;
		}
		before = share->thread;
		of_thread += weight(stack, share);
		if (llabs(of_thread) > most) {
			most = llabs(of_thread);
			ret.thread = share->thread;
		}
		by_class[share->size_class] += weight(stack, share);
		seen[share->size_class / 64] |= 1ull << share->size_class % 64;
	}
	summarize_classes(by_class, seen, &ret);
	return ret;
}

/* Programs that name no thread give all of them their own name. */
static bool is_only_one(const struct snapshot *snap, const struct snapshot_thread *thread)
{
	vec_for_each(other, &snap->threads)
		if (other != thread && other->name && !strcmp(other->name, thread->name))
			return false;
	return true;
}

void share_thread_name(struct strbuf *sb, const struct snapshot *snap, uint32_t thread)
{
	const struct snapshot_thread *t = &snap->threads.data[thread];

	if (!thread || thread >= snap->threads.len)
		strbuf_addstr(sb, "others");
	else if (t->name && is_only_one(snap, t))
		strbuf_addstr(sb, t->name);
	else
		strbuf_addf(sb, "%u %s", t->tid, t->name ? t->name : "");
}

const char *share_class_name(uint32_t size_class, char buf[16])
{
	static const char units[] = " KMGTPE";
	char unit[2] = { 0 };

	if (size_class >= SIZE_CLASS_ANY)
		return "any";
	if (size_class >= 10)
		unit[0] = units[size_class / 10];
	snprintf(buf, 16, "%u%s", 1u << size_class % 10, unit);
	return buf;
}
