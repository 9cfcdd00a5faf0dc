// SPDX-License-Identifier: GPL-2.0-or-later
/* Conditions of --fail-on: what they say, and when they hold. */
#include "base/log.h"
#include "cmd/condition.h"
#include "tests/unit/fixture.h"
#include "tests/unit/test.h"

static bool fails(const struct snapshot *snap, const char *text)
{
	struct condition_vec conditions __cleanup(condition_vec_deinit) = { 0 };
	__cleanup_free char *why = NULL;

	if (!condition_parse(text, condition_vec_append(&conditions), &why))
		test_fail("'%s' is refused: %s", text, why);
	return conditions_check(&conditions, snap);
}

TEST(values_and_units)
{
	static const struct { const char *text; double value; } cases[] = {
		{ "live>100", 100 }, { "live>1.5K", 1536 }, { "live>=2MB", 2 << 20 },
		{ "live<2MiB", 2 << 20 }, { "live<=1g", 1 << 30 }, { "blocks>7", 7 },
		{ "growth>1MB/min", (1 << 20) / 60.0 }, { "growth>60", 60 },
		{ "growth>3600B/h", 1 }, { "rss_growth>1K/s", 1024 },
		{ "oldest_live_s>2m", 120 }, { "growth_confidence>95%", 0.95 },
		{ "temporary_count>0", 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		__cleanup_free char *why = NULL;
		struct condition c;

		if (!condition_parse(cases[i].text, &c, &why))
			test_fail("'%s' is refused: %s", cases[i].text, why);
		if (c.value < cases[i].value * 0.999999 || c.value > cases[i].value * 1.000001)
			test_fail("'%s' is %g, not %g", cases[i].text, c.value, cases[i].value);
	}
}

TEST(nonsense_is_refused)
{
	static const char *const cases[] = {
		"", "live", "live>", ">5", "live=5", "beauty>5", "live>MB", "live>5X", "live>-5",
		"live>5MB/s", "growth>5s", "growth>5MB/", "growth>5MB/day", "blocks>5K",
		"live>1e999", "live>nan", "live>5 ", "live >5", "oldest_live_s>5MB",
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		__cleanup_free char *why = NULL;
		struct condition c;

		if (condition_parse(cases[i], &c, &why))
			test_fail("'%s' is taken", cases[i]);
		check(why && *why);
	}
}

/* The fixture: 42 MiB live, growing by half a MiB a second, 0.97 sure. */
TEST(conditions_hold_or_not)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();

	check(fails(snap, "live>42MB"));
	check(!fails(snap, "live>43MB"));
	check(fails(snap, "live<43MB"));
	check(fails(snap, "live_bytes>=44040312"));
	check(!fails(snap, "live_bytes>44040312"));
	check(fails(snap, "live_bytes<=44040312"));
	check(fails(snap, "growth>29MB/min"));
	check(!fails(snap, "growth>30MB/min"));
	check(fails(snap, "leaks>0"));
	check(!fails(snap, "leaks>1"));
	check(!fails(snap, "lost>0"));
	check(fails(snap, "rss>80MB"));
	snap->totals.m.growth_confidence = 0.7;
	check(!fails(snap, "growth>0"));
	check(fails(snap, "growth_bytes_per_s>0"));
	snap->loss.complete = false;
	check(fails(snap, "lost>0"));
	snap->memory.rss_bytes = -1;
	check(fails(snap, "rss>1G"));
}
