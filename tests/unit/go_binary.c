// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is read from Go programs' files, against what their symbol tables say: the
 * programs of `make go-programs`, and copies of them without symbols or damaged.
 */
#include <inttypes.h>

#include "tests/unit/go_programs.h"
#include "tests/unit/test.h"
#include "tests/unit/symbol_helpers.h"
#include "symbol/go/reader.h"
#include "symbol/go/layout.h"

static struct error *open_go(const char *path, struct go_binary **go)
{
	__cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);

	*go = NULL;
	check(fd >= 0);
	return go_binary_read(fd, path, go);
}

/* By nm, from the file that still has symbols. */
static uint64_t symbol_address(const char *path, const char *name)
{
	__cleanup_free char *command = xasprintf("nm %s | grep \" %s$\"", path, name);
	FILE *f = popen(command, "r");
	uint64_t ret = 0;

	if (!f || fscanf(f, "%" SCNx64, &ret) != 1)
		ret = 0;
	if (f)
		pclose(f);
	return ret;
}

static void check_points(const char *with_symbols, const char *path,
			 const struct go_points *points)
{
	const struct { uint64_t found; const char *symbol; bool variable; } all[] = {
		{ points->mbuckets, "runtime.mbuckets", true },
		{ points->profile_rate, "runtime.MemProfileRate", true },
		{ points->refill, "runtime.(\\*mcache).nextFree", false },
		{ points->large, "runtime.(\\*mcache).allocLarge", false },
		{ points->sweep, "runtime.gcSweep", false },
	};
	uint64_t sweeps = symbol_address(with_symbols, "runtime.(\\*sweepLocked).sweep");

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		uint64_t at = symbol_address(with_symbols, all[i].symbol);

		/* Inside of the function, which none of these exceeds. */
		if (all[i].variable ? all[i].found != at :
		    all[i].found <= at || all[i].found > at + 1024)
			test_fail("%s: %s found at 0x%" PRIx64 ", it is at 0x%" PRIx64, path,
				  all[i].symbol, all[i].found, at);
		if (!all[i].variable && !go_points_in_runtime(points, all[i].found))
			test_fail("%s: %s is not the runtime's", path, all[i].symbol);
	}
	if (points->swept <= sweeps || points->swept > sweeps + 4096)
		test_fail("%s: the end of sweeping a span is not at 0x%" PRIx64, path,
			  points->swept);
}

/* One in all, one for each kind of block, or also for each of the small size classes. */
static void check_births(const char *path, const struct go_binary *go)
{
	size_t least = go->minor < 24 ? 1 : go->minor < 27 ? 5 : 20;

	if (go->points.births.len < least || (least < 20 && go->points.births.len > least))
		test_fail("%s (%s): %zu places where blocks are born", path, go->version,
			  go->points.births.len);
	vec_for_each(birth, &go->points.births)
		if (!go_points_in_runtime(&go->points, birth->vaddr) || birth->slot > 256)
			test_fail("%s: 0x%" PRIx64 ", span at %" PRIu32, path, birth->vaddr,
				  birth->slot);
}

static void check_found(const char *with_symbols, const char *path)
{
	__cleanup(go_binary_closep) struct go_binary *go = NULL;
	__cleanup_error struct error *err = open_go(path, &go);

	if (err)
		test_fail("%s: %s", path, err->message);
	if (!go)
		test_fail("%s: not recognised", path);
	for (int i = 0; i < GO_VARIABLES_COUNT; i++) {
		uint64_t want = symbol_address(with_symbols, go_variable_name(i));

		if (!want || go->variables[i] != want)
			test_fail("%s: %s at 0x%" PRIx64 ", not 0x%" PRIx64, path,
				  go_variable_name(i), go->variables[i], want);
	}
	check_points(with_symbols, path, &go->points);
	/* Elsewhere what marks a birth is no call. */
	if (!strstr(with_symbols, "arm64"))
		check_births(path, go);
}

static void check_kind(const char *kind)
{
	const glob_t *programs = go_programs("server", kind);

	for (size_t i = 0; i < programs->gl_pathc; i++) {
		const char *program = programs->gl_pathv[i];
		__cleanup_free char *stripped = scratch("stripped");

		check_found(program, program);
		check(shell("%s-linux-gnu-strip -o '%s' '%s' 2> /dev/null || strip -o '%s' '%s'",
			    strcmp(kind, "arm64") ? "x86_64" : "aarch64", stripped, program,
			    stripped, program));
		check_found(program, stripped);
	}
}

TEST(variables_are_where_symbols_say)
{
	check_kind("default");
}

TEST(position_independent_ones_too)
{
	check_kind("pie");
}

TEST(arm64_programs_too)
{
	check_kind("arm64");
}

TEST(versions_are_those_of_the_toolchains)
{
	const glob_t *programs = go_programs("server", "small");

	for (size_t i = 0; i < programs->gl_pathc; i++) {
			__cleanup(go_binary_closep) struct go_binary *go = NULL;
		unsigned int minor;

		check(!open_go(programs->gl_pathv[i], &go));
		if (!go || sscanf(go->version, "go1.%u", &minor) != 1)
			test_fail("%s: no version", programs->gl_pathv[i]);
		check_int(go->minor, minor);
	}
}

TEST(other_programs_are_none)
{
	__cleanup(go_binary_closep) struct go_binary *go = NULL;

	check(!open_go("/proc/self/exe", &go));
	check(!go);
}

/* Whatever the file claims: an error or wrong addresses, never a crash of who reads it. */
TEST(damaged_files_are_safe)
{
	const glob_t *programs = go_programs("server", "pie");
	__cleanup_free char *copy = scratch("damaged");
	uint32_t random = 1;

	for (int round = 0; round < 150; round++) {
			__cleanup(go_binary_closep) struct go_binary *go = NULL;
		__cleanup_error struct error *err = NULL;
		FILE *f;
		long size;

		check(shell("cp '%s' '%s'", programs->gl_pathv[round % programs->gl_pathc], copy));
		f = fopen(copy, "r+");
		check(f && !fseek(f, 0, SEEK_END));
		size = ftell(f);
		for (int i = 0; i < 400; i++) {
			random = random * 1664525 + 1013904223;
			/* Half of it in the headers. */
			fseek(f, (long)(random % (i % 2 ? 4096 : (uint32_t)size)), SEEK_SET);
			fputc((int)(random >> 24), f);
		}
		check(!fclose(f));
		if (round % 3 == 0)
			check(!truncate(copy, size / (1 + round % 7)));
		err = open_go(copy, &go);
		check(!err || err->code != ERROR_CORRUPT);
	}
}

/* Field by field: struct go_layout is nothing but numbers. */
static void check_layout(const char *path, const struct go_layout *table)
{
	__cleanup(go_binary_closep) struct go_binary *go = NULL;
	const int32_t *found, *want;

	check(!open_go(path, &go) && go);
	if (!go->has_layout)
		test_fail("%s: its debug data does not tell", path);
	while (table->minor < go->minor)
		table++;
	check_int(table->minor, go->minor);
	found = (const int32_t *)&go->layout;
	want = (const int32_t *)table;
	for (size_t i = 0; i < sizeof(*table) / sizeof(*want); i++)
		if (found[i] != want[i])
			test_fail("%s: field %zu is at %d, the table has %d", path, i, found[i],
				  want[i]);
}

static void check_layouts(const char *kind, const struct go_layout *table)
{
	const glob_t *programs = go_programs("server", kind);

	for (size_t i = 0; i < programs->gl_pathc; i++)
		check_layout(programs->gl_pathv[i], table);
}

TEST(the_table_is_what_debug_data_says)
{
	check_layouts("default", go_layouts_x86);
	check_layouts("pie", go_layouts_x86);
}

TEST(on_arm64_as_well)
{
	check_layouts("arm64", go_layouts_arm64);
}

TEST(stripped_programs_have_no_layout_of_their_own)
{
	const glob_t *programs = go_programs("server", "small");

	for (size_t i = 0; i < programs->gl_pathc; i++) {
		__cleanup(go_binary_closep) struct go_binary *go = NULL;

		check(!open_go(programs->gl_pathv[i], &go) && go);
		check(!go->has_layout);
	}
}

/* Rows of the table that are the same in every version cannot tell versions apart. */
TEST(neighbouring_layouts_differ_where_they_must)
{
	check_int(go_layouts[0].minor, 19);
	check_int(go_layouts[GO_VERSIONS - 1].minor, 27);
	check_int(go_layout_nelems_size(&go_layouts[1]), 8);
	check_int(go_layout_nelems_size(&go_layouts[2]), 2);
	check_int(go_class_sizes[GO_SIZE_CLASSES - 1], 32768);
}
