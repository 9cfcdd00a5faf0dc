// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The JSON report. json-c renders strings and numbers; the object around them
 * is written piece by piece, so that one stack at a time is in memory.
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <string.h>

#include "base/strbuf.h"
#include "base/utf8.h"
#include "base/version.h"
#include "export/diff.h"
#include "export/json.h"
#include "model/fields.h"

#define JSON_SCHEMA 1

/* JSON is UTF-8, names of a target need not be. */
static json_object *string(const char *s)
{
	struct strbuf valid __cleanup_strbuf = { 0 };

	if (!s)
		return NULL;
	utf8_repair(&valid, s);
	return json_object_new_string_len(strbuf_str(&valid), (int)valid.len);
}

/* Integral up to 2^53 without an exponent, else nine digits: below any noise. */
static json_object *number(double value)
{
	char text[40];

	if (!isfinite(value))
		return NULL;
	if (fabs(value) < 0x1p53 && value == rint(value))
		snprintf(text, sizeof(text), "%.1f", value == 0 ? 0.0 : value);
	else
		snprintf(text, sizeof(text), "%.9g", value);
	return json_object_new_double_s(value, text);
}

static json_object *hex(uint64_t value, const char *format)
{
	char text[24];

	snprintf(text, sizeof(text), format, value);
	return json_object_new_string(text);
}

#define hex_address(value) hex(value, "0x%" PRIx64)
#define hex_id(value) hex(value, "%016" PRIx64)

static json_object *field_value(const struct field *field, const void *base)
{
	const char *p = (const char *)base + field->offset;
	int64_t n;
	double d;

	switch (field->type) {
	case FIELD_INT64:
		memcpy(&n, p, sizeof(n));
		return field->optional && n < 0 ? NULL : json_object_new_int64(n);
	case FIELD_UINT32:
		return json_object_new_int64(*(const uint32_t *)p);
	case FIELD_DOUBLE:
		memcpy(&d, p, sizeof(d));
		return field->optional && d < 0 ? NULL : number(d);
	case FIELD_FLOAT:
		return number((double)*(const float *)p);
	case FIELD_BOOL:
		return json_object_new_boolean(*(const bool *)p);
	case FIELD_STRING:
		return string(*(const char *const *)p);
	}
	return NULL;
}

static bool field_is_zero(const struct field *field, const void *base)
{
	double d;

	memcpy(&d, (const char *)base + field->offset, sizeof(d));
	return d == 0;
}

/* Keys are literals, each added once: neither copied nor looked for. */
static void add(json_object *obj, const char *key, json_object *value)
{
	json_object_object_add_ex(obj, key, value, JSON_C_OBJECT_ADD_KEY_IS_NEW |
				  JSON_C_OBJECT_ADD_CONSTANT_KEY);
}

static void add_fields(json_object *obj, const struct fields *fields, const void *base)
{
	fields_for_each(field, fields)
		if (!field->unless_zero || !field_is_zero(field, base))
			add(obj, field->name, field_value(field, base));
}

static json_object *fields_object(const struct fields *fields, const void *base)
{
	json_object *obj = json_object_new_object();

	add_fields(obj, fields, base);
	return obj;
}

static json_object *list_item(const struct snapshot *snap, enum snapshot_list list, size_t i)
{
	const struct list_fields *kind = &snapshot_lists[list];

	return fields_object(&kind->fields,
			     snapshot_list(snap, list)->data + i * kind->item_size);
}

static json_object *frame_object(const struct frame *frame)
{
	json_object *obj = json_object_new_object();

	add(obj, "pc", hex_address(frame->pc));
	add(obj, "function", string(frame->function));
	add(obj, "module", string(frame->module));
	add(obj, "build_id", string(frame->build_id));
	add(obj, "offset", json_object_new_uint64(frame->offset));
	add(obj, "file", string(frame->file));
	add(obj, "line", frame->line ? json_object_new_int64(frame->line) : NULL);
	add(obj, "inlined", json_object_new_boolean(frame->inlined));
	add(obj, "raw", string(frame->raw));
	add(obj, "path", string(frame->path));
	add(obj, "column", frame->column ? json_object_new_int64(frame->column) : NULL);
	add(obj, "type", string(frame->type));
	return obj;
}

static json_object *stack_object(const struct snapshot *snap, const struct snapshot_stack *stack)
{
	json_object *obj = json_object_new_object(), *frames = json_object_new_array();

	add(obj, "id", hex_id(stack->id));
	add(obj, "target", json_object_new_int64(stack->target));
	add_fields(obj, &metric_fields, &stack->m);
	add(obj, "kind", string(memory_kind_name(stack->kind)));
	add(obj, "status", string(unwind_status_name(stack->status)));
	add(obj, "type", string(snapshot_stack_type(snap, stack)));
	for (uint32_t i = 0; i < stack->frame_count; i++)
		json_object_array_add(frames, frame_object(&snapshot_frames(snap, stack)[i]));
	add(obj, "frames", frames);
	return obj;
}

/* Writes one value and frees it. */
static void put_value(FILE *f, json_object *value)
{
	fputs(json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN |
					     JSON_C_TO_STRING_NOSLASHESCAPE), f);
	json_object_put(value);
}

void json_put_string(FILE *f, const char *s)
{
	put_value(f, string(s));
}

static void put_member(FILE *f, const char *name, json_object *value)
{
	fprintf(f, ",\n\"%s\": ", name);
	put_value(f, value);
}

static void put_array_item(FILE *f, size_t i, json_object *item)
{
	fputs(i ? ",\n  " : "\n  ", f);
	put_value(f, item);
}

static void put_list(FILE *f, const char *name, const struct snapshot *snap,
		     enum snapshot_list list)
{
	fprintf(f, ",\n\"%s\": [", name);
	for (size_t i = 0; i < snapshot_list(snap, list)->len; i++)
		put_array_item(f, i, list_item(snap, list, i));
	fputs("]", f);
}

/* Those that the level shows, or, @hidden, the others; up to @limit (0: all). */
static void put_stacks(FILE *f, const char *name, const struct snapshot *snap, bool hidden,
		       size_t limit)
{
	size_t count = 0;

	fprintf(f, ",\n\"%s\": [", name);
	vec_for_each(stack, &snap->stacks) {
		if (snapshot_shows(snap, stack) == hidden)
			continue;
		put_array_item(f, count++, stack_object(snap, stack));
		if (count == limit)
			break;
	}
	fputs("]", f);
}

static json_object *list_array(const struct snapshot *snap, enum snapshot_list list)
{
	json_object *array = json_object_new_array();

	for (size_t i = 0; i < snapshot_list(snap, list)->len; i++)
		json_object_array_add(array, list_item(snap, list, i));
	return array;
}

/* The lines of one process. */
static json_object *account_of(const struct snapshot *snap, uint32_t pid)
{
	json_object *array = json_object_new_array();

	for (size_t i = 0; i < snap->process_account.len; i++)
		if (snap->process_account.data[i].pid == pid)
			json_object_array_add(array, list_item(snap, LIST_PROCESS_ACCOUNT, i));
	return array;
}

static json_object *processes_array(const struct snapshot *snap)
{
	json_object *array = json_object_new_array();

	for (size_t i = 0; i < snap->processes.len; i++) {
		json_object *process = list_item(snap, LIST_PROCESSES, i);

		add(process, "account", account_of(snap, snap->processes.data[i].pid));
		json_object_array_add(array, process);
	}
	return array;
}

static json_object *census_array(const struct snapshot *snap)
{
	json_object *array = json_object_new_array();

	for (size_t i = 0; i < snap->census.len; i++) {
		json_object *census = list_item(snap, LIST_CENSUS, i);
		json_object *classes = json_object_new_array();

		for (size_t k = 0; k < snap->census_classes.len; k++)
			if (snap->census_classes.data[k].pid == snap->census.data[i].pid)
				json_object_array_add(classes,
						      list_item(snap, LIST_CENSUS_CLASSES, k));
		add(census, "classes", classes);
		json_object_array_add(array, census);
	}
	return array;
}

static json_object *memory_object(const struct snapshot *snap)
{
	json_object *obj = fields_object(&snapshot_parts[PART_MEMORY], snap);

	add(obj, "account", list_array(snap, LIST_ACCOUNT));
	add(obj, "processes", processes_array(snap));
	add(obj, "cgroups", list_array(snap, LIST_CGROUPS));
	add(obj, "census", census_array(snap));
	return obj;
}

static json_object *runtime_object(const struct snapshot *snap)
{
	json_object *obj = fields_object(&snapshot_parts[PART_RUNTIME], snap);
	json_object *sizes = json_object_new_array();

	for (size_t i = 0; i < snap->sizes.len; i++)
		json_object_array_add(sizes, list_item(snap, LIST_SIZES, i));
	add(obj, "BySize", sizes);
	return obj;
}

static void put_part(FILE *f, const struct snapshot *snap, enum snapshot_part part)
{
	put_member(f, snapshot_parts[part].name, fields_object(&snapshot_parts[part], snap));
}

void export_json(const struct snapshot *snap, FILE *f, size_t limit)
{
	fputs("{\"heapsonde\": ", f);
	put_value(f, string(snap->version ? snap->version : heapsonde_version));
	put_member(f, "schema", json_object_new_int(JSON_SCHEMA));
	put_list(f, "targets", snap, LIST_TARGETS);
	fields_for_each(field, &snapshot_parts[PART_SNAPSHOT])
		put_member(f, field->name, field_value(field, snap));
	put_part(f, snap, PART_TOTALS);
	put_part(f, snap, PART_LOSS);
	put_stacks(f, "stacks", snap, false, limit);
	put_stacks(f, "growth", snap, true, limit);
	put_list(f, "reclaim", snap, LIST_RECLAIM);
	put_member(f, "memory", memory_object(snap));
	if (snap->runtime.language)
		put_member(f, "runtime", runtime_object(snap));
	else
		put_member(f, "runtime", NULL);
	put_list(f, "timeline", snap, LIST_TIMELINE);
	put_part(f, snap, PART_UNWIND);
	if (snap->windows.evidence)
		put_part(f, snap, PART_WINDOWS);
	else
		put_member(f, "windows", NULL);
	put_part(f, snap, PART_COST);
	put_list(f, "marks", snap, LIST_MARKS);
	put_list(f, "levels", snap, LIST_LEVELS);
	put_list(f, "focus", snap, LIST_FOCUS);
	fputs("}\n", f);
}

/* Comparisons */

static json_object *side_object(const struct snapshot *snap)
{
	json_object *obj = json_object_new_object(), *targets = json_object_new_array();

	add(obj, "t_s", number(snap->duration_s));
	for (size_t i = 0; i < snap->targets.len; i++)
		json_object_array_add(targets, list_item(snap, LIST_TARGETS, i));
	add(obj, "targets", targets);
	return obj;
}

static void add_change(json_object *obj, const struct metrics *old, const struct metrics *new,
		       const struct metrics *delta)
{
	add(obj, "old", fields_object(&metric_fields, old));
	add(obj, "new", fields_object(&metric_fields, new));
	add(obj, "delta", fields_object(&metric_fields, delta));
}

static json_object *row_object(const struct diff_row *row)
{
	json_object *obj = json_object_new_object(), *frames = json_object_new_array();

	add(obj, "state", string(diff_state_name(row->state)));
	add(obj, "kind", string(memory_kind_name(row->kind)));
	add_change(obj, &row->old, &row->new, &row->delta);
	for (uint32_t i = 0; i < row->stack->frame_count; i++)
		json_object_array_add(frames,
				      frame_object(&snapshot_frames(row->of, row->stack)[i]));
	add(obj, "frames", frames);
	return obj;
}

static json_object *states_object(const struct diff *diff)
{
	json_object *obj = json_object_new_object();

	for (int i = 0; i < DIFF_STATES_COUNT; i++)
		add(obj, diff_state_name(i), json_object_new_int64((int64_t)diff->counts[i]));
	return obj;
}

void export_diff_json(const struct diff *diff, FILE *f, size_t limit)
{
	size_t changed = diff->rows.len - diff->counts[DIFF_SAME];
	json_object *totals = json_object_new_object();

	add_change(totals, &diff->old->totals.m, &diff->new->totals.m, &diff->delta);
	fputs("{\"heapsonde\": ", f);
	put_value(f, string(diff->new->version));
	put_member(f, "schema", json_object_new_int(JSON_SCHEMA));
	put_member(f, "metric", string(diff->metric));
	put_member(f, "old", side_object(diff->old));
	put_member(f, "new", side_object(diff->new));
	put_member(f, "totals", totals);
	put_member(f, "states", states_object(diff));
	fputs(",\n\"stacks\": [", f);
	for (size_t i = 0; i < changed && (!limit || i < limit); i++)
		put_array_item(f, i, row_object(&diff->rows.data[i]));
	fputs("]}\n", f);
}
