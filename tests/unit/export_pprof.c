// SPDX-License-Identifier: GPL-2.0-or-later
/* Profiles for pprof: unpacked again, as text against a golden file, and sums. */
#include <inttypes.h>
#include <zlib.h>

#include "base/error.h"
#include "export/pprof.h"
#include "tests/unit/fixture.h"
#include "tests/unit/golden.h"
#include "tests/unit/test.h"
#include "user/export/profile.pb-c.h"

static void profile_free(Pprof__Profile **profile)
{
	pprof__profile__free_unpacked(*profile, NULL);
}

#define PROFILE __attribute__((cleanup(profile_free))) Pprof__Profile

static Pprof__Profile *profile_of(const struct snapshot *snap, const char *metric)
{
	static unsigned char packed[1 << 20], data[8 << 20];
	z_stream z = { .next_in = packed, .next_out = data, .avail_out = sizeof(data) };
	Pprof__Profile *profile;
	FILE *f = tmpfile();

	check(f);
	check_ok(export_pprof(snap, f, metric));
	rewind(f);
	z.avail_in = (uInt)fread(packed, 1, sizeof(packed), f);
	fclose(f);
	check(inflateInit2(&z, 15 + 16) == Z_OK);
	check(inflate(&z, Z_FINISH) == Z_STREAM_END && !z.avail_in);
	inflateEnd(&z);
	profile = pprof__profile__unpack(NULL, z.total_out, data);
	check(profile);
	return profile;
}

static const char *text(const Pprof__Profile *p, int64_t number)
{
	check(number >= 0 && (size_t)number < p->n_string_table);
	return p->string_table[number];
}

static void dump_location(struct strbuf *sb, const Pprof__Profile *p, const Pprof__Location *l)
{
	strbuf_addf(sb, "location %" PRIu64 " mapping %" PRIu64 " at 0x%" PRIx64 ":", l->id,
		    l->mapping_id, l->address);
	for (size_t i = 0; i < l->n_line; i++) {
		const Pprof__Function *f = p->function[l->line[i]->function_id - 1];

		strbuf_addf(sb, "%s %s|%s|%s:%" PRId64 ":%" PRId64, i ? " <-" : "",
			    text(p, f->name), text(p, f->system_name), text(p, f->filename),
			    l->line[i]->line, l->line[i]->column);
	}
	strbuf_addch(sb, '\n');
}

static void dump_sample(struct strbuf *sb, const Pprof__Profile *p, const Pprof__Sample *s)
{
	strbuf_addstr(sb, "sample");
	for (size_t i = 0; i < s->n_value; i++)
		strbuf_addf(sb, " %" PRId64, s->value[i]);
	strbuf_addstr(sb, " at");
	for (size_t i = 0; i < s->n_location_id; i++)
		strbuf_addf(sb, " %" PRIu64, s->location_id[i]);
	for (size_t i = 0; i < s->n_label; i++)
		strbuf_addf(sb, " %s=%s/%" PRId64, text(p, s->label[i]->key),
			    text(p, s->label[i]->str), s->label[i]->num);
	strbuf_addch(sb, '\n');
}

static char *dump(const Pprof__Profile *p)
{
	struct strbuf sb = { 0 };

	strbuf_addf(&sb, "%" PRId64 " ns, default %s, period %" PRId64 " %s/%s\n",
		    p->duration_nanos, text(p, p->default_sample_type), p->period,
		    text(p, p->period_type->type), text(p, p->period_type->unit));
	for (size_t i = 0; i < p->n_comment; i++)
		strbuf_addf(&sb, "comment %s\n", text(p, p->comment[i]));
	for (size_t i = 0; i < p->n_sample_type; i++)
		strbuf_addf(&sb, "type %s/%s\n", text(p, p->sample_type[i]->type),
			    text(p, p->sample_type[i]->unit));
	for (size_t i = 0; i < p->n_mapping; i++) {
		const Pprof__Mapping *m = p->mapping[i];

		strbuf_addf(&sb, "mapping %" PRIu64 " 0x%" PRIx64 "-0x%" PRIx64 " %s %s %d%d%d%d\n",
			    m->id, m->memory_start, m->memory_limit, text(p, m->filename),
			    text(p, m->build_id), m->has_functions, m->has_filenames,
			    m->has_line_numbers, m->has_inline_frames);
	}
	for (size_t i = 0; i < p->n_location; i++)
		dump_location(&sb, p, p->location[i]);
	for (size_t i = 0; i < p->n_sample; i++)
		dump_sample(&sb, p, p->sample[i]);
	return strbuf_detach(&sb);
}

TEST(golden_pprof)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	PROFILE *profile = profile_of(snap, "live_bytes");
	__cleanup_free char *got = dump(profile);

	check_golden("pprof.txt", got);
}

TEST(default_type_is_the_metric)
{
	static const char *const cases[][2] = {
		{ "live_bytes", "inuse_space" }, { "live_count", "inuse_objects" },
		{ "alloc_bytes", "alloc_space" }, { "alloc_count", "alloc_objects" },
		{ "peak_live_bytes", "peak_live_bytes" }, { "free_count", "free_count" },
	};
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		PROFILE *p = profile_of(snap, cases[i][0]);

		check_str(text(p, p->default_sample_type), cases[i][1]);
		check_int(p->n_sample_type, i < 4 ? 4 : 5);
		check_int(p->sample[0]->n_value, p->n_sample_type);
	}
}

TEST(losses_and_samples_are_told)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_create();
	PROFILE *profile = NULL;
	__cleanup_free char *got = NULL;

	snap->loss = (struct snapshot_loss){ 12, 3, 4, 5, false };
	snap->sample_bytes = 524288;
	profile = profile_of(snap, "live_bytes");
	got = dump(profile);
	check(strstr(got, "not complete: 12 events dropped, 3 stacks dropped, 4 allocations not"
			  " tracked, 5 probes missed"));
	check(strstr(got, "period 524288 space/bytes"));
}

TEST(nothing_at_all)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_idle_create();
	PROFILE *p = profile_of(snap, "live_bytes");

	check_int(p->n_sample, 0);
	check_int(p->n_sample_type, 4);
}

/* Ids count from 1 and lead to what is there; samples add up. */
static void check_profile(const struct snapshot *snap, const Pprof__Profile *p)
{
	int64_t sums[4] = { 0 };

	check_int(p->n_sample, snap->stacks.len);
	for (size_t i = 0; i < p->n_location; i++) {
		check_int(p->location[i]->id, i + 1);
		check(p->location[i]->mapping_id <= p->n_mapping && p->location[i]->n_line);
		for (size_t k = 0; k < p->location[i]->n_line; k++)
			check(p->location[i]->line[k]->function_id - 1 < p->n_function);
	}
	for (size_t i = 0; i < p->n_sample; i++) {
		const struct snapshot_stack *stack = &snap->stacks.data[i];
		const Pprof__Sample *s = p->sample[i];
		size_t lines = 0;

		for (size_t k = 0; k < 4; k++)
			sums[k] += s->value[k];
		for (size_t k = 0; k < s->n_location_id; k++)
			lines += p->location[s->location_id[k] - 1]->n_line;
		check_int(lines, stack->frame_count ? stack->frame_count : 1);
	}
	check_int(sums[0], snap->totals.m.alloc_count);
	check_int(sums[1], snap->totals.m.alloc_bytes);
	check_int(sums[2], snap->totals.m.live_count);
	check_int(sums[3], snap->totals.m.live_bytes);
}

static void add_random_stack(struct snapshot *snap, uint64_t *seed)
{
	struct metrics m = {
		.live_bytes = (int64_t)fixture_random(seed, 1 << 30),
		.live_count = (int64_t)fixture_random(seed, 1 << 20),
		.alloc_bytes = (int64_t)fixture_random(seed, INT64_MAX >> 8),
		.alloc_count = (int64_t)fixture_random(seed, 1 << 30),
	};

	fixture_stack(snap, (struct snapshot_stack){ .m = m });
	for (uint64_t k = fixture_random(seed, 9); k > 0; k--) {
		uint64_t pc = 0x1000 + fixture_random(seed, 20);
		bool inlined = pc % 3 == 0;

		fixture_frame(snap, (struct frame){ .pc = pc, .offset = pc - 0x1000,
			.function = inlined ? "inner" : pc % 5 ? "a" : NULL, .inlined = inlined,
			.module = pc % 7 ? "m" : "", .path = "/m", .line = (uint32_t)pc % 2 });
	}
	snap->totals.m.live_bytes += m.live_bytes;
	snap->totals.m.live_count += m.live_count;
	snap->totals.m.alloc_bytes += m.alloc_bytes;
	snap->totals.m.alloc_count += m.alloc_count;
}

TEST(sums_equal_totals)
{
	for (uint64_t seed = 1; seed <= 100; seed++) {
		struct snapshot *snap __cleanup(snapshot_destroyp) = fixture_idle_create();
		uint64_t state = seed * 7919;
		PROFILE *p = NULL;

		for (uint64_t n = fixture_random(&state, 30); n > 0; n--)
			add_random_stack(snap, &state);
		p = profile_of(snap, "live_bytes");
		check_profile(snap, p);
	}
}
