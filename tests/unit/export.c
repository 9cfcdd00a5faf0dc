// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Exports: fixed snapshots against tests/golden/export (UPDATE_GOLDEN=1
 * rewrites it), sums of every format against the totals, and where the
 * output goes.
 */
#include <errno.h>
#include <json-c/json.h>
#include <math.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/strbuf.h"
#include "export/diff.h"
#include "export/folded.h"
#include "export/json.h"
#include "export/output.h"
#include "export/speedscope.h"
#include "export/text.h"
#include "tests/unit/fixture.h"
#include "tests/unit/golden.h"
#include "tests/unit/test.h"

static char *text_of(const struct snapshot *snap, const struct text_options *options)
{
	FILE *f = tmpfile();

	check(f);
	export_text(snap, f, options);
	return slurp(f);
}

static char *json_of(const struct snapshot *snap, size_t limit)
{
	FILE *f = tmpfile();

	check(f);
	export_json(snap, f, limit);
	return slurp(f);
}

static char *folded_of(const struct snapshot *snap, const char *metric)
{
	FILE *f = tmpfile();

	check(f);
	check_ok(export_folded(snap, f, metric));
	return slurp(f);
}

/* Golden outputs */

TEST(golden_text)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	struct text_options options = { .limit = 2 };
	__cleanup_free char *text = text_of(snap, &options);

	check_golden("report.txt", text);
}

TEST(golden_text_incomplete)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	struct text_options options = { .limit = 1, .depth = 2 };
	__cleanup_free char *text = NULL;

	snap->loss = (struct snapshot_loss){ 1234567, 12, 0, 3, false };
	snap->targets.len = 1;
	text = text_of(snap, &options);
	check_golden("report-incomplete.txt", text);
}

TEST(golden_text_idle)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_idle_create();
	struct text_options options = { .limit = 10 };
	__cleanup_free char *text = text_of(snap, &options);

	check_golden("report-idle.txt", text);
}

/* Of one that was killed for lack of memory the text says so first, and who held it. */
TEST(text_of_a_killed_target)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	__cleanup_free char *got = NULL;
	FILE *f = tmpfile();

	snap->targets.data[0].exited = snap->targets.data[0].oom_killed = true;
	snap->targets.data[0].exit_reason = "killed by the OOM killer";
	export_text(snap, f, &(struct text_options){ .limit = 1, .sort = "alloc_bytes" });
	got = slurp(f);
	check(strstr(got, "server\n    - killed by the OOM killer\n"));
	check(strstr(got, "Pid 4242 was killed for lack of memory; shortly before, 88.0 MiB of it "
			  "were resident"));
	check(strstr(got, "    40.0 MiB  "));
}

TEST(golden_json)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	__cleanup_free char *text = json_of(snap, 0);

	check_golden("report.json", text);
}

/* The fixture, later: one path grew, one is gone, one is new, one stands still. */
static struct snapshot *later_create(void)
{
	struct snapshot *snap = fixture_create();

	snap->duration_s = 90.25;
	snap->stacks.data[0].m.live_bytes += 3 << 20;
	snap->stacks.data[0].m.live_count += 7;
	snap->stacks.data[1].m.live_bytes = 0;
	snap->stacks.data[1].m.live_count = 0;
	snap->totals.m.live_bytes += 1 << 20;
	fixture_stack(snap, (struct snapshot_stack){
		.id = 1234, .status = UNWIND_COMPLETE,
		.m = { .live_bytes = 4096, .live_count = 1 } });
	fixture_frame(snap, (struct frame){ .function = "late;comer 2", .module = "server",
		.file = "late.c", .line = 7 });
	return snap;
}

static void check_golden_diff(const char *name, void (*write)(const struct diff *, FILE *, size_t),
			      size_t limit)
{
	struct snapshot *old __cleanup(snapshot_destroyp) = fixture_create();
	struct snapshot *new __cleanup(snapshot_destroyp) = later_create();
	struct diff *diff __cleanup(diff_destroyp) = diff_create(old, new, "live_bytes");
	__cleanup_free char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	write(diff, f, limit);
	fclose(f);
	check_golden(name, text);
}

static void write_folded_diff(const struct diff *diff, FILE *f, size_t limit)
{
	check_ok(export_diff_folded(diff, f));
}

TEST(golden_diff)
{
	check_golden_diff("diff.txt", export_diff_text, 2);
	check_golden_diff("diff.json", export_diff_json, 0);
	check_golden_diff("diff.folded", write_folded_diff, 0);
}

TEST(diff_of_equals_says_so)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	struct diff *diff __cleanup(diff_destroyp) = diff_create(snap, snap, "live_bytes");
	__cleanup_free char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	export_diff_text(diff, f, 0);
	fclose(f);
	check(strstr(text, "No call path changed its live_bytes."));
}

TEST(slopes_cannot_be_folded_in_two_columns)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	struct diff *diff __cleanup(diff_destroyp) = diff_create(snap, snap, "growth_bytes_per_s");
	struct error *err __cleanup_error = export_diff_folded(diff, stderr);

	check(err && err->code == ERROR_USAGE);
}

TEST(golden_folded)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	__cleanup_free char *live = folded_of(snap, "live_bytes");
	__cleanup_free char *all = folded_of(snap, "alloc_count");

	check_golden("live_bytes.folded", live);
	check_golden("alloc_count.folded", all);
}

static char *speedscope_of(const struct snapshot *snap, const char *metric)
{
	FILE *f = tmpfile();

	check(f);
	check_ok(export_speedscope(snap, f, metric));
	return slurp(f);
}

TEST(golden_speedscope)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	__cleanup_free char *live = speedscope_of(snap, "live_bytes");

	check_golden("speedscope.json", live);
}

/* Text */

TEST(text_is_narrow_and_harmless)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	struct text_options options = { 0 };
	__cleanup_free char *text = NULL;
	size_t column = 0;

	snap->loss = (struct snapshot_loss){
		1234567890, 1234567890, 1234567890, 1234567890, false };
	text = text_of(snap, &options);

	for (const char *p = text; *p; p++) {
		check(*p == '\n' || (unsigned char)*p >= 0x20);
		column = *p == '\n' ? 0 : column + ((*p & 0xc0) != 0x80);
		if (column > 100)
			test_fail("a line is longer than 100 columns: %.40s", p - 99);
	}
}

TEST(text_with_nothing_live)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	struct text_options options = { 0 };
	__cleanup_free char *text = NULL;

	for (size_t i = 0; i < snap->stacks.len; i++)
		snap->stacks.data[i].m.live_bytes = snap->stacks.data[i].m.live_count = 0;
	snap->totals.m.live_bytes = snap->totals.m.live_count = 0;
	text = text_of(snap, &options);
	check(strstr(text, "Nothing is live"));
}

/* JSON */

static json_object *parse(const char *text)
{
	json_tokener *tokener = json_tokener_new();
	json_object *obj;

	/* Not strict: json-c 0.18 then takes every byte beyond ASCII for a control character. */
	obj = json_tokener_parse_ex(tokener, text, (int)strlen(text) + 1);
	json_tokener_free(tokener);
	check(obj);
	return obj;
}

static json_object *get(json_object *obj, const char *key)
{
	json_object *value;

	if (!json_object_object_get_ex(obj, key, &value))
		test_fail("no %s", key);
	return value;
}

TEST(json_of_odd_names_and_numbers)
{
	static const char *const names[] = {
		"\xff\xfe", "\xc3", "a\xe2\x82", "\xed\xa0\x80", "\xc0\xaf", "\xf4\x90\x80\x80",
		"\x01\x1f\x7f\"\\/", "\xe2\x82\xac", "",
	};
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();

	snap->memory.growth_bytes_per_s = NAN;
	snap->cost.own_cpu_s = INFINITY;
	snap->totals.m.live_bytes = INT64_MIN;
	snap->totals.m.alloc_bytes = INT64_MAX;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		__cleanup_free char *text = NULL;
		json_object *obj;

		snap->targets.data[0].comm = names[i];
		text = json_of(snap, 0);
		obj = parse(text);
		check(json_object_get_int64(get(get(obj, "totals"), "live_bytes")) == INT64_MIN);
		check(json_object_get_int64(get(get(obj, "totals"), "alloc_bytes")) == INT64_MAX);
		check(!get(get(obj, "memory"), "growth_bytes_per_s"));
		json_object_put(obj);
	}
}

TEST(json_null_where_nothing_is_known)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_idle_create();
	__cleanup_free char *text = json_of(snap, 0);
	json_object *obj = parse(text);

	check(!get(obj, "sample_bytes"));
	check(!get(obj, "runtime"));
	check(!get(get(obj, "memory"), "limit_bytes"));
	check(!get(get(obj, "memory"), "seconds_to_limit"));
	json_object_put(obj);
}

/* The interface names the members and their order. */
TEST(json_members_in_order)
{
	static const char *const members[] = {
		"heapsonde", "schema", "targets", "duration_s", "mode", "sample_bytes",
		"stack_mode", "totals", "loss", "stacks", "growth", "reclaim", "memory",
		"runtime", "timeline", "unwind", "windows", "cost", "marks", "levels",
		"focus",
	};
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	__cleanup_free char *text = json_of(snap, 1);
	json_object *obj = parse(text);
	size_t i = 0;

	json_object_object_foreach(obj, key, value) {
		check(i < sizeof(members) / sizeof(members[0]));
		check_str(key, members[i]);
		i++;
	}
	check_int(i, sizeof(members) / sizeof(members[0]));
	check_int(json_object_array_length(get(obj, "stacks")), 1);
	json_object_put(obj);
}

/* Sums */

/* Small numbers: below 1 KiB text prints all digits. */
static struct snapshot *random_snapshot(uint64_t seed)
{
	struct snapshot *snap = fixture_idle_create();
	size_t stacks = 1 + fixture_random(&seed, 40);

	for (size_t i = 0; i < stacks; i++) {
		struct metrics m = {
			.live_bytes = (int64_t)fixture_random(&seed, 25),
			.live_count = (int64_t)fixture_random(&seed, 9),
			.alloc_bytes = (int64_t)fixture_random(&seed, 25),
			.free_count = (int64_t)fixture_random(&seed, 1 << 20),
		};

		fixture_stack(snap, (struct snapshot_stack){ .id = i, .m = m });
		/* Few names, so that some stacks fold into one line. */
		for (uint64_t k = fixture_random(&seed, 3); k > 0; k--)
			fixture_frame(snap, (struct frame){
				.function = fixture_random(&seed, 2) ? "a" : "b" });
		snap->totals.m.live_bytes += m.live_bytes;
		snap->totals.m.live_count += m.live_count;
		snap->totals.m.alloc_bytes += m.alloc_bytes;
		snap->totals.m.free_count += m.free_count;
	}
	snapshot_sort(snap, "live_bytes");
	return snap;
}

static int64_t folded_sum(const struct snapshot *snap, const char *metric)
{
	__cleanup_free char *text = folded_of(snap, metric);
	int64_t sum = 0;
	char *rest = text, *line;
	const char *last = "";

	while ((line = strsep(&rest, "\n")) && *line) {
		char *space = strrchr(line, ' ');

		check(space);
		sum += strtoll(space, NULL, 10);
		*space = '\0';
		check(strcmp(last, line) < 0);
		last = line;
	}
	return sum;
}

static int64_t json_sum(const struct snapshot *snap, const char *metric)
{
	__cleanup_free char *text = json_of(snap, 0);
	json_object *obj = parse(text), *stacks = get(obj, "stacks");
	int64_t sum = 0;

	for (size_t i = 0; i < json_object_array_length(stacks); i++)
		sum += json_object_get_int64(get(json_object_array_get_idx(stacks, i), metric));
	json_object_put(obj);
	return sum;
}

static int64_t speedscope_sum(const struct snapshot *snap, const char *metric)
{
	__cleanup_free char *text = speedscope_of(snap, metric);
	json_object *obj = parse(text), *profiles = get(obj, "profiles"), *profile;
	json_object *weights;
	int64_t sum = 0;

	check_int(json_object_array_length(profiles), 1);
	profile = json_object_array_get_idx(profiles, 0);
	weights = get(profile, "weights");
	for (size_t i = 0; i < json_object_array_length(weights); i++)
		sum += json_object_get_int64(json_object_array_get_idx(weights, i));
	check_int(json_object_array_length(weights),
		  (long long)json_object_array_length(get(profile, "samples")));
	check_int(json_object_get_int64(get(profile, "endValue")), sum);
	json_object_put(obj);
	return sum;
}

/* The live column of all ranks and of "(other …)". */
static int64_t text_sum(const struct snapshot *snap, size_t limit)
{
	struct text_options options = { .limit = limit };
	__cleanup_free char *text = text_of(snap, &options);
	char *rest = strstr(text, "temp\n"), *line;
	int64_t sum = 0;

	check(rest);
	while ((line = strsep(&rest, "\n"))) {
		char *unit = strstr(line, " B ");

		if (!unit || !strchr(line, '%'))
			continue;
		while (unit > line && unit[-1] >= '0' && unit[-1] <= '9')
			unit--;
		sum += strtoll(unit, NULL, 10);
	}
	return sum;
}

TEST(sums_equal_totals)
{
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct snapshot *snap __cleanup(snapshot_destroyp) = random_snapshot(seed * 7919);
		const struct metrics *m = &snap->totals.m;

		check_int(folded_sum(snap, "live_bytes"), m->live_bytes);
		check_int(folded_sum(snap, "alloc_bytes"), m->alloc_bytes);
		check_int(folded_sum(snap, "free_count"), m->free_count);
		check_int(speedscope_sum(snap, "live_bytes"), m->live_bytes);
		check_int(speedscope_sum(snap, "free_count"), m->free_count);
		check_int(json_sum(snap, "live_bytes"), m->live_bytes);
		check_int(json_sum(snap, "live_count"), m->live_count);
		check_int(json_sum(snap, "free_count"), m->free_count);
		if (m->live_count) {
			check_int(text_sum(snap, 0), m->live_bytes);
			check_int(text_sum(snap, 5), m->live_bytes);
		}
	}
}

TEST(folded_refuses_what_does_not_count)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	struct error *rate __cleanup_error = export_folded(snap, stdout, "growth_bytes_per_s");
	struct error *none __cleanup_error = export_folded(snap, stdout, "nonsense");

	check(rate && rate->code == ERROR_USAGE && strstr(rate->message, "live_bytes"));
	check(none && none->code == ERROR_USAGE);
}

/* What flame graph tools would misread. */
TEST(folded_names_stay_one_frame)
{
	static const struct { const char *name, *line; } cases[] = {
		{ "operator new(unsigned long)", "operator new(unsigned long) 1\n" },
		{ "a;b", "a:b 1\n" }, { "a\nb", "a\\x0ab 1\n" }, { "pass 2", "pass_2 1\n" },
		{ "v 1.5", "v_1.5 1\n" }, { "tail 7 ", "tail 7  1\n" }, { "f2", "f2 1\n" },
		{ "12", "12 1\n" }, { "a\t5", "a\\x095 1\n" }, { "\xff", "\\xff 1\n" },
		{ "f \xc3\xa4", "f \xc3\xa4 1\n" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_idle_create();
		__cleanup_free char *text = NULL;

		fixture_stack(snap, (struct snapshot_stack){ .m.live_bytes = 1 });
		fixture_frame(snap, (struct frame){ .function = cases[i].name });
		text = folded_of(snap, "live_bytes");
		check(!strncmp(text, "server;", 7));
		check_str(text + 7, cases[i].line);
	}
}

/* Output */

static char dir[64], file[96];

static void make_dir(void)
{
	snprintf(dir, sizeof(dir), "/tmp/heapsonde-export.XXXXXX");
	check(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/out", dir);
}

/* Fails if anything but @file is left behind. */
static void remove_dir(void)
{
	unlink(file);
	check(!rmdir(dir));
}

static struct error *write_output(const char *path, bool force, const char *text)
{
	struct output *out __cleanup_output = NULL;
	struct error *err = output_open(path, force, &out);

	if (err)
		return err;
	fputs(text, output_file(out));
	return output_commit(steal_ptr(out));
}

TEST(output_replaces_only_by_force)
{
	struct error *err __cleanup_error = NULL;
	__cleanup_free char *old = NULL, *new = NULL;
	struct stat st;

	make_dir();
	umask(022);
	check_ok(write_output(file, false, "old"));
	check(!stat(file, &st));
	check_int(st.st_mode & 0777, 0644);
	check(!chmod(file, 0640));
	err = write_output(file, false, "new");
	check(err && strstr(err->message, "--force"));
	old = read_all(file);
	check_str(old, "old");
	check_ok(write_output(file, true, "new"));
	new = read_all(file);
	check_str(new, "new");
	check(!stat(file, &st));
	check_int(st.st_mode & 0777, 0640);
	remove_dir();
}

TEST(output_into_an_empty_file)
{
	__cleanup_free char *text = NULL;

	make_dir();
	fclose(fopen(file, "w"));
	check_ok(write_output(file, false, "new"));
	text = read_all(file);
	check_str(text, "new");
	remove_dir();
}

TEST(output_abandoned_leaves_the_old)
{
	__cleanup_free char *text = NULL;
	struct output *out;

	make_dir();
	check_ok(write_output(file, false, "old"));
	check_ok(output_open(file, true, &out));
	fputs("half", output_file(out));
	output_abandon(out);
	text = read_all(file);
	check_str(text, "old");
	remove_dir();
}

TEST(output_follows_links)
{
	char link[128];
	struct stat st;

	make_dir();
	snprintf(link, sizeof(link), "%s.link", dir);
	check(!symlink(file, link));
	check_ok(write_output(file, false, "old"));
	check_ok(write_output(link, true, "new"));
	check(!lstat(link, &st) && S_ISLNK(st.st_mode));
	check(!lstat(file, &st) && S_ISREG(st.st_mode));
	unlink(link);
	remove_dir();
}

TEST(output_on_a_full_disk)
{
	struct error *err __cleanup_error = write_output("/dev/full", false, "text");

	check(err && err->errnum == ENOSPC);
	check(strstr(err->message, "/dev/full"));
}

/* More than is buffered, and not in one go: the reason is known long before the end. */
TEST(output_that_fails_in_its_middle)
{
	struct output *out;
	struct error *err __cleanup_error = NULL;

	check_ok(output_open("/dev/full", false, &out));
	for (int i = 0; i < 1 << 20; i++)
		fputc('x', output_file(out));
	err = output_commit(out);
	check(err && err->errnum == ENOSPC);
}

TEST(output_where_none_can_be)
{
	struct error *err __cleanup_error = write_output("/nonexistent/x", false, "text");
	struct error *directory __cleanup_error = write_output("/tmp", true, "text");

	check(err && err->errnum == ENOENT);
	check(directory && directory->errnum == EISDIR);
}

/* In a child, because stdout is the test's own voice. */
static int write_to(const char *target)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	check(pid >= 0);
	if (!pid) {
		struct error *err;

		if (!freopen(target, "w", stdout))
			_exit(9);
		err = write_output("-", false, "text");
		_exit(err ? strstr(err->message, "standard output") ? 0 : 2 : 1);
	}
	check(waitpid(pid, &status, 0) == pid);
	return status;
}

TEST(stdout_that_cannot_be_written)
{
	check_int(write_to("/dev/full"), 0);
}
