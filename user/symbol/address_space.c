// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The executable memory of one process and the files behind it; see
 * symbolizer.h. All questions go through one descriptor of /proc/PID, so that
 * a PID given to another process is never mistaken for the first.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/strbuf.h"
#include "symbol/address_space.h"
#include "symbol/elfread.h"
#include "symbol/jitmap.h"
#include "symbol/maps.h"
#include "symbol/object.h"
#include "symbol/object_store.h"
#include "symbol/safeopen.h"

#define VDSO "[vdso]"
#define VDSO_MAX (1 << 20)
/* Of a file's first bytes, enough for the headers and, as linkers lay it out, the build id. */
#define HEAD_SIZE 4096
/* No program maps so many files; one that wants to make us run out of memory might. */
#define BACKINGS_MAX 16384

DEFINE_VEC(backing_vec, struct backing *);

struct address_space {
	uint32_t pid;
	int proc_fd;			/* /proc/PID; -1 if it was gone from the start */
	int root_fd;			/* its root directory, O_PATH; -1 if not allowed */
	int open_errno;			/* why proc_fd is -1 */
	struct region_vec regions;	/* sorted, disjoint; current and vanished ones */
	struct mapping_vec current;
	struct backing_vec backings;
	struct object_store *store;	/* borrowed, or NULL */
	struct jitmap *jitmap;
	struct error *why_none;		/* the first complaint about the newest files, or NULL */
};

struct address_space *address_space_create(uint32_t pid)
{
	struct address_space *as = xcalloc(1, sizeof(*as));
	__cleanup_free char *path = xasprintf("/proc/%" PRIu32, pid);

	as->pid = pid;
	as->root_fd = -1;
	as->proc_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	as->open_errno = errno;
	if (as->proc_fd >= 0)
		as->root_fd = openat(as->proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	as->jitmap = jitmap_create(as->proc_fd, as->root_fd);
	return as;
}

void address_space_share(struct address_space *as, struct object_store *store)
{
	as->store = store;
}

void address_space_destroy(struct address_space *as)
{
	if (!as)
		return;
	vec_for_each(b, &as->backings) {
		object_destroy((*b)->object);
		free((*b)->path);
		free(*b);
	}
	backing_vec_deinit(&as->backings);
	region_vec_deinit(&as->regions);
	mapping_vec_deinit(&as->current);
	error_destroy(as->why_none);
	jitmap_destroy(as->jitmap);
	if (as->proc_fd >= 0)
		close(as->proc_fd);
	if (as->root_fd >= 0)
		close(as->root_fd);
	free(as);
}

/* ---- Reading the target ---- */

static struct error *gone(const struct address_space *as)
{
	return error_create(ERROR_GONE, "process %" PRIu32 " has no memory: it has ended", as->pid);
}

static struct error *maps_failed(const struct address_space *as, int errnum)
{
	if (errnum == ENOENT || errnum == ESRCH)
		return gone(as);
	return error_errno(errnum, "reading /proc/%" PRIu32 "/maps", as->pid);
}

static struct error *read_maps(const struct address_space *as, struct strbuf *ret)
{
	__cleanup_free char *buf = xmalloc(65536);
	__cleanup_close int fd = -1;
	ssize_t n;

	if (as->proc_fd < 0)
		return maps_failed(as, as->open_errno);
	fd = openat(as->proc_fd, "maps", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return maps_failed(as, errno);
	while ((n = read(fd, buf, 65536)) > 0)
		strbuf_add(ret, buf, n);
	if (n < 0)
		return maps_failed(as, errno);
	/* A zombie's is empty, and so is a kernel thread's. */
	return ret->len ? NULL : gone(as);
}

/* Copies target memory without stopping it; how many bytes could be read. */
static size_t read_memory(const struct address_space *as, uint64_t addr, void *buf, size_t len)
{
	__cleanup_close int fd = openat(as->proc_fd, "mem", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? 0 : elfread_some(fd, addr, buf, len);
}

/* ---- Opening the right file ---- */

static bool same_file(const struct maps_line *a, const struct maps_line *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

/*
 * The last of the first @end lines that maps the first page of @line's file,
 * with nothing but this file's mappings (and anonymous memory, which may lie
 * between its segments) behind it; NULL if there is none.
 */
static const struct maps_line *first_page(const struct maps_line_vec *lines,
					  const struct maps_line *line, size_t end)
{
	while (end-- > 0) {
		const struct maps_line *at = &lines->data[end];

		if (at->ino && !same_file(at, line))
			return NULL;
		if (at->ino && !at->offset)
			return at;
	}
	return NULL;
}

/* Whether the beginning of @fd is what the target has in its memory. */
static bool matches_memory(const struct address_space *as, int fd,
			   const struct maps_line_vec *lines, const struct maps_line *line)
{
	const struct maps_line *first = first_page(lines, line, line - lines->data + 1);
	uint8_t in_file[HEAD_SIZE], in_memory[HEAD_SIZE];

	if (!first)
		return false;
	return elfread_same_image(in_file, elfread_some(fd, 0, in_file, HEAD_SIZE),
				  in_memory,
				  read_memory(as, first->start, in_memory, HEAD_SIZE));
}

/*
 * Overlayfs and btrfs show another device in maps than in stat(2): then the
 * contents decide.
 */
static bool is_right_file(const struct address_space *as, int fd,
			  const struct maps_line_vec *lines, const struct maps_line *line)
{
	struct stat st;

	if (fstat(fd, &st))
		return false;
	return (st.st_dev == line->dev && st.st_ino == line->ino) ||
	       matches_memory(as, fd, lines, line);
}

/*
 * map_files leads to the mapped file itself, whatever became of its name and
 * in whichever mount namespace; it wants CAP_CHECKPOINT_RESTORE. Without it,
 * the file that now has the name may be the right one: as the target sees it
 * (a container), as we do (a chroot; maps shows our view), or the program file.
 */
enum way { BY_MAP_FILES, BY_TARGETS_PATH, BY_OUR_PATH, BY_EXE, WAYS_COUNT };

static int open_by(const struct address_space *as, enum way way, const struct maps_line *line)
{
	__cleanup_free char *map_file = NULL;

	switch (way) {
	case BY_MAP_FILES:
		map_file = xasprintf("map_files/%" PRIx64 "-%" PRIx64, line->start, line->end);
		return safeopen(as->proc_fd, map_file);
	case BY_TARGETS_PATH:
		return safeopen_in_root(as->root_fd, line->path);
	case BY_OUR_PATH:
		return line->path[0] == '/' ? safeopen(AT_FDCWD, line->path) : -1;
	case BY_EXE:
		return safeopen(as->proc_fd, "exe");
	default:
		return -1;
	}
}

static int open_mapped_file(const struct address_space *as,
			    const struct maps_line_vec *lines, const struct maps_line *line)
{
	for (enum way way = 0; way < WAYS_COUNT; way++) {
		__cleanup_close int fd = open_by(as, way, line);

		if (fd >= 0 && is_right_file(as, fd, lines, line))
			return steal_fd(&fd);
	}
	return -1;
}

/* The vDSO is in no file: a copy of it is one like any other. */
static int copy_vdso(const struct address_space *as, const struct maps_line *line)
{
	size_t size = line->end - line->start;
	__cleanup_close int fd = -1;
	__cleanup_free char *buf = NULL;

	if (size > VDSO_MAX)
		return -1;
	buf = xmalloc(size);
	if (read_memory(as, line->start, buf, size) != size)
		return -1;
	fd = memfd_create("vdso", MFD_CLOEXEC);
	if (fd < 0 || write(fd, buf, size) != (ssize_t)size)
		return -1;
	return steal_fd(&fd);
}

/* ---- Backings ---- */

static bool ends_with(const char *s, const char *end)
{
	size_t len = strlen(s), end_len = strlen(end);

	return len >= end_len && !strcmp(s + len - end_len, end);
}

/*
 * Whether the path of @line ends in the kernel's remark, and not in a name
 * that only looks like it.
 */
static bool is_deleted(const struct address_space *as, const struct maps_line *line, int fd)
{
	__cleanup_close int same_name = -1;
	struct stat st, named;

	if (!line->ino || !ends_with(line->path, MAPS_DELETED))
		return false;
	if (fd < 0 || fstat(fd, &st) || !st.st_nlink)
		return true;
	same_name = safeopen_in_root(as->root_fd, line->path);
	return same_name < 0 || fstat(same_name, &named) ||
	       named.st_dev != st.st_dev || named.st_ino != st.st_ino;
}

static void note_version(struct backing *backing, int fd)
{
	struct stat st;

	if (!fstat(fd, &st)) {
		backing->size = st.st_size;
		backing->mtime_ns = st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec;
	}
}

/* Written over since it was opened: whoever maps it now has something else. */
static bool is_outdated(const struct backing *backing)
{
	struct backing now = { 0 };

	if (!backing->object || !backing->ino)
		return false;
	note_version(&now, backing->object->fd);
	return now.size != backing->size || now.mtime_ns != backing->mtime_ns;
}

static bool is_backed_by(const struct maps_line *line, const struct backing *backing)
{
	if (line->ino || backing->ino)
		return line->ino == backing->ino && line->dev == backing->dev;
	return !strcmp(line->path, backing->path);
}

/*
 * Opens what @line maps. That it cannot be opened or is no ELF file is no
 * failure, but @why (if it is the first) tells it.
 */
static struct backing *backing_create(const struct address_space *as,
				      const struct maps_line_vec *lines,
				      const struct maps_line *line, struct error **why)
{
	struct backing *backing = xcalloc(1, sizeof(*backing));
	bool deleted;
	int fd = -1;

	if (line->ino)
		fd = open_mapped_file(as, lines, line);
	else if (!strcmp(line->path, VDSO))
		fd = copy_vdso(as, line);
	backing->dev = line->dev;
	backing->ino = line->ino;
	deleted = is_deleted(as, line, fd);
	backing->path = xstrndup(line->path, strlen(line->path) -
				 (deleted ? strlen(MAPS_DELETED) : 0));
	if (fd >= 0) {
		struct error *err = object_store_open(as->store, fd, backing->path,
						      as->root_fd, &backing->object);

		if (err && !*why)
			*why = steal_ptr(err);
		error_destroy(err);
	}
	if (backing->object) {
		note_version(backing, backing->object->fd);
		backing->object->deleted |= deleted;
	}
	return backing;
}

static const struct backing *find_backing(struct address_space *as,
					  const struct maps_line_vec *lines,
					  const struct maps_line *line, struct error **why)
{
	if (!line->ino && !*line->path)
		return NULL;
	/* The newest first: an outdated one may stand before it. */
	for (size_t i = as->backings.len; i-- > 0; ) {
		struct backing *backing = as->backings.data[i];

		if (!is_backed_by(line, backing))
			continue;
		if (is_outdated(backing))
			break;
		return backing;
	}
	if (as->backings.len >= BACKINGS_MAX)
		return NULL;
	backing_vec_push(&as->backings, backing_create(as, lines, line, why));
	return as->backings.data[as->backings.len - 1];
}

/* ---- Refreshing ---- */

static bool is_region_of(const struct region *region, const struct maps_line *line)
{
	if (region->m.start != line->start || region->m.end != line->end ||
	    region->m.file_offset != line->offset || !region->current)
		return false;
	if (!region->backing)
		return !line->ino && !*line->path;
	return is_backed_by(line, region->backing);
}

/* The regions are sorted, and so are the lines: @at walks along. */
static const struct region *known_region(const struct address_space *as, size_t *at,
					 const struct maps_line *line)
{
	while (*at < as->regions.len && as->regions.data[*at].m.start < line->start)
		++*at;
	if (*at < as->regions.len && is_region_of(&as->regions.data[*at], line))
		return &as->regions.data[*at];
	return NULL;
}

static bool find_bias(const struct object *obj, const struct maps_line_vec *lines,
		      const struct maps_line *line, uint64_t *ret)
{
	size_t end = line - lines->data + 1, count = 0;
	const struct maps_line *first;
	uint64_t bases[16];

	while (count < 16 && line->ino && (first = first_page(lines, line, end))) {
		bases[count++] = first->start;
		end = first - lines->data;
	}
	return object_bias(obj, line->start, line->offset, bases, count, ret);
}

static struct region new_region(struct address_space *as, const struct maps_line_vec *lines,
				const struct maps_line *line, struct error **why)
{
	struct region region = {
		.m = { .start = line->start, .end = line->end, .file_offset = line->offset },
		.backing = find_backing(as, lines, line, why),
		.current = true,
	};

	if (region.backing && region.backing->object &&
	    find_bias(region.backing->object, lines, line, &region.m.bias))
		region.m.object = region.backing->object;
	return region;
}

/* What the lines say, as regions; @new_ret: how many of ELF files are new. */
static void regions_of(struct address_space *as, const struct maps_line_vec *lines,
		       struct region_vec *ret, size_t *new_ret, struct error **why)
{
	size_t at = 0;

	*new_ret = 0;
	for (size_t i = 0; i < lines->len; i++) {
		const struct maps_line *line = &lines->data[i];
		const struct region *known;

		if (!line->executable)
			continue;
		known = known_region(as, &at, line);
		region_vec_push(ret, known ? *known : new_region(as, lines, line, why));
		if (!known && ret->data[ret->len - 1].m.object)
			++*new_ret;
	}
}

static void push_vanished(struct region_vec *ret, const struct region *old,
			  uint64_t start, uint64_t end)
{
	struct region piece = *old;

	piece.m.file_offset += start - piece.m.start;
	piece.m.start = start;
	piece.m.end = end;
	piece.current = false;
	region_vec_push(ret, piece);
}

/* Appends to @ret the pieces of @old that the regions [@i, @count) of @ret leave over. */
static void push_left_over(struct region_vec *ret, const struct region *old,
			   size_t i, size_t count)
{
	uint64_t start = old->m.start, end = old->m.end;

	for (; i < count && ret->data[i].m.start < end; i++) {
		uint64_t taken_start = ret->data[i].m.start, taken_end = ret->data[i].m.end;

		if (taken_start > start)
			push_vanished(ret, old, start, taken_start);
		start = taken_end;
	}
	if (start < end)
		push_vanished(ret, old, start, end);
}

/*
 * Appends to @ret what remains of the old regions where none of the first
 * @count of @ret, the current ones, lies. Nameless ones are not worth it.
 */
static void keep_vanished(const struct region_vec *old, struct region_vec *ret, size_t count)
{
	size_t next = 0;

	for (size_t i = 0; i < old->len; i++) {
		const struct region *region = &old->data[i];

		while (next < count && ret->data[next].m.end <= region->m.start)
			next++;
		if (region->backing)
			push_left_over(ret, region, next, count);
	}
}

static int by_start(const void *va, const void *vb)
{
	const struct region *a = va, *b = vb;

	return (a->m.start > b->m.start) - (a->m.start < b->m.start);
}

static void take_over(struct address_space *as, struct region_vec *regions)
{
	size_t count = regions->len;

	as->current.len = 0;
	vec_for_each(region, regions) {
		if (region->m.object)
			mapping_vec_push(&as->current, region->m);
	}
	keep_vanished(&as->regions, regions, count);
	if (regions->len)
		qsort(regions->data, regions->len, sizeof(*regions->data), by_start);
	region_vec_deinit(&as->regions);
	as->regions = *regions;
}

static bool is_unchanged(const struct address_space *as, const struct maps_line_vec *lines)
{
	size_t at = 0, known = 0, current = 0;

	for (size_t i = 0; i < lines->len; i++) {
		if (!lines->data[i].executable)
			continue;
		if (!known_region(as, &at, &lines->data[i]))
			return false;
		known++;
	}
	for (size_t i = 0; i < as->regions.len; i++)
		current += as->regions.data[i].current;
	return known == current;
}

static void take_lines(struct address_space *as, const struct maps_line_vec *lines,
		       bool *changed_ret)
{
	struct region_vec regions = { 0 };
	struct error *why = NULL;
	size_t new_count;

	if (is_unchanged(as, lines))
		return;
	regions_of(as, lines, &regions, &new_count, &why);
	take_over(as, &regions);
	*changed_ret = new_count > 0;
	if (why) {
		error_destroy(as->why_none);
		as->why_none = why;
	}
}

/* Files are opened once; that none of them is for us is said every time. */
static struct error *check_any(const struct address_space *as)
{
	const struct error *why = as->why_none;

	if (as->current.len || !why || why->code != ERROR_UNSUPPORTED)
		return NULL;
	return error_create(why->code, "process %" PRIu32 ": %s", as->pid, why->message);
}

struct error *address_space_refresh(struct address_space *as, bool *changed_ret)
{
	__cleanup_strbuf struct strbuf text = { 0 };
	struct maps_line_vec lines = { 0 };
	bool changed = false;
	struct error *err;

	err = read_maps(as, &text);
	if (!err) {
		maps_parse(text.data, &lines);
		take_lines(as, &lines, &changed);
		maps_line_vec_deinit(&lines);
		err = check_any(as);
	}
	if (changed_ret)
		*changed_ret = changed;
	return err;
}

/* ---- Questions ---- */

const struct region_vec *address_space_regions(const struct address_space *as)
{
	return &as->regions;
}

struct jitmap *address_space_jitmap(const struct address_space *as)
{
	return as->jitmap;
}

const struct region *address_space_region(const struct address_space *as, uint64_t pc)
{
	const struct region *regions = as->regions.data;
	size_t lo = 0, hi = as->regions.len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (pc < regions[mid].m.start)
			hi = mid;
		else if (pc >= regions[mid].m.end)
			lo = mid + 1;
		else
			return &regions[mid];
	}
	return NULL;
}

const struct mapping *address_space_find(const struct address_space *as, uint64_t pc)
{
	const struct region *region = address_space_region(as, pc);

	return region && region->m.object ? &region->m : NULL;
}

struct object *address_space_object(const struct address_space *as, const char *build_id)
{
	vec_for_each(backing, &as->backings) {
		struct object *object = (*backing)->object;

		if (object && *build_id && !strcmp(object->build_id, build_id))
			return object;
	}
	return NULL;
}

const struct mapping_vec *address_space_mappings(const struct address_space *as)
{
	return &as->current;
}
