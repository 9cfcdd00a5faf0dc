// SPDX-License-Identifier: GPL-2.0-or-later
/* Files made for the user; see file.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/format.h"

char *file_resolve(const char *path)
{
	char *real = realpath(path, NULL);

	return real ? real : xstrdup(path);
}

struct error *file_create_temp(const char *path, char **temp_ret, int *fd_ret)
{
	__cleanup_free char *temp = xasprintf("%s.XXXXXX", path);
	int fd = mkostemp(temp, O_CLOEXEC);

	if (fd < 0)
		return error_errno(errno, "cannot create a file beside '%s'", path);
	*temp_ret = steal_ptr(temp);
	*fd_ret = fd;
	return NULL;
}

static bool id_from_environment(const char *name, uint64_t *ret)
{
	const char *value = getenv(name);

	return value && parse_uint(value, 0, INT_MAX, ret);
}

static bool invoker(uint64_t *uid_ret, uint64_t *gid_ret)
{
	return !geteuid() && id_from_environment("SUDO_UID", uid_ret) &&
	       id_from_environment("SUDO_GID", gid_ret);
}

bool file_has_invoker(void)
{
	uint64_t uid, gid;

	return invoker(&uid, &gid);
}

void file_give_to_invoker(int fd)
{
	uint64_t uid, gid;

	if (!invoker(&uid, &gid))
		return;
	/* A file that stays root's can still be read by root: no reason to fail. */
	if (fchown(fd, (uid_t)uid, (gid_t)gid))
		return;
}
