// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target for perf-PID.map, in two parts, as a target that writes on:
 * the first byte of an input says where it is cut.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/reader.h"
#include "symbol/jitmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/tmp/heapsonde-fuzz.XXXXXX";
static int dir_fd = -1;

static void write_file(const char *name, const void *data, size_t size, int flags)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | flags, 0600);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
}

static void remove_all(void)
{
	unlinkat(dir_fd, "tmp/perf-7.map", 0);
	unlinkat(dir_fd, "tmp", AT_REMOVEDIR);
	unlinkat(dir_fd, "status", 0);
	rmdir(dir);
}

/* What stands for /proc/PID and for the target's root, at once. */
static void make_root(void)
{
	char status[64];
	int len = snprintf(status, sizeof(status), "Name:\tx\nUid:\t0\t0\t0\t%u\nNSpid:\t9\t7\n",
			   geteuid());

	reader_stay_here();
	log_set_quiet(true);
	if (!mkdtemp(dir) || (dir_fd = open(dir, O_RDONLY | O_DIRECTORY)) < 0)
		abort();
	write_file("status", status, (size_t)len, 0);
	if (mkdirat(dir_fd, "tmp", 0700))
		abort();
	atexit(remove_all);
}

static void ask(struct jitmap *map)
{
	static const uint64_t addresses[] = {
		0, 1, 0x1000, 0x1010, 0x10f0, 0x7f0000000000, UINT64_MAX - 1, UINT64_MAX,
	};

	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		const char *name = jitmap_find(map, addresses[i]);

		if (name && (!*name || strchr(name, '\n')))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	__cleanup(jitmap_destroyp) struct jitmap *map = NULL;
	size_t first;

	if (dir_fd < 0)
		make_root();
	if (!size)
		return 0;
	first = 1 + (size - 1) * data[0] / 255;
	write_file("tmp/perf-7.map", data + 1, first - 1, O_TRUNC);
	map = jitmap_create(dir_fd, dir_fd);
	ask(map);
	write_file("tmp/perf-7.map", data + first, size - first, O_APPEND);
	ask(map);
	reader_await_guests();
	return 0;
}
