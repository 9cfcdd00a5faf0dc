// SPDX-License-Identifier: GPL-2.0-or-later
/* The base: numbers and names for people and from them, strings, errors. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "base/format.h"
#include "base/strbuf.h"
#include "base/strpool.h"
#include "base/utf8.h"
#include "base/vec.h"
#include "tests/unit/test.h"

TEST(bytes_for_people)
{
	char buf[FORMAT_MAX];

	check_str(format_bytes(0, buf), "0 B");
	check_str(format_bytes(1023, buf), "1023 B");
	check_str(format_bytes(-1023, buf), "-1023 B");
	check_str(format_bytes(1024, buf), "1.0 KiB");
	check_str(format_bytes(1536, buf), "1.5 KiB");
	check_str(format_bytes(1048575, buf), "1.0 MiB");
	check_str(format_bytes(44040192, buf), "42.0 MiB");
	check_str(format_bytes(-44040192, buf), "-42.0 MiB");
	check_str(format_bytes(INT64_MAX, buf), "8.0 EiB");
	check_str(format_bytes(INT64_MIN, buf), "-8.0 EiB");
}

TEST(counts_for_people)
{
	char buf[FORMAT_MAX];

	check_str(format_count(0, buf), "0");
	check_str(format_count(9999, buf), "9999");
	check_str(format_count(10000, buf), "10.0 k");
	check_str(format_count(999949, buf), "999.9 k");
	check_str(format_count(999950, buf), "1.0 M");
	check_str(format_count(-12345678, buf), "-12.3 M");
	check_str(format_count(INT64_MIN, buf), "-9.2 E");
}

TEST(durations_for_people)
{
	char buf[FORMAT_MAX];

	check_str(format_duration(0, buf), "0.0 s");
	check_str(format_duration(-5, buf), "0.0 s");
	check_str(format_duration(9.94, buf), "9.9 s");
	check_str(format_duration(9.95, buf), "10 s");
	check_str(format_duration(59.4, buf), "59 s");
	check_str(format_duration(59.6, buf), "1 m 00 s");
	check_str(format_duration(3599.6, buf), "1 h 00 m");
	check_str(format_duration(7500, buf), "2 h 05 m");
	check_str(format_duration(86400 * 4 + 3 * 3600, buf), "4 d 03 h");
}

static void check_escaped(const char *s, const char *want)
{
	struct strbuf sb __cleanup_strbuf = { 0 };

	format_escaped(&sb, s);
	check_str(strbuf_str(&sb), want);
}

TEST(names_cannot_drive_a_terminal)
{
	check_escaped("", "");
	check_escaped("plain name", "plain name");
	check_escaped("a\x1b[2Jb", "a\\x1b[2Jb");
	check_escaped("\n\t\r\x7f", "\\x0a\\x09\\x0d\\x7f");
	check_escaped("\xc3\xa4\xe2\x82\xac", "\xc3\xa4\xe2\x82\xac");
	check_escaped("\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80");
	check_escaped("\xff\xc3", "\\xff\\xc3");
	check_escaped("\xc2\x9b" "31m", "\\xc2\\x9b31m");	/* C1's CSI */
	check_escaped("\xc0\x9b", "\\xc0\\x9b");		/* overlong ESC */
	check_escaped("\xe0\x80\x9b", "\\xe0\\x80\\x9b");
}

static void check_repaired(const char *s, const char *want)
{
	struct strbuf sb __cleanup_strbuf = { 0 };

	utf8_repair(&sb, s);
	check_str(strbuf_str(&sb), want);
}

#define BAD "\xef\xbf\xbd"

TEST(utf8_is_repaired)
{
	check_repaired("a\xc3\xa4", "a\xc3\xa4");
	check_repaired("\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf");
	check_repaired("\xff" "a", BAD "a");
	check_repaired("\xe2\x82", BAD BAD);
	check_repaired("\xc0\xaf", BAD BAD);
	check_repaired("\xed\xa0\x80", BAD BAD BAD);		/* surrogate */
	check_repaired("\xf4\x90\x80\x80", BAD BAD BAD BAD);	/* > U+10FFFF */
}

TEST(sizes_from_people)
{
	uint64_t value;

	check(parse_bytes("4096", &value) && value == 4096);
	check(parse_bytes("0", &value) && value == 0);
	check(parse_bytes("512K", &value) && value == 512 << 10);
	check(parse_bytes("16m", &value) && value == 16 << 20);
	check(parse_bytes("2G", &value) && value == 2ull << 30);
	check(parse_bytes("1KiB", &value) && value == 1024);
	check(parse_bytes("1.5K", &value) && value == 1536);
	check(!parse_bytes("", &value));
	check(!parse_bytes("-1", &value));
	check(!parse_bytes("K", &value));
	check(!parse_bytes("1Z", &value));
	check(!parse_bytes("1K1", &value));
	check(!parse_bytes("99999999999G", &value));
	check(!parse_bytes(" 1", &value));
}

TEST(whole_numbers_from_people)
{
	uint64_t value;

	check(parse_uint("1", 1, 512, &value) && value == 1);
	check(parse_uint("512", 1, 512, &value) && value == 512);
	check(!parse_uint("0", 1, 512, &value));
	check(!parse_uint("513", 1, 512, &value));
	check(!parse_uint("+1", 1, 512, &value));
	check(!parse_uint("-1", 0, UINT64_MAX, &value));
	check(!parse_uint("1 ", 0, 512, &value));
	check(!parse_uint("", 0, 512, &value));
	check(!parse_uint("18446744073709551616", 0, UINT64_MAX, &value));
	check(parse_uint("18446744073709551615", 0, UINT64_MAX, &value));
}

TEST(seconds_from_people)
{
	double value;

	check(parse_seconds("0.25", &value) && value == 0.25);
	check(parse_seconds(".5", &value) && value == 0.5);
	check(parse_seconds("10", &value) && value == 10);
	check(!parse_seconds("", &value));
	check(!parse_seconds(".", &value));
	check(!parse_seconds("-1", &value));
	check(!parse_seconds("nan", &value));
	check(!parse_seconds("inf", &value));
	check(!parse_seconds("1e999", &value));
	check(!parse_seconds("1s", &value));
}

TEST(strings_grow)
{
	struct strbuf sb __cleanup_strbuf = { 0 };
	char *detached;

	check_str(strbuf_str(&sb), "");
	for (int i = 0; i < 1000; i++)
		strbuf_addf(&sb, "%d,", i);
	check_int(sb.len, 10 * 2 + 90 * 3 + 900 * 4);
	check_int(strlen(sb.data), sb.len);
	strbuf_reset(&sb);
	check_str(strbuf_str(&sb), "");
	strbuf_addch(&sb, 'x');
	strbuf_add(&sb, "y\0z", 3);
	check_int(sb.len, 4);
	detached = strbuf_detach(&sb);
	check(!memcmp(detached, "xy\0z", 5));
	check(!sb.data && !sb.len);
	free(detached);
	detached = strbuf_detach(&sb);
	check_str(detached, "");
	free(detached);
}

DEFINE_VEC(int_vec, int);

TEST(vectors_grow)
{
	struct int_vec v = { 0 };
	long long sum = 0;

	for (int i = 0; i < 1000; i++)
		int_vec_push(&v, i);
	vec_for_each(it, &v)
		sum += *it;
	check_int(sum, 999 * 1000 / 2);
	int_vec_deinit(&v);
	check(!v.data && !v.len && !v.cap);
}

TEST(equal_strings_are_one)
{
	struct strpool *pool __cleanup(strpool_destroyp) = strpool_create();
	const char *kept[5000];
	char name[16];

	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		kept[i] = strpool_intern(pool, name);
	}
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		check(strpool_intern(pool, name) == kept[i]);
		check_str(kept[i], name);
	}
	check_str(strpool_intern(pool, ""), "");
}

TEST(errors_carry_context)
{
	struct error *err __cleanup_error = error_create(ERROR_CORRUPT, "no %s", "header");

	check_str(err->message, "no header");
	err = error_wrap(err, "file %d", 7);
	check_str(err->message, "file 7: no header");
	check_int(err->code, ERROR_CORRUPT);
	check_int(err->errnum, 0);
}

TEST(errors_of_the_system)
{
	struct error *denied __cleanup_error = error_errno(EACCES, "cannot open '%s'", "x");
	struct error *full __cleanup_error = error_errno(ENOSPC, "cannot write");

	check_int(denied->code, ERROR_PERMISSION);
	check_str(denied->message, "cannot open 'x': Permission denied");
	check_int(full->code, ERROR_OS);
	check_int(full->errnum, ENOSPC);
}

TEST(temporary_files_are_private)
{
	__cleanup_free char *temp = NULL;
	int fd __cleanup_close = -1;
	struct stat st;

	check_ok(file_create_temp("/tmp/heapsonde-base", &temp, &fd));
	unlink(temp);
	check(!strncmp(temp, "/tmp/heapsonde-base.", 20));
	check(!fstat(fd, &st));
	check_int(st.st_mode & 0777, 0600);
}
