// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The page and its numbers; see html.h. The numbers stand in the page as
 * JSON, { "report": as in report --json but without stacks, "columns": … }
 * (user/export/html/src/recording.js reads it).
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/intern.h"
#include "base/strbuf.h"
#include "export/html.h"
#include "export/json.h"
#include "model/fields.h"

/* Where the page wants its numbers (user/export/html/page.html). */
#define PLACE "@HEAPSONDE_DATA@"

#if HTML

extern const char html_page[], html_page_end[];	/* export/html_page.S */

/* Interned pointers: equal strings of one snapshot are one string. */
struct frame_key {
	const char *function, *module, *file;
	uint64_t address, line_and_inlined;
};

struct node_key { uint32_t caller, frame; };

/* What the stacks consist of, each thing once and by number. */
struct tables {
	struct intern strings;		/* const char * */
	struct intern frames;		/* struct frame_key */
	struct intern nodes;		/* struct node_key; caller 0 is the root, else number + 1 */
};

static void tables_init(struct tables *t)
{
	intern_init(&t->strings, sizeof(const char *));
	intern_init(&t->frames, sizeof(struct frame_key));
	intern_init(&t->nodes, sizeof(struct node_key));
}

static void tables_deinit(struct tables *t)
{
	intern_deinit(&t->strings);
	intern_deinit(&t->frames);
	intern_deinit(&t->nodes);
}

/* An address in its module, or in the target where there is none. */
static struct frame_key frame_key(const struct frame *frame)
{
	return (struct frame_key){
		.function = frame->function, .module = frame->module, .file = frame->file,
		.address = frame->module[0] ? frame->offset : frame->pc,
		.line_and_inlined = (uint64_t)frame->line << 1 | frame->inlined,
	};
}

/* The node at which a stack ends, made with all its callers; 0 if it has no frames. */
static uint32_t add_stack(struct tables *t, const struct snapshot *snap,
			  const struct snapshot_stack *stack)
{
	uint32_t node = 0;

	for (size_t i = stack->frame_count; i--;) {
		struct frame_key frame = frame_key(&snapshot_frames(snap, stack)[i]);
		struct node_key key = { node, (uint32_t)intern_put(&t->frames, &frame, NULL) };

		node = (uint32_t)intern_put(&t->nodes, &key, NULL) + 1;
	}
	return node;
}

/* A member and the values of an array, as many as @count; @value sees i. */
#define put_column(f, name, count, format, value)				\
	do {									\
		fprintf(f, ",\n\"%s\": [", name);				\
		for (size_t i = 0; i < (count); i++)				\
			fprintf(f, "%s" format, i ? "," : "", value);		\
		fputc(']', f);							\
	} while (0)

/* Numbers of strings; -1 for what is not known. */
static int64_t string_number(struct tables *t, const char *s)
{
	return s ? (int64_t)intern_put(&t->strings, &s, NULL) : -1;
}

static void put_frames(FILE *f, struct tables *t)
{
	const struct frame_key *frames = (const void *)t->frames.keys;
	size_t count = t->frames.len;

	fprintf(f, ",\n\"frames\": {\"count\": %zu", count);
	put_column(f, "function", count, "%" PRId64, string_number(t, frames[i].function));
	put_column(f, "module", count, "%" PRId64, string_number(t, frames[i].module));
	put_column(f, "file", count, "%" PRId64, string_number(t, frames[i].file));
	put_column(f, "line", count, "%" PRIu64, frames[i].line_and_inlined >> 1);
	put_column(f, "inlined", count, "%d", (int)(frames[i].line_and_inlined & 1));
	put_column(f, "address", count, "\"%" PRIx64 "\"", frames[i].address);
	fputc('}', f);
}

static void put_nodes(FILE *f, const struct tables *t)
{
	const struct node_key *nodes = (const void *)t->nodes.keys;

	fprintf(f, ",\n\"nodes\": {\"count\": %zu", t->nodes.len);
	/* As a distance: callers mostly stand right before. */
	put_column(f, "caller", t->nodes.len, "%zu", i + 1 - nodes[i].caller);
	put_column(f, "frame", t->nodes.len, "%" PRIu32, nodes[i].frame);
	fputc('}', f);
}

static void put_strings(FILE *f, const struct tables *t)
{
	const char *const *strings = (const void *)t->strings.keys;

	fputs(",\n\"strings\": [", f);
	for (size_t i = 0; i < t->strings.len; i++) {
		fputs(i ? "," : "", f);
		json_put_string(f, strings[i]);
	}
	fputc(']', f);
}

/* What only the end tells: slopes and ages. */
static void put_last_values(FILE *f, const struct snapshot *snap)
{
	const struct snapshot_stack *stacks = snap->stacks.data;

#define LAST_int64_t(name)
#define LAST_double(name) put_column(f, #name, snap->stacks.len, "%.9g", stacks[i].m.name);
#define X(name, type, unit, header, help) LAST_##type(name)
	METRICS(X)
#undef X
#undef LAST_int64_t
#undef LAST_double
}

static void put_stacks(FILE *f, struct tables *t, const struct snapshot *snap)
{
	const struct snapshot_stack *stacks = snap->stacks.data;
	size_t count = snap->stacks.len;

	fprintf(f, ",\n\"stacks\": {\"count\": %zu", count);
	put_column(f, "id", count, "\"%016" PRIx64 "\"", stacks[i].id);
	put_column(f, "target", count, "%" PRIu32, stacks[i].target);
	put_column(f, "kind", count, "\"%s\"", memory_kind_name(stacks[i].kind));
	put_column(f, "status", count, "\"%s\"", unwind_status_name(stacks[i].status));
	put_column(f, "node", count, "%" PRIu32, add_stack(t, snap, &stacks[i]));
	put_last_values(f, snap);
	fputc('}', f);
}

/* One array of numbers over the changes of all stacks, one stack after the other. */
struct change_column {
	const char *name;
	int64_t (*value)(const struct history_change *change, size_t which);
	size_t which;
};

static int64_t change_moment(const struct history_change *change, size_t which)
{
	return change->moment;
}

static int64_t change_value(const struct history_change *change, size_t which)
{
	return change->values[which];
}

/* Each value as the difference to the stack's one before, the first to 0. */
static void put_change_column(FILE *f, const struct snapshot *snap, struct history *history,
			      const struct change_column *column)
{
	const char *separator = "";

	fprintf(f, ",\n\"%s\": [", column->name);
	vec_for_each(stack, &snap->stacks) {
		const struct history_series *series = history_find(history, stack);
		int64_t before = 0;

		for (size_t i = 0; series && i < series->changes.len; i++) {
			int64_t value = column->value(&series->changes.data[i], column->which);

			fprintf(f, "%s%" PRId64, separator, value - before);
			before = value;
			separator = ",";
		}
	}
	fputc(']', f);
}

static size_t changes_count(struct history *history, const struct snapshot_stack *stack)
{
	const struct history_series *series = history_find(history, stack);

	return series ? series->changes.len : 0;
}

static void put_history(FILE *f, const struct snapshot *snap, struct history *history)
{
	static const struct change_column columns[] = {
		{ "moment", change_moment, 0 },
#define HISTORY_int64_t(name) { #name, change_value, HISTORY_##name },
#define HISTORY_double(name)
#define X(name, type, unit, header, help) HISTORY_##type(name)
		METRICS(X)
#undef X
#undef HISTORY_int64_t
#undef HISTORY_double
	};

	fputs(",\n\"history\": {\"metrics\": ", f);
	fprintf(f, "%d", HISTORY_METRICS_COUNT);
	put_column(f, "times", history->times.len, "%.6f", history->times.data[i]);
	put_column(f, "changes", snap->stacks.len, "%zu",
		   changes_count(history, &snap->stacks.data[i]));
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		put_change_column(f, snap, history, &columns[i]);
	fputc('}', f);
}

static void put_metrics(FILE *f)
{
	static const char *const units[] = {
		[UNIT_BYTES] = "bytes", [UNIT_COUNT] = "count", [UNIT_BYTES_PER_S] = "bytes/s",
		[UNIT_SECONDS] = "seconds", [UNIT_RATIO] = "ratio",
	};
	const struct { const char *name, *unit, *header, *help; } rows[] = {
#define X(name, type, unit, header, help) { #name, units[unit], header, help },
		METRICS(X)
#undef X
	};

	fputs("\"metrics\": [", f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		fprintf(f, "%s\n{\"name\": \"%s\", \"unit\": \"%s\", \"header\": \"%s\","
			" \"help\": \"%s\"}", i ? "," : "", rows[i].name, rows[i].unit,
			rows[i].header, rows[i].help);
	fputc(']', f);
}

/* The kernel's ledger has no live bytes, which all of the page speaks of. */
static void put_columns(FILE *f, const struct snapshot *snap, struct history *history)
{
	__cleanup(snapshot_destroyp) struct snapshot *allocations =
		snapshot_is_growth(snap) ? NULL : snapshot_without_growth(snap);
	const struct snapshot *shown = allocations ? allocations : snap;
	struct tables t __cleanup(tables_deinit);

	tables_init(&t);
	fputc('{', f);
	put_metrics(f);
	put_stacks(f, &t, shown);
	put_history(f, shown, history);
	put_nodes(f, &t);
	put_frames(f, &t);
	put_strings(f, &t);
	fputs("}\n", f);
}

static void put_data(FILE *f, const struct snapshot *snap, struct history *history)
{
	struct snapshot facts = *snap;

	facts.stacks = (struct snapshot_stack_vec){ 0 };
	fputs("{\"report\": ", f);
	export_json(&facts, f, 0);
	fputs(",\n\"columns\": ", f);
	put_columns(f, snap, history);
	fputs("}\n", f);
}

/* In JSON '<' stands in strings only: escaped, no name can end the script element. */
static void put_inert(FILE *f, const char *json, size_t len)
{
	const char *end = json + len;

	while (json < end) {
		const char *mark = memchr(json, '<', (size_t)(end - json));
		size_t plain = (size_t)((mark ? mark : end) - json);

		fwrite(json, 1, plain, f);
		fputs(mark ? "\\u003c" : "", f);
		json += plain + (mark != NULL);
	}
}

struct error *export_html_check(void)
{
	return NULL;
}

struct error *export_html(const struct snapshot *snap, struct history *history, FILE *f)
{
	size_t page_len = (size_t)(html_page_end - html_page);
	const char *place = memmem(html_page, page_len, PLACE, strlen(PLACE));
	const char *rest = place + strlen(PLACE);
	__cleanup_free char *json = NULL;
	size_t len;
	FILE *data = open_memstream(&json, &len);

	if (!data)
		return error_errno(errno, "cannot write the page's data");
	history_add(history, snap);
	put_data(data, snap, history);
	if (fclose(data))
		return error_errno(errno, "cannot write the page's data");
	fwrite(html_page, 1, (size_t)(place - html_page), f);
	put_inert(f, json, len);
	fwrite(rest, 1, (size_t)(html_page_end - rest), f);
	return NULL;
}

#else

struct error *export_html_check(void)
{
	return error_create(ERROR_UNSUPPORTED, "this heapsonde was built without the HTML report"
			    " (make HTML=0): build it with npm, or export another format");
}

struct error *export_html(const struct snapshot *snap, struct history *history, FILE *f)
{
	return export_html_check();
}

#endif
