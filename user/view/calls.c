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

#define NAMES_COUNT (sizeof(names) / sizeof(names[0]))

struct calltree *calls_tree(struct ui *ui)
{
	const struct snapshot *snap = ui_snapshot(ui);
	struct calltree *tree = calltree_create(ui->inverted);
	bool by_target = snap->targets.len > 1 && ui->target == ALL_TARGETS;

	vec_for_each(stack, &snap->stacks) {
		struct metrics m = ui_metrics(ui, stack);
		double value = metric_value(ui->metric, &m);

		if (!value || !ui_shows(ui, stack))
			continue;
		calltree_add(tree, snapshot_frames(snap, stack), stack->frame_count,
			     by_target && stack->target < snap->targets.len ?
			     snap->targets.data[stack->target].comm : NULL, value, 0);
	}
	calltree_finish(tree);
	return tree;
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
	return EFFECT_DERIVE;
}

unsigned int calls_invert(struct ui *ui)
{
	ui->inverted = !ui->inverted;
	return EFFECT_DERIVE;
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
