// SPDX-License-Identifier: GPL-2.0-or-later
/* Folded stacks; see folded.h and diff.h. */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/format.h"
#include "base/strbuf.h"
#include "export/diff.h"
#include "export/folded.h"
#include "model/calltree.h"

struct line {
	char *stack;
	int64_t value, old;	/* old: of comparisons */
};

DEFINE_VEC(line_vec, struct line);

static void lines_deinit(struct line_vec *lines)
{
	vec_for_each(line, lines)
		free(line->stack);
	line_vec_deinit(lines);
}

/* The names' own semicolons would look like one more frame. */
static void add_name(struct strbuf *sb, const char *name)
{
	size_t start = sb->len;

	format_escaped(sb, name);
	for (size_t i = start; i < sb->len; i++)
		if (sb->data[i] == ';')
			sb->data[i] = ':';
}

/*
 * Flame graph tools take two numbers at the end of a line for a comparison:
 * a leaf that is called "pass 2" would be its first one.
 */
static void guard_number(struct strbuf *sb)
{
	size_t i = sb->len;

	while (i > 0 && (isdigit((unsigned char)sb->data[i - 1]) || sb->data[i - 1] == '.'))
		i--;
	if (i > 0 && i < sb->len && sb->data[i - 1] == ' ')
		sb->data[i - 1] = '_';
}

static char *fold(const struct snapshot *snap, const struct snapshot_stack *stack)
{
	const struct frame *frames = snapshot_frames(snap, stack);
	struct strbuf sb = { 0 }, name __cleanup_strbuf = { 0 };

	add_name(&sb, snap->targets.data[stack->target].comm);
	for (uint32_t i = stack->frame_count; i > 0; i--) {
		strbuf_addch(&sb, ';');
		strbuf_reset(&name);
		frame_name(&name, &frames[i - 1]);
		add_name(&sb, strbuf_str(&name));
	}
	if (!stack->frame_count)
		strbuf_addstr(&sb, ";[lost]");
	guard_number(&sb);
	return strbuf_detach(&sb);
}

static int line_compare(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	return strcmp(x->stack, y->stack);
}

/* Equal lines are added up: they stand side by side once sorted. */
static void write_lines(struct line_vec *lines, FILE *f, bool both)
{
	if (lines->len)
		qsort(lines->data, lines->len, sizeof(*lines->data), line_compare);
	for (size_t i = 0, next; i < lines->len; i = next) {
		int64_t sum = 0, old = 0;

		for (next = i; next < lines->len &&
		     !strcmp(lines->data[next].stack, lines->data[i].stack); next++) {
			sum += lines->data[next].value;
			old += lines->data[next].old;
		}
		if (both && (sum || old))
			fprintf(f, "%s %" PRId64 " %" PRId64 "\n", lines->data[i].stack, old, sum);
		else if (sum)
			fprintf(f, "%s %" PRId64 "\n", lines->data[i].stack, sum);
	}
}

struct error *export_folded(const struct snapshot *snap, FILE *f, const char *name)
{
	struct line_vec lines __cleanup(lines_deinit) = { 0 };
	const struct metric *metric = NULL;
	struct error *err = metric_find_counting(name, &metric);

	if (err)
		return err;
	for (size_t i = 0; i < snap->stacks.len; i++) {
		const struct snapshot_stack *stack = &snap->stacks.data[i];
		int64_t value = metric_count(metric, &stack->m);

		if (value)
			line_vec_push(&lines, (struct line){ fold(snap, stack), value, 0 });
	}
	write_lines(&lines, f, false);
	return NULL;
}

struct error *export_diff_folded(const struct diff *diff, FILE *f)
{
	struct line_vec lines __cleanup(lines_deinit) = { 0 };
	const struct metric *metric = NULL;
	struct error *err = metric_find_counting(diff->metric, &metric);

	if (err)
		return err;
	vec_for_each(row, &diff->rows)
		line_vec_push(&lines, (struct line){
			fold(row->of, row->stack), metric_count(metric, &row->new),
			metric_count(metric, &row->old) });
	write_lines(&lines, f, true);
	return NULL;
}
