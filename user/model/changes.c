// SPDX-License-Identifier: GPL-2.0-or-later
/* Changes as a snapshot; see changes.h. */
#include <stdlib.h>

#include "model/changes.h"
#include "model/diff.h"

static struct metrics change_of(const struct diff_row *row, double span_s)
{
	struct metrics m = row->delta;

	m.oldest_live_s = row->new.oldest_live_s;
	m.growth_bytes_per_s = span_s > 0 ? (double)m.live_bytes / span_s : 0;
	m.growth_confidence = 1;
	return m;
}

/* Frames of the earlier moment, which may be gone before the changes are. */
static void copy_frames(struct snapshot *to, const struct snapshot *from,
			const struct snapshot_stack *stack, struct snapshot_stack *copy)
{
	const struct frame *frames = snapshot_frames(from, stack);

	copy->shared_frames = NULL;
	copy->frame_first = (uint32_t)to->frames.len;
	for (uint32_t i = 0; i < stack->frame_count; i++) {
		struct frame frame = frames[i];

		frame.function = snapshot_string(to, frame.function);
		frame.raw = snapshot_string(to, frame.raw);
		frame.module = snapshot_string(to, frame.module);
		frame.path = snapshot_string(to, frame.path);
		frame.build_id = snapshot_string(to, frame.build_id);
		frame.file = snapshot_string(to, frame.file);
		frame_vec_push(&to->frames, frame);
	}
}

static void add_row(struct snapshot *to, const struct diff *diff, const struct diff_row *row)
{
	struct snapshot_stack copy = *row->stack;

	if (row->of == diff->new)
		copy.shared_frames = snapshot_frames(row->of, row->stack);
	else
		copy_frames(to, row->of, row->stack, &copy);
	copy.m = change_of(row, diff->new->duration_s - diff->old->duration_s);
	copy.share_first = copy.share_count = 0;
	snapshot_stack_vec_push(&to->stacks, copy);
}

/* A share of a stack, whose row has that number. */
struct part { uint32_t row; struct snapshot_share share; };

DEFINE_VEC(part_vec, struct part);

static struct snapshot_share taken_off(const struct snapshot_share *share)
{
	struct snapshot_share off = *share;

	off.live_bytes = -off.live_bytes;
	off.live_count = -off.live_count;
	off.alloc_bytes = -off.alloc_bytes;
	off.alloc_count = -off.alloc_count;
	off.temporary_count = -off.temporary_count;
	off.peak_live_bytes = -off.peak_live_bytes;
	off.oldest_live_s = 0;
	return off;
}

static void add_parts(struct part_vec *parts, const struct snapshot *snap,
		      const struct row_number_vec *rows, bool off)
{
	for (size_t i = 0; i < snap->stacks.len; i++) {
		const struct snapshot_stack *stack = &snap->stacks.data[i];

		for (uint32_t k = 0; k < stack->share_count; k++) {
			const struct snapshot_share *share =
				&snap->shares.data[stack->share_first + k];

			part_vec_push(parts, (struct part){
				rows->data[i], off ? taken_off(share) : *share });
		}
	}
}

static int compare_parts(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	if (x->row != y->row)
		return x->row < y->row ? -1 : 1;
	if (x->share.thread != y->share.thread)
		return x->share.thread < y->share.thread ? -1 : 1;
	return x->share.size_class < y->share.size_class ? -1 :
		x->share.size_class > y->share.size_class;
}

/* What the earlier moment had is in them below zero: sums over them are the changes. */
static void add_shares(struct snapshot *to, const struct diff *diff)
{
	struct part_vec parts = { 0 };

	add_parts(&parts, diff->new, &diff->new_rows, false);
	add_parts(&parts, diff->old, &diff->old_rows, true);
	if (parts.len)
		qsort(parts.data, parts.len, sizeof(*parts.data), compare_parts);
	vec_for_each(part, &parts) {
		struct snapshot_stack *stack = &to->stacks.data[part->row];

		if (!stack->share_count++)
			stack->share_first = (uint32_t)to->shares.len;
		snapshot_share_vec_push(&to->shares, part->share);
	}
	part_vec_deinit(&parts);
}

static void add_threads(struct snapshot *to, const struct snapshot *from)
{
	for (size_t i = to->threads.len; i < from->threads.len; i++) {
		struct snapshot_thread thread = from->threads.data[i];

		thread.name = snapshot_string(to, thread.name);
		snapshot_thread_vec_push(&to->threads, thread);
	}
}

/* They are numbered in the order in which they appeared. */
static void add_targets(struct snapshot *to, const struct snapshot *old)
{
	for (size_t i = to->targets.len; i < old->targets.len; i++) {
		struct snapshot_target target = old->targets.data[i];

		target.comm = snapshot_string(to, target.comm);
		target.exe = snapshot_string(to, target.exe);
		target.cmdline = snapshot_string(to, target.cmdline);
		target.exit_reason = snapshot_string(to, target.exit_reason);
		snapshot_target_vec_push(&to->targets, target);
	}
}

struct snapshot *changes_between(const struct snapshot *old, struct snapshot *new)
{
	struct diff *diff __cleanup(diff_destroyp) = diff_create_moments(old, new, "live_bytes");
	struct snapshot *snap = snapshot_derive(new);

	add_targets(snap, old);
	vec_for_each(row, &diff->rows)
		add_row(snap, diff, row);
	add_shares(snap, diff);
	add_threads(snap, new);
	add_threads(snap, old);
	return snap;
}
