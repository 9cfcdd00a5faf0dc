// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Frames of Go code by its runtime's table against the .debug_frame that Go's
 * linker writes for debuggers: the same at every address of every function, on
 * x86-64 and arm64, by every toolchain there is; and a stripped copy's unwind
 * table is the same to the last byte.
 */
#include <elf.h>
#include <inttypes.h>

#include "base/vec.h"
#include "symbol/go/frames.h"
#include "symbol/unwind_image.h"
#include "symbol/unwind_table.h"
#include "tests/unit/symbol_helpers.h"
#include "tests/unit/go_programs.h"
#include "tests/unit/test.h"

DEFINE_VEC(row_vec, struct cfi_row);

static void push_row(void *ctx, const struct cfi_row *row)
{
	row_vec_push(ctx, *row);
}

static int by_start(const void *va, const void *vb)
{
	const struct cfi_row *a = va, *b = vb;

	return (a->start > b->start) - (a->start < b->start);
}

static void collect_debug(struct unwind_image *image, struct row_vec *ret)
{
	struct unwind_cfi debug = { 0 };

	check(unwind_image_debug_frame(image, &debug));
	vec_for_each(fde, &debug.cfi.fdes)
		check(cfi_fde_rows(&debug.cfi, fde, push_row, ret));
	qsort(ret->data, ret->len, sizeof(*ret->data), by_start);
	unwind_cfi_deinit(&debug);
}

static void collect_go(struct unwind_image *image, struct row_vec *ret)
{
	__cleanup(go_frames_destroyp) struct go_frames *go = go_frames_create(image);
	uint64_t start, end;

	check(go);
	for (size_t i = 0; go_frames_function(go, i, &start, &end); i++)
		go_frames_rows(go, i, push_row, ret);
	qsort(ret->data, ret->len, sizeof(*ret->data), by_start);
}

static const struct cfi_row *find(const struct row_vec *rows, uint64_t vaddr)
{
	size_t lo = 0, hi = rows->len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (rows->data[mid].start <= vaddr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && vaddr < rows->data[lo - 1].end ? &rows->data[lo - 1] : NULL;
}

/* Where the stack changes or ends, the debugger's table knows no better. */
static bool is_plain(const struct cfi_row *row)
{
	return !row->other_stack && !row->signal_frame && row->ra.how != CFI_UNDEFINED;
}

static void compare(const char *path, const struct row_vec *ours, const struct row_vec *debug)
{
	size_t compared = 0, different = 0, other = 0;

	vec_for_each(row, ours) {
		const struct cfi_row *want;

		other += row->other_stack;
		for (uint64_t at = row->start; is_plain(row) && at < row->end; at++) {
			want = find(debug, at);
			if (!want)
				continue;
			compared++;
			if (want->cfa.reg == row->cfa.reg && want->cfa.value == row->cfa.value)
				continue;
			if (different++ < 5)
				fprintf(stderr, "%s: 0x%" PRIx64 ": CFA is %" PRId64
					", .debug_frame says %" PRId64 "\n", path, at,
					row->cfa.value, want->cfa.value);
		}
	}
	if (compared < 200000 || other < 3 || different)
		test_fail("%s: %zu of %zu addresses differ, %zu rows on another stack", path,
			  different, compared, other);
}

static void check_rows(const char *path)
{
	struct row_vec ours __cleanup(row_vec_deinit) = { 0 };
	struct row_vec debug __cleanup(row_vec_deinit) = { 0 };
	__cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct unwind_image image;

	check(fd >= 0 && !unwind_image_init(&image, fd, NULL, 0));
	collect_go(&image, &ours);
	collect_debug(&image, &debug);
	compare(path, &ours, &debug);
	unwind_image_deinit(&image);
}

static struct unwind_table *compile_table(const char *path)
{
	__cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct unwind_table *table = NULL;

	check(fd >= 0 && !unwind_table_create(fd, -1, UNWIND_CALL_SITES, &table));
	check(unwind_table_is_sound(table));
	return table;
}

static bool is_same(const struct unwind_word_vec *a, const struct unwind_word_vec *b)
{
	return a->len == b->len && !memcmp(a->data, b->data, a->len * sizeof(*a->data));
}

static void check_stripped(const char *path)
{
	__cleanup_free char *stripped = scratch("stripped");
	__cleanup(unwind_table_destroyp) struct unwind_table *whole = NULL, *bare = NULL;

	check(shell("cp '%s' '%s' && %s-linux-gnu-strip '%s' 2> /dev/null || strip '%s'", path,
		    stripped, strstr(path, "arm64") ? "aarch64" : "x86_64", stripped, stripped));
	whole = compile_table(path);
	bare = compile_table(stripped);
	check_int(bare->machine, whole->machine);
	check(bare->rows.len > 1000);
	check(is_same(&whole->rows, &bare->rows) && is_same(&whole->index, &bare->index));
}

static void check_kind(const char *kind)
{
	const glob_t *programs = go_programs("server", kind);

	for (size_t i = 0; i < programs->gl_pathc; i++) {
		check_rows(programs->gl_pathv[i]);
		check_stripped(programs->gl_pathv[i]);
	}
}

TEST(rows_are_those_of_debug_frame)
{
	check_kind("default");
}

TEST(in_position_independent_programs_too)
{
	check_kind("pie");
}

TEST(on_arm64_too)
{
	check_kind("arm64");
}

TEST(other_files_have_no_go_frames)
{
	__cleanup_close int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct unwind_image image;

	check(!unwind_image_init(&image, fd, NULL, 0));
	check(!go_frames_create(&image));
	unwind_image_deinit(&image);
}
