// SPDX-License-Identifier: GPL-2.0-or-later
/* What views compute without a terminal: filters, lists, the past, columns. */
#include "base/format.h"
#include "tests/unit/fixture.h"
#include "tests/unit/test.h"
#include "view/names.h"
#include "view/ui.h"

/* Which of the fixture's stacks pass: their numbers, in order. */
static const char *passing(const char *text)
{
	static char got[16];
	struct snapshot *snap = fixture_create();
	struct filter filter = { 0 };
	size_t n = 0;

	check_ok(filter_set(&filter, text));
	filter_begin(&filter);
	for (size_t i = 0; i < snap->stacks.len; i++)
		if (filter_matches(&filter, snap, &snap->stacks.data[i]))
			got[n++] = (char)('0' + i);
	got[n] = 0;
	filter_deinit(&filter);
	snapshot_destroy(snap);
	return got;
}

TEST(filters_by_text)
{
	check_str(passing(""), "0123");
	check_str(passing("cache_insert"), "0");
	check_str(passing("CACHE"), "");
	check_str(passing("cache.cc"), "0");
	check_str(passing("file:cache.cc"), "0");
	check_str(passing("function:cache.cc"), "");
	check_str(passing("module:^server$"), "01");
	check_str(passing("!module:^server$"), "23");
	check_str(passing("kind:mmap"), "1");
	check_str(passing("target:4243"), "2");
	check_str(passing("target:^server$"), "013");
	check_str(passing("module:server !grow"), "0");
	check_str(passing("any:grow|evil"), "12");
}

TEST(filters_by_number)
{
	check_str(passing("live>1M"), "01");
	check_str(passing("live<100"), "23");
	check_str(passing("age>60"), "01");
	check_str(passing("age<10"), "3");
	check_str(passing("mean>1000K"), "1");
	check_str(passing("blocks>1 blocks<100"), "1");
	check_str(passing("growth<-10"), "2");
}

static void check_bad(const char *text, const char *why)
{
	struct filter filter = { 0 };
	struct error *err;

	check_ok(filter_set(&filter, "good"));
	err = filter_set(&filter, text);
	check(err && err->code == ERROR_USAGE);
	check(strstr(err->message, why));
	check_str(filter.text, "good");
	error_destroy(err);
	filter_deinit(&filter);
}

TEST(bad_filters_leave_the_old_one)
{
	check_bad("[", "regular expression");
	check_bad("age>old", "not a number");
	check_bad("fine mean<", "not a number");
	check_bad("size>100", "power of two");
	check_bad("size<0", "power of two");
}

TEST(list_keeps_its_cursor_in_sight)
{
	struct list list = { 0 };

	list_fit(&list, 100, 10);
	check_int(list_act(&list, ACTION_UP), EFFECT_DRAW);
	check_int(list.cursor, 0);
	list_act(&list, ACTION_LAST);
	list_fit(&list, 100, 10);
	check_int(list.cursor, 99);
	check_int(list.top, 90);
	list_act(&list, ACTION_PAGE_UP);
	list_fit(&list, 100, 10);
	check_int(list.top, 89);
	list_fit(&list, 5, 10);
	check_int(list.cursor, 4);
	check_int(list.top, 0);
	list_fit(&list, 0, 0);
	check_int(list.cursor, 0);
	list_act(&list, ACTION_DOWN);
	check_int(list.cursor, 0);
	check_int(list_act(&list, ACTION_QUIT), EFFECT_PASS);
}

static struct snapshot *moment(double t_s, int64_t live, int64_t allocs)
{
	struct snapshot *snap = snapshot_create();

	snap->duration_s = t_s;
	snap->totals.m.alloc_count = allocs;
	snapshot_stack_vec_push(&snap->stacks, (struct snapshot_stack){
		.id = 1, .m = { .live_bytes = live, .alloc_count = allocs } });
	return snap;
}

static void take(struct past *past, double t_s, int64_t live, int64_t allocs)
{
	struct snapshot *snap = moment(t_s, live, allocs);

	past_take(past, snap);
	snapshot_destroy(snap);
}

/* Of a profile that counts from its program's start, nothing is a rate at first. */
TEST(past_of_a_profile)
{
	struct past past = { 0 };
	struct snapshot_stack stack = { .id = 1, .kind = MEMORY_PROFILE };

	for (int i = 0; i < 2; i++) {
		struct snapshot *snap = moment(1 + i, 100, 1000 + 10 * i);

		snap->stacks.data[0].kind = MEMORY_PROFILE;
		past_take(&past, snap);
		check(past.rates.allocs == 10 * i);
		check(past_trace(&past, &stack)->allocs_per_s == 10 * i);
		snapshot_destroy(snap);
	}
	past_deinit(&past);
}

TEST(past_knows_rates_and_trends)
{
	struct past past = { 0 };
	struct snapshot_stack stack = { .id = 1 };

	check(!past_trace(&past, &stack));
	take(&past, 2, 100, 10);
	check(past.rates.allocs == 5);
	take(&past, 4, 300, 50);
	check(past.rates.allocs == 20);
	check(past_trace(&past, &stack)->allocs_per_s == 20);
	check_int(past_trace(&past, &stack)->len, 2);
	check_int(past_trace(&past, &stack)->live[1], 300);
	/* The same moment again is nothing new, an earlier one a new beginning. */
	take(&past, 4, 999, 99);
	check_int(past_trace(&past, &stack)->len, 2);
	take(&past, 1, 7, 1);
	check_int(past_trace(&past, &stack)->len, 1);
	past_deinit(&past);
}

TEST(past_thins_what_it_keeps)
{
	struct past past = { 0 };

	for (int t = 1; t <= 1000; t++)
		take(&past, t, t, t);
	check(past.kept.len >= 16 && past.kept.len <= 64);
	check(past_at(&past, 0)->duration_s == 1);
	check(past_at(&past, 1e9)->duration_s == 1000);
	check(past_at(&past, 900)->duration_s <= 900);
	past_deinit(&past);
}

TEST(columns_fit_and_the_sorted_one_is_there)
{
	for (int columns = 60; columns < 250; columns++)
		for (int sort = 0; sort < 2 * COLUMNS_COUNT; sort++) {
			bool show[COLUMNS_COUNT];
			int used = 0;

			columns_choose(&(struct columns_wish){
				.columns = columns, .sort = sort / 2, .shares = true,
				.errors = true, .growth = sort % 2 }, show);
			check(show[sort / 2] && show[COLUMN_PATH]);
			for (int i = 0; i < COLUMN_PATH; i++)
				used += show[i] ? column_width(i) + 1 : 0;
			check(used + 20 <= columns);
		}
}

TEST(columns_of_the_growth_level)
{
	bool show[COLUMNS_COUNT];

	for (int growth = 0; growth < 2; growth++) {
		columns_choose(&(struct columns_wish){
			.columns = 250, .sort = COLUMN_GROWTH, .shares = true,
			.growth = growth }, show);
		check_int(show[COLUMN_RESIDENT], growth);
		check_int(show[COLUMN_MAPPED], growth);
		check_int(show[COLUMN_LIVE], !growth);
		check_int(show[COLUMN_THREAD], !growth);
		check(show[COLUMN_GROWTH]);
	}
}

/* A key without a meaning, or with two, would be a slip of the table. */
TEST(every_key_means_one_thing_in_each_view)
{
	for (int view = 0; view < VIEWS_COUNT; view++)
		for (int a = ACTION_VIEW_LAST + 1; a < ACTIONS_COUNT; a++) {
			const struct action_row *row = action_row(a);

			if (!(row->where & 1u << view))
				continue;
			check_int(action_of_key(row->key, view), a);
			if (row->other)
				check_int(action_of_key(row->other, view), a);
		}
}

static void check_short(const char *function, const char *want)
{
	struct strbuf name __cleanup_strbuf = { 0 };

	name_frame_short(&name, &(struct frame){ .function = function, .module = "" });
	check_str(strbuf_str(&name), want);
}

TEST(short_names)
{
	check_short("main", "main");
	check_short("cache::insert(int, char const*)", "cache::insert");
	check_short("v8::(anonymous namespace)::Invoke(v8::Isolate*)",
		    "v8::(anonymous namespace)::Invoke");
	check_short("call<void (*)(int)>(int) [clone .cold]", "call<void (*)(int)>");
	check_short("lambda::operator()(int) const", "lambda::operator()(int) const");
	check_short("(weird", "(weird");
}

TEST(short_numbers)
{
	char buf[FORMAT_MAX];

	check_str(format_bytes_short(0, true, buf), "0");
	check_str(format_bytes_short(999, false, buf), "999");
	check_str(format_bytes_short(1000, false, buf), "0.98K");
	check_str(format_bytes_short(1536, true, buf), "+1.50K");
	check_str(format_bytes_short(-1536, true, buf), "-1.50K");
	check_str(format_bytes_short(1023 * 1024, false, buf), "1.00M");
	check_str(format_bytes_short(INT64_MAX, false, buf), "8.00E");
	check_str(format_count_short(12345, buf), "12.3k");
	check_str(format_duration_short(7200, buf), "2h00");
	check_str(format_duration_short(59.6, buf), "1m00");
	check_str(format_duration_short(0.04, buf), "0.0s");
}
