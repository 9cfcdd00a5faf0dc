// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The page's numbers: histories against a book of every moment kept here,
 * columns against the snapshot they were made of, names against HTML.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "export/html.h"
#include "tests/unit/fixture.h"
#include "tests/unit/test.h"

#define STACKS 37

/* History */

static int64_t at(const struct history_series *series, uint32_t moment,
		  enum history_metric metric)
{
	int64_t value = 0;

	for (size_t i = 0; series && i < series->changes.len; i++) {
		if (series->changes.data[i].moment > moment)
			break;
		value = series->changes.data[i].values[metric];
	}
	return value;
}

static struct snapshot *moment_create(double t_s, uint64_t *state, int64_t *live)
{
	struct snapshot *snap = snapshot_create();

	snap->duration_s = t_s;
	for (uint64_t id = 0; id < STACKS; id++) {
		if (fixture_random(state, 3))
			continue;
		live[id] = (int64_t)fixture_random(state, 1000);
	}
	/* Now and then a stack is not there, which is all zeros. */
	for (uint64_t id = 0; id < STACKS; id++) {
		if (!fixture_random(state, 20)) {
			live[id] = 0;
			continue;
		}
		fixture_stack(snap, (struct snapshot_stack){
			.id = id, .target = id % 3, .kind = id % 2,
			.m = { .live_bytes = live[id], .alloc_bytes = 7 * live[id] } });
	}
	return snap;
}

static void check_history(struct history *history, int64_t (*book)[STACKS], size_t moments)
{
	const double *times = history->times.data;

	check_int(times[0], 0);
	check(times[history->times.len - 1] >= (double)moments - 2);
	for (uint32_t i = 1; i < history->times.len; i++) {
		size_t t = (size_t)times[i];

		check(times[i] > times[i - 1]);
		for (uint64_t id = 0; id < STACKS; id++) {
			const struct snapshot_stack stack = {
				.id = id, .target = id % 3, .kind = id % 2 };
			const struct history_series *series = history_find(history, &stack);

			check_int(at(series, i, HISTORY_live_bytes), book[t][id]);
			check_int(at(series, i, HISTORY_alloc_bytes), 7 * book[t][id]);
		}
	}
}

/* Whatever is thinned out, what is left is as it was. */
TEST(history_keeps_the_truth)
{
	static const size_t lengths[] = { 1, 2, 3, 479, 480, 481, 482, 1000, 2345 };
	uint64_t state = 88172645463325252;

	for (size_t n = 0; n < sizeof(lengths) / sizeof(lengths[0]); n++) {
		int64_t (*book)[STACKS] __cleanup_free = xcalloc(lengths[n] + 1, sizeof(*book));
		struct history *history __cleanup(history_destroyp) = history_create();
		int64_t live[STACKS] = { 0 };

		for (size_t t = 1; t <= lengths[n]; t++) {
			struct snapshot *snap __cleanup(snapshot_destroyp) =
				moment_create((double)t, &state, live);

			memcpy(book[t], live, sizeof(live));
			history_add(history, snap);
		}
		check_history(history, book, lengths[n]);
		check(history->times.len <= HISTORY_MOMENTS + 1);
		check(history->times.len > lengths[n] / 8);
	}
}

TEST(history_ignores_what_is_not_later)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	struct history *history __cleanup(history_destroyp) = history_create();

	history_add(history, snap);
	history_add(history, snap);
	snap->duration_s = 1;
	history_add(history, snap);
	check_int(history->times.len, 2);
}

/* The page */

static char *page_of(const struct snapshot *snap)
{
	struct history *history __cleanup(history_destroyp) = history_create();
	struct error *err __cleanup_error = NULL;
	char *page = NULL;
	size_t len;
	FILE *f = open_memstream(&page, &len);

	err = export_html(snap, history, f);
	fclose(f);
	if (err && err->code == ERROR_UNSUPPORTED)
		test_skip("%s", err->message);
	check(!err);
	return page;
}

/* What stands between the data element's tags, and nothing else does. */
static json_object *data_of(char *page)
{
	static const char begin[] = "id=\"data\">";
	char *json = strstr(page, begin), *end;

	check(json);
	json += strlen(begin);
	end = strstr(json, "</script>");
	check(end);
	*end = 0;
	check(!strchr(json, '<'));
	return json_tokener_parse(json);
}

static json_object *get(json_object *obj, const char *path)
{
	__cleanup_free char *copy = xstrdup(path);

	for (char *save, *key = strtok_r(copy, ".", &save); key; key = strtok_r(NULL, ".", &save))
		check(json_object_object_get_ex(obj, key, &obj));
	return obj;
}

static int64_t item(json_object *array, size_t i)
{
	return json_object_get_int64(json_object_array_get_idx(array, i));
}

static int64_t sum(json_object *array)
{
	int64_t total = 0;

	for (size_t i = 0; i < json_object_array_length(array); i++)
		total += item(array, i);
	return total;
}

static bool has_string(json_object *strings, const char *s)
{
	for (size_t i = 0; i < json_object_array_length(strings); i++)
		if (!strcmp(json_object_get_string(json_object_array_get_idx(strings, i)), s))
			return true;
	return false;
}

/* Walks the columns as the page does, down to each frame's names. */
static void check_stack(json_object *data, const struct snapshot *snap, size_t i)
{
	const struct snapshot_stack *stack = &snap->stacks.data[i];
	json_object *caller = get(data, "columns.nodes.caller");
	json_object *frame = get(data, "columns.nodes.frame");
	int64_t node = item(get(data, "columns.stacks.node"), i);

	for (size_t n = 0; n < stack->frame_count; n++) {
		const struct frame *want = &snapshot_frames(snap, stack)[n];
		size_t at_node = (size_t)node - 1, number;

		check(node > 0);
		number = (size_t)item(frame, at_node);
		check_int(item(get(data, "columns.frames.line"), number), want->line);
		check_int(item(get(data, "columns.frames.inlined"), number), want->inlined);
		check(item(get(data, "columns.frames.function"), number) >= 0 || !want->function);
		node -= item(caller, at_node);
	}
	check_int(node, 0);
}

TEST(columns_say_what_the_snapshot_does)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	__cleanup_free char *page = page_of(snap);
	json_object *data = data_of(page);

	check(data);
	check_int(json_object_get_int64(get(data, "columns.stacks.count")),
		  (int64_t)snap->stacks.len);
	for (size_t i = 0; i < snap->stacks.len; i++)
		check_stack(data, snap, i);
#define HISTORY_SUM_int64_t(name) \
	check_int(sum(get(data, "columns.history." #name)), snap->totals.m.name);
#define HISTORY_SUM_double(name)
#define X(name, type, unit, header, help) HISTORY_SUM_##type(name)
	METRICS(X)
#undef X
	check_int(json_object_get_int64(get(data, "report.totals.live_bytes")),
		  snap->totals.m.live_bytes);
	check_int(json_object_array_length(get(data, "report.stacks")), 0);
	json_object_put(data);
}

TEST(names_stay_text)
{
	static const char name[] = "</script><script>alert(1)</script><!--";
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	__cleanup_free char *page = NULL;
	json_object *data;

	fixture_stack(snap, (struct snapshot_stack){ .id = 5 });
	fixture_frame(snap, (struct frame){ .function = name, .module = name, .file = name });
	snap->targets.data[0].comm = snapshot_string(snap, name);
	page = page_of(snap);
	check(!strstr(page, "alert(1)</script>"));
	data = data_of(page);
	check(data);
	check(has_string(get(data, "columns.strings"), name));
	json_object_put(data);
}
