// SPDX-License-Identifier: GPL-2.0-or-later
/* Descriptions of allocators: what they say, and what is wrong with the others. */
#include "tests/unit/test.h"

#include <unistd.h>

#include "capture/discovery/description.h"

static struct described_vec parsed(const char *text)
{
	struct described_vec described = { 0 };

	check_ok(description_parse(text, "here", &described));
	return described;
}

static void release(struct described_vec *described)
{
	struct allocator_choice choice = { .described = *described };

	allocator_choice_deinit(&choice);
}

TEST(every_kind)
{
	struct described_vec d = parsed("# my arena\n"
					"a_alloc alloc size=1\n"
					"\ta_calloc  alloc\tcount=1 size=2 # two of them\n"
					"a_out out ptr=0 size=5;"
					"a_re@liba.so realloc size=2 ptr=1\n"
					";;\n"
					"a_grow resize ptr=0 size=1\r\n"
					"0x1f0@/usr/bin/server free ptr=3");

	check_int(d.len, 6);
	check_str(d.data[0].function.symbol, "a_alloc");
	check_int(d.data[0].function.kind, PROBE_ALLOC);
	check_int(d.data[0].function.size_arg, 1);
	check_int(d.data[0].function.count_arg, PROBE_NO_ARG);
	check_str(d.data[0].where, "here, line 2");
	check_int(d.data[1].function.count_arg, 1);
	check_int(d.data[1].function.size_arg, 2);
	check_int(d.data[2].function.kind, PROBE_ALLOC_OUT);
	check_int(d.data[2].function.size_arg, 5);
	check_str(d.data[3].object, "liba.so");
	check_int(d.data[3].function.ptr_arg, 1);
	check_str(d.data[3].where, "here, line 4");
	check_int(d.data[4].function.kind, PROBE_RESIZE);
	check(d.data[5].by_address && d.data[5].vaddr == 0x1f0);
	check_str(d.data[5].object, "/usr/bin/server");
	check_int(d.data[5].function.ptr_arg, 3);
	release(&d);
}

TEST(pools)
{
	struct described_vec d = parsed("p_alloc alloc size=1 pool=0\n"
					"c_alloc alloc size=0 pool=*the_pool; p_end clear pool=2\n"
					"p_new hide");

	check_int(d.len, 4);
	check_int(d.data[0].function.pool_arg, 0);
	check_int(d.data[1].function.pool_arg, PROBE_VARIABLE);
	check_str(d.data[1].variable, "the_pool");
	check_int(d.data[2].function.kind, PROBE_CLEAR);
	check_int(d.data[2].function.ptr_arg, 2);
	check_int(d.data[2].function.pool_arg, PROBE_NO_ARG);
	check_int(d.data[3].function.kind, PROBE_HIDE);
	release(&d);
}

static void refused(const char *text, const char *line, const char *reason)
{
	struct described_vec d = { 0 };
	struct error *err = description_parse(text, "here", &d);

	if (!err)
		test_fail("'%s' is taken", text);
	check_int(err->code, ERROR_USAGE);
	if (!strstr(err->message, line) || !strstr(err->message, reason))
		test_fail("'%s' is refused with '%s', not with '%s' and '%s'", text, err->message,
			  line, reason);
	error_destroy(err);
	release(&d);
}

TEST(nonsense_is_refused_with_line_and_reason)
{
	refused("a alloc size=9", "line 1", "size=9: arguments are counted from 0 to 5");
	refused("a alloc size=-1", "line 1", "counted from 0 to 5");
	refused("\n\na alloc", "line 3", "'alloc' needs size=N");
	refused("a free", "line 1", "'free' needs ptr=N");
	refused("a clear", "line 1", "'clear' needs pool=N");
	refused("a clear pool=*p", "line 1", "counted from 0");
	refused("a alloc size=0 pool=*", "line 1", "counted from 0");
	refused("a free ptr=0 pool=1", "line 1", "'free' has no argument 'pool'");
	refused("a hide size=0", "line 1", "'hide' has no argument 'size'");
	refused("a free ptr=0 size=1", "line 1", "'free' has no argument 'size'");
	refused("a alloc size=1 size=2", "line 1", "'size' is given twice");
	refused("a alloc size=1 colour=2", "line 1", "has no argument 'colour'");
	refused("a alloc size", "line 1", "'size' is no argument");
	refused("a", "line 1", "one of alloc, out, realloc, resize, free");
	refused("ok free ptr=0; a melt ptr=1", "line 1", "a does 'melt'");
	refused("a free ptr=0\nb free ptr=0\na alloc size=0", "line 3",
		"described already (here, line 1)");
	refused("a free ptr=0; a@lib.so free ptr=0", "line 1", "described already");
	refused("0x10 free ptr=0", "line 1", "needs an object");
	refused("0xzz@a free ptr=0", "line 1", "neither a symbol nor an address");
	refused("99999999999999999999@a free ptr=0", "line 1", "neither a symbol nor an address");
	refused("@lib free ptr=0", "line 1", "no symbol stands before");
	refused("a@ free ptr=0", "line 1", "no object stands behind");
}

TEST(names_and_files)
{
	struct allocator_choice choice = { 0 };
	char path[] = "/tmp/heapsonde-description-XXXXXX", arg[64];
	int fd = mkstemp(path);
	struct error *err;

	check(fd >= 0);
	check_ok(allocator_choice_add(&choice, "cpython"));
	check(choice.described.len > 4 && choice.described.data[0].ready_made);
	check(!choice.only);
	check_ok(allocator_choice_add(&choice, "JEMALLOC"));
	check_str(choice.only, "jemalloc");
	check_int(write(fd, "x alloc size=0\ny free size=0\n", 29), 29);
	snprintf(arg, sizeof(arg), "@%s", path);
	err = allocator_choice_add(&choice, arg);
	check(err && strstr(err->message, path) && strstr(err->message, "line 2"));
	error_destroy(err);
	check_int(ftruncate(fd, 15), 0);
	err = allocator_choice_add(&choice, arg);
	check(err && strstr(err->message, "described already"));	/* x, from before */
	error_destroy(err);
	err = allocator_choice_add(&choice, "nosuch");
	check(err && strstr(err->message, "cpython") && strstr(err->message, "mimalloc"));
	error_destroy(err);
	err = allocator_choice_add(&choice, "@/nonexistent/file");
	check(err && err->code == ERROR_USAGE && strstr(err->message, "/nonexistent/file"));
	error_destroy(err);
	err = allocator_choice_add(&choice, " # nothing\n");
	check(err && strstr(err->message, "describes no function"));
	error_destroy(err);
	err = allocator_choice_add(&choice, "");
	check(err);
	error_destroy(err);
	allocator_choice_deinit(&choice);
	close(fd);
	unlink(path);
}

/* Whatever bytes come, they are taken or refused with one line. */
TEST(any_bytes)
{
	static const char *const pieces[] = {
		"a", "b@", "@c", "0x", "12@q", "alloc", "free", "resize", "size=", "ptr=", "count=",
		"=", "0", "5", "6", "-", " ", "\t", "\n", ";", "#", "\r", "\xff", "99999999999",
	};
	uint32_t seed = 1;

	for (int round = 0; round < 20000; round++) {
		struct described_vec d = { 0 };
		char text[256] = "";
		struct error *err;

		for (int n = 0; n < 20; n++) {
			seed = seed * 1664525 + 1013904223;
			strcat(text, pieces[(seed >> 16) % (sizeof(pieces) / sizeof(pieces[0]))]);
		}
		err = description_parse(text, "here", &d);
		if (err)
			check(err->code == ERROR_USAGE && strstr(err->message, "here, line "));
		error_destroy(err);
		vec_for_each(f, &d)
			check(f->function.symbol && *f->function.symbol && f->function.kind);
		release(&d);
	}
}
