// SPDX-License-Identifier: GPL-2.0-or-later
/* Names that a target gives its own code in perf-PID.map; the target is this process. */
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/reader.h"
#include "symbol/symbolizer.h"
#include "tests/unit/symbol_helpers.h"
#include "tests/unit/test.h"

static char *map_path;

static __attribute__((destructor)) void remove_map(void)
{
	if (map_path)
		unlink(map_path);
	free(map_path);
}

static void write_map(const char *mode, const char *text)
{
	FILE *f;

	if (!map_path)
		map_path = xasprintf("/tmp/perf-%d.map", getpid());
	f = fopen(map_path, mode);
	check(f && fputs(text, f) >= 0 && !fclose(f));
}

static uint64_t code;

static struct address_space *space(void)
{
	struct address_space *as = address_space_create(getpid());
	void *p;

	if (!code) {
		p = mmap(NULL, 65536, PROT_READ | PROT_WRITE | PROT_EXEC,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		check(p != MAP_FAILED);
		code = (uintptr_t)p;
	}
	check_ok(address_space_refresh(as, NULL));
	return as;
}

static const char *name_at(struct address_space *as, uint64_t offset)
{
	struct symbol symbol;

	address_space_symbolize(as, code + offset, false, &symbol);
	return symbol.function ? symbol.function : symbol.module;
}

static void add_entry(const char *mode, uint64_t offset, unsigned int size, const char *name)
{
	__cleanup_free char *line = xasprintf("%lx %x %s\n", (unsigned long)(code + offset),
					      size, name);

	write_map(mode, line);
}

TEST(names_and_growth)
{
	struct address_space *as __cleanup(address_space_destroyp) = space();
	struct symbol symbol;

	check_str(name_at(as, 0), "");
	add_entry("w", 0, 0x100, "py::f(int):/tmp/a b.py");
	check_str(name_at(as, 0), "py::f(int):/tmp/a b.py");
	check_str(name_at(as, 0xff), "py::f(int):/tmp/a b.py");
	check_str(name_at(as, 0x100), "");
	address_space_symbolize(as, code + 0x100, true, &symbol);
	check_str(symbol.raw, "py::f(int):/tmp/a b.py");
	check_str(symbol.module, "[jit]");
	check_str(symbol.path, "");
	add_entry("a", 0x100, 0x10, "later");
	check_str(name_at(as, 0x100), "later");
}

TEST(newest_wins)
{
	struct address_space *as __cleanup(address_space_destroyp) = space();

	add_entry("w", 0, 0x1000, "old");
	add_entry("a", 0x40, 0x40, "new");
	add_entry("a", 0x20, 0x40, "newest");
	check_str(name_at(as, 0x10), "old");
	check_str(name_at(as, 0x50), "newest");
	check_str(name_at(as, 0x60), "new");
	check_str(name_at(as, 0x80), "old");
}

TEST(broken_lines)
{
	struct address_space *as __cleanup(address_space_destroyp) = space();

	write_map("w", "\n\nxyz\n10\n10 20\n10 20 \nffffffffffffffff 2 wraps\n-1 5 minus\n");
	add_entry("a", 0, 0, "empty");
	add_entry("a", 0x10, 0x10, "good");
	write_map("a", "1000 10 cut off");
	check_str(name_at(as, 0), "");
	check_str(name_at(as, 0x10), "good");
}

/* They would be hundreds of megabytes of ours: the file has no names, and that is told. */
TEST(millions_of_short_lines)
{
	struct address_space *as __cleanup(address_space_destroyp) = space();
	int64_t failures = reader_failures();
	FILE *f;

	add_entry("w", 0, 0x100, "first");
	f = fopen(map_path, "a");
	for (int i = 0; i < 2000000; i++)
		fputs("1 1 a\n", f);
	check(!fclose(f));
	check_str(name_at(as, 0), "");
	check_int(reader_failures(), failures + 1);
	unlink(map_path);
}

TEST(foreign_owner)
{
	struct address_space *as __cleanup(address_space_destroyp) = space();

	if (geteuid())
		test_skip("needs root to give a file away");
	add_entry("w", 0, 0x100, "forged");
	check(!chown(map_path, 12345, 12345));
	check_str(name_at(as, 0), "");
	unlink(map_path);
	check(!symlink("/dev/zero", map_path));
	check_str(name_at(as, 0), "");
	unlink(map_path);
	check(!mkfifo(map_path, 0600));
	check_str(name_at(as, 0), "");
	unlink(map_path);
}
