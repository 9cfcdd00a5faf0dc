// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The unwind tables' cache; see unwind_cache.h. An entry is a struct
 * entry_header with the table's arrays behind it, as they are in memory: it is
 * for this machine, and for the program that wrote it.
 */
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <zlib.h>

#include "base/alloc.h"
#include "symbol/elfread.h"
#include "symbol/unwind_cache.h"
#include "symbol/unwind_image.h"
#include "symbol/unwind_reader.h"

#define MAGIC "HSUNWIND"
#define FORMAT 1
#define SUFFIX ".unwind"
#define TEMP_PREFIX ".new-"
#define BUILD_ID_MAX 128	/* digits */
/* The largest real tables have 2 MB; FULL ones of a 150 MB file 15 MB. */
#define ENTRY_MAX (64u << 20)
/* A temporary file this old was left by a program that did not live to rename it. */
#define TEMP_MAX_AGE_S 3600
/* An entry's time is set when it is used, but not each time. */
#define USED_EVERY_S 3600
/* A file changed so lately may change again and bear the same times. */
#define SETTLED_AFTER_S 2

/* Which file: two that are equal in this are the same. */
struct file_identity {
	uint64_t dev, ino, size;
	int64_t mtime_ns, ctime_ns;
};

struct entry_header {
	char magic[8];
	uint32_t format;
	uint32_t shape;			/* of what bpf/unwind.h defines */
	char program[64];		/* build id of who compiled it */
	struct file_identity file;
	struct unwind_packed table;
	uint32_t body_crc;
	uint32_t header_crc;		/* of all before it */
};

struct unwind_cache {
	int dir_fd;
	uint64_t max_bytes;
	char *program;			/* our own build id */
	struct unwind_cache_counts counts;
	bool broken;			/* writing failed: it is not tried again */
};

/* ---- The directory ---- */

char *unwind_cache_default_dir(void)
{
	const char *dir = getenv("HEAPSONDE_CACHE_DIR");
	const char *xdg = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");

	if (dir)
		return *dir ? xstrdup(dir) : NULL;
	if (!geteuid())
		return xstrdup("/var/cache/heapsonde");
	if (xdg && xdg[0] == '/')
		return xasprintf("%s/heapsonde", xdg);
	return home && home[0] == '/' ? xasprintf("%s/.cache/heapsonde", home) : NULL;
}

/* Of the first object, the program, what dl_iterate_phdr() shows of its notes. */
static int program_build_id(struct dl_phdr_info *info, size_t size, void *ret)
{
	char **build_id = ret;

	for (int i = 0; i < info->dlpi_phnum && !*build_id; i++) {
		const ElfW(Phdr) *phdr = &info->dlpi_phdr[i];

		if (phdr->p_type == PT_NOTE)
			*build_id = elfread_build_id((const void *)(info->dlpi_addr +
								    phdr->p_vaddr),
						     phdr->p_memsz, phdr->p_align);
	}
	return 1;
}

static bool is_ours_alone(const struct stat *st)
{
	return st->st_uid == geteuid() && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

struct unwind_cache *unwind_cache_open(const char *dir, uint64_t max_bytes)
{
	__cleanup_free char *parent = xstrdup(dir);
	char *slash = strrchr(parent, '/');
	__cleanup_free char *program = NULL;
	struct unwind_cache *cache;
	__cleanup_close int fd = -1;
	struct stat st;

	dl_iterate_phdr(program_build_id, &program);
	if (!program)
		return NULL;
	/* Not the whole way: of a user who has no ~ there is nothing to keep. */
	if (slash && slash != parent) {
		*slash = '\0';
		mkdir(parent, 0700);
	}
	mkdir(dir, 0700);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) || !is_ours_alone(&st))
		return NULL;
	cache = xcalloc(1, sizeof(*cache));
	cache->dir_fd = steal_fd(&fd);
	cache->max_bytes = max_bytes;
	cache->program = steal_ptr(program);
	return cache;
}

struct kept {
	char *name;
	uint64_t bytes;
	int64_t used_s;
};

DEFINE_VEC(kept_vec, struct kept);

static int by_use(const void *va, const void *vb)
{
	const struct kept *a = va, *b = vb;

	return (a->used_s > b->used_s) - (a->used_s < b->used_s);
}

static bool ends_with(const char *s, const char *end)
{
	size_t len = strlen(s), end_len = strlen(end);

	return len >= end_len && !strcmp(s + len - end_len, end);
}

/* Other files are none of ours, whoever put them there. */
static void look_at(struct unwind_cache *cache, const char *name, struct kept_vec *ret)
{
	bool temp = !strncmp(name, TEMP_PREFIX, strlen(TEMP_PREFIX));
	struct stat st;

	if ((!temp && !ends_with(name, SUFFIX)) ||
	    fstatat(cache->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
		return;
	if (!temp)
		kept_vec_push(ret, (struct kept){
			xstrdup(name), st.st_blocks * 512ull, st.st_mtime });
	else if (time(NULL) - st.st_mtime > TEMP_MAX_AGE_S)
		unlinkat(cache->dir_fd, name, 0);
}

static void list_entries(struct unwind_cache *cache, struct kept_vec *ret)
{
	DIR *dir = fdopendir(fcntl(cache->dir_fd, F_DUPFD_CLOEXEC, 0));
	const struct dirent *entry;

	if (!dir)
		return;
	rewinddir(dir);
	while ((entry = readdir(dir)))
		look_at(cache, entry->d_name, ret);
	closedir(dir);
}

static void trim(struct unwind_cache *cache)
{
	struct kept_vec entries = { 0 };
	uint64_t total = 0;

	list_entries(cache, &entries);
	if (entries.len)
		qsort(entries.data, entries.len, sizeof(*entries.data), by_use);
	vec_for_each(entry, &entries)
		total += entry->bytes;
	vec_for_each(entry, &entries) {
		if (total > cache->max_bytes && !unlinkat(cache->dir_fd, entry->name, 0))
			total -= entry->bytes;
		free(entry->name);
	}
	kept_vec_deinit(&entries);
}

void unwind_cache_close(struct unwind_cache *cache)
{
	if (!cache)
		return;
	if (cache->counts.stored)
		trim(cache);
	close(cache->dir_fd);
	free(cache->program);
	free(cache);
}

/* ---- Names and identities ---- */

/* False for what has no name to be found by again, as the vDSO. */
static bool entry_name(const char *build_id, enum unwind_table_kind kind, char *ret, size_t size)
{
	size_t len = strlen(build_id);

	if (len < 8 || len > BUILD_ID_MAX || strspn(build_id, "0123456789abcdef") != len)
		return false;
	snprintf(ret, size, "%s%s" SUFFIX, build_id, kind == UNWIND_FULL ? "-full" : "");
	return true;
}

/* False for a file without a name: nobody will map it again. */
static bool identify(int fd, struct file_identity *ret)
{
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || !st.st_nlink)
		return false;
	*ret = (struct file_identity){
		.dev = st.st_dev,
		.ino = st.st_ino,
		.size = st.st_size,
		.mtime_ns = st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec,
		.ctime_ns = st.st_ctim.tv_sec * 1000000000ll + st.st_ctim.tv_nsec,
	};
	return true;
}

static uint32_t shape(void)
{
	return UNWIND_BUCKET_SHIFT << 24 | FIXED_RULES << 16 | CFA_COUNT << 8 |
	       sizeof(struct unwind_text);
}

/* ---- Reading ---- */

static uint32_t header_crc(const struct entry_header *h)
{
	return crc32(0, (const void *)h, offsetof(struct entry_header, header_crc));
}

/* What a header says of this file's table now. */
static struct entry_header expected_header(const struct unwind_cache *cache,
					   const struct file_identity *file,
					   enum unwind_table_kind kind)
{
	struct entry_header h;

	memset(&h, 0, sizeof(h));
	memcpy(h.magic, MAGIC, sizeof(h.magic));
	h.format = FORMAT;
	h.shape = shape();
	strncpy(h.program, cache->program, sizeof(h.program) - 1);
	h.file = *file;
	h.table.kind = kind;
	return h;
}

static bool is_header_good(const struct entry_header *h, const struct entry_header *want,
			   uint64_t file_size)
{
	return !memcmp(h, want, offsetof(struct entry_header, table)) &&
	       h->table.kind == want->table.kind && h->header_crc == header_crc(h) &&
	       file_size <= ENTRY_MAX && file_size == sizeof(*h) + unwind_packed_bytes(&h->table);
}

static uint8_t *read_body(int fd, struct entry_header *h, const struct entry_header *want)
{
	struct stat st;
	uint8_t *body;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || !is_ours_alone(&st) || st.st_size < 0 ||
	    !elfread_at(fd, 0, h, sizeof(*h)) || !is_header_good(h, want, st.st_size))
		return NULL;
	body = elfread_whole(fd, sizeof(*h), unwind_packed_bytes(&h->table), ENTRY_MAX);
	if (body && crc32(0, body, unwind_packed_bytes(&h->table)) == h->body_crc)
		return body;
	free(body);
	return NULL;
}

/* So that what is used is not what is removed first. */
static void note_use(int fd)
{
	struct stat st;

	if (!fstat(fd, &st) && time(NULL) - st.st_mtime > USED_EVERY_S)
		futimens(fd, NULL);
}

static struct unwind_table *load(struct unwind_cache *cache, const char *name,
				 const struct file_identity *file, enum unwind_table_kind kind)
{
	struct entry_header h, want = expected_header(cache, file, kind);
	__cleanup_close int entry_fd = -1;
	__cleanup_free uint8_t *body = NULL;
	struct unwind_table *table;

	entry_fd = openat(cache->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (entry_fd >= 0)
		body = read_body(entry_fd, &h, &want);
	if (!body)
		return NULL;
	table = unwind_unpack(&h.table, body);
	if (table)
		note_use(entry_fd);
	return table;
}

/* ---- Writing ---- */

static bool write_all(int fd, const void *data, size_t size)
{
	const uint8_t *at = data;

	while (size) {
		ssize_t n = write(fd, at, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		size -= n;
	}
	return true;
}

/* Header and arrays in one piece, for the caller to free; NULL if it is too large. */
static uint8_t *pack(const struct unwind_cache *cache, const struct unwind_table *t,
		     const struct file_identity *file, size_t *size_ret)
{
	struct entry_header h = expected_header(cache, file, t->kind);
	uint8_t *entry;
	size_t body;

	unwind_pack(t, &h.table, NULL);
	body = unwind_packed_bytes(&h.table);
	*size_ret = sizeof(h) + body;
	if (*size_ret > ENTRY_MAX)
		return NULL;
	entry = xmalloc(*size_ret);
	unwind_pack(t, &h.table, entry + sizeof(h));
	h.body_crc = crc32(0, entry + sizeof(h), body);
	h.header_crc = header_crc(&h);
	memcpy(entry, &h, sizeof(h));
	return entry;
}

static bool write_entry(struct unwind_cache *cache, const char *name, const uint8_t *entry,
			size_t size)
{
	char temp[64];
	__cleanup_close int fd = -1;
	bool ok;

	snprintf(temp, sizeof(temp), TEMP_PREFIX "%d-%u", getpid(), cache->counts.stored);
	unlinkat(cache->dir_fd, temp, 0);
	fd = openat(cache->dir_fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	if (fd < 0)
		return false;
	ok = write_all(fd, entry, size) && !renameat(cache->dir_fd, temp, cache->dir_fd, name);
	if (!ok)
		unlinkat(cache->dir_fd, temp, 0);
	return ok;
}

static bool has_settled(const struct file_identity *file)
{
	int64_t before_ns = (time(NULL) - SETTLED_AFTER_S) * 1000000000ll;

	return file->mtime_ns < before_ns && file->ctime_ns < before_ns;
}

/* @file: what the file was before it was compiled. */
static void store(struct unwind_cache *cache, const char *name, int fd,
		  const struct file_identity *file, const struct unwind_table *table)
{
	__cleanup_free uint8_t *entry = NULL;
	struct file_identity now;
	size_t size;

	if (cache->broken || !has_settled(file) || !identify(fd, &now) ||
	    memcmp(&now, file, sizeof(now)))
		return;
	entry = pack(cache, table, file, &size);
	if (!entry)
		return;
	cache->broken = !write_entry(cache, name, entry, size);
	cache->counts.stored += !cache->broken;
}

struct error *unwind_cache_table(struct unwind_cache *cache, int fd, const char *build_id,
				 enum unwind_table_kind kind, bool hurry,
				 struct unwind_table **ret)
{
	char name[BUILD_ID_MAX + 32];
	struct file_identity file;
	struct error *err;

	if (!cache || !entry_name(build_id, kind, name, sizeof(name)) || !identify(fd, &file))
		return unwind_read(fd, kind, hurry, ret);
	*ret = load(cache, name, &file, kind);
	if (*ret) {
		cache->counts.hits++;
		return NULL;
	}
	err = unwind_read(fd, kind, hurry, ret);
	if (err)
		return err;
	cache->counts.compiled++;
	store(cache, name, fd, &file, *ret);
	return NULL;
}

struct unwind_cache_counts unwind_cache_counts(const struct unwind_cache *cache)
{
	return cache ? cache->counts : (struct unwind_cache_counts){ 0 };
}
