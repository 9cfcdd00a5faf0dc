// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Flame graphs: golden pictures, what adds up, names that mean no good. How
 * they behave in a browser is tested there (tests/web).
 */
#include <json-c/json.h>

#include "base/error.h"
#include "export/flame.h"
#include "export/svg.h"
#include "tests/unit/fixture.h"
#include "tests/unit/golden.h"
#include "tests/unit/test.h"

static char *svg_of(const struct snapshot *snap, struct svg_options options)
{
	FILE *f = tmpfile();

	check(f);
	if (!options.metric)
		options.metric = "live_bytes";
	check_ok(export_svg(snap, f, &options));
	return slurp(f);
}

static char *diff_svg_of(const struct snapshot *old, const struct snapshot *new)
{
	struct diff *diff __cleanup(diff_destroyp) = diff_create(old, new, "live_bytes");
	FILE *f = tmpfile();

	check(f);
	check_ok(export_svg_diff(diff, f, &(struct svg_options){ 0 }));
	return slurp(f);
}

/* Takes out what stands between the two: no part of what the picture says. */
static void cut_between(char *text, const char *from, const char *to)
{
	char *start = strstr(text, from), *end;

	check(start);
	start += strlen(from);
	end = strstr(start, to);
	check(end);
	memmove(start, end, strlen(end) + 1);
}

/* Style and script are sources of their own. */
static void normalise(char *svg)
{
	cut_between(svg, "<style>", "</style>");
	cut_between(svg, "<![CDATA[", "]]>");
}

static void check_picture(const char *name, const struct snapshot *snap,
			  struct svg_options options)
{
	__cleanup_free char *svg = svg_of(snap, options);

	normalise(svg);
	check_golden(name, svg);
}

/* Grown, shrunk, gone and new call paths. */
static struct snapshot *later(void)
{
	struct snapshot *snap = fixture_create();

	snap->stacks.data[0].m.live_bytes *= 2;
	snap->stacks.data[1].m.live_bytes /= 2;
	snap->stacks.data[2].m.live_bytes = 0;
	fixture_stack(snap, (struct snapshot_stack){ .id = 77, .m.live_bytes = 20000000 });
	fixture_frame(snap, (struct frame){ .pc = 1, .offset = 1, .function = "fresh",
		.module = "server", .path = "/usr/bin/server" });
	snap->totals.m.live_bytes = 0;
	vec_for_each(stack, &snap->stacks)
		snap->totals.m.live_bytes += stack->m.live_bytes;
	snap->duration_s = 120;
	return snap;
}

TEST(golden_svg)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();

	check_picture("live_bytes.svg", snap, (struct svg_options){ 0 });
	snap->loss = (struct snapshot_loss){ 12, 0, 0, 3, false };
	check_picture("alloc_count-icicle-inverted.svg", snap, (struct svg_options){
		.metric = "alloc_count", .icicle = true, .inverted = true });
}

TEST(golden_svg_idle)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_idle_create();

	check_picture("idle.svg", snap, (struct svg_options){ 0 });
}

TEST(golden_svg_diff)
{
	struct snapshot *old __cleanup(snapshot_destroyp) = fixture_create();
	struct snapshot *new __cleanup(snapshot_destroyp) = later();
	__cleanup_free char *svg = diff_svg_of(old, new);

	normalise(svg);
	check_golden("diff.svg", svg);
}

TEST(a_metric_that_does_not_count_is_refused)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	struct error *err __cleanup_error = export_svg(snap, stdout, &(struct svg_options){
		.metric = "growth_bytes_per_s" });

	check(err && err->code == ERROR_USAGE);
}

/* Nothing of a name may reach XML or JSON as it is. */
TEST(hostile_names_stay_text)
{
	static const char *const names[] = {
		"</title><script>alert(1)</script>", "]]>", "<!--", "&amp;&lt;", "\"><rect/>",
		"\xed\xa0\x80", "\xef\xbf\xbe\xef\xbf\xbf", "\\u003cscript\\", "a\nb\x01\x7f",
		"\xc2\x85\xff", "operator<", "f(<", "<", "(", "", ">>>", "((((",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_idle_create();
		__cleanup_free char *svg = NULL;

		snap->targets.data[0].comm = names[i];
		fixture_stack(snap, (struct snapshot_stack){ .m.live_bytes = 1 });
		fixture_frame(snap, (struct frame){ .function = names[i], .module = names[i],
						    .path = names[i], .file = names[i] });
		svg = svg_of(snap, (struct svg_options){ 0 });
		normalise(svg);
		check(!strstr(svg, "alert(1)<") && !strstr(svg, "<!--"));
		check(!strstr(svg, "<rect/>"));
		check(!strstr(strstr(svg, "<![CDATA[") + strlen("<![CDATA[]]>"), "]]>"));
		for (const char *p = svg; *p; p++)
			check(*p == '\n' || ((unsigned char)*p >= 0x20 && *p != 0x7f));
		check(!strstr(svg, "\xed\xa0") && !strstr(svg, "\xef\xbf\xbe"));
	}
}

static json_object *data_of(const char *svg)
{
	const char *start = strstr(svg, "id=\"data\">");
	json_tokener *tokener = json_tokener_new();
	json_object *obj;

	check(start);
	start = strchr(start, '\n');
	obj = json_tokener_parse_ex(tokener, start, (int)(strstr(start, "</script>") - start));
	json_tokener_free(tokener);
	check(obj);
	return obj;
}

/* What boxes of @stride numbers have at @at, summed; of the root if @root_only. */
static int64_t box_sum(json_object *data, size_t stride, size_t at, bool root_only)
{
	json_object *boxes = json_object_object_get(data, "boxes");
	size_t len = json_object_array_length(boxes);
	int64_t sum = 0;

	check_int(len % stride, 0);
	for (size_t i = at; i < len; i += stride) {
		sum += json_object_get_int64(json_object_array_get_idx(boxes, i));
		if (root_only)
			break;
	}
	return sum;
}

static struct snapshot *random_snapshot(uint64_t *seed)
{
	static const char *const names[] = { "a", "b", "c", "d" };
	struct snapshot *snap = fixture_idle_create();

	for (uint64_t n = fixture_random(seed, 30); n > 0; n--) {
		int64_t live = (int64_t)fixture_random(seed, 1 << 20);

		fixture_stack(snap, (struct snapshot_stack){ .id = n, .m.live_bytes = live });
		for (uint64_t k = fixture_random(seed, 6); k > 0; k--)
			fixture_frame(snap, (struct frame){
				.function = names[fixture_random(seed, 4)], .module = "m" });
		snap->totals.m.live_bytes += live;
	}
	return snap;
}

TEST(sums_equal_totals)
{
	for (uint64_t seed = 1; seed <= 50; seed++) {
		uint64_t state = seed * 7919;
		struct snapshot *snap __cleanup(snapshot_destroyp) = random_snapshot(&state);
		struct snapshot *more __cleanup(snapshot_destroyp) = random_snapshot(&state);
		struct svg_options options = { .inverted = seed % 2 };
		__cleanup_free char *svg = svg_of(snap, options);
		__cleanup_free char *change = diff_svg_of(snap, more);
		json_object *data = data_of(svg), *both = data_of(change);

		check_int(box_sum(data, 5, 3, true), snap->totals.m.live_bytes);
		check_int(box_sum(data, 5, 4, false), snap->totals.m.live_bytes);
		check_int(box_sum(both, 8, 5, true), more->totals.m.live_bytes);
		check_int(box_sum(both, 8, 6, true), snap->totals.m.live_bytes);
		json_object_put(data);
		json_object_put(both);
	}
}

/* Layout */

TEST(narrow_boxes_are_left_out_and_counted)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_idle_create();
	struct calltree *tree __cleanup(calltree_destroyp) = NULL;
	struct flame flame __cleanup(flame_deinit) = { 0 };
	double x = 0;

	for (int i = 1; i <= 100; i++) {
		char name[8];

		snprintf(name, sizeof(name), "f%d", i);
		fixture_stack(snap, (struct snapshot_stack){ .m.live_bytes = i });
		fixture_frame(snap, (struct frame){ .function = name });
	}
	check_ok(calltree_of_snapshot(snap, &(struct calltree_settings){ .metric = "live_bytes" },
				      &tree));
	flame_init(&flame, tree, 11);
	check_int(flame.boxes.len, 11);
	check_int(flame.left_out, 90);
	check(flame.width == 5050 && flame.left_out_width == 90 * 91 / 2);
	for (size_t i = 1; i < flame.boxes.len; i++) {
		check(flame.boxes.data[i].x == x && flame.boxes.data[i].depth == 1);
		check(flame.boxes.data[i].width == (double)(101 - i));
		x += flame.boxes.data[i].width;
	}
}

TEST(short_names)
{
	static const char *const cases[][2] = {
		{ "main", "main" }, { "a::b(int, char const*)", "a::b" },
		{ "std::vector<std::pair<int, int>, std::allocator<int> >::push_back(int&&)",
		  "std::vector<\u2026>::push_back" },
		{ "ns::operator<<(std::ostream&, int)", "ns::operator<<" },
		{ "x::operator()(int) const", "x::operator()" },
		{ "x::operator->() const", "x::operator->" },
		{ "(anonymous namespace)::f(int)", "(anonymous namespace)::f" },
		{ "ns::(anonymous namespace)::f(int)", "ns::(anonymous namespace)::f" },
		{ "<alloc::vec::Vec<T> as core::ops::Drop>::drop",
		  "<alloc::vec::Vec<\u2026> as core::ops::Drop>::drop" },
		{ "f<(int)1>(int) [clone .isra.0]", "f<\u2026> [clone .isra.0]" },
		{ "main.(*server).handle", "main.(*server).handle" },
		{ "f(", "f" }, { "f<", "f<\u2026>" }, { "", "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct strbuf sb __cleanup_strbuf = { 0 };

		flame_short_name(&sb, cases[i][0]);
		check_str(strbuf_str(&sb), cases[i][1]);
	}
}
