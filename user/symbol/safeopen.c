// SPDX-License-Identifier: GPL-2.0-or-later
/* Opening files that targets name; see safeopen.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "symbol/safeopen.h"

static int open_looked_at(int path_fd)
{
	char name[sizeof("/proc/self/fd/") + 11];
	struct stat st;

	if (fstat(path_fd, &st))
		return -1;
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		return -1;
	}
	snprintf(name, sizeof(name), "/proc/self/fd/%d", path_fd);
	return open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
}

int safeopen(int dir, const char *path)
{
	__cleanup_close int fd = openat(dir, path, O_PATH | O_CLOEXEC);

	return fd < 0 ? -1 : open_looked_at(fd);
}

int safeopen_in_root(int root, const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	__cleanup_close int fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

	return fd < 0 ? -1 : open_looked_at(fd);
}
