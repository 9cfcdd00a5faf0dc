// SPDX-License-Identifier: GPL-2.0-or-later
/* Where exports go; see output.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/privileges.h"
#include "export/output.h"

struct output {
	FILE *file;
	char *path;		/* NULL: stdout */
	char *temp;		/* to be renamed to path; NULL: written in place */
};

void output_abandon(struct output *out)
{
	PRIVILEGES_AWAKE;

	if (!out)
		return;
	if (out->file && out->file != stdout)
		fclose(out->file);
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
	int fd __cleanup_close = -1;
	struct error *err = file_create_temp(out->path, &out->temp, &fd);

	if (!err)
		err = take_mode(fd, out->path, old);
	if (err)
		return err;
	out->file = fdopen(steal_fd(&fd), "w");
	return out->file ? NULL : error_errno(errno, "cannot open '%s'", out->path);
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
	out->file = fopen(out->path, "we");
	return out->file ? NULL : error_errno(errno, "cannot write '%s'", out->path);
}

struct error *output_open(const char *path, bool force, struct output **ret)
{
	struct output *out __cleanup_output = xcalloc(1, sizeof(*out));
	PRIVILEGES_AWAKE;

	if (!path || !strcmp(path, "-")) {
		out->file = stdout;
	} else {
		struct error *err;

		out->path = file_resolve(path);
		err = open_path(out, force);
		if (err)
			return err;
	}
	*ret = steal_ptr(out);
	return NULL;
}

/* A write that failed long ago shows only here: stdio remembers that, not why. */
static struct error *flush(struct output *out)
{
	bool failed_before = ferror(out->file);

	errno = 0;
	if (fflush(out->file) || failed_before) {
		int errnum = errno ? errno : EIO;

		return out->path ? error_errno(errnum, "cannot write '%s'", out->path) :
			error_errno(errnum, "cannot write to standard output");
	}
	/* Some file systems tell of a full disk no earlier than here. */
	if (out->temp && fsync(fileno(out->file)))
		return error_errno(errno, "cannot write '%s'", out->path);
	return NULL;
}

struct error *output_commit(struct output *out)
{
	struct output *owned __cleanup_output = out;
	PRIVILEGES_AWAKE;
	struct error *err = flush(owned);

	if (err)
		return err;
	if (owned->file != stdout && fclose(steal_ptr(owned->file)))
		return error_errno(errno, "cannot write '%s'", owned->path);
	if (!owned->temp)
		return NULL;
	if (rename(owned->temp, owned->path))
		return error_errno(errno, "cannot replace '%s'", owned->path);
	free(steal_ptr(owned->temp));
	return NULL;
}
