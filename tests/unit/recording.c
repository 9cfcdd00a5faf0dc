// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Recordings: what is appended comes back, at every moment, also from a file
 * whose writer was killed; and no file, however damaged, brings the reader down.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "export/json.h"
#include "recording/reader.h"
#include "recording/schema.h"
#include "recording/writer.h"
#include "tests/unit/fixture.h"
#include "tests/unit/test.h"

static char dir[64];
static char file[160];

/* A directory of its own for all cases, removed at the end. */
static void __attribute__((constructor)) setup(void)
{
	snprintf(dir, sizeof(dir), "/tmp/heapsonde-recording.XXXXXX");
	if (!mkdtemp(dir))
		abort();
	snprintf(file, sizeof(file), "%s/x.heapsonde", dir);
}

static pid_t owner;

static void __attribute__((destructor)) teardown(void)
{
	char command[128];

	if (owner && getpid() != owner)
		return;
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	if (system(command))
		fprintf(stderr, "cannot remove %s\n", dir);
}

static char *json_of(const struct snapshot *snap)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	export_json(snap, f, 0);
	fclose(f);
	return text;
}

/* Equal in the order of stack ids, which is all that sorting may change. */
static int by_identity(const void *a, const void *b)
{
	const struct snapshot_stack *x = a, *y = b;

	if (x->target != y->target)
		return x->target < y->target ? -1 : 1;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return (int)x->kind - (int)y->kind;
}

static void normalise(struct snapshot *snap)
{
	if (snap->stacks.len)
		qsort(snap->stacks.data, snap->stacks.len, sizeof(*snap->stacks.data),
		      by_identity);
}

static bool same_string(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool same_frame(const struct frame *a, const struct frame *b)
{
	return a->pc == b->pc && a->offset == b->offset && a->line == b->line &&
	       a->column == b->column && a->inlined == b->inlined &&
	       a->start_line == b->start_line &&
	       same_string(a->function, b->function) && same_string(a->raw, b->raw) &&
	       same_string(a->module, b->module) && same_string(a->path, b->path) &&
	       same_string(a->build_id, b->build_id) && same_string(a->file, b->file);
}

static void check_same_stack(const struct snapshot *a, const struct snapshot *b, size_t i)
{
	const struct snapshot_stack *x = &a->stacks.data[i], *y = &b->stacks.data[i];

	check(x->id == y->id && x->target == y->target && x->kind == y->kind);
	check_int(x->status, y->status);
	check_int(x->frame_count, y->frame_count);
#define X(name, type, unit, header, help)					\
	if (x->m.name != y->m.name)						\
		test_fail("stack %zu: %s is %.17g, not %.17g", i, #name,	\
			  (double)x->m.name, (double)y->m.name);
	METRICS(X)
#undef X
	for (uint32_t k = 0; k < x->frame_count; k++)
		check(same_frame(&snapshot_frames(a, x)[k], &snapshot_frames(b, y)[k]));
}

/* Field by field, not only what JSON shows of it. */
static void check_same(struct snapshot *got, struct snapshot *want)
{
	__cleanup_free char *a = NULL, *b = NULL;

	normalise(got);
	normalise(want);
	check_int(got->stacks.len, want->stacks.len);
	for (size_t i = 0; i < want->stacks.len; i++)
		check_same_stack(got, want, i);
	check(got->duration_s == want->duration_s);
	check_int(got->timeline.len, want->timeline.len);
	check_int(got->reclaim.len, want->reclaim.len);
	check_int(got->account.len, want->account.len);
	check_int(got->targets.len, want->targets.len);
	check(!memcmp(&got->totals, &want->totals, sizeof(got->totals)));
	check(!memcmp(&got->cost, &want->cost, sizeof(got->cost)));
	check(!memcmp(&got->unwind, &want->unwind, sizeof(got->unwind)));
	a = json_of(got);
	b = json_of(want);
	check_str(a, b);
}

static void check_reads(double t_s, struct snapshot *want)
{
	struct recording_reader *rec __cleanup(recording_reader_destroyp) = NULL;
	struct snapshot *got __cleanup(snapshot_destroyp) = NULL;

	check_ok(recording_open(file, &rec));
	check_ok(recording_snapshot(rec, t_s, &got));
	check_same(got, want);
}

static bool exists(const char *suffix)
{
	char name[sizeof(file) + 8];

	snprintf(name, sizeof(name), "%s%s", file, suffix);
	return !access(name, F_OK);
}

static struct error *create(bool force, struct recording **ret)
{
	struct recording_settings settings = RECORDING_SETTINGS_DEFAULT;

	settings.force = force;
	return recording_create(file, &settings, ret);
}

/* Of all but the first moment nothing is in rows. */
static struct error *create_packed(struct recording **ret)
{
	const struct recording_settings settings = { .rows_at_once = -1000000 };

	return recording_create(file, &settings, ret);
}

static void record_to(bool force, const struct snapshot *snap)
{
	struct recording *rec;

	check_ok(create(force, &rec));
	check_ok(recording_append(rec, snap, true));
	check_ok(recording_close(rec));
}

static void record_one(const struct snapshot *snap)
{
	record_to(false, snap);
}

TEST(round_trip_of_everything)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();

	record_one(snap);
	check_reads(-1, snap);
	check_reads(0, snap);
	check_reads(1e9, snap);
}

TEST(closed_file_is_private_and_alone)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	struct stat st;

	record_one(snap);
	check(!stat(file, &st));
	check_int(st.st_mode & 0777, 0600);
	check(!exists("-wal") && !exists("-shm") && !exists("-journal"));
}

TEST(idle_target)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_idle_create();

	record_one(snap);
	check_reads(-1, snap);
}

/* Random snapshots, each an evolution of the one before */

#define MOMENTS 60
#define STACKS 400

struct world {
	uint64_t seed;
	struct metrics m[STACKS];
	uint64_t born_ns[STACKS];
	bool alive[STACKS], named[STACKS];
	size_t targets;
};

static void world_step(struct world *w, uint64_t now_ns, int step)
{
	for (size_t i = 0; i < STACKS; i++) {
		uint64_t dice = fixture_random(&w->seed, 100);

		if (dice < 2)
			w->alive[i] = !w->alive[i];
		if (dice < 10) {
			w->m[i].live_bytes = (int64_t)fixture_random(&w->seed, 1 << 30);
			w->m[i].live_count = (int64_t)fixture_random(&w->seed, 3);
			w->m[i].growth_bytes_per_s = (double)w->m[i].live_bytes / 7;
			w->born_ns[i] = now_ns - fixture_random(&w->seed, now_ns);
		}
		w->m[i].oldest_live_s = w->m[i].live_count ?
			(double)(now_ns - w->born_ns[i]) / 1e9 : 0;
		w->named[i] |= step == MOMENTS - 1 || dice == 50;
	}
	w->targets = 1 + step / 20;
}

/* The first frame of each stack has an inlined twin once it has a name. */
static void world_frames(const struct world *w, struct snapshot *snap, size_t i, bool all_named)
{
	bool named = w->named[i] || all_named;
	char name[32];

	for (uint64_t k = 0; k < i % 7; k++) {
		struct frame frame = { .pc = 0x1000 * i + k };

		snprintf(name, sizeof(name), "function_%zu", (i + k) % 50);
		if (named) {
			frame.function = frame.raw = name;
			frame.module = k % 2 ? "a.so" : "program";
			frame.path = k % 2 ? "/lib/a.so" : "/bin/program";
			frame.offset = k;
		}
		if (named && !k) {
			struct frame inlined = frame;

			inlined.inlined = true;
			inlined.file = "x.c";
			inlined.line = (uint32_t)i;
			fixture_frame(snap, inlined);
		}
		fixture_frame(snap, frame);
	}
}

static struct snapshot *world_snapshot(const struct world *w, uint64_t now_ns, bool all_named)
{
	struct snapshot *snap = snapshot_create();

	fixture_header(snap);
	fixture_memory(snap);
	snap->duration_s = (double)now_ns / 1e9;
	while (snap->targets.len < w->targets)
		snapshot_target_vec_push(&snap->targets, snap->targets.data[0]);
	snap->targets.data[0].exited = w->targets > 1;
	snap->targets.data[0].exit_reason = w->targets > 1 ? snapshot_string(snap, "exec") : NULL;
	/* The timeline grows, and is thinned now and then. */
	snap->timeline.len = 0;
	for (uint64_t t = 0; t < now_ns / 1000000000; t += now_ns > 40000000000 ? 2 : 1)
		snapshot_sample_vec_push(&snap->timeline, (struct snapshot_sample){
			.t_s = (double)t, .rss_bytes = 5 });
	for (size_t i = 0; i < STACKS; i++) {
		if (!w->alive[i])
			continue;
		fixture_stack(snap, (struct snapshot_stack){
			.id = i / 3, .kind = i % 3, .status = UNWIND_COMPLETE, .m = w->m[i] });
		world_frames(w, snap, i, all_named);
	}
	return snap;
}

static uint64_t moment_ns(int step)
{
	return 1000000007ull * (step + 1) + step * step;
}

/* Replays the same world twice: once to write it, once to compare. */
TEST(every_moment_comes_back)
{
	struct world w = { .seed = 88172645463325252 };
	struct recording *rec;
	size_t moments;
	struct recording_reader *reader __cleanup(recording_reader_destroyp) = NULL;

	check_ok(create(false, &rec));
	for (int step = 0; step < MOMENTS; step++) {
		struct snapshot *snap __cleanup(snapshot_destroyp) = NULL;

		world_step(&w, moment_ns(step), step);
		snap = world_snapshot(&w, moment_ns(step), step == MOMENTS - 1);
		check_ok(recording_append(rec, snap, true));
	}
	check_ok(recording_close(rec));
	check_ok(recording_open(file, &reader));
	check_ok(recording_moments(reader, &moments));
	check_int(moments, MOMENTS);
	w = (struct world){ .seed = 88172645463325252 };
	for (int step = 0; step < MOMENTS; step++) {
		struct snapshot *want __cleanup(snapshot_destroyp) = NULL;
		struct snapshot *got __cleanup(snapshot_destroyp) = NULL;

		world_step(&w, moment_ns(step), step);
		check_ok(recording_snapshot(reader, (double)moment_ns(step) / 1e9 + 0.1, &got));
		/* Who was there in the end has its names at all moments. */
		for (size_t i = 0; i < got->frames.len; i++)
			if (step == MOMENTS - 1)
				check(got->frames.data[i].function);
		for (size_t i = 0; i < got->stacks.len; i++) {
			size_t n = got->stacks.data[i].id * 3 + got->stacks.data[i].kind;

			w.named[n] |= got->stacks.data[i].frame_count &&
				snapshot_frames(got, &got->stacks.data[i])->function;
		}
		want = world_snapshot(&w, moment_ns(step), false);
		check_same(got, want);
	}
}

/* Equal but for what recording/delta.h allows: 1 % of slopes, a little of ratios, 1 ms. */
static void check_near(struct snapshot *got, struct snapshot *want)
{
	normalise(got);
	normalise(want);
	check_int(got->stacks.len, want->stacks.len);
	for (size_t i = 0; i < want->stacks.len; i++) {
		struct metrics *x = &got->stacks.data[i].m, *y = &want->stacks.data[i].m;
		double slope = y->growth_bytes_per_s;

		check(fabs(x->growth_bytes_per_s - slope) <= 1 + fabs(slope) / 99);
		check(fabs(x->growth_confidence - y->growth_confidence) < 0.0205);
		check(fabs(x->oldest_live_s - y->oldest_live_s) < 0.0021);
		x->growth_bytes_per_s = slope;
		x->growth_confidence = y->growth_confidence;
		x->oldest_live_s = y->oldest_live_s;
	}
	check_same(got, want);
}

static void record_packed(int moments)
{
	struct world w = { .seed = 4711 };
	struct recording *rec;

	check_ok(create_packed(&rec));
	for (int step = 0; step < moments; step++) {
		struct snapshot *snap __cleanup(snapshot_destroyp) = NULL;

		world_step(&w, moment_ns(step), step);
		snap = world_snapshot(&w, moment_ns(step), true);
		check_ok(recording_append(rec, snap, step == moments - 1));
	}
	check_ok(recording_close(rec));
}

/* Every moment of record_packed() that is in the file, and how many are. */
static size_t check_packed(int moments)
{
	struct recording_reader *reader __cleanup(recording_reader_destroyp) = NULL;
	__cleanup(recording_times_deinit) struct recording_times times = { 0 };
	struct world w = { .seed = 4711 };
	size_t i = 0;

	check_ok(recording_open(file, &reader));
	check_ok(recording_moment_times(reader, &times));
	for (int step = 0; step < moments; step++) {
		struct snapshot *want __cleanup(snapshot_destroyp) = NULL;
		struct snapshot *got __cleanup(snapshot_destroyp) = NULL;

		world_step(&w, moment_ns(step), step);
		want = world_snapshot(&w, moment_ns(step), true);
		if (i == times.len || times.data[i] != want->duration_s)
			continue;
		check_ok(recording_snapshot(reader, times.data[i++], &got));
		if (step == moments - 1)
			check_same(got, want);
		else
			check_near(got, want);
	}
	check_int(i, times.len);
	return times.len;
}

TEST(every_packed_moment_comes_back)
{
	record_packed(MOMENTS);
	check_int(check_packed(MOMENTS), MOMENTS);
}

/* However small the bound: the first, the last and marked moments stay, all that stay are right. */
static void check_bounded(bool packed, uint64_t max_bytes, int moments)
{
	const struct recording_settings settings = {
		.rows_at_once = packed ? -1000000 : 1000000, .max_bytes = max_bytes,
	};
	struct world w = { .seed = 4711 };
	struct recording *rec;
	struct stat st;
	size_t left;

	check_ok(recording_create(file, &settings, &rec));
	for (int step = 0; step < moments; step++) {
		struct snapshot *snap __cleanup(snapshot_destroyp) = NULL;

		world_step(&w, moment_ns(step), step);
		snap = world_snapshot(&w, moment_ns(step), true);
		check_ok(recording_append(rec, snap, step == moments - 1));
	}
	check(!recording_is_oversize(rec));
	check_ok(recording_close(rec));
	check(!stat(file, &st));
	check(st.st_size <= (off_t)max_bytes);
	left = check_packed(moments);
	check(left > 4 && left < (size_t)moments);
}

TEST(bounded_packed)
{
	check_bounded(true, 400000, 200);
	check_bounded(true, 350000, 300);
}

TEST(bounded_rows)
{
	check_bounded(false, 510000, 200);
	check_bounded(false, 410000, 100);
}

TEST(bounded_by_less_than_stands_still)
{
	const struct recording_settings settings = { .max_bytes = 30000 };
	struct world w = { .seed = 4711 };
	struct recording *rec;

	check_ok(recording_create(file, &settings, &rec));
	for (int step = 0; step < 100; step++) {
		struct snapshot *snap __cleanup(snapshot_destroyp) = NULL;

		world_step(&w, moment_ns(step), step);
		snap = world_snapshot(&w, moment_ns(step), true);
		check_ok(recording_append(rec, snap, step == 99));
	}
	check(recording_is_oversize(rec));
	check_ok(recording_close(rec));
	check(check_packed(100) >= 2);
}

static int64_t query(const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *st;
	int64_t ret;

	check(!sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY, NULL));
	check(!sqlite3_prepare_v2(db, sql, -1, &st, NULL));
	check_int(sqlite3_step(st), SQLITE_ROW);
	ret = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return ret;
}

/* After the case above: the file is small because only changes are in it. */
TEST(only_changes_are_written)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	struct recording *rec;

	check_ok(create(false, &rec));
	for (int i = 0; i < 50; i++) {
		check_ok(recording_append(rec, snap, true));
		/* Nothing happens but that live blocks grow older. */
		snap->duration_s = (double)(61500000000 + (i + 1) * 1000000000ll) / 1e9;
		for (size_t k = 0; k < snap->stacks.len; k++) {
			struct snapshot_stack *stack = &snap->stacks.data[k];

			if (!snap->targets.data[stack->target].exited)
				stack->m.oldest_live_s += stack->m.live_count > 0;
		}
	}
	check_ok(recording_close(rec));
	check_int(query("SELECT count(*) FROM sample"), (long long)snap->stacks.len);
	check_int(query("SELECT count(*) FROM target"), (long long)snap->targets.len);
	check_int(query("SELECT count(*) FROM snapshot"), 50);
	check_int(query("SELECT max(sum) FROM (SELECT sum(live_bytes) AS sum FROM sample)"),
		  41943040 + 2097152 + 24 + 96);
	check_int(query("SELECT count(*) FROM stack, json_each(stack.frames) AS j"
			" JOIN frame ON frame.frame = j.value"), (long long)snap->frames.len);
}

/* Names that came late */

TEST(late_names_leave_no_orphans)
{
	struct snapshot *named __cleanup(snapshot_destroyp) = fixture_create();
	struct snapshot *bare __cleanup(snapshot_destroyp) = fixture_create();
	struct snapshot *got __cleanup(snapshot_destroyp) = NULL;
	struct recording_reader *reader __cleanup(recording_reader_destroyp) = NULL;
	struct recording *rec;

	for (size_t i = 0; i < bare->frames.len; i++)
		bare->frames.data[i] = (struct frame){ .pc = bare->frames.data[i].pc,
			.module = "", .path = "", .build_id = "" };
	check_ok(create(false, &rec));
	check_ok(recording_append(rec, bare, true));
	check_ok(recording_append(rec, named, true));
	check_ok(recording_append(rec, bare, true));	/* names are not lost again */
	check_ok(recording_close(rec));
	check_reads(-1, named);
	check_ok(recording_open(file, &reader));
	check_ok(recording_snapshot(reader, 0, &got));
	check_str(snapshot_frames(got, &got->stacks.data[0])->function,
		  "entry_create(cache&, int)");
	check_int(query("SELECT count(*) FROM frame"),
		  query("SELECT count(DISTINCT j.value) FROM stack, json_each(stack.frames) AS j"));
}

/* Being killed */

static pid_t start_writer(int moments, int hold)
{
	int pipe_fds[2];
	char done;
	pid_t pid;

	check(!pipe(pipe_fds));
	owner = getpid();
	pid = fork();
	check(pid >= 0);
	if (!pid) {
		struct snapshot *snap = fixture_create();
		struct recording *rec;

		close(pipe_fds[0]);
		if (create(false, &rec))
			_exit(1);
		for (int i = 0; i < moments; i++) {
			snap->duration_s = i + 1;
			snap->stacks.data[0].m.live_bytes = 1000 + i;
			if (recording_append(rec, snap, true))
				_exit(1);
			if (i + 1 == hold && write(pipe_fds[1], "x", 1) != 1)
				_exit(1);
		}
		pause();
		_exit(1);
	}
	close(pipe_fds[1]);
	check_int(read(pipe_fds[0], &done, 1), 1);
	close(pipe_fds[0]);
	return pid;
}

static void kill_writer(pid_t pid)
{
	int status;

	check(!kill(pid, SIGKILL));
	check(waitpid(pid, &status, 0) == pid);
	check(WIFSIGNALED(status));
}

static void check_killed_recording(size_t at_least)
{
	struct recording_reader *rec __cleanup(recording_reader_destroyp) = NULL;
	struct snapshot *snap __cleanup(snapshot_destroyp) = NULL;
	size_t moments;

	check_ok(recording_open(file, &rec));
	check_ok(recording_moments(rec, &moments));
	check(moments >= at_least);
	check_ok(recording_snapshot(rec, -1, &snap));
	check(snap->duration_s == (double)moments);
	check_int(snap->stacks.data[1].m.live_bytes, 1000 + (long long)moments - 1);
}

TEST(killed_writer_loses_nothing_committed)
{
	kill_writer(start_writer(7, 7));
	check(exists("-wal"));
	check_killed_recording(7);
}

TEST(killed_in_the_middle)
{
	for (int i = 1; i < 20; i++) {
		kill_writer(start_writer(100000, i * 3));
		check_killed_recording((size_t)i * 3);
	}
}

TEST(read_while_written)
{
	pid_t pid = start_writer(5, 5);

	check_killed_recording(5);
	kill_writer(pid);
}

TEST(second_writer_is_refused)
{
	pid_t pid = start_writer(3, 3);
	struct recording *rec = NULL;
	struct error *err __cleanup_error = create(true, &rec);
	/* From here on nothing may jump out before the writer is gone. */
	bool refused = err && strstr(err->message, "another heapsonde");

	kill_writer(pid);
	check(refused);
	check_killed_recording(3);
}

/* A leftover log of the old recording must not be played into the new one. */
TEST(new_recording_over_a_killed_one)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();

	kill_writer(start_writer(7, 7));
	record_one(snap);
	check_reads(-1, snap);
}

/* Another user, in a directory where nothing can be created. */
static void check_read_only_dir(size_t moments)
{
	char command[256];
	int status;
	pid_t pid;

	if (geteuid())
		test_skip("needs root");
	snprintf(command, sizeof(command), "chmod 0555 '%s' && chmod a+r '%s'/*", dir, dir);
	check(!system(command));
	owner = getpid();
	pid = fork();
	check(pid >= 0);
	if (!pid) {
		struct recording_reader *rec = NULL;
		struct error *err;
		size_t got = 0;

		if (setgid(65534) || setuid(65534))
			_exit(2);
		err = recording_open(file, &rec);
		if (!err)
			err = recording_moments(rec, &got);
		if (err)
			fprintf(stderr, "%s\n", err->message);
		recording_reader_destroy(rec);
		_exit(err || got != moments);
	}
	check(waitpid(pid, &status, 0) == pid);
	check_int(status, 0);
	check(!chmod(dir, 0755));
}

TEST(read_only_directory)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();

	record_one(snap);
	check_read_only_dir(1);
}

TEST(read_only_directory_with_log)
{
	kill_writer(start_writer(9, 9));
	check_read_only_dir(9);
}

TEST(read_only_directory_with_log_alone)
{
	char name[sizeof(file) + 8];

	kill_writer(start_writer(9, 9));
	snprintf(name, sizeof(name), "%s-shm", file);
	check(!unlink(name));
	check_read_only_dir(9);
}

/* Files that are something else */

/* Alone: a log that a case before left would be played into it. */
static void put_file(const void *data, size_t size)
{
	FILE *f = fopen(file, "w");
	char name[sizeof(file) + 8];

	snprintf(name, sizeof(name), "%s-wal", file);
	unlink(name);
	check(f);
	check(fwrite(data, 1, size, f) == size);
	check(!fclose(f));
}

static void check_refused(enum error_code code, const char *says)
{
	struct recording_reader *rec __cleanup(recording_reader_destroyp) = NULL;
	struct error *err __cleanup_error = recording_open(file, &rec);

	check(err);
	check_int(err->code, code);
	if (!strstr(err->message, says))
		test_fail("\"%s\" does not say \"%s\"", err->message, says);
	check(!strchr(err->message, '\n'));
}

TEST(not_a_recording)
{
	put_file("This is a text file that is longer than the header of a database. "
		 "It is by no means a recording, and nobody should think so.", 120);
	check_refused(ERROR_CORRUPT, "not a heapsonde recording");
	put_file("", 0);
	check_refused(ERROR_CORRUPT, "not a heapsonde recording");
	unlink(file);
	check_refused(ERROR_OS, "No such file");
}

static void alter(const char *sql)
{
	sqlite3 *db;

	check(!sqlite3_open(file, &db));
	check(!sqlite3_exec(db, sql, NULL, NULL, NULL));
	sqlite3_close(db);
}

TEST(other_databases)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();

	unlink(file);
	alter("CREATE TABLE t(x)");
	check_refused(ERROR_CORRUPT, "but not a heapsonde recording");
	unlink(file);
	record_one(snap);
	alter("PRAGMA user_version=11");
	check_refused(ERROR_UNSUPPORTED, "newer heapsonde (schema 11, this one reads 4 to 10)");
	alter("PRAGMA user_version=3");
	check_refused(ERROR_UNSUPPORTED, "older heapsonde (schema 3, this one reads 4 to 10)");
	unlink(file);
	record_one(snap);
	alter("DROP TABLE cost; CREATE VIEW cost AS WITH RECURSIVE r(x) AS"
	      " (SELECT 1 UNION ALL SELECT x FROM r) SELECT * FROM r");
	check_refused(ERROR_CORRUPT, "schema");
	unlink(file);
	record_one(snap);
	alter("CREATE TRIGGER t AFTER INSERT ON sample BEGIN DELETE FROM stack; END");
	check_refused(ERROR_CORRUPT, "schema");
}

static void add_share(struct snapshot *snap, size_t stack, uint32_t thread, uint32_t class,
		      int64_t bytes)
{
	struct snapshot_stack *s = &snap->stacks.data[stack];

	if (!s->share_count++)
		s->share_first = (uint32_t)snap->shares.len;
	snapshot_share_vec_push(&snap->shares, (struct snapshot_share){
		.thread = thread, .size_class = class, .live_bytes = bytes, .live_count = 1,
		.alloc_bytes = 2 * bytes, .alloc_count = 2, .temporary_count = 1,
		.peak_live_bytes = bytes, .oldest_live_s = 1.5f, .live_bytes_error = 0.25f });
}

static void add_shares(struct snapshot *snap)
{
	for (uint32_t i = 0; i < 3; i++)
		snapshot_thread_vec_push(&snap->threads, (struct snapshot_thread){
			.tid = i ? 4241 + i : 0,
			.name = i == 1 ? snapshot_string(snap, "worker") : NULL });
	add_share(snap, 1, 1, 6, 64);
	add_share(snap, 1, 2, SIZE_CLASS_ANY, 4096);
	add_share(snap, 0, 0, 12, 4000);
}

static bool same_share(const struct snapshot_share *a, const struct snapshot_share *b)
{
	return !memcmp(a, b, offsetof(struct snapshot_share, alloc_count_error)) &&
		a->alloc_count_error == b->alloc_count_error;
}

/* Those of each stack in order, which is all that is asked of them. */
static void check_same_shares(const struct snapshot *got, const struct snapshot *want)
{
	check_int(got->shares.len, want->shares.len);
	for (size_t i = 0; i < want->stacks.len; i++) {
		const struct snapshot_stack *a = &got->stacks.data[i], *b = &want->stacks.data[i];

		check_int(a->share_count, b->share_count);
		for (uint32_t k = 0; k < b->share_count; k++)
			check(same_share(&got->shares.data[a->share_first + k],
					 &want->shares.data[b->share_first + k]));
	}
	check_int(got->threads.len, want->threads.len);
	for (size_t i = 0; i < want->threads.len; i++) {
		check_int(got->threads.data[i].tid, want->threads.data[i].tid);
		check(same_string(got->threads.data[i].name, want->threads.data[i].name));
	}
}

TEST(shares_at_the_end)
{
	struct snapshot *first __cleanup(snapshot_destroyp) = fixture_create();
	struct snapshot *last __cleanup(snapshot_destroyp) = fixture_create();
	struct snapshot *got __cleanup(snapshot_destroyp) = NULL;
	struct recording_reader *reader __cleanup(recording_reader_destroyp) = NULL;
	struct recording *rec;

	unlink(file);
	add_shares(last);
	last->duration_s = first->duration_s + 1;
	check_ok(create(false, &rec));
	check_ok(recording_append(rec, first, false));
	check_ok(recording_append(rec, last, true));
	check_ok(recording_close(rec));
	check_ok(recording_open(file, &reader));
	check_ok(recording_snapshot(reader, -1, &got));
	normalise(got);
	normalise(last);
	check_same_shares(got, last);
	snapshot_destroy(steal_ptr(got));
	check_ok(recording_snapshot(reader, first->duration_s, &got));
	check_int(got->shares.len + got->threads.len, 0);
}

static void add_focus(struct snapshot *snap, const char *stack, double until_s, const char *why)
{
	snapshot_focus_vec_push(&snap->focus, (struct snapshot_focus){
		.stack = snapshot_string(snap, stack), .pid = 4242, .since_s = 0.25,
		.until_s = until_s, .why = why ? snapshot_string(snap, why) : NULL,
		.alloc_count = 1009, .alloc_bytes = 1009 * 48 });
}

TEST(focus_of_each_moment)
{
	struct snapshot *first __cleanup(snapshot_destroyp) = fixture_create();
	struct snapshot *last __cleanup(snapshot_destroyp) = fixture_create();
	struct recording *rec;

	unlink(file);
	add_focus(first, "00000000000000a1", -1, NULL);
	add_focus(last, "00000000000000a1", 1.5, "another call path grows faster");
	add_focus(last, "00000000000000b2", -1, NULL);
	last->duration_s = first->duration_s + 1;
	check_ok(create(false, &rec));
	check_ok(recording_append(rec, first, false));
	check_ok(recording_append(rec, last, true));
	check_ok(recording_close(rec));
	check_reads(first->duration_s, first);
	check_reads(-1, last);
}

/* A recording of the schema before has neither what was added to tables nor new ones. */
TEST(earlier_schema)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	struct snapshot *got __cleanup(snapshot_destroyp) = NULL;
	struct recording_reader *rec __cleanup(recording_reader_destroyp) = NULL;
	struct error *err __cleanup_error = NULL;

	unlink(file);
	record_one(snap);
	alter("ALTER TABLE memory DROP COLUMN growth_confidence;"
	      "ALTER TABLE memory DROP COLUMN limit_used_bytes;"
	      "ALTER TABLE target DROP COLUMN oom_killed;"
	      "ALTER TABLE memory DROP COLUMN trimmable_bytes;"
	      "ALTER TABLE memory DROP COLUMN adjusted_bytes;"
	      "DROP TABLE census; DROP TABLE census_class; DROP TABLE process;"
	      "DROP TABLE process_account; DROP TABLE cgroup;"
	      "DROP TABLE thread; DROP TABLE share; DROP TABLE focus;"
	      "ALTER TABLE frame DROP COLUMN type;"
	      "ALTER TABLE frame DROP COLUMN start_line;"
	      "PRAGMA user_version=4");
	err = recording_open(file, &rec);
	check(!err);
	err = recording_snapshot(rec, -1, &got);
	check(!err);
	check_int(got->memory.rss_bytes, snap->memory.rss_bytes);
	check(got->memory.growth_bytes_per_s == snap->memory.growth_bytes_per_s);
	check(got->memory.growth_confidence == 0);
	check_int(got->memory.limit_used_bytes, -1);
	check_int(got->processes.len + got->process_account.len + got->cgroups.len, 0);
	check_int(got->stacks.len, snap->stacks.len);
}

TEST(schema_before_this_one)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	struct snapshot *got __cleanup(snapshot_destroyp) = NULL;
	struct recording_reader *rec __cleanup(recording_reader_destroyp) = NULL;

	unlink(file);
	record_one(snap);
	alter("ALTER TABLE windows DROP COLUMN told_above_bytes; PRAGMA user_version=9");
	check_ok(recording_open(file, &rec));
	check_ok(recording_snapshot(rec, -1, &got));
	check_int(got->windows.told_above_bytes, 0);
	check_int(got->stacks.len, snap->stacks.len);
}

#define SCHEMA_SUM 0x20035689596cdc9dull	/* of version 10 */

/* A field added to a table without a new version makes all recordings before unreadable. */
TEST(every_schema_has_its_version)
{
	struct strbuf sql __cleanup_strbuf = { 0 };
	uint64_t sum = 14695981039346656037ull;		/* FNV-1a */

	schema_sql(&sql);
	for (const char *p = strbuf_str(&sql); *p; p++)
		sum = (sum ^ (unsigned char)*p) * 1099511628211ull;
	if (sum != SCHEMA_SUM)
		test_fail("the schema is another one (%#llx): is RECORDING_SCHEMA_VERSION, too?",
			  (unsigned long long)sum);
}

TEST(contents_that_make_no_sense)
{
	static const char *const damages[] = {
		"UPDATE stack SET target=77", "UPDATE stack SET target=-1",
		"UPDATE stack SET kind='gold'", "UPDATE stack SET status=NULL",
		"UPDATE stack SET frames='[1,2'", "UPDATE stack SET frames='[99999]'",
		"UPDATE stack SET frames=NULL", "UPDATE stack SET frames='[-1]'",
		"UPDATE frame SET object=0", "DELETE FROM frame", "DELETE FROM stack",
		"UPDATE timeline SET pos=pos+5", "UPDATE target SET pos=-1 WHERE pos=0",
		"DELETE FROM loss", "DELETE FROM target", "DROP TABLE sample",
		"UPDATE share SET thread=3", "UPDATE share SET size_class=65",
		"UPDATE share SET stack=stack+77", "DELETE FROM thread", "DROP TABLE share",
	};
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();

	add_shares(snap);
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		struct recording_reader *rec __cleanup(recording_reader_destroyp) = NULL;
		struct snapshot *got __cleanup(snapshot_destroyp) = NULL;
		struct error *err __cleanup_error = NULL;

		record_one(snap);
		alter(damages[i]);
		check_ok(recording_open(file, &rec));
		err = recording_snapshot(rec, -1, &got);
		if (!err || err->code != ERROR_CORRUPT)
			test_fail("%s: read all the same", damages[i]);
	}
}

TEST(empty_recording)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	struct recording_reader *rec __cleanup(recording_reader_destroyp) = NULL;
	struct snapshot *got __cleanup(snapshot_destroyp) = NULL;
	struct error *err __cleanup_error = NULL;

	record_one(snap);
	alter("DELETE FROM snapshot");
	check_ok(recording_open(file, &rec));
	err = recording_snapshot(rec, -1, &got);
	check(err && err->code == ERROR_NOT_FOUND);
}

/* A target that was not there: the old recording is still the old one. */
TEST(nothing_appended_changes_nothing)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	struct recording *rec;

	record_one(snap);
	check_ok(create(false, &rec));
	recording_destroy(rec);
	check_reads(-1, snap);
	unlink(file);
	check_ok(create(false, &rec));
	check_ok(recording_close(rec));
	check(!exists(""));
	check(!rmdir(dir));		/* no temporary file stayed */
	check(!mkdir(dir, 0700));
}

/* Damage at random: an error or a snapshot that can be printed, never a crash. */

static void try_to_read(size_t *errors)
{
	static unsigned int damages;	/* each time another moment is read */
	struct recording_reader *rec __cleanup(recording_reader_destroyp) = NULL;
	struct snapshot *got __cleanup(snapshot_destroyp) = NULL;
	struct error *err __cleanup_error = recording_open(file, &rec);

	if (!err)
		err = recording_snapshot(rec, (double)(damages++ % 12) - 1, &got);
	if (err) {
		(*errors)++;
		check(err->code == ERROR_CORRUPT || err->code == ERROR_UNSUPPORTED ||
		      err->code == ERROR_NOT_FOUND);
	} else {
		free(json_of(got));
	}
}

static char *read_file(size_t *size)
{
	FILE *f = fopen(file, "r");
	struct stat st;
	char *data;

	check(f && !fstat(fileno(f), &st));
	*size = (size_t)st.st_size;
	data = xmalloc(*size);
	check(fread(data, 1, *size, f) == *size);
	fclose(f);
	return data;
}

TEST(truncations)
{
	__cleanup_free char *data = NULL;
	size_t size, errors = 0;
	uint64_t seed = 42;

	record_packed(10);
	data = read_file(&size);
	for (int i = 0; i < 1000; i++) {
		put_file(data, fixture_random(&seed, size));
		try_to_read(&errors);
	}
	check(errors > 700);
}

TEST(byte_flips)
{
	__cleanup_free char *data = NULL;
	size_t size, errors = 0;
	uint64_t seed = 43;

	record_packed(10);
	data = read_file(&size);
	for (int i = 0; i < 1000; i++) {
		__cleanup_free char *copy = xmalloc(size);

		memcpy(copy, data, size);
		for (int k = 0; k < 20; k++)
			copy[fixture_random(&seed, size)] ^= (char)(1 + fixture_random(&seed, 255));
		/* The header's page is hit in any case: it decides most. */
		copy[100 + fixture_random(&seed, 3900)] ^= 1;
		put_file(copy, size);
		try_to_read(&errors);
	}
	check(errors > 0);
}

/* A power failure: of the log only a part came to the disk, or parts are zeros. */
TEST(torn_logs)
{
	__cleanup_free char *log = NULL, *data = NULL;
	char base[sizeof(file)], name[sizeof(file)];
	size_t size, log_size, readable = 0;
	uint64_t seed = 44;

	kill_writer(start_writer(40, 40));
	data = read_file(&size);
	memcpy(base, file, sizeof(base));
	snprintf(name, sizeof(name), "%.100s-wal", base);
	memcpy(file, name, sizeof(file));
	log = read_file(&log_size);
	for (int i = 0; i < 300; i++) {
		struct recording_reader *rec __cleanup(recording_reader_destroyp) = NULL;
		struct snapshot *got __cleanup(snapshot_destroyp) = NULL;
		__cleanup_free char *torn = xmalloc(log_size);
		size_t at = fixture_random(&seed, log_size);
		struct error *err __cleanup_error = NULL;

		memcpy(torn, log, log_size);
		memset(torn + at, 0, fixture_random(&seed, log_size - at));
		memcpy(file, base, sizeof(base));
		put_file(data, size);
		memcpy(file, name, sizeof(file));
		put_file(torn, i % 2 ? at : log_size);
		memcpy(file, base, sizeof(base));
		err = recording_open(file, &rec);
		if (!err)
			err = recording_snapshot(rec, -1, &got);
		if (err)
			check(err->code == ERROR_CORRUPT || err->code == ERROR_NOT_FOUND);
		else
			check(got->stacks.data[1].m.live_bytes ==
			      1000 + llrint(got->duration_s) - 1);
		readable += !err;
	}
	check(readable > 250);
}

/* Writing where one should not */

TEST(other_files_are_not_overwritten)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	struct recording *rec = NULL;
	struct error *err __cleanup_error = NULL;
	__cleanup_free char *data = NULL;
	size_t size;

	unlink(file);
	put_file("precious", 8);
	err = create(false, &rec);
	check(err && strstr(err->message, "--force"));
	data = read_file(&size);
	check_int(size, 8);
	record_to(true, snap);
	check_reads(-1, snap);
}

TEST(odd_places_are_refused)
{
	static const char *const paths[] = { "/dev/null", "/tmp", "/nonexistent/x.heapsonde" };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct recording *rec = NULL;
		const struct recording_settings settings = { .force = true };
		struct error *err __cleanup_error = recording_create(paths[i], &settings, &rec);

		check(err && !rec);
	}
}

TEST(owner_is_who_called_sudo)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	struct stat st;

	if (geteuid())
		test_skip("needs root");
	unlink(file);
	setenv("SUDO_UID", "65534", 1);
	setenv("SUDO_GID", "65533", 1);
	record_one(snap);
	unsetenv("SUDO_UID");
	unsetenv("SUDO_GID");
	check(!stat(file, &st));
	check_int(st.st_uid, 65534);
	check_int(st.st_gid, 65533);
}

/* A file system of 1 MiB that fills up: what was recorded stays readable. */
TEST(full_disk)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = NULL;
	struct recording_reader *reader __cleanup(recording_reader_destroyp) = NULL;
	struct error *err __cleanup_error = NULL, *end __cleanup_error = NULL;
	struct world w = { .seed = 99 };
	struct recording *rec;
	char command[256], saved[sizeof(file)];
	size_t moments;
	int step;

	snprintf(command, sizeof(command),
		 "mkdir '%s/full' && mount -t tmpfs -o size=1m none '%s/full' 2>/dev/null",
		 dir, dir);
	if (geteuid() || system(command))
		test_skip("needs root and mount");
	memcpy(saved, file, sizeof(file));
	snprintf(file, sizeof(file), "%s/full/x.heapsonde", dir);
	check_ok(create(false, &rec));
	for (step = 0; step < 1000 && !err; step++) {
		snapshot_destroy(snap);
		world_step(&w, moment_ns(step), step);
		snap = world_snapshot(&w, moment_ns(step), false);
		err = recording_append(rec, snap, true);
	}
	end = recording_close(rec);
	if (!recording_open(file, &reader) && !recording_moments(reader, &moments))
		step -= (int)moments + 1;
	recording_reader_destroy(steal_ptr(reader));
	memcpy(file, saved, sizeof(file));
	snprintf(command, sizeof(command), "umount '%s/full'", dir);
	check(!system(command));
	check(err && err->errnum == ENOSPC);
	check_int(step, 0);
}

