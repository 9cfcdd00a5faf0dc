// SPDX-License-Identifier: GPL-2.0-or-later
/* Where exports go; see output.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/privileges.h"
#include "export/output.h"

struct output {
	FILE *file;		/* ends in @fd by way of write_out() */
	int fd;
	int errnum;		/* of the first write that failed, or 0 */
	char *path;		/* NULL: stdout */
	char *temp;		/* to be renamed to path; NULL: written in place */
	char buffer[64 << 10];	/* of @file */
};

void output_abandon(struct output *out)
{
	PRIVILEGES_AWAKE;

	if (!out)
		return;
	if (out->file)
		fclose(out->file);
	if (out->fd > STDERR_FILENO)
		close(out->fd);
	if (out->temp)
		unlink(out->temp);
	free(out->temp);
	free(out->path);
	free(out);
}

FILE *output_file(struct output *out)
{
	return out->file;
}

/*
 * stdio remembers that a write failed, not why: a disk that was full in the
 * middle of a file would be an unknown error at its end.
 */
static ssize_t write_out(void *cookie, const char *data, size_t size)
{
	struct output *out = cookie;
	size_t done = 0;

	while (done < size && !out->errnum) {
		ssize_t n = write(out->fd, data + done, size - done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			out->errnum = n == 0 ? EIO : errno;
	}
	errno = out->errnum;
	return (ssize_t)done;
}

static struct error *open_file(struct output *out)
{
	out->file = fopencookie(out, "w", (cookie_io_functions_t){ .write = write_out });
	if (!out->file)
		return error_errno(errno, "cannot buffer what is written");
	setvbuf(out->file, out->buffer, _IOFBF, sizeof(out->buffer));
	return NULL;
}

/*
 * A replaced file keeps its owner and mode; a new one is the invoking user's
 * with the usual mode (mkstemp's is for the owner alone).
 */
static struct error *take_mode(int fd, const char *path, const struct stat *old)
{
	mode_t mask = umask(0);

	umask(mask);
	if (!old)
		file_give_to_invoker(fd);
	else if ((old->st_uid != geteuid() || old->st_gid != getegid()) &&
		 fchown(fd, old->st_uid, old->st_gid))
		return error_errno(errno, "cannot give '%s' its owner", path);
	if (fchmod(fd, old ? old->st_mode & 07777 : 0666 & ~mask))
		return error_errno(errno, "cannot give '%s' its mode", path);
	return NULL;
}

static struct error *open_beside(struct output *out, const struct stat *old)
{
	struct error *err = file_create_temp(out->path, &out->temp, &out->fd);

	return err ? err : take_mode(out->fd, out->path, old);
}

static struct error *open_path(struct output *out, bool force)
{
	struct stat st;

	if (stat(out->path, &st)) {
		if (errno != ENOENT)
			return error_errno(errno, "cannot write '%s'", out->path);
		return open_beside(out, NULL);
	}
	if (S_ISREG(st.st_mode)) {
		if (st.st_size && !force)
			return error_create(ERROR_OS,
					    "'%s' exists: give another name with -o,"
					    " or --force to overwrite it",
					    out->path);
		return open_beside(out, &st);
	}
	out->fd = open(out->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	return out->fd >= 0 ? NULL : error_errno(errno, "cannot write '%s'", out->path);
}

struct error *output_open(const char *path, bool force, struct output **ret)
{
	struct output *out __cleanup_output = xcalloc(1, sizeof(*out));
	PRIVILEGES_AWAKE;
	struct error *err = NULL;

	out->fd = STDOUT_FILENO;
	if (!path || !strcmp(path, "-")) {
		fflush(stdout);
	} else {
		out->fd = -1;
		out->path = file_resolve(path);
		err = open_path(out, force);
	}
	if (!err)
		err = open_file(out);
	if (!err)
		*ret = steal_ptr(out);
	return err;
}

static struct error *failed(const struct output *out, int errnum)
{
	return out->path ? error_errno(errnum, "cannot write '%s'", out->path) :
	       error_errno(errnum, "cannot write to standard output");
}

static struct error *flush(struct output *out)
{
	if (fflush(out->file) || ferror(out->file))
		return failed(out, out->errnum ? out->errnum : EIO);
	/* Some file systems tell of a full disk no earlier than here. */
	return out->temp && fsync(out->fd) ? failed(out, errno) : NULL;
}

struct error *output_commit(struct output *out)
{
	struct output *owned __cleanup_output = out;
	PRIVILEGES_AWAKE;
	struct error *err = flush(owned);

	if (err)
		return err;
	if (owned->path && close(steal_fd(&owned->fd)))
		return failed(owned, errno);
	if (!owned->temp)
		return NULL;
	if (rename(owned->temp, owned->path))
		return error_errno(errno, "cannot replace '%s'", owned->path);
	free(steal_ptr(owned->temp));
	return NULL;
}
