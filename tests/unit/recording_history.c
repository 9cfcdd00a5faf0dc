// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading a recording from its beginning on, against reading each moment for
 * itself: the same stacks with the same counts, however the moments were written.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "recording/reader.h"
#include "recording/writer.h"
#include "tests/unit/fixture.h"
#include "tests/unit/test.h"

#define MOMENTS 90
#define STACKS 150

/* Stacks come, change, go and come back; some of them not for long. */
static void step(struct snapshot *snap, uint64_t *state, int moment)
{
	snap->duration_s = moment;
	snap->stacks.len = 0;
	for (uint64_t id = 0; id < STACKS; id++) {
		uint64_t dice = fixture_random(state, 100);

		if (dice < 10 || (int)(id % 40) > moment)
			continue;
		fixture_stack(snap, (struct snapshot_stack){ .id = id / 3, .kind = id % 3 });
		if (dice < 60)
			snap->stacks.data[snap->stacks.len - 1].m = (struct metrics){
				.live_bytes = (int64_t)id * 100, .alloc_bytes = (int64_t)id * 100 };
		else
			snap->stacks.data[snap->stacks.len - 1].m = (struct metrics){
				.live_bytes = (int64_t)dice, .live_count = 1,
				.alloc_bytes = (int64_t)dice * moment };
	}
}

static void record(const char *file, const struct recording_settings *settings)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = snapshot_create();
	uint64_t state = 88172645463325252;
	struct recording *rec;

	fixture_header(snap);
	fixture_memory(snap);
	check_ok(recording_create(file, settings, &rec));
	for (int moment = 1; moment <= MOMENTS; moment++) {
		step(snap, &state, moment);
		check_ok(recording_append(rec, snap, false));
	}
	check_ok(recording_close(rec));
}

struct visit {
	struct recording_reader *reader;	/* another one of the same file */
	size_t seen;
	double last_s;
};

static int compare_stacks(const void *a, const void *b)
{
	const struct snapshot_stack *x = a, *y = b;
	int ids = (x->id > y->id) - (x->id < y->id);

	return ids ? ids : (int)x->kind - (int)y->kind;
}

static void check_moment(void *arg, const struct snapshot *got)
{
	struct visit *visit = arg;
	struct snapshot *want __cleanup(snapshot_destroyp) = NULL;
	struct snapshot_stack *stacks __cleanup_free =
		xcalloc(got->stacks.len + 1, sizeof(*stacks));

	check_ok(recording_snapshot(visit->reader, got->duration_s, &want));
	check(got->duration_s == want->duration_s);
	check(got->duration_s > visit->last_s);
	check_int(got->stacks.len, want->stacks.len);
	memcpy(stacks, got->stacks.data, got->stacks.len * sizeof(*stacks));
	qsort(stacks, got->stacks.len, sizeof(*stacks), compare_stacks);
	qsort(want->stacks.data, want->stacks.len, sizeof(*stacks), compare_stacks);
	for (size_t i = 0; i < want->stacks.len; i++) {
		check(!compare_stacks(&stacks[i], &want->stacks.data[i]));
		check_int(stacks[i].m.live_bytes, want->stacks.data[i].m.live_bytes);
		check_int(stacks[i].m.live_count, want->stacks.data[i].m.live_count);
		check_int(stacks[i].m.alloc_bytes, want->stacks.data[i].m.alloc_bytes);
	}
	visit->last_s = got->duration_s;
	visit->seen++;
}

static void check_history(const struct recording_settings *settings, double before_s,
			  size_t most, size_t want)
{
	struct recording_reader *reader __cleanup(recording_reader_destroyp) = NULL;
	char file[] = "/tmp/heapsonde-unit-XXXXXX";
	struct visit visit = { 0 };
	int fd = mkstemp(file);

	check(fd >= 0);
	close(fd);
	record(file, settings);
	check_ok(recording_open(file, &visit.reader));
	check_ok(recording_open(file, &reader));
	check_ok(recording_history(reader, before_s, most, check_moment, &visit));
	recording_reader_destroy(visit.reader);
	unlink(file);
	check_int(visit.seen, want);
}

TEST(in_rows)
{
	check_history(&(struct recording_settings){ .rows_at_once = 1000000 }, 1000, 1000, MOMENTS);
}

TEST(packed)
{
	check_history(&(struct recording_settings){ .rows_at_once = -1000000 }, 1000, 1000,
		      MOMENTS);
}

/* Few rows allowed: moments of all three kinds. */
TEST(in_turn)
{
	check_history(&(struct recording_settings){ .rows_at_once = 300 }, 1000, 1000, MOMENTS);
}

TEST(some_of_them)
{
	check_history(&(struct recording_settings){ .rows_at_once = 300 }, 50, 7, 7);
	check_history(&(struct recording_settings){ .rows_at_once = 300 }, 50, 100, 49);
	check_history(&(struct recording_settings){ .rows_at_once = 300 }, 1, 100, 0);
	check_history(&(struct recording_settings){ .rows_at_once = 300 }, 50, 0, 0);
}
