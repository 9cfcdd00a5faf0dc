// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Source lines and inlined functions: every call site of what compilers make
 * here, and of this program itself, as llvm-symbolizer tells them.
 */
#include <elf.h>
#include <elfutils/version.h>
#include <limits.h>

#include "base/reader.h"
#include "base/strbuf.h"
#include "base/vec.h"
#include "symbol/dwarf_lines.h"
#include "symbol/dwarf_safe.h"
#include "symbol/line_reader.h"
#include "symbol/symbolizer.h"
#include "tests/unit/symbol_helpers.h"
#include "tests/unit/test.h"

static const char c_source[] =
	"#include <stdlib.h>\n"
	"void *volatile sink;\n"
	"static inline __attribute__((always_inline)) void *inner(int n)\n"
	"{\n"
	"	return malloc(n);\n"
	"}\n"
	"static inline __attribute__((always_inline)) void middle(int n)\n"
	"{\n"
	"	for (int i = 0; i < n; i++) {\n"
	"		int k = i * rand();\n"
	"		sink = inner(k);\n"
	"	}\n"
	"}\n"
	"__attribute__((noinline)) void outer(int n) { middle(n); middle(n + 1); }\n"
	"int main(int argc, char **argv) { outer(argc); free(sink); return 0; }\n";

static const char cc_source[] =
	"#include <algorithm>\n#include <map>\n#include <sstream>\n#include <vector>\n"
	"namespace space {\n"
	"struct keeper {\n"
	"	std::map<std::string, std::vector<int>> kept;\n"
	"	void add(const std::string &s, int i) { kept[s].push_back(i); }\n"
	"};\n"
	"}\n"
	"int main(int argc, char **argv)\n"
	"{\n"
	"	space::keeper k;\n"
	"	auto add = [&](int i) { std::ostringstream o; o << i; k.add(o.str(), i); };\n"
	"	std::vector<std::string> names;\n"
	"	for (int i = 0; i < argc * 10; i++)\n"
	"		add(i);\n"
	"	for (auto &pair : k.kept)\n"
	"		names.push_back(pair.first);\n"
	"	std::sort(names.begin(), names.end());\n"
	"	return names.size();\n"
	"}\n";

DEFINE_VEC(address_vec, uint64_t);

static bool have(const char *tool)
{
	return shell("command -v %s > /dev/null 2>&1", tool);
}

/* Writes the addresses of all call instructions of @path to @list. */
static void list_calls(const char *path, const char *list)
{
	check(shell("objdump -d --no-show-raw-insn '%s' | "
		    "sed -nE 's/^ *([0-9a-f]+):\t *(call|bl|blr) .*/0x\\1/p' > '%s'", path, list));
}

static struct address_vec read_calls(const char *list)
{
	struct address_vec ret = { 0 };
	FILE *f = fopen(list, "r");
	unsigned long addr;

	check(f);
	while (fscanf(f, "%lx", &addr) == 1)
		address_vec_push(&ret, addr);
	fclose(f);
	return ret;
}

static char *describe(struct dwarf_lines *lines, uint64_t addr)
{
	struct strbuf text = { 0 };
	const struct source_frame *frames;
	size_t count = dwarf_lines_find(lines, addr, &frames);

	for (size_t i = 0; i < count; i++) {
		/* A function that was called has its name from the symbol table. */
		strbuf_addf(&text, "%s %s:%u:%u\n", i + 1 < count ? frames[i].raw : "*",
			    frames[i].file ? frames[i].file : "??", frames[i].line,
			    frames[i].column);
	}
	return strbuf_detach(&text);
}

/* Reads one answer of llvm-symbolizer: name and place in turn, up to an empty line. */
static char *read_answer(FILE *f)
{
	struct strbuf text = { 0 };
	char name[16384], place[16384], *last;
	size_t last_name = 0;

	check(fgets(name, sizeof(name), f));	/* the address */
	while (fgets(name, sizeof(name), f) && *name != '\n' &&
	       fgets(place, sizeof(place), f)) {
		name[strcspn(name, "\n")] = '\0';
		last_name = text.len;
		strbuf_addf(&text, "%s %s", name, place);
	}
	last = xasprintf("*%s", strchr(text.data + last_name, ' '));
	text.len = last_name;
	strbuf_addstr(&text, last);
	free(last);
	return strbuf_detach(&text);
}

/* Compares all call sites of @path; how many of them have a line. */
static size_t compare(const char *path)
{
	__cleanup_free char *list = scratch("calls"), *answers = scratch("answers");
	struct address_vec calls __cleanup(address_vec_deinit) = { 0 };
	struct dwarf_lines *lines __cleanup(dwarf_lines_destroyp) = NULL;
	size_t known = 0;
	FILE *f;

	list_calls(path, list);
	calls = read_calls(list);
	check(shell("llvm-symbolizer --no-demangle --inlines --relativenames -a --obj='%s' "
		    "< '%s' > '%s'", path, list, answers));
	lines = dwarf_lines_create(open(path, O_RDONLY | O_CLOEXEC));
	check(lines);
	f = fopen(answers, "r");
	check(f);
	vec_for_each(addr, &calls) {
		__cleanup_free char *want = read_answer(f);
		__cleanup_free char *got = describe(lines, *addr);

		/* Without DWARF there: llvm-symbolizer names the symbol table's file. */
		if (!*got && strstr(want, ":0:0"))
			continue;
		if (strcmp(got, want))
			test_fail("%s: %#lx is\n%snot\n%s", path, (unsigned long)*addr, got, want);
		known++;
	}
	fclose(f);
	return known;
}

static void compare_compiled(const char *compiler, const char *suffix, const char *source,
			     const char *flags, size_t at_least)
{
	__cleanup_free char *file = scratch("lines%s", suffix), *program = scratch("lines");
	size_t known;

	if (!have("llvm-symbolizer"))
		test_skip("no llvm-symbolizer to compare with");
	if (!have(compiler))
		test_skip("no %s", compiler);
	write_file(file, source);
	for (int version = 4; version <= 5; version++) {
		check(shell("%s -O2 -g -gdwarf-%d %s -o '%s' '%s' 2> /dev/null", compiler, version,
			    flags, program, file));
		known = compare(program);
		if (known < at_least)
			test_fail("only %zu call sites of DWARF %d have a line", known, version);
	}
}

TEST(gcc_c)
{
	compare_compiled("gcc", ".c", c_source, "", 5);
}

TEST(clang_c)
{
	compare_compiled("clang", ".c", c_source, "", 5);
}

TEST(gcc_cxx)
{
	compare_compiled("g++", ".cc", cc_source, "", 100);
}

TEST(clang_cxx)
{
	compare_compiled("clang++", ".cc", cc_source, "", 100);
}

TEST(split)
{
	compare_compiled("gcc", ".c", c_source, "-gsplit-dwarf", 5);
	compare_compiled("g++", ".cc", cc_source, "-gsplit-dwarf", 100);
}

TEST(compressed_sections)
{
	compare_compiled("gcc", ".c", c_source, "-gz=zlib", 5);
}

/* Older libelf cannot unpack it: then there is no DWARF, and no harm. */
TEST(sections_compressed_by_zstd)
{
	__cleanup_free char *program = scratch("zstd"), *source = scratch("zstd.c");
	struct dwarf_lines *lines __cleanup(dwarf_lines_destroyp) = NULL;

	write_file(source, c_source);
	if (!shell("gcc -O2 -g -o '%s' '%s' && objcopy --compress-debug-sections=zstd '%s' "
		   "2> /dev/null", program, source, program))
		test_skip("objcopy knows no zstd");
#if _ELFUTILS_PREREQ(0, 189)
	check(compare(program) >= 5);
#else
	lines = dwarf_lines_create(open(program, O_RDONLY | O_CLOEXEC));
#endif
}

TEST(own_program)
{
	char path[PATH_MAX] = "";

	if (!have("llvm-symbolizer"))
		test_skip("no llvm-symbolizer to compare with");
	check(readlink("/proc/self/exe", path, sizeof(path) - 1) > 0);
	check(compare(path) > 200);
}

TEST(inline_chain)
{
	__cleanup_free char *program = scratch("chain"), *list = scratch("calls");
	struct address_vec calls __cleanup(address_vec_deinit) = { 0 };
	struct dwarf_lines *lines __cleanup(dwarf_lines_destroyp) = NULL;
	const struct source_frame *frames;
	int found = 0;

	check(compile(program, c_source, "-O2 -g"));
	list_calls(program, list);
	calls = read_calls(list);
	lines = dwarf_lines_create(open(program, O_RDONLY | O_CLOEXEC));
	check(lines);
	vec_for_each(addr, &calls) {
		if (dwarf_lines_find(lines, *addr, &frames) != 3)
			continue;
		check_str(frames[0].function, "inner");
		check_int(frames[0].line, 5);
		check_str(frames[1].function, "middle");
		check_int(frames[1].line, 11);
		check_str(frames[2].function, "outer");
		check_int(frames[2].line, 14);
		check(strstr(frames[2].file, "/source.c"));
		found++;
	}
	/* How often the loops are copied is the compiler's choice. */
	check(found >= 2);
}

TEST(frames_of_process)
{
	struct address_space *as __cleanup(address_space_destroyp) = NULL;
	struct symbol_frame frames[SYMBOL_FRAMES_MAX];
	size_t count;

	as = address_space_create(getpid());
	check_ok(address_space_refresh(as, NULL));
	count = address_space_symbolize_frames(as, (uintptr_t)describe, false, frames,
					       SYMBOL_FRAMES_MAX);
	check(count >= 1);
	check_str(frames[count - 1].symbol.function, "describe");
	check(!frames[count - 1].inlined);
	check(frames[count - 1].file && strstr(frames[count - 1].file, "symbol_lines.c"));
	check(frames[count - 1].line > 0);
	check_int(address_space_symbolize_frames(as, 16, false, frames, 1), 1);
	check(!frames[0].file);
}

TEST(no_dwarf)
{
	__cleanup_free char *program = scratch("bare");

	check(compile(program, c_source, "-s"));
	check(!dwarf_lines_create(open(program, O_RDONLY | O_CLOEXEC)));
}

#define RESTS 40	/* more often than a file is read again that makes room for others */

/* Whoever rests is there again when he is asked. */
TEST(readers_that_rest)
{
	int fd __cleanup_close = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct line_reader *reader __cleanup(line_reader_destroyp) =
		line_reader_create(fd, "self", LINES_DWARF);
	int64_t failures = reader_failures();
	const struct source_frame *frames;

	check(reader);
	for (uint64_t vaddr = 0; vaddr < RESTS; vaddr++) {
		check_int(line_reader_find(reader, vaddr, &frames), 0);
		line_readers_rest();
	}
	check_int(reader_failures(), failures);
}

#ifndef __SANITIZE_ADDRESS__	/* which leaves readers their memory */
#define BOMB_MIB 100

/* @how: an objcopy that unpacks to BOMB_MIB of .debug_info, which a small reader cannot. */
static void check_bomb(const char *how)
{
	__cleanup_free char *program = scratch("bomb"), *zeros = scratch("zeros");
	int64_t failures = reader_failures();
	int patience = reader_patience_ms();
	int fd __cleanup_close = -1;

	check(compile(program, c_source, "-g"));
	check(shell("truncate -s %dM '%s' && objcopy --update-section .debug_info='%s' '%s' && "
		    "objcopy %s '%s' 2> /dev/null", BOMB_MIB, zeros, zeros, program, how,
		    program));
	fd = open(program, O_RDONLY | O_CLOEXEC);
	check(dwarf_bytes(fd) > BOMB_MIB << 20);
	reader_set_memory(BOMB_MIB << 19);
	check(!line_reader_create(fd, program, LINES_DWARF));
	check_int(reader_failures(), failures + 1);
	check_int(reader_patience_ms(), patience);
	reader_set_memory(1 << 30);
}

/* It is told that there are lines that are not read, rather than that there are none. */
TEST(more_dwarf_than_a_reader_may_take)
{
	check_bomb("--compress-debug-sections=zlib");
	check_bomb("--compress-debug-sections=zlib-gnu");
}
#endif

/* Writes @count random bytes into the sections .debug_* of @image. */
static void damage(char *image, unsigned int *seed, int count)
{
	Elf64_Ehdr *ehdr = (Elf64_Ehdr *)image;
	Elf64_Shdr *shdrs = (Elf64_Shdr *)(image + ehdr->e_shoff);
	const char *names = image + shdrs[ehdr->e_shstrndx].sh_offset;

	while (count > 0) {
		const Elf64_Shdr *shdr = &shdrs[rand_r(seed) % ehdr->e_shnum];

		if (strncmp(names + shdr->sh_name, ".debug_", 7) || !shdr->sh_size)
			continue;
		image[shdr->sh_offset + rand_r(seed) % shdr->sh_size] = rand_r(seed);
		count--;
	}
}

/* Neither crash nor hang: alarm() ends the program if it does. */
static void survive(const char *flags)
{
	__cleanup_free char *program = scratch("whole"), *damaged = scratch("damaged");
	__cleanup_free char *list = scratch("calls"), *image = NULL;
	struct address_vec calls __cleanup(address_vec_deinit) = { 0 };
	static char original[1 << 20];
	unsigned int seed = 1;
	size_t size, alive = 0;
	FILE *f;

	check(compile(program, c_source, flags));
	list_calls(program, list);
	calls = read_calls(list);
	f = fopen(program, "r");
	check(f);
	size = fread(original, 1, sizeof(original), f);
	fclose(f);
	image = xmalloc(size);
	alarm(120);
	for (int round = 0; round < 1000; round++) {
		struct dwarf_lines *lines __cleanup(dwarf_lines_destroyp) = NULL;
		const struct source_frame *frames;

		memcpy(image, original, size);
		damage(image, &seed, 1 + round % 20);
		f = fopen(damaged, "w");
		check(f && fwrite(image, 1, size, f) == size && !fclose(f));
		lines = dwarf_lines_create(open(damaged, O_RDONLY | O_CLOEXEC));
		vec_for_each(addr, &calls)
			alive += lines && dwarf_lines_find(lines, *addr, &frames);
	}
	alarm(0);
	check(alive > 100);
}

TEST(damaged_dwarf_4)
{
	survive("-O2 -g -gdwarf-4");
}

TEST(damaged_dwarf_5)
{
	survive("-O2 -g -gdwarf-5");
}
