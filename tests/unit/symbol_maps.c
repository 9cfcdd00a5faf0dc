// SPDX-License-Identifier: GPL-2.0-or-later
/* The parser of /proc/PID/maps. */
#include <sys/sysmacros.h>

#include "symbol/maps.h"
#include "tests/unit/test.h"

static struct maps_line_vec parsed;
static char text_buf[4096];

static void parse(const char *text)
{
	maps_line_vec_deinit(&parsed);
	snprintf(text_buf, sizeof(text_buf), "%s", text);
	maps_parse(text_buf, &parsed);
}

TEST(fields)
{
	parse("7f0000001000-7f0000003000 r-xp 0002a000 fe:1f 262234 "
	      "                    /usr/lib/libc.so.6\n");
	check_int(parsed.len, 1);
	check_int(parsed.data[0].start, 0x7f0000001000);
	check_int(parsed.data[0].end, 0x7f0000003000);
	check_int(parsed.data[0].offset, 0x2a000);
	check_int(parsed.data[0].dev, makedev(0xfe, 0x1f));
	check_int(parsed.data[0].ino, 262234);
	check(parsed.data[0].executable);
	check_str(parsed.data[0].path, "/usr/lib/libc.so.6");
}

TEST(paths)
{
	parse("1000-2000 r--p 00000000 08:01 5                          /a b  c\n"
	      "2000-3000 rw-p 00000000 00:00 0 \n"
	      "3000-4000 r-xp 00000000 00:00 0                          [vdso]\n"
	      "4000-5000 r-xp 00000000 08:01 6                          /x\\012y\\\\012 (deleted)\n"
	      "5000-6000 rwxs 00000000 00:01 7                          /memfd:jit (deleted)\n"
	      "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]\n");
	check_int(parsed.len, 6);
	check_str(parsed.data[0].path, "/a b  c");
	check(!parsed.data[0].executable);
	check_str(parsed.data[1].path, "");
	check_str(parsed.data[2].path, "[vdso]");
	check_str(parsed.data[3].path, "/x\ny\\\n (deleted)");
	check_str(parsed.data[4].path, "/memfd:jit (deleted)");
	check(parsed.data[4].executable);
	check_int(parsed.data[5].end, 0xffffffffff601000);
}

/* Broken, torn and cut lines are left out; their neighbours stay. */
TEST(broken)
{
	parse("\n"
	      "1000-2000\n"
	      "2000-1000 r-xp 00000000 08:01 5 /backwards\n"
	      " 1000-2000 r-xp 00000000 08:01 5 /blank\n"
	      "-1000-2000 r-xp 00000000 08:01 5 /sign\n"
	      "1000-2000 r-xp 00000000 0801 5 /device\n"
	      "1000-2000 r-xp 00000000 08:01 x /inode\n"
	      "1000-2000 r-xpp 00000000 08:01 5 /permissions\n"
	      "10000000000000000-20000000000000000 r-xp 00000000 08:01 5 /large\n"
	      "1000-3000 r-xp 00000000 08:01 5 /good\n"
	      "2000-4000 r-xp 00000000 08:01 5 /overlaps\n"
	      "4000-5000 r-xp 00000000 08:01 5 /cut");
	check_int(parsed.len, 1);
	check_str(parsed.data[0].path, "/good");
	parse("");
	check_int(parsed.len, 0);
	maps_line_vec_deinit(&parsed);
}
