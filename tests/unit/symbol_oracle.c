// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * 10,000 random call sites of each of several large binaries: function, file,
 * line, column and the whole chain of inlined calls as llvm-symbolizer names
 * them. Debug data stands in the file or in its separate debug file, as the
 * distribution ships it.
 *
 * Tolerated, and nothing else:
 * - a function that was called may have another name here if both names are
 *   symbols of the very same address (aliases, as malloc and __libc_malloc);
 * - where the line table's directories are relative, llvm-symbolizer puts the
 *   compiler's directory in front;
 * - where there is no line, it may name the symbol table's file.
 */
#include <elf.h>
#include <glob.h>
#include <limits.h>

#include "base/strbuf.h"
#include "base/vec.h"
#include "symbol/debugfile.h"
#include "symbol/dwarf_lines.h"
#include "symbol/object.h"
#include "tests/unit/symbol_helpers.h"
#include "tests/unit/test.h"

#define SITES 10000
#define SEED 20240229

DEFINE_VEC(address_vec, uint64_t);

/* ---- Call sites ---- */

static bool is_in_code(const struct object *obj, uint64_t vaddr)
{
	const struct object_segment *segments;
	size_t count = object_segments(obj, &segments);

	for (size_t i = 0; i < count; i++)
		if (vaddr - segments[i].vaddr < segments[i].size)
			return true;
	return false;
}

/*
 * What looks like a direct call of code in the same file; its last byte, as
 * the address before a return address is what gets looked up.
 */
static void scan(const struct object *obj, uint64_t vaddr, const uint8_t *code, size_t size,
		 struct address_vec *ret)
{
#if defined(__x86_64__)
	for (size_t i = 0; i + 5 <= size; i++) {
		int32_t distance;

		memcpy(&distance, code + i + 1, 4);
		if (code[i] == 0xe8 && is_in_code(obj, vaddr + i + 5 + distance))
			address_vec_push(ret, vaddr + i + 4);
	}
#elif defined(__aarch64__)
	for (size_t i = 0; i + 4 <= size; i += 4) {
		uint32_t insn;

		memcpy(&insn, code + i, 4);
		if (insn >> 26 == 0x25)
			address_vec_push(ret, vaddr + i + 3);
	}
#endif
}

static uint64_t random_number(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	return *state ^= *state << 17;
}

/* At most SITES of all, chosen at random; fewer if there are no more. */
static struct address_vec choose_sites(const struct object *obj)
{
	const struct object_segment *segments;
	size_t count = object_segments(obj, &segments);
	struct address_vec all = { 0 };
	uint64_t state = SEED;

	for (size_t i = 0; i < count; i++) {
		__cleanup_free uint8_t *code = xmalloc(segments[i].size);
		size_t n = object_read(obj, segments[i].vaddr, code, segments[i].size);

		scan(obj, segments[i].vaddr, code, n, &all);
	}
	for (size_t i = 0; i < all.len && i < SITES; i++) {
		size_t k = i + random_number(&state) % (all.len - i);
		uint64_t kept = all.data[k];

		all.data[k] = all.data[i];
		all.data[i] = kept;
	}
	if (all.len > SITES)
		all.len = SITES;
	return all;
}

/* ---- Answers: a line for a frame, the innermost first, "NAME<tab>FILE:LINE:COLUMN" ---- */

static char *ours(struct object *obj, uint64_t vaddr)
{
	const struct object_symbol *sym = object_find_symbol(obj, vaddr);
	const struct source_frame *frames;
	struct strbuf text = { 0 };
	size_t count = object_source_frames(obj, vaddr, &frames);

	for (size_t i = 0; i < count; i++) {
		const char *name = frames[i].raw;

		if (i + 1 == count && sym)
			name = sym->name;
		strbuf_addf(&text, "%s\t%s:%u:%u\n", name ? name : "??",
			    frames[i].file ? frames[i].file : "??", frames[i].line,
			    frames[i].column);
	}
	if (!count)
		strbuf_addf(&text, "%s\t??:0:0\n", sym ? sym->name : "??");
	return strbuf_detach(&text);
}

/* llvm-symbolizer's: address, then name and place in turn, then an empty line. */
static char *theirs(FILE *f)
{
	static char name[1 << 16], place[1 << 16];
	struct strbuf text = { 0 };

	check(fgets(name, sizeof(name), f));
	while (fgets(name, sizeof(name), f) && *name != '\n') {
		check(fgets(place, sizeof(place), f));
		/* NAME@VERSION is for linkers. */
		name[strcspn(name, "@\n")] = '\0';
		strbuf_addf(&text, "%s\t%s", name, place);
	}
	return strbuf_detach(&text);
}

/* Whether @name is a symbol of the address at which the symbol of @vaddr begins. */
static bool is_alias(struct object *obj, uint64_t vaddr, const char *name, size_t len)
{
	const struct object_symbol *sym = object_find_symbol(obj, vaddr), *all;
	size_t count = object_symbols(obj, &all);

	for (size_t i = 0; sym && i < count; i++)
		if (all[i].vaddr == sym->vaddr && strlen(all[i].name) == len &&
		    !memcmp(all[i].name, name, len))
			return true;
	return false;
}

static bool is_last_line(const char *line)
{
	const char *end = strchr(line, '\n');

	return !end || !end[1];
}

/* "FILE:LINE:COLUMN" of both; @theirs may have a directory more in front. */
static bool same_place(const char *ours, size_t ours_len, const char *theirs, size_t theirs_len)
{
	if (!strncmp(ours, "??:0:0", ours_len))
		return theirs_len > 4 && !strncmp(theirs + theirs_len - 4, ":0:0", 4);
	return theirs_len >= ours_len &&
	       !memcmp(ours, theirs + theirs_len - ours_len, ours_len) &&
	       (theirs_len == ours_len || theirs[theirs_len - ours_len - 1] == '/');
}

/* One frame of each, up to the end of the line. */
static bool same_frame(struct object *obj, uint64_t vaddr, const char *ours, const char *theirs)
{
	size_t ours_name = strcspn(ours, "\t"), theirs_name = strcspn(theirs, "\t");

	if ((ours_name != theirs_name || memcmp(ours, theirs, ours_name)) &&
	    !(is_last_line(ours) && is_alias(obj, vaddr, theirs, theirs_name)))
		return false;
	return same_place(ours + ours_name + 1, strcspn(ours + ours_name + 1, "\n"),
			  theirs + theirs_name + 1, strcspn(theirs + theirs_name + 1, "\n"));
}

static bool agree(struct object *obj, uint64_t vaddr, const char *ours, const char *theirs)
{
	for (;;) {
		if (is_last_line(ours) != is_last_line(theirs) ||
		    !same_frame(obj, vaddr, ours, theirs))
			return false;
		if (is_last_line(ours))
			return true;
		ours = strchr(ours, '\n') + 1;
		theirs = strchr(theirs, '\n') + 1;
	}
}

/* ---- Comparing ---- */

/* The file that has the DWARF of @obj, as a path for other programs. */
static char *dwarf_path(const struct object *obj, const char *path)
{
	int fd = debugfile_open(obj, -1);

	return fd < 0 ? xstrdup(path) : xasprintf("/proc/%d/fd/%d", getpid(), fd);
}

static void compare(const char *path, size_t at_least)
{
	__cleanup_free char *list = scratch("sites"), *answers = scratch("answers");
	struct address_vec sites __cleanup(address_vec_deinit) = { 0 };
	struct object *obj __cleanup(object_destroyp) = NULL;
	__cleanup_free char *dwarf = NULL;
	size_t inlined = 0, with_line = 0;
	FILE *f;

	check_ok(object_create(open(path, O_RDONLY | O_CLOEXEC), path, &obj));
	sites = choose_sites(obj);
	dwarf = dwarf_path(obj, path);
	f = fopen(list, "w");
	vec_for_each(site, &sites)
		fprintf(f, "%#lx\n", (unsigned long)*site);
	fclose(f);
	check(shell("llvm-symbolizer --no-demangle --inlines -a --obj='%s' "
		    "< '%s' > '%s'", dwarf, list, answers));
	f = fopen(answers, "r");
	vec_for_each(site, &sites) {
		__cleanup_free char *want = theirs(f), *got = ours(obj, *site);

		if (!agree(obj, *site, got, want))
			test_fail("%s: %#lx is\n%snot\n%s", path, (unsigned long)*site, got, want);
		inlined += !is_last_line(got);
		with_line += !strstr(got, "??");
	}
	fclose(f);
	printf("%s: %zu call sites, %zu with every line, %zu in inlined functions\n", path,
	       sites.len, with_line, inlined);
	if (sites.len < at_least)
		test_fail("%s: only %zu call sites", path, sites.len);
	check(with_line * 4 > sites.len * 3);
}

static void need_llvm(void)
{
	if (!shell("command -v llvm-symbolizer > /dev/null 2>&1"))
		test_skip("no llvm-symbolizer to compare with");
}

static void compare_found(const char *pattern, const char *package)
{
	glob_t found = { 0 };
	char path[PATH_MAX];

	need_llvm();
	if (glob(pattern, 0, NULL, &found))
		test_skip("no %s (package %s)", pattern, package);
	check(realpath(found.gl_pathv[0], path));
	globfree(&found);
	compare(path, SITES);
}

TEST(libc)
{
	if (access("/usr/lib/debug/.build-id", R_OK))
		test_skip("no separate debug files (package libc6-dbg)");
	compare_found("/lib/*-linux-gnu/libc.so.6", "libc6-dbg");
}

TEST(python)
{
	compare_found("/usr/bin/python3.*d", "python3-dbg");
}

TEST(libstdcxx)
{
	compare_found("/usr/lib/*-linux-gnu/debug/libstdc++.so.6", "libstdc++6-*-dbg");
}

TEST(own_program)
{
	__cleanup_free char *path = xasprintf("%s/heapsonde", getenv("O") ?: "build");

	need_llvm();
	compare(path, 1000);
}

static const char cxx_source[] =
	"#include <algorithm>\n#include <functional>\n#include <iostream>\n#include <map>\n"
	"#include <memory>\n#include <regex>\n#include <set>\n#include <sstream>\n"
	"#include <unordered_map>\n#include <vector>\n"
	"template <int n> struct layer {\n"
	"	std::map<std::string, std::shared_ptr<std::vector<int>>> kept;\n"
	"	std::unordered_map<int, std::set<std::string>> sets;\n"
	"	layer<n - 1> below;\n"
	"	int run(const std::string &text) {\n"
	"		std::regex words(\"([a-z]+)\" + std::to_string(n));\n"
	"		for (auto i = std::sregex_iterator(text.begin(), text.end(), words);\n"
	"		     i != std::sregex_iterator(); ++i) {\n"
	"			auto &list = kept[i->str()];\n"
	"			if (!list)\n"
	"				list = std::make_shared<std::vector<int>>(n);\n"
	"			list->push_back(n);\n"
	"			sets[n].insert(i->str(1));\n"
	"			std::sort(list->begin(), list->end(),\n"
	"				  [](int a, int b) { return (a ^ n) < (b ^ n); });\n"
	"		}\n"
	"		std::ostringstream out;\n"
	"		for (auto &pair : kept)\n"
	"			out << pair.first << ' ' << pair.second->size() << std::endl;\n"
	"		std::function<int(int)> f = [&](int k) {\n"
	"			return k ? k * n : below.run(text); };\n"
	"		return f(out.str().size() % 2);\n"
	"	}\n"
	"};\n"
	"template <> struct layer<0> { int run(const std::string &s) { return s.size(); } };\n"
	"int main(int argc, char **argv) { return layer<4>().run(argv[0]); }\n";

/* Its comparisons, sorts and regular expressions are templates: each call is deeply inlined. */
TEST(clang_cxx)
{
	__cleanup_free char *source = scratch("large.cc"), *program = scratch("large");

	need_llvm();
	if (!shell("command -v clang++ > /dev/null 2>&1"))
		test_skip("no clang++");
	write_file(source, cxx_source);
	check(shell("clang++ -std=c++17 -O2 -g -o '%s' '%s'", program, source));
	compare(program, 1500);
}
