// SPDX-License-Identifier: GPL-2.0-or-later
/* Finding debug files; see debugfile.h. */
#include <dlfcn.h>
#include <fcntl.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <zlib.h>

#include "base/alloc.h"
#include "symbol/debugfile.h"
#include "symbol/elfread.h"
#include "symbol/safeopen.h"

#define DEBUG_ROOT "/usr/lib/debug"

/* .gnu_debugdata is a fraction of the file; what is larger is a trap. */
#define EMBEDDED_MAX (64ULL << 20)
#define UNPACKED_MAX (256ULL << 20)
#define LZMA_MEMORY_MAX (128ULL << 20)

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

static bool checksum_is(int fd, uint32_t crc)
{
	uint32_t sum = crc32(0, NULL, 0);
	uint64_t offset = 0;
	uint8_t buf[65536];
	size_t n;

	while ((n = elfread_some(fd, offset, buf, sizeof(buf))) > 0) {
		sum = crc32(sum, buf, n);
		offset += n;
	}
	return sum == crc;
}

static bool is_same_file(const struct object *obj, int fd)
{
	struct stat st, own;

	return fstat(fd, &st) || fstat(obj->fd, &own) ||
	       (st.st_dev == own.st_dev && st.st_ino == own.st_ino);
}

/* @link: NULL if the build id led here. */
static bool belongs_to(const struct object *obj, int fd, const struct debuglink *link)
{
	__cleanup_free char *build_id = NULL;

	if (is_same_file(obj, fd))
		return false;
	if (*obj->build_id) {
		build_id = build_id_of(fd);
		return build_id && !strcmp(build_id, obj->build_id);
	}
	return link && checksum_is(fd, link->crc);
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
	__cleanup_close int fd = root_fd < 0 ? -1 : safeopen_in_root(root_fd, path);

	if (fd >= 0 && belongs_to(obj, fd, link))
		return steal_fd(&fd);
	if (fd >= 0)
		close(fd);
	fd = safeopen(AT_FDCWD, path);
	if (fd >= 0 && belongs_to(obj, fd, link))
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

/* ---- .gnu_debugdata ---- */

/*
 * Only files of some distributions have the section, so liblzma is loaded when
 * the first of them is met, and not being there costs no more than its names.
 */
struct lzma {
	__typeof__(lzma_stream_decoder) *stream_decoder;
	__typeof__(lzma_code) *code;
	__typeof__(lzma_end) *end;
};

static const struct lzma *load_lzma(void)
{
	static struct lzma lzma;
	static bool tried;
	void *library;

	if (!tried) {
		tried = true;
		library = dlopen("liblzma.so.5", RTLD_NOW | RTLD_LOCAL);
		if (library) {
			lzma.stream_decoder = dlsym(library, "lzma_stream_decoder");
			lzma.code = dlsym(library, "lzma_code");
			lzma.end = dlsym(library, "lzma_end");
		}
	}
	return lzma.stream_decoder && lzma.code && lzma.end ? &lzma : NULL;
}

/* Decodes the rest of @stream's input into @fd; false if it is broken or too long. */
static bool decode(const struct lzma *lzma, lzma_stream *stream, int fd)
{
	__cleanup_free uint8_t *out = xmalloc(65536);
	lzma_ret status;

	do {
		size_t n;

		stream->next_out = out;
		stream->avail_out = 65536;
		status = lzma->code(stream, LZMA_FINISH);
		n = 65536 - stream->avail_out;
		if (stream->total_out > UNPACKED_MAX || write(fd, out, n) != (ssize_t)n)
			return false;
	} while (status == LZMA_OK);
	return status == LZMA_STREAM_END;
}

static int unpack(const uint8_t *data, size_t size)
{
	__cleanup_close int fd = memfd_create("gnu_debugdata", MFD_CLOEXEC);
	const struct lzma *lzma = load_lzma();
	lzma_stream stream = LZMA_STREAM_INIT;
	bool ok;

	if (fd < 0 || !lzma ||
	    lzma->stream_decoder(&stream, LZMA_MEMORY_MAX, 0) != LZMA_OK)
		return -1;
	stream.next_in = data;
	stream.avail_in = size;
	ok = decode(lzma, &stream, fd);
	lzma->end(&stream);
	return ok ? steal_fd(&fd) : -1;
}

int debugfile_open_embedded(const struct object *obj)
{
	__cleanup_elf Elf *elf = elfread_open(obj->fd);
	__cleanup_free uint8_t *data = NULL;
	const Elf64_Shdr *shdr;

	shdr = elf ? elfread_section(elf, obj->fd, ".gnu_debugdata", SHT_PROGBITS) : NULL;
	if (!shdr)
		return -1;
	data = elfread_whole(obj->fd, shdr->sh_offset, shdr->sh_size, EMBEDDED_MAX);
	return data ? unpack(data, shdr->sh_size) : -1;
}
