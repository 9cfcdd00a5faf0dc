// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What makes call-site tables right: for every call instruction that objdump
 * finds, the address before the one it returns to has the same rule in the
 * small table as in the full one. Also what the tables must look like.
 */
#include <elf.h>
#include <fcntl.h>
#include <glob.h>
#include <unistd.h>

#include "symbol/unwind_table.h"
#include "tests/unit/test.h"

static struct unwind_table *compile(const char *path, enum unwind_table_kind kind)
{
	__cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct unwind_table *table = NULL;

	if (fd < 0)
		test_skip("%s: not here", path);
	check_ok(unwind_table_create(fd, -1, kind, &table));
	return table;
}

/* "  401136:\tcall ..." -> the address and whether it is a call. */
static bool parse_line(const char *line, uint64_t *addr_ret, bool *call_ret)
{
	char *end;

	*addr_ret = strtoull(line, &end, 16);
	if (end == line || *end != ':')
		return false;
	end += 1 + strspn(end + 1, " ");
	if (*end++ != '\t')
		return false;
	while ((!strncmp(end, "notrack ", 8) || !strncmp(end, "bnd ", 4) ||
		!strncmp(end, "addr32 ", 7) || !strncmp(end, "rex", 3) ||
		!strncmp(end, "data16 ", 7)) && strchr(end, ' '))
		end = strchr(end, ' ') + 1;
	*call_ret = !strncmp(end, "call", 4) || !strncmp(end, "bl\t", 3) ||
		    !strncmp(end, "blr", 3);
	return true;
}

struct property {
	struct unwind_table *calls, *full;
	size_t sites, differences, outside;
};

static void check_site(struct property *p, uint64_t ret)
{
	struct unwind_rule a, b;

	if (!unwind_table_find(p->calls, ret - 1, &a) ||
	    !unwind_table_find(p->full, ret - 1, &b)) {
		p->outside++;
		return;
	}
	p->sites++;
	if (memcmp(&a, &b, sizeof(a)) && p->differences++ < 5)
		fprintf(stderr, "return address %#lx: cfa %d%+d, not %d%+d\n",
			(long)ret, a.cfa, a.cfa_off, b.cfa, b.cfa_off);
}

/* LLVM's knows all machines in one program. */
static void check_disassembly(struct property *p, const char *path)
{
	const char *objdump = p->full->machine == EM_AARCH64 ? "llvm-objdump" : "objdump";
	__cleanup_free char *cmd = xasprintf("%s -d --no-show-raw-insn '%s'", objdump, path);
	FILE *in = popen(cmd, "r");
	bool was_call = false, call;
	char line[512];
	uint64_t addr;

	while (in && fgets(line, sizeof(line), in)) {
		if (!parse_line(line, &addr, &call))
			continue;
		if (was_call)
			check_site(p, addr);
		was_call = call;
	}
	if (in)
		pclose(in);
}

static void check_property(const char *pattern)
{
	struct property p = { 0 };
	glob_t found = { 0 };

	if (glob(pattern, 0, NULL, &found))
		test_skip("no %s here", pattern);
	p.calls = compile(found.gl_pathv[0], UNWIND_CALL_SITES);
	p.full = compile(found.gl_pathv[0], UNWIND_FULL);
	check_disassembly(&p, found.gl_pathv[0]);
	printf("# %s: %zu call sites, %zu differences, %zu outside; %zu of %zu rows\n",
	       found.gl_pathv[0], p.sites, p.differences, p.outside,
	       p.calls->rows.len, p.full->rows.len);
	check_int(p.differences, 0);
	check(p.sites > 1000);
	check(p.calls->rows.len * 4 < p.full->rows.len);
	globfree(&found);
	unwind_table_destroy(p.calls);
	unwind_table_destroy(p.full);
}

TEST(call_sites_of_libc) { check_property("/lib*/*-linux-gnu/libc.so.6"); }
TEST(call_sites_of_libstdcxx) { check_property("/lib*/*-linux-gnu/libstdc++.so.6"); }
TEST(call_sites_of_libcrypto) { check_property("/lib*/*-linux-gnu/libcrypto.so.3"); }
TEST(call_sites_of_python) { check_property("/usr/bin/python3.1[0-9]"); }

TEST(call_sites_of_arm64_libc) { check_property("/usr/aarch64-linux-gnu/lib/libc.so.6"); }
TEST(call_sites_of_arm64_libstdcxx)
{
	check_property("/usr/aarch64-linux-gnu/lib/libstdc++.so.6");
}

TEST(libc_fits_40_kilobytes)
{
	struct unwind_table *t = compile("/lib/x86_64-linux-gnu/libc.so.6", UNWIND_CALL_SITES);

	check(unwind_table_bytes(t) <= 40 << 10);
	unwind_table_destroy(t);
}

/* The interner gives one number to one rule, and the fixed ones theirs. */
TEST(rules_are_interned)
{
	struct unwind_rules rules;

	unwind_rules_init(&rules);
	for (int cfa = 0; cfa < FIXED_RULES; cfa++)
		check_int(unwind_rules_intern(&rules, (struct unwind_rule){ .cfa = cfa }), cfa);
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 1000; i++)
			check_int(unwind_rules_intern(&rules, (struct unwind_rule){
					.cfa = CFA_SP, .cfa_off = i * 8 }),
				  FIXED_RULES + i);
	for (int i = 0; rules.len < UNWIND_RULES_MAX; i++)
		unwind_rules_intern(&rules, (struct unwind_rule){
			.cfa = CFA_BP, .cfa_off = i });
	check_int(unwind_rules_intern(&rules, (struct unwind_rule){ .cfa = CFA_BP,
								     .cfa_off = -8 }),
		  CFA_UNSUPPORTED);
	unwind_rules_deinit(&rules);
}

/* Placing moves index and rows by where the table begins, and renumbers rules. */
TEST(placing_relocates)
{
	struct unwind_table *t = compile("/proc/self/exe", UNWIND_CALL_SITES);
	uint32_t words = unwind_table_words(t), at = 12345;
	uint32_t *placed = calloc(words, sizeof(*placed));
	struct unwind_rules all;

	unwind_rules_init(&all);
	unwind_rules_intern(&all, (struct unwind_rule){ .cfa = CFA_SP, .cfa_off = 987 });
	unwind_table_place(t, at, &all, placed);
	check_int(placed[0], at + t->index.len + t->index.data[0]);
	for (uint32_t i = 0; i < t->rows.len; i++) {
		uint32_t mine = UNWIND_ROW_RULE(t->rows.data[i]);
		uint32_t theirs = UNWIND_ROW_RULE(placed[t->index.len + i]);

		check(!memcmp(&t->rules.data[mine], &all.data[theirs],
			      sizeof(struct unwind_rule)));
	}
	unwind_rules_deinit(&all);
	unwind_table_destroy(t);
	free(placed);
}

TEST(no_elf_is_an_error)
{
	__cleanup_close int fd = open("/proc/self/cmdline", O_RDONLY);
	struct unwind_table *t;
	struct error *err = unwind_table_create(fd, -1, UNWIND_FULL, &t);

	check(err && err->code == ERROR_UNSUPPORTED);
	error_destroy(err);
}
