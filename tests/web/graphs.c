// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writes what the browser tests of flame graphs and of speedscope open, of
 * snapshots made by hand, whose numbers the tests know.
 *
 * usage: graphs {plain|hostile|large|idle} PREFIX
 *
 * makes PREFIX.svg, PREFIX-icicle.svg, PREFIX-diff.svg and PREFIX.speedscope.json.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "export/speedscope.h"
#include "export/svg.h"
#include "tests/unit/fixture.h"

#define MIB (1ll << 20)
#define LARGE_STACKS 20000

struct place { const char *module, *path; };

static const struct place program = { "server", "/usr/bin/server" };
static const struct place library = { "libcache.so.2", "/usr/lib/libcache.so.2" };
static const struct place libc = { "libc.so.6", "/usr/lib/x86_64-linux-gnu/libc.so.6" };
static const struct place jit = { "[jit]", "" };
static const struct place nowhere = { "", "" };

static void add_frame(struct snapshot *snap, const char *function, const struct place *place)
{
	size_t n = snap->frames.len;

	fixture_frame(snap, (struct frame){ .pc = 0x1000 + n, .offset = 0x1000 + n,
		.function = function, .module = place->module, .path = place->path,
		.file = place == &program ? "/src/server.cc" : NULL });
}

static void begin_stack(struct snapshot *snap, int64_t bytes)
{
	fixture_stack(snap, (struct snapshot_stack){ .id = snap->stacks.len + 1,
		.m = { .live_bytes = bytes, .live_count = 1, .alloc_bytes = bytes,
		       .alloc_count = 1 } });
	snap->totals.m.live_bytes += bytes;
}

/* 64 MiB: 40 of them in the cache, 16 in a vector, 7 in the library, 1 in code without names. */
static void add_plain(struct snapshot *snap)
{
	begin_stack(snap, 40 * MIB);
	add_frame(snap, "cache_insert", &library);
	add_frame(snap, "answer", &program);
	add_frame(snap, "main", &program);
	add_frame(snap, "__libc_start_main", &libc);
	begin_stack(snap, 16 * MIB);
	add_frame(snap, "std::vector<session, std::allocator<session> >::push_back(session&&)",
		  &program);
	add_frame(snap, "answer", &program);
	add_frame(snap, "main", &program);
	add_frame(snap, "__libc_start_main", &libc);
	begin_stack(snap, 7 * MIB);
	add_frame(snap, "cache_insert", &library);
	add_frame(snap, "cache_open", &library);
	add_frame(snap, "main", &program);
	add_frame(snap, "__libc_start_main", &libc);
	begin_stack(snap, MIB / 2);
	add_frame(snap, "LazyCompile:*handle /srv/app.js:12", &jit);
	add_frame(snap, "main", &program);
	add_frame(snap, "__libc_start_main", &libc);
	begin_stack(snap, MIB / 2);
	add_frame(snap, NULL, &nowhere);
}

static void add_hostile(struct snapshot *snap)
{
	static const char *const names[] = {
		"</script><script>document.title='owned'</script>", "]]><script>alert(1)</script>",
		"<img src=x onerror=\"document.title='owned'\">", "<!--", "a\"b'c\\d\n\t",
		"\x1b[2J\x07", "\xff\xfe", "\xed\xa0\x80", "\xef\xbf\xbf", "&lt;b&gt;", "__proto__",
		"constructor", "\xe2\x80\xae" "desrever", "${document.title='owned'}",
		"\"}],\"boxes\":[", "<style>*{display:none}</style>",
	};

	snap->targets.data[0].comm = snapshot_string(snap, "</title><x>");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct place place = { names[i], names[i] };

		begin_stack(snap, 1000);
		add_frame(snap, names[i], &place);
	}
}

static void add_large(struct snapshot *snap)
{
	uint64_t seed = 42;

	for (uint32_t i = 0; i < LARGE_STACKS; i++) {
		begin_stack(snap, 1 + (int64_t)fixture_random(&seed, 1 << 16));
		for (uint32_t k = 0; k < 40; k++) {
			uint64_t n = k > 34 ? k : fixture_random(&seed, 1 + 4 * (40 - k));
			char name[64];

			snprintf(name, sizeof(name), "part_%u::function_%u(int)", k, (unsigned)n);
			add_frame(snap, name, k % 5 ? &program : &library);
		}
	}
}

static struct snapshot *create(const char *name)
{
	struct snapshot *snap = fixture_idle_create();

	if (!strcmp(name, "plain"))
		add_plain(snap);
	else if (!strcmp(name, "hostile"))
		add_hostile(snap);
	else if (!strcmp(name, "large"))
		add_large(snap);
	return snap;
}

static struct error *write_svg(const struct snapshot *snap, const struct diff *diff,
			       const char *prefix, const char *suffix, bool icicle)
{
	const struct svg_options options = { .metric = "live_bytes", .icicle = icicle };
	char *path __cleanup_free = xasprintf("%s%s", prefix, suffix);
	FILE *f __cleanup_fclose = fopen(path, "w");

	if (!f)
		return error_errno(2, "cannot write '%s'", path);
	return diff ? export_svg_diff(diff, f, &options) : export_svg(snap, f, &options);
}

/* What was there before: no vector, less cache, a stack that is gone. */
static struct snapshot *create_older(const char *name)
{
	struct snapshot *snap = create(name);

	if (strcmp(name, "plain"))
		return snap;
	snap->stacks.data[0].m.live_bytes = 10 * MIB;
	snap->totals.m.live_bytes -= 30 * MIB;
	snap->stacks.data[1].m.live_bytes = 0;
	snap->totals.m.live_bytes -= 16 * MIB;
	begin_stack(snap, 8 * MIB);
	add_frame(snap, "warm_up", &program);
	add_frame(snap, "main", &program);
	add_frame(snap, "__libc_start_main", &libc);
	return snap;
}

static struct error *write_all(const char *name, const char *prefix)
{
	struct snapshot *snap __cleanup(snapshot_destroyp) = create(name);
	struct snapshot *older __cleanup(snapshot_destroyp) = create_older(name);
	struct diff *diff __cleanup(diff_destroyp) = diff_create(older, snap, "live_bytes");
	char *path __cleanup_free = xasprintf("%s.speedscope.json", prefix);
	FILE *f __cleanup_fclose = fopen(path, "w");
	struct error *err = write_svg(snap, NULL, prefix, ".svg", false);

	if (!err)
		err = write_svg(snap, NULL, prefix, "-icicle.svg", true);
	if (!err)
		err = write_svg(snap, diff, prefix, "-diff.svg", false);
	return err || !f ? err : export_speedscope(snap, f, "live_bytes");
}

int main(int argc, char **argv)
{
	struct error *err __cleanup_error = NULL;

	if (argc != 3) {
		fputs("usage: graphs {plain|hostile|large|idle} PREFIX\n", stderr);
		return 2;
	}
	err = write_all(argv[1], argv[2]);
	if (err)
		fprintf(stderr, "graphs: %s\n", err->message);
	return err != NULL;
}
