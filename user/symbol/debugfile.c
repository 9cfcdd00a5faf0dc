// SPDX-License-Identifier: GPL-2.0-or-later
/* Finding debug files; see debugfile.h. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/reader.h"
#include "symbol/debugfile.h"
#include "symbol/elfread.h"
#include "symbol/safeopen.h"

#define DEBUG_ROOT "/usr/lib/debug"

struct debuglink {
	char *name;
	uint32_t crc;
};

/* ---- Is it the right one? ---- */

static char *build_id_of(int fd)
{
	__cleanup_elf Elf *elf = elfread_open(fd);
	__cleanup_free void *notes = NULL;
	const Elf64_Shdr *shdr;

	/* The segments of a debug file are not in it: ask the section. */
	shdr = elf ? elfread_section(elf, fd, ".note.gnu.build-id", SHT_NOTE) : NULL;
	if (!shdr)
		return NULL;
	notes = elfread_whole(fd, shdr->sh_offset, shdr->sh_size, 65536);
	return notes ? elfread_build_id(notes, shdr->sh_size, shdr->sh_addralign) : NULL;
}

/* In a confined process: how large the file is was somebody's choice. */
static void serve_checksum(int socket, int file)
{
	uint32_t sum = crc32(0, NULL, 0);
	uint64_t offset = 0;
	uint8_t buf[65536];
	size_t n;

	while ((n = elfread_some(file, offset, buf, sizeof(buf))) > 0) {
		sum = crc32(sum, buf, n);
		offset += n;
	}
	reader_send(socket, &sum, sizeof(sum));
}

static bool checksum_is(int fd, const struct debuglink *link)
{
	int socket __cleanup_close = reader_start(serve_checksum, fd);
	uint32_t sum;

	if (socket >= 0 && reader_receive(socket, &sum, sizeof(sum)))
		return sum == link->crc;
	reader_note_failure(link->name, "symbols (a debug file)");
	return false;
}

static bool is_same_file(int a, int b)
{
	struct stat st, other;

	return fstat(a, &st) || fstat(b, &other) ||
	       (st.st_dev == other.st_dev && st.st_ino == other.st_ino);
}

/* @link: NULL if the build id led here. */
static bool belongs_to(const struct object *obj, int fd, const struct debuglink *link)
{
	__cleanup_free char *build_id = NULL;

	if (is_same_file(obj->fd, fd))
		return false;
	if (*obj->build_id) {
		build_id = build_id_of(fd);
		return build_id && !strcmp(build_id, obj->build_id);
	}
	return link && checksum_is(fd, link);
}

bool debugfile_belongs(const struct object *obj, int fd)
{
	return *obj->build_id && belongs_to(obj, fd, NULL);
}

/* ---- Where may it be? ---- */

/* Tries @path below @root_fd and on the host. */
static int try_path(const struct object *obj, int root_fd, const char *path,
		    const struct debuglink *link)
{
	__cleanup_close int inside = root_fd < 0 ? -1 : safeopen_in_root(root_fd, path);
	__cleanup_close int fd = -1;

	if (inside >= 0 && belongs_to(obj, inside, link))
		return steal_fd(&inside);
	fd = safeopen(AT_FDCWD, path);
	if (fd >= 0 && !(inside >= 0 && is_same_file(inside, fd)) && belongs_to(obj, fd, link))
		return steal_fd(&fd);
	return -1;
}

static int open_by_build_id(const struct object *obj, int root_fd)
{
	__cleanup_free char *path = NULL;

	if (strlen(obj->build_id) < 3)
		return -1;
	path = xasprintf(DEBUG_ROOT "/.build-id/%.2s/%s.debug", obj->build_id, obj->build_id + 2);
	return try_path(obj, root_fd, path, NULL);
}

int debugfile_open_by_build_id(const char *build_id, const char *dir)
{
	__cleanup_free char *path = NULL, *found = NULL;
	__cleanup_close int fd = -1;

	if (strlen(build_id) < 3 || strchr(build_id, '/'))
		return -1;
	path = xasprintf("%s/.build-id/%.2s/%s.debug", dir ? dir : DEBUG_ROOT, build_id,
			 build_id + 2);
	fd = safeopen(AT_FDCWD, path);
	found = fd < 0 ? NULL : build_id_of(fd);
	return found && !strcmp(found, build_id) ? steal_fd(&fd) : -1;
}

static bool read_debuglink(const struct object *obj, struct debuglink *ret)
{
	__cleanup_elf Elf *elf = elfread_open(obj->fd);
	__cleanup_free char *data = NULL;
	const Elf64_Shdr *shdr;
	uint64_t crc_at;

	shdr = elf ? elfread_section(elf, obj->fd, ".gnu_debuglink", SHT_PROGBITS) : NULL;
	if (!shdr)
		return false;
	data = elfread_whole(obj->fd, shdr->sh_offset, shdr->sh_size, 4096);
	if (!data || !*data || strchr(data, '/'))
		return false;
	crc_at = (strlen(data) + 4) & ~3ULL;
	if (crc_at + 4 > shdr->sh_size)
		return false;
	memcpy(&ret->crc, data + crc_at, 4);
	ret->name = steal_ptr(data);
	return true;
}

static int open_by_debuglink(const struct object *obj, int root_fd)
{
	static const char *const patterns[] = { "%.*s/%s", "%.*s/.debug/%s", DEBUG_ROOT "%.*s/%s" };
	const char *slash = strrchr(obj->path, '/');
	__cleanup_free char *name = NULL;
	struct debuglink link = { 0 };
	int fd = -1;

	if (!slash || obj->path[0] != '/' || !read_debuglink(obj, &link))
		return -1;
	name = link.name;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns) && fd < 0; i++) {
		__cleanup_free char *path = xasprintf(patterns[i], (int)(slash - obj->path),
						      obj->path, link.name);

		fd = try_path(obj, root_fd, path, &link);
	}
	return fd;
}

int debugfile_open(const struct object *obj, int root_fd)
{
	int fd = open_by_build_id(obj, root_fd);

	return fd >= 0 ? fd : open_by_debuglink(obj, root_fd);
}
