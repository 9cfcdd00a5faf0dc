// SPDX-License-Identifier: GPL-2.0-or-later
/* Folded stacks; see folded.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/format.h"
#include "base/strbuf.h"
#include "export/folded.h"
#include "model/fields.h"

struct line {
	char *stack;
	int64_t value;
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

static void add_frame(struct strbuf *sb, const struct frame *frame)
{
	strbuf_addch(sb, ';');
	if (frame->function) {
		add_name(sb, frame->function);
	} else if (frame->module[0]) {
		add_name(sb, frame->module);
		strbuf_addf(sb, "+0x%" PRIx64, frame->offset);
	} else {
		strbuf_addf(sb, "[0x%" PRIx64 "]", frame->pc);
	}
}

static char *fold(const struct snapshot *snap, const struct snapshot_stack *stack)
{
	const struct frame *frames = snapshot_frames(snap, stack);
	struct strbuf sb = { 0 };

	add_name(&sb, snap->targets.data[stack->target].comm);
	for (uint32_t i = stack->frame_count; i > 0; i--)
		add_frame(&sb, &frames[i - 1]);
	if (!stack->frame_count)
		strbuf_addstr(&sb, ";[lost]");
	return strbuf_detach(&sb);
}

static int line_compare(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	return strcmp(x->stack, y->stack);
}

/* Equal lines stand side by side once sorted. */
static void write_lines(const struct line_vec *lines, FILE *f)
{
	for (size_t i = 0, next; i < lines->len; i = next) {
		int64_t sum = 0;

		for (next = i; next < lines->len &&
		     !strcmp(lines->data[next].stack, lines->data[i].stack); next++)
			sum += lines->data[next].value;
		if (sum)
			fprintf(f, "%s %" PRId64 "\n", lines->data[i].stack, sum);
	}
}

static struct error *find_metric(const char *name, const struct field **ret)
{
	struct strbuf names __cleanup_strbuf = { 0 };

	fields_for_each(field, &metric_fields) {
		if (field->type != FIELD_INT64)
			continue;
		if (!strcmp(field->name, name)) {
			*ret = field;
			return NULL;
		}
		strbuf_addf(&names, "%s%s", names.len ? ", " : "", field->name);
	}
	return error_create(ERROR_USAGE, "'%s' cannot be folded: choose one of %s", name,
			    strbuf_str(&names));
}

struct error *export_folded(const struct snapshot *snap, FILE *f, const char *metric)
{
	struct line_vec lines __cleanup(lines_deinit) = { 0 };
	const struct field *field = NULL;
	struct error *err = find_metric(metric, &field);

	if (err)
		return err;
	for (size_t i = 0; i < snap->stacks.len; i++) {
		const struct snapshot_stack *stack = &snap->stacks.data[i];
		int64_t value;

		memcpy(&value, (const char *)&stack->m + field->offset, sizeof(value));
		if (value)
			line_vec_push(&lines, (struct line){ fold(snap, stack), value });
	}
	if (lines.len)
		qsort(lines.data, lines.len, sizeof(*lines.data), line_compare);
	write_lines(&lines, f);
	return NULL;
}
