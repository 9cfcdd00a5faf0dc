// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What Go code is called here against what its own runtime calls it: function,
 * file, line and every inlined call at 10,000 addresses all over lines.go's text, by
 * every toolchain there is, with its symbols and stripped of all.
 */
#include <inttypes.h>

#include "symbol/dwarf_lines.h"
#include "symbol/go/lines.h"
#include "symbol/object.h"
#include "tests/unit/symbol_helpers.h"
#include "tests/unit/go_programs.h"
#include "tests/unit/test.h"

#define SITES 10000
#define LINE_MAX_BYTES 4096

struct differences {
	const char *path;
	size_t sites, frames, different;
	int64_t at;		/* the site, as the program says it */
};

static void differ(struct differences *d, const char *what, const char *ours, const char *theirs)
{
	if (d->different++ < 5)
		fprintf(stderr, "%s: %" PRId64 ": %s: %s, its runtime says %s\n", d->path, d->at,
			what, ours ? ours : "nothing", theirs);
}

static uint64_t find_main(struct object *obj)
{
	const struct object_symbol *symbols;
	size_t count = object_symbols(obj, &symbols);

	for (size_t i = 0; i < count; i++)
		if (!strcmp(symbols[i].name, "main.main"))
			return symbols[i].vaddr;
	test_fail("%s: no main.main", obj->path);
}

/*
 * A file that the runtime does not know it calls "?". And it calls nothing the one
 * function whose name is the very first, for it takes that offset to say so.
 */
static bool is_same(const char *ours, const char *theirs)
{
	return !*theirs || !strcmp(ours ? ours : "?", theirs);
}

/* @text: "FUNCTION\tFILE\tLINE\n" */
static void compare_frame(struct differences *d, char *text, const struct source_frame *frame)
{
	char *function = strsep(&text, "\t"), *file = strsep(&text, "\t");
	char *line = strsep(&text, "\n"), ours[16];

	check(function && file && line);
	d->frames++;
	if (!is_same(frame->function, function))
		differ(d, "function", frame->function, function);
	if (!is_same(frame->file, file))
		differ(d, "file", frame->file, file);
	snprintf(ours, sizeof(ours), "%u", frame->line);
	if (strcmp(ours, line))
		differ(d, "line", ours, line);
}

struct site { const struct source_frame *frames; size_t count, at; };

static void end_site(struct differences *d, const struct site *site)
{
	if (site->at < site->count)
		differ(d, "frames", site->frames[site->at].function, "no more");
}

static void compare_all(struct object *obj, FILE *truth, struct differences *d)
{
	uint64_t from = find_main(obj);
	struct site site = { 0 };
	char line[LINE_MAX_BYTES];

	while (fgets(line, sizeof(line), truth)) {
		if (line[0] != '\t') {
			end_site(d, &site);
			d->sites++;
			d->at = strtoll(line, NULL, 10);
			site.at = 0;
			/* A return address: the call before it is meant. */
			site.count = object_source_frames(obj, from + (uint64_t)d->at - 1,
							  &site.frames);
		} else if (site.at == site.count) {
			differ(d, "frames", NULL, line);
		} else {
			compare_frame(d, line + 1, &site.frames[site.at++]);
		}
	}
	end_site(d, &site);
}

/* @asked: the program that says; @path: the file that is read, a copy of it maybe. */
static void check_names(const char *asked, const char *path)
{
	__cleanup(object_destroyp) struct object *obj = NULL;
	__cleanup_error struct error *err =
		object_create(open(path, O_RDONLY | O_CLOEXEC), path, &obj);
	__cleanup_free char *command = xasprintf("%s %d", asked, SITES);
	struct differences d = { .path = path };
	FILE *truth = popen(command, "r");

	if (err)
		test_fail("%s", err->message);
	check(truth);
	compare_all(obj, truth, &d);
	check_int(pclose(truth), 0);
	check_int(d.sites, SITES);
	check(d.frames > SITES + SITES / 20);	/* calls are inlined */
	if (d.different)
		test_fail("%s: %zu differences at %zu addresses", path, d.different, d.sites);
}

static void check_kind(const char *kind)
{
	const glob_t *programs = go_programs("lines", kind);
	__cleanup_free char *stripped = scratch("stripped");

	for (size_t i = 0; i < programs->gl_pathc; i++) {
		const char *program = programs->gl_pathv[i];

		check_names(program, program);
		check(shell("strip -o '%s' '%s'", stripped, program));
		check_names(program, stripped);
	}
}

TEST(every_address_is_named_as_the_runtime_names_it)
{
	check_kind("default");
}

TEST(in_position_independent_programs_too)
{
	check_kind("pie");
}

/* The system's linker may put Go's table into a section with other things. */
TEST(and_where_another_linker_linked_them)
{
	check_kind("external");
}

/* Another machine's program cannot be asked: its symbol table is. */
static size_t compare_symbols(const char *path, struct go_lines *lines)
{
	__cleanup_free char *command = xasprintf("nm -n '%s' | grep ' [tT] [a-z/]*\\.'", path);
	FILE *nm = popen(command, "r");
	char name[LINE_MAX_BYTES];
	size_t compared = 0;
	uint64_t vaddr;

	while (fscanf(nm, "%" SCNx64 " %*c %4095[^\n]\n", &vaddr, name) == 2) {
		const struct source_frame *frames;
		size_t count = go_lines_find(lines, vaddr, &frames);
		char *suffix = strstr(name, ".abi0");

		if (suffix && !suffix[5])
			*suffix = '\0';
		/* Marks of where all of it begins and ends are no functions. */
		if (strchr(name, '[') || !strcmp(name, "runtime.text") ||
		    !strcmp(name, "runtime.etext"))
			continue;
		if (!count || strcmp(frames[count - 1].function, name))
			test_fail("%s: 0x%" PRIx64 " is %s, not %.200s", path, vaddr,
				  count ? frames[count - 1].function : "nothing", name);
		check(frames[count - 1].file && frames[count - 1].line);
		compared++;
	}
	pclose(nm);
	return compared;
}

TEST(arm64_programs_are_read_as_well)
{
	const glob_t *programs = go_programs("server", "arm64");

	for (size_t i = 0; i < programs->gl_pathc; i++) {
		__cleanup_close int fd = open(programs->gl_pathv[i], O_RDONLY | O_CLOEXEC);
		__cleanup(go_lines_destroyp) struct go_lines *lines = go_lines_create(fd);

		check(lines);
		check(compare_symbols(programs->gl_pathv[i], lines) > 1000);
	}
}

TEST(other_files_have_no_go_code)
{
	__cleanup_close int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	check(!go_lines_create(fd));
}
