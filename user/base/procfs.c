// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading /proc; see procfs.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/procfs.h"

static int read_path(const char *path, struct strbuf *ret)
{
	__cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char chunk[4096];
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		strbuf_add(ret, chunk, n);
	}
	return 0;
}

int procfs_read(uint32_t pid, const char *name, struct strbuf *ret)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/%s", pid, name);
	return read_path(path, ret);
}

int procfs_read_self(const char *name, struct strbuf *ret)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/%s", name);
	return read_path(path, ret);
}

bool procfs_field(const char *text, const char *key, int64_t *ret)
{
	size_t len = strlen(key);

	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		char unit[4] = "";
		int64_t value;

		if (*line == '\n')
			line++;
		if (strncmp(line, key, len) || line[len] != ':')
			continue;
		if (sscanf(line + len + 1, " %" SCNd64 " %3s", &value, unit) < 1)
			return false;
		*ret = strcmp(unit, "kB") ? value : value * 1024;
		return true;
	}
	return false;
}
