// SPDX-License-Identifier: GPL-2.0-or-later
/* Demangling, and that hostile names end in time. */
#include <time.h>

#include "base/cleanup.h"
#include "base/strbuf.h"
#include "symbol/demangle.h"
#include "tests/unit/test.h"

static const struct { const char *raw, *shown; } names[] = {
	/* C */
	{ "malloc", NULL },
	{ "__libc_start_main", NULL },
	{ "_start", NULL },
	{ "_init", NULL },
	{ "_Z", NULL },
	{ "_R", NULL },
	{ "_D", NULL },
	{ "_DYNAMIC", NULL },
	{ "", NULL },
	{ "main.(*Server).handle", NULL },
	{ "runtime.mallocgc", NULL },
	/* Pieces of a function */
	{ "parse.cold", "parse" },
	{ "parse.cold.12", "parse" },
	{ "parse.part.0", "parse" },
	{ "parse.constprop.0.isra.0.cold", "parse" },
	{ "parse.llvm.8741526394872634", "parse" },
	{ "parse.lto_priv.0", "parse" },
	{ "parse.0", NULL },
	{ "parse.colder", NULL },
	{ ".cold", NULL },
	{ "main.cold", "main" },
	/* C++ */
	{ "_Znwm", "operator new(unsigned long)" },
	{ "_ZdlPv", "operator delete(void*)" },
	{ "_ZN3foo3barEi", "foo::bar(int)" },
	{ "_ZNSt6vectorIiSaIiEE9push_backEOi",
	  "std::vector<int, std::allocator<int> >::push_back(int&&)" },
	{ "_ZNKSt3mapIicE4findERKi",
	  "std::map<int, char>::find(int const&) const" },
	{ "_ZN3foo3barEi.cold", "foo::bar(int)" },
	{ "_ZZN3foo3barEvENKUlvE_clEv.constprop.3",
	  "foo::bar()::{lambda()#1}::operator()() const" },
	{ "_ZTv0_n24_N3foo3barEv", "virtual thunk to foo::bar()" },
	{ "_Z3addIiET_S0_S0_", "int add<int>(int, int)" },
	{ "_ZN3foo", NULL },
	/* Rust, legacy and v0 */
	{ "_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt" },
	{ "_ZN66_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$core..ops..drop..Drop$GT$"
	  "4drop17hb2f0a2b1c3d4e5f6E",
	  "<alloc::vec::Vec<T> as core::ops::drop::Drop>::drop" },
	{ "_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE.llvm.1234567890",
	  "core::fmt::Write::write_fmt" },
	{ "_RNvC6_123foo3bar", "123foo::bar" },
	{ "_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar" },
	{ "_RINvNtC3std3mem8align_ofjE", "std::mem::align_of::<usize>" },
	/* D */
	{ "_D8demangle4testFZv", "demangle.test()" },
	{ "_D8demangle4testFaZv", "demangle.test(char)" },
	{ "_Dmain", "D main" },
};

TEST(table)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		__cleanup_free char *shown = demangle(names[i].raw);

		if (!names[i].shown && !shown)
			continue;
		if (!shown || !names[i].shown || strcmp(shown, names[i].shown))
			test_fail("%s is shown as %s", names[i].raw, shown ? shown : "itself");
	}
}

static double seconds_to_demangle(const char *raw, size_t *len_ret)
{
	__cleanup_free char *shown = NULL;
	struct timespec begin, end;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	shown = demangle(raw);
	clock_gettime(CLOCK_MONOTONIC, &end);
	*len_ret = shown ? strlen(shown) : 0;
	return end.tv_sec - begin.tv_sec + (end.tv_nsec - begin.tv_nsec) / 1e9;
}

static size_t check_bounded(const char *raw)
{
	size_t len;

	check(seconds_to_demangle(raw, &len) < 5);
	check(len <= 65536);
	return len;
}

/*
 * Names in which each level names the one before twice, so that the text
 * doubles: of few levels they must be demangled, or this tests nothing; of
 * many, where they stand for more than any memory, given up.
 */
static void check_explosive(void (*make)(struct strbuf *name, int levels))
{
	for (int levels = 1; levels <= 60; levels++) {
		__cleanup_strbuf struct strbuf name = { 0 };
		size_t len;

		make(&name, levels);
		len = check_bounded(strbuf_str(&name));
		if (levels <= 5)
			check(len >= 10u << levels);
		if (levels >= 20)
			check_int(len, 0);
	}
}

/* Itanium's number of a substitution: S_, S0_, …, SZ_, S10_, … */
static void add_substitution(struct strbuf *name, int i)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	if (i < 36)
		strbuf_addf(name, "S%c_", digits[i]);
	else
		strbuf_addf(name, "S%c%c_", digits[i / 36], digits[i % 36]);
}

static void make_explosive_cxx(struct strbuf *name, int levels)
{
	strbuf_addstr(name, "_Z1fSt4pairIiiE");
	for (int i = 0; i < levels; i++) {
		/* S_ is std::pair itself. */
		strbuf_addstr(name, "S_I");
		add_substitution(name, i);
		add_substitution(name, i);
		strbuf_addstr(name, "E");
	}
}

TEST(explosive_cxx)
{
	check_explosive(make_explosive_cxx);
}

/* A back reference to the byte at @at behind "_R": base 62, less one, 0 is "_". */
static void add_rust_reference(struct strbuf *name, size_t at)
{
	static const char digits[] =
		"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

	strbuf_addch(name, 'B');
	if (--at >= 62)
		strbuf_addch(name, digits[at / 62]);
	strbuf_addch(name, digits[at % 62]);
	strbuf_addch(name, '_');
}

static void make_explosive_rust(struct strbuf *name, int levels)
{
	size_t previous;

	strbuf_addstr(name, "_RINvC1a1b");
	previous = name->len - 2;
	strbuf_addstr(name, "TllE");
	for (int i = 0; i < levels; i++) {
		size_t at = name->len - 2;

		strbuf_addch(name, 'T');
		add_rust_reference(name, previous);
		add_rust_reference(name, previous);
		strbuf_addch(name, 'E');
		previous = at;
	}
	strbuf_addch(name, 'E');
}

TEST(explosive_rust)
{
	check_explosive(make_explosive_rust);
}

/* D counts back references from where they stand: they are the same in each level. */
static void make_explosive_d(struct strbuf *name, int levels)
{
	strbuf_addstr(name, "_D1a1fFB2ii");
	for (int i = 0; i < levels; i++)
		strbuf_addstr(name, i ? "B2QiQk" : "B2QgQi");
	strbuf_addstr(name, "Zv");
}

TEST(explosive_d)
{
	check_explosive(make_explosive_d);
}

/* Nested so deeply that a naive parser leaves its stack. */
TEST(deep)
{
	static const char *const openings[] = { "P", "FvP", "St4pairI", "N1aE", "XplL" };

	for (size_t i = 0; i < sizeof(openings) / sizeof(*openings); i++) {
		__cleanup_strbuf struct strbuf name = { 0 };

		strbuf_addstr(&name, "_Z1f");
		while (name.len < 30000)
			strbuf_addstr(&name, openings[i]);
		strbuf_addstr(&name, "i");
		check_bounded(strbuf_str(&name));
	}
}

TEST(huge)
{
	__cleanup_strbuf struct strbuf name = { 0 };

	strbuf_addstr(&name, "_ZN");
	for (int i = 0; i < 100000; i++)
		strbuf_addstr(&name, "9namespace");
	strbuf_addstr(&name, "1fEv");
	check_bounded(strbuf_str(&name));
}

/* Prefixes and altered characters of real names must not crash. */
TEST(mutated)
{
	srand(7);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		for (int round = 0; round < 300; round++) {
			__cleanup_free char *raw = strdup(names[i].raw);
			size_t len = strlen(raw);

			for (int k = rand() % 3; len && k >= 0; k--)
				raw[rand() % len] = 1 + rand() % 255;
			if (len && rand() % 2)
				raw[rand() % len] = '\0';
			check_bounded(raw);
		}
	}
}
