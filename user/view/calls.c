// SPDX-License-Identifier: GPL-2.0-or-later
/* The call tree of what is shown; see calls.h. */
#include <math.h>
#include <string.h>

#include "view/calls.h"

static const char *const names[] = {
#define X(name, type, unit, header, help) #name,
	METRICS(X)
#undef X
};

#define STACKS_AT_ONCE 256	/* a key waits no longer than for these: some 0.5 ms */
#define NAMES_COUNT (sizeof(names) / sizeof(names[0]))

static void drop_trees(struct calls *calls)
{
	for (int i = 0; i < 2; i++) {
		calltree_destroy(steal_ptr(calls->trees[i]));
		calls->fresh[i] = false;
	}
	calls->walked = 0;
	frame_store_destroy(steal_ptr(calls->store));
	snapshot_destroy(steal_ptr(calls->of));
}

void calls_deinit(struct calls *calls)
{
	drop_trees(calls);
}

/* Frames that are the snapshot's own, as of code that gets its names later, go with it. */
static bool frames_last(const struct snapshot *snap)
{
	return snap->store && !snap->frames.len && !snap->origin;
}

/*
 * Trees last as long as the frames they were made of: live, mostly as long as
 * the session's, so that a refresh counts anew but walks no path that it knows.
 */
static void keep_frames(struct calls *calls, struct snapshot *snap)
{
	if (frames_last(snap) ? snap->store == calls->store : snap == calls->of)
		return;
	drop_trees(calls);
	if (frames_last(snap))
		calls->store = frame_store_ref(snap->store);
	else
		calls->of = snapshot_ref(snap);
}

/* What the tree has above a stack's outermost frame; NULL: nothing. */
static const char *comm_of(const struct ui *ui, const struct snapshot *snap,
			   const struct snapshot_stack *stack)
{
	bool by_target = snap->targets.len > 1 && ui->target == ALL_TARGETS;

	return by_target && stack->target < snap->targets.len ?
		snap->targets.data[stack->target].comm : NULL;
}

static struct calltree *tree_of(struct calls *calls, bool inverted)
{
	if (!calls->trees[inverted])
		calls->trees[inverted] = calltree_create(inverted);
	return calls->trees[inverted];
}

bool calls_prepare(struct ui *ui)
{
	struct calls *calls = &ui->calls;
	struct snapshot *snap = (struct snapshot *)ui_snapshot(ui);

	/* Else the next moment has frames of its own, and all was for nothing. */
	if (!frames_last(snap))
		return false;
	keep_frames(calls, snap);
	for (int i = 0; i < STACKS_AT_ONCE && calls->walked < snap->stacks.len; i++) {
		const struct snapshot_stack *stack = &snap->stacks.data[calls->walked++];

		for (int inverted = 0; inverted < 2; inverted++)
			calltree_walk(tree_of(calls, inverted), snapshot_frames(snap, stack),
				      stack->frame_count, comm_of(ui, snap, stack));
	}
	return calls->walked < snap->stacks.len;
}

static void fill(struct ui *ui, struct calltree *tree)
{
	const struct snapshot *snap = ui_snapshot(ui);

	calltree_clear(tree);
	vec_for_each(stack, &snap->stacks) {
		struct metrics m;
		double value;

		if (!ui_shows(ui, stack))
			continue;
		m = ui_metrics(ui, stack);
		value = metric_value(ui->metric, &m);
		if (value)
			calltree_add(tree, snapshot_frames(snap, stack), stack->frame_count,
				     comm_of(ui, snap, stack), value, 0);
	}
	calltree_finish(tree);
}

struct calltree *calls_tree(struct ui *ui)
{
	struct calls *calls = &ui->calls;
	struct calltree *tree;

	keep_frames(calls, (struct snapshot *)ui_snapshot(ui));
	tree = tree_of(calls, ui->inverted);
	if (!calls->fresh[ui->inverted])
		fill(ui, tree);
	calls->fresh[ui->inverted] = true;
	return tree;
}

/* What only the call tree shows is stale: the table of sites is as it was. */
static unsigned int derive_calls(struct ui *ui)
{
	ui->views[VIEW_TREE].stale = ui->views[VIEW_FLAME].stale = true;
	return EFFECT_DRAW;
}

unsigned int calls_next_metric(struct ui *ui)
{
	size_t i = 0;

	while (strcmp(names[i], ui->metric->name))
		i++;
	do {
		i = (i + 1) % NAMES_COUNT;
		ui->metric = metric_find(names[i]);
	} while (!ui->metric->counts || !ui->metric->adds_up);
	ui->calls.fresh[false] = ui->calls.fresh[true] = false;
	return derive_calls(ui);
}

unsigned int calls_invert(struct ui *ui)
{
	ui->inverted = !ui->inverted;
	return derive_calls(ui);
}

const char *calls_value(const struct ui *ui, double value, char buf[FORMAT_MAX])
{
	if (ui->metric->unit == UNIT_BYTES)
		return format_bytes_short(llround(value), ui->base, buf);
	return format_count_short(llround(value), buf);
}

double calls_share(const struct calltree *tree, uint32_t node)
{
	double whole = tree->nodes.data[CALLTREE_ROOT].now.total;

	return whole ? tree->nodes.data[node].now.total / whole : 0;
}

void calls_subject(const struct ui *ui, struct strbuf *sb)
{
	strbuf_addf(sb, "%s, %s", ui->metric->name,
		    ui->inverted ? "callers below (inverted)" : "callees below");
	if (ui->base)
		strbuf_addf(sb, ", changes %s", ui->base_name);
	if (ui->filter.text)
		strbuf_addf(sb, ", filter: %s", ui->filter.text);
}
