// SPDX-License-Identifier: GPL-2.0-or-later
/* What changed between two snapshots: which call paths are the same, how they are told. */
#include "model/diff.h"
#include "tests/unit/fixture.h"
#include "tests/unit/test.h"

static struct snapshot *create(const char *comm)
{
	struct snapshot *snap = snapshot_create();

	snapshot_target_vec_push(&snap->targets, (struct snapshot_target){
		.comm = snapshot_string(snap, comm) });
	return snap;
}

/* A stack of one frame; @id of a snapshot's stacks need not mean anything to another. */
static void add(struct snapshot *snap, uint64_t id, int64_t live, struct frame frame)
{
	fixture_stack(snap, (struct snapshot_stack){
		.id = id, .m = { .live_bytes = live, .live_count = live > 0 } });
	fixture_frame(snap, frame);
	snap->totals.m.live_bytes += live;
}

#define FUNCTION(name_) ((struct frame){ .function = name_, .module = "prog" })

static const struct diff_row *row_of(const struct diff *diff, const char *function)
{
	vec_for_each(row, &diff->rows) {
		const struct frame *frame = snapshot_frames(row->of, row->stack);

		if (frame->function && !strcmp(frame->function, function))
			return row;
	}
	test_fail("no row of %s", function);
}

static void check_row(const struct diff *diff, const char *function, enum diff_state state,
		      int64_t old, int64_t new)
{
	const struct diff_row *row = row_of(diff, function);

	check_str(diff_state_name(row->state), diff_state_name(state));
	check_int(row->old.live_bytes, old);
	check_int(row->new.live_bytes, new);
	check_int(row->delta.live_bytes, new - old);
}

#define DIFF(old, new) \
	struct diff *diff __cleanup(diff_destroyp) = diff_create(old, new, "live_bytes")

TEST(states_and_order)
{
	struct snapshot *old __cleanup(snapshot_destroyp) = create("x");
	struct snapshot *new __cleanup(snapshot_destroyp) = create("x");

	add(old, 1, 100, FUNCTION("same"));
	add(old, 2, 100, FUNCTION("grew"));
	add(old, 3, 100, FUNCTION("shrank"));
	add(old, 4, 500, FUNCTION("gone"));
	add(old, 5, 9, FUNCTION("emptied"));
	add(old, 6, 0, FUNCTION("began"));
	add(new, 11, 107, FUNCTION("new"));
	add(new, 12, 90, FUNCTION("shrank"));
	add(new, 13, 120, FUNCTION("grew"));
	add(new, 14, 100, FUNCTION("same"));
	add(new, 15, 0, FUNCTION("emptied"));
	add(new, 16, 8, FUNCTION("began"));
	DIFF(old, new);

	check_int(diff->rows.len, 7);
	check_row(diff, "same", DIFF_SAME, 100, 100);
	check_row(diff, "grew", DIFF_GREW, 100, 120);
	check_row(diff, "shrank", DIFF_SHRANK, 100, 90);
	check_row(diff, "gone", DIFF_GONE, 500, 0);
	check_row(diff, "emptied", DIFF_GONE, 9, 0);
	check_row(diff, "new", DIFF_NEW, 0, 107);
	check_row(diff, "began", DIFF_NEW, 0, 8);
	for (size_t i = 1; i < diff->rows.len; i++)
		check(llabs(diff->rows.data[i - 1].delta.live_bytes) >=
		      llabs(diff->rows.data[i].delta.live_bytes));
	check_int(diff->delta.live_bytes, new->totals.m.live_bytes - old->totals.m.live_bytes);
	check_int(diff->counts[DIFF_NEW], 2);
	check_int(diff->counts[DIFF_GONE], 2);
	check_int(diff->counts[DIFF_SAME], 1);
}

/* The same build: call sites of one function are told apart, names do not matter. */
TEST(same_build_goes_by_offset)
{
	struct snapshot *old __cleanup(snapshot_destroyp) = create("x");
	struct snapshot *new __cleanup(snapshot_destroyp) = create("x");
	struct frame site = { .module = "prog", .build_id = "ab", .function = "f" };

	site.offset = 1;
	site.pc = 0x7f0001;
	add(old, 1, 10, site);
	site.offset = 2;
	add(old, 2, 20, site);
	site.function = NULL;
	site.pc = 0x550002;
	add(new, 3, 25, site);
	DIFF(old, new);

	check_int(diff->rows.len, 2);
	check_int(diff->rows.data[0].delta.live_bytes, -10);
	check_int(diff->rows.data[0].state, DIFF_GONE);
	check_int(diff->rows.data[1].delta.live_bytes, 5);
	check_int(diff->rows.data[1].state, DIFF_GREW);
}

/* An inlined frame is there or not by what debug file was at hand. */
TEST(same_build_ignores_inlined_frames)
{
	struct snapshot *old __cleanup(snapshot_destroyp) = create("x");
	struct snapshot *new __cleanup(snapshot_destroyp) = create("x");
	struct frame outer = { .module = "prog", .build_id = "ab", .function = "f", .offset = 4 };
	struct frame inner = outer;

	inner.inlined = true;
	inner.function = "g";
	add(old, 1, 10, outer);
	add(new, 2, 12, inner);
	fixture_frame(new, outer);
	DIFF(old, new);

	check_int(diff->rows.len, 1);
	check_int(diff->rows.data[0].delta.live_bytes, 2);
}

/* Another build: offsets have moved, the function's name is what stays. */
TEST(other_build_goes_by_function)
{
	struct snapshot *old __cleanup(snapshot_destroyp) = create("x");
	struct snapshot *new __cleanup(snapshot_destroyp) = create("x");

	add(old, 1, 10, (struct frame){ .module = "prog", .build_id = "ab", .function = "f",
					.offset = 1 });
	add(old, 2, 5, (struct frame){ .module = "prog", .build_id = "ab", .function = "f",
				       .offset = 2 });
	add(new, 3, 40, (struct frame){ .module = "prog", .build_id = "cd", .function = "f",
					.offset = 9 });
	add(new, 4, 1, (struct frame){ .module = "lib", .build_id = "cd", .function = "f" });
	DIFF(old, new);

	check_int(diff->rows.len, 2);
	check_int(diff->rows.data[0].old.live_bytes, 15);
	check_int(diff->rows.data[0].delta.live_bytes, 25);
	check_int(diff->rows.data[1].state, DIFF_NEW);
}

TEST(kind_and_program_tell_paths_apart)
{
	struct snapshot *old __cleanup(snapshot_destroyp) = create("x");
	struct snapshot *new __cleanup(snapshot_destroyp) = create("x");
	struct snapshot *other __cleanup(snapshot_destroyp) = create("y");

	add(old, 1, 10, FUNCTION("f"));
	add(new, 1, 10, FUNCTION("f"));
	new->stacks.data[0].kind = MEMORY_MMAP;
	add(other, 1, 10, FUNCTION("f"));
	{
		DIFF(old, new);
		check_int(diff->rows.len, 2);
	}
	{
		DIFF(old, other);
		check_int(diff->rows.len, 2);
	}
}

/* Lost stacks have an id and nothing else. */
TEST(no_frames_is_by_id)
{
	struct snapshot *old __cleanup(snapshot_destroyp) = create("x");
	struct snapshot *new __cleanup(snapshot_destroyp) = create("x");

	fixture_stack(old, (struct snapshot_stack){ .id = 1, .m = { .live_bytes = 5 } });
	fixture_stack(old, (struct snapshot_stack){ .id = 2, .m = { .live_bytes = 5 } });
	fixture_stack(new, (struct snapshot_stack){ .id = 2, .m = { .live_bytes = 7 } });
	DIFF(old, new);

	check_int(diff->rows.len, 2);
	check_int(diff->counts[DIFF_GREW], 1);
	check_int(diff->counts[DIFF_GONE], 1);
}

/* What stacks add up to, rows add up to, whatever was joined. */
TEST(sums_are_kept)
{
	struct snapshot *old __cleanup(snapshot_destroyp) = fixture_create();
	struct snapshot *new __cleanup(snapshot_destroyp) = fixture_create();
	int64_t want = 0, got = 0;

	for (size_t i = 0; i < new->stacks.len; i++) {
		new->stacks.data[i].m.live_bytes += 1000 * (int64_t)(i + 1);
		new->frames.data[i].function = NULL;
		want += 1000 * (int64_t)(i + 1);
	}
	DIFF(old, new);

	vec_for_each(row, &diff->rows)
		got += row->delta.live_bytes;
	check_int(got, want);
}

TEST(two_empty_snapshots)
{
	struct snapshot *old __cleanup(snapshot_destroyp) = snapshot_create();
	struct snapshot *new __cleanup(snapshot_destroyp) = snapshot_create();
	DIFF(old, new);

	check_int(diff->rows.len, 0);
}
