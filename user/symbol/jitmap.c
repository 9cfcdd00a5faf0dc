// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading perf-PID.map; see jitmap.h. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/reader.h"
#include "base/strpool.h"
#include "base/vec.h"
#include "symbol/elfread.h"
#include "symbol/jitmap.h"
#include "symbol/name_stream.h"
#include "symbol/safeopen.h"

#define FILE_MAX (64ULL << 20)
/* Of all files that a target puts in the place of the first, together. */
#define READ_MAX (256ULL << 20)
#define NAME_MAX_BYTES 4096
/* Lines are 60 bytes and more; a file of shorter ones would be ten times its size in memory. */
#define LINES_MAX (FILE_MAX / 40)
/* Code is replaced where it lies; of so many older neighbours one may reach further. */
#define OVERLAPS_MAX 64

struct entry {
	uint64_t start, end;
	uint32_t age;		/* its line: the greater, the newer */
	const char *name;
};

DEFINE_VEC(entry_vec, struct entry);

struct jitmap {
	int root_fd;
	char *path;		/* NULL: the target was gone */
	uid_t uid;
	uint64_t dev, ino;	/* of the file last read */
	uint64_t read_to;	/* its lines up to here are known */
	uint64_t looked_to;	/* its size when it was read: an unfinished line may be behind */
	uint64_t read_total;
	uint32_t lines;
	struct entry_vec entries;	/* sorted by start, then age */
	struct strpool *names;
};

/* The last number of the line "KEY:\t..." of @status. */
static bool last_number(const char *status, const char *key, uint64_t *ret)
{
	const char *line = strstr(status, key), *end;

	if (!line)
		return false;
	end = line + 1 + strcspn(line + 1, "\n");
	while (end > line && end[-1] >= '0' && end[-1] <= '9')
		end--;
	*ret = strtoull(end, NULL, 10);
	return end > line;
}

struct jitmap *jitmap_create(int proc_fd, int root_fd)
{
	struct jitmap *map = xcalloc(1, sizeof(*map));
	__cleanup_close int fd = -1;
	char status[8192];
	uint64_t pid, uid;

	map->root_fd = root_fd;
	map->names = strpool_create();
	if (proc_fd >= 0)
		fd = openat(proc_fd, "status", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return map;
	status[elfread_some(fd, 0, status, sizeof(status) - 1)] = '\0';
	/* Uid: real, effective, saved, file system; files are made by the last. */
	if (last_number(status, "\nNSpid:", &pid) && last_number(status, "\nUid:", &uid)) {
		map->path = xasprintf("/tmp/perf-%" PRIu64 ".map", pid);
		map->uid = uid;
	}
	return map;
}

void jitmap_destroy(struct jitmap *map)
{
	if (!map)
		return;
	entry_vec_deinit(&map->entries);
	strpool_destroy(map->names);
	free(map->path);
	free(map);
}

/* --- in the confined process ---------------------------------------------- */

/* The part of the file that is asked for; the answer's result is where whole lines end. */
struct question { uint64_t from, to; };

#define CHUNK (64u << 10)	/* a line that is longer is none */

static void parse_line(struct name_sender *sender, char *line)
{
	char *name;
	uint64_t start = strtoull(line, &name, 16), size;

	if (name == line || *name != ' ')
		return;
	line = name + 1;
	size = strtoull(line, &name, 16);
	if (name == line || *name != ' ' || !name[1])
		return;
	name++;
	if (strlen(name) > NAME_MAX_BYTES)
		name[NAME_MAX_BYTES] = '\0';
	name_sender_put(sender, &(struct named_range){ .start = start, .size = size }, name);
}

/* The whole lines of @text; where they end. */
static size_t parse_lines(struct name_sender *sender, char *text, size_t len)
{
	char *line = text, *newline;

	for (; (newline = memchr(line, '\n', len - (size_t)(line - text))); line = newline + 1) {
		*newline = '\0';
		parse_line(sender, line);
	}
	return (size_t)(line - text);
}

static void serve_lines(int socket, int file)
{
	struct name_sender sender = { .socket = socket };
	char text[CHUNK];
	struct question q;

	if (!reader_receive(socket, &q, sizeof(q)))
		return;
	while (q.from < q.to && !sender.failed) {
		size_t want = q.to - q.from < CHUNK ? q.to - q.from : CHUNK;
		size_t len = elfread_some(file, q.from, text, want);
		size_t whole = parse_lines(&sender, text, len);

		if (!whole && len < CHUNK)
			break;
		q.from += whole ? whole : len;
	}
	name_sender_end(&sender, q.from);
}

/* --- on our side ---------------------------------------------------------- */

static bool take_line(void *arg, const struct named_range *range, const char *name)
{
	struct jitmap *map = arg;

	if (!range->size || range->start > UINT64_MAX - range->size)
		return true;
	if (!*name || strlen(name) > NAME_MAX_BYTES || map->lines == UINT32_MAX ||
	    map->entries.len == LINES_MAX)
		return false;
	entry_vec_push(&map->entries, (struct entry){
		range->start, range->start + range->size, map->lines++,
		strpool_intern(map->names, name) });
	return true;
}

static int by_start(const void *va, const void *vb)
{
	const struct entry *a = va, *b = vb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return (a->age > b->age) - (a->age < b->age);
}

/* Takes over the whole lines of [read_to, @size) of @fd. */
static void read_lines(struct jitmap *map, int fd, uint64_t size)
{
	const struct question question = { map->read_to, size };
	int socket __cleanup_close = reader_start(serve_lines, fd);
	size_t before = map->entries.len;
	uint64_t end;

	map->read_total += size - map->read_to;
	map->looked_to = size;
	if (socket < 0 || !reader_send(socket, &question, sizeof(question)) ||
	    !name_stream_receive(socket, take_line, map, &end) || end < map->read_to ||
	    end > size) {
		/* Whatever made its reader fail stays in it. */
		reader_note_failure(map->path, "names");
		map->entries.len = before;
		map->read_total = READ_MAX;
		return;
	}
	map->read_to = end;
	if (map->entries.len)
		qsort(map->entries.data, map->entries.len, sizeof(*map->entries.data), by_start);
}

static bool is_trusted(const struct jitmap *map, const struct stat *st)
{
	return st->st_uid == 0 || st->st_uid == map->uid;
}

/* Whether something new was read. */
static bool refresh(struct jitmap *map)
{
	__cleanup_close int fd = -1;
	uint64_t size, before;
	struct stat st;

	if (!map->path || map->root_fd < 0)
		return false;
	fd = safeopen_in_root(map->root_fd, map->path);
	if (fd < 0 || fstat(fd, &st) || !is_trusted(map, &st))
		return false;
	size = (uint64_t)st.st_size < FILE_MAX ? (uint64_t)st.st_size : FILE_MAX;
	if (st.st_dev != map->dev || st.st_ino != map->ino || size < map->looked_to) {
		map->dev = st.st_dev;
		map->ino = st.st_ino;
		map->entries.len = map->read_to = map->looked_to = 0;
	}
	before = map->read_to;
	if (size > map->looked_to && map->read_total + (size - before) <= READ_MAX)
		read_lines(map, fd, size);
	return map->read_to > before;
}

static const char *look_up(const struct jitmap *map, uint64_t addr)
{
	const struct entry *entries = map->entries.data, *best = NULL;
	size_t lo = 0, hi = map->entries.len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (entries[mid].start <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (int i = 0; i < OVERLAPS_MAX && lo > 0; i++) {
		const struct entry *entry = &entries[--lo];

		if (addr < entry->end && (!best || entry->age > best->age))
			best = entry;
	}
	return best ? best->name : NULL;
}

const char *jitmap_find(struct jitmap *map, uint64_t addr)
{
	const char *name = look_up(map, addr);

	return name || !refresh(map) ? name : look_up(map, addr);
}
