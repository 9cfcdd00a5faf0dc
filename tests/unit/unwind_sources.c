// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Wherever a file keeps its call frame information, the same table comes out:
 * .eh_frame with and without section headers, .debug_frame plain, compressed
 * both ways, and in a separate debug file. Built here with the system's
 * compiler and objcopy.
 */
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbol/unwind_table.h"
#include "tests/unit/test.h"

static char dir[] = "/tmp/unwind_sources.XXXXXX";

static const char source[] =
	"__asm__(\".cfi_sections .eh_frame, .debug_frame\");\n"
	"extern void f(void *);\n"
	"void g(int n) { char *p = __builtin_alloca(n); f(p); }\n"
	"int k(int n) { if (n < 2) return n; f(&n); return k(n - 1) + k(n - 2); }\n"
	"int big(int n) { char b[100000]; f(b); return b[n]; }\n"
	"void many(int a, int b, int c, int d) { f(&a); f(&b); f(&c); f(&d); }\n";

static bool sh(const char *cmd)
{
	__cleanup_free char *line = xasprintf("cd %s && { %s; } >/dev/null 2>&1", dir, cmd);

	return system(line) == 0;
}

static void clean(void)
{
	sh("rm -f *; rmdir $PWD");
}

/* Section headers are for linkers: a loader, and so a target, needs none. */
static void drop_section_headers(const char *name)
{
	__cleanup_free char *path = xasprintf("%s/%s", dir, name);
	__cleanup_close int fd = open(path, O_RDWR);
	Elf64_Ehdr eh;

	check(pread(fd, &eh, sizeof(eh), 0) == sizeof(eh));
	eh.e_shoff = 0;
	eh.e_shnum = eh.e_shstrndx = 0;
	check(pwrite(fd, &eh, sizeof(eh), 0) == sizeof(eh));
}

static void build(void)
{
	static bool built;
	__cleanup_free char *path = NULL;
	FILE *f;

	if (built)
		return;
	check(mkdtemp(dir));
	atexit(clean);
	path = xasprintf("%s/a.c", dir);
	f = fopen(path, "w");
	check(f);
	fputs(source, f);
	fclose(f);
	if (!sh("gcc -O2 -g -shared -fPIC -fno-plt -nostdlib -o eh.so a.c"))
		test_skip("no compiler");
	check(sh("cp eh.so bare.so && "
		 "objcopy -R .eh_frame -R .eh_frame_hdr eh.so plain.so && "
		 "objcopy --compress-debug-sections=zlib-gabi plain.so zlib.so && "
		 "objcopy --compress-debug-sections=zlib-gnu plain.so gnu.so && "
		 "objcopy --only-keep-debug plain.so plain.debug && "
		 "objcopy --strip-debug plain.so stripped.so"));
	drop_section_headers("bare.so");
	built = true;
}

static struct unwind_table *compile(const char *name, const char *debug)
{
	__cleanup_free char *path = xasprintf("%s/%s", dir, name);
	__cleanup_free char *debug_path = xasprintf("%s/%s", dir, debug ? debug : "");
	__cleanup_close int fd = open(path, O_RDONLY);
	__cleanup_close int debug_fd = debug ? open(debug_path, O_RDONLY) : -1;
	struct unwind_table *table;

	check_ok(unwind_table_create(fd, debug_fd, UNWIND_FULL, &table));
	return table;
}

/* Each address of a function has the rule that .eh_frame gave it. */
static void check_same(const char *name, const char *debug)
{
	struct unwind_table *want, *got;
	size_t compared = 0;

	build();
	want = compile("eh.so", NULL);
	got = compile(name, debug);
	vec_for_each(text, &want->texts) {
		for (uint64_t at = text->segment; at < text->segment_end; at++) {
			struct unwind_rule a, b;

			check(unwind_table_find(want, at, &a) && unwind_table_find(got, at, &b));
			if (a.cfa == CFA_GAP || a.cfa == CFA_PLT)
				continue;
			check_int(b.cfa, a.cfa);
			check(!memcmp(&a, &b, sizeof(a)));
			compared++;
		}
	}
	check(compared > 100);
	unwind_table_destroy(want);
	unwind_table_destroy(got);
}

TEST(without_section_headers) { check_same("bare.so", NULL); }
TEST(debug_frame) { check_same("plain.so", NULL); }
TEST(debug_frame_compressed) { check_same("zlib.so", NULL); }
TEST(zdebug_frame) { check_same("gnu.so", NULL); }
TEST(debug_frame_of_a_debug_file) { check_same("stripped.so", "plain.debug"); }

TEST(nothing_at_all_is_a_gap)
{
	struct unwind_table *table;
	struct unwind_rule rule;

	build();
	table = compile("stripped.so", NULL);
	check_int(table->stats.fdes, 0);
	check(table->texts.len > 0);
	check(unwind_table_find(table, table->texts.data[0].segment, &rule));
	check_int(rule.cfa, CFA_GAP);
	unwind_table_destroy(table);
}

/* Cut anywhere, a file gives a table or an error, and nothing worse. */
TEST(files_cut_short)
{
	__cleanup_free char *whole = NULL, *path = NULL;
	struct unwind_table *table;
	struct error *err;
	struct stat st;
	int fd;

	build();
	path = xasprintf("%s/eh.so", dir);
	fd = open(path, O_RDONLY);
	check(fd >= 0 && !fstat(fd, &st));
	whole = xmalloc(st.st_size);
	check(read(fd, whole, st.st_size) == st.st_size);
	close(fd);
	for (off_t size = 0; size < st.st_size; size += 97) {
		char *part = xmalloc(size + 1);

		memcpy(part, whole, size);
		err = unwind_table_create_memory(part, size, UNWIND_CALL_SITES, &table);
		if (err)
			error_destroy(err);
		else
			unwind_table_destroy(table);
		free(part);
	}
}
