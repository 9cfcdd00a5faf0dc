// SPDX-License-Identifier: GPL-2.0-or-later
/* The account of a process's memory; see account.h. */
#include <string.h>
#include <sys/uio.h>

#include "base/alloc.h"
#include "base/procfs.h"
#include "base/strbuf.h"
#include "capture/ledger/account.h"

#define BATCH 1024
#define READINGS 3
/* What of the RSS may be unknown before a reading is taken for torn. */
#define UNKNOWN_SHARE 50
#define STACK_TOP_BYTES 16384

struct reading {
	uint32_t pid;
	const struct account_live *live;
	struct account *account;
	struct account_block batch[BATCH];
	size_t batched;
};

const char *account_kind_name(enum account_kind kind)
{
	static const char *const names[ACCOUNT_KINDS_COUNT] = {
#define X(symbol, name, heap) [ACCOUNT_##symbol] = name,
		ACCOUNT_LINES(X)
#undef X
	};

	return names[kind];
}

/* The heap */

static void count_block(struct account *account, const struct account_block *block)
{
	uint64_t chunk = block->addr - 16;
	int64_t whole = (int64_t)pages_resident(&block->pages, chunk, chunk + block->chunk_bytes);
	int64_t asked;

	if (block->asked_bytes < 0) {
		account->lines[ACCOUNT_OLDER] += whole;
		account->older_count++;
		account->older_bytes += (int64_t)block->chunk_bytes;
		return;
	}
	asked = (int64_t)pages_resident(&block->pages, block->addr,
					block->addr + (uint64_t)block->asked_bytes);
	/* The last word of a chunk is the first of the next. */
	if (asked > whole)
		asked = whole;
	account->lines[ACCOUNT_LIVE] += asked;
	account->lines[ACCOUNT_OVERHEAD] += whole - asked;
}

static void count_batch(void *arg)
{
	struct reading *r = arg;

	r->live->find(r->live->arg, r->batch, r->batched);
	for (size_t i = 0; i < r->batched; i++)
		count_block(r->account, &r->batch[i]);
	r->batched = 0;
}

static void on_in_use(void *arg, uint64_t block, uint64_t chunk_bytes, bool mapped,
		      const struct pages *pages)
{
	struct reading *r = arg;

	r->batch[r->batched++] = (struct account_block){ block, chunk_bytes, -1, *pages };
	if (r->batched == BATCH)
		count_batch(r);
}

/* Cached chunks looked in use, to blocks that are known no more: older, it seemed. */
static void settle_cached(struct account *account)
{
	const struct chunk_sum *use = account->census.use;
	int64_t cached = use[CHUNK_FAST].resident + use[CHUNK_TCACHE].resident;
	int64_t *older = &account->lines[ACCOUNT_OLDER];

	account->lines[ACCOUNT_CACHED] = cached;
	*older -= cached < *older ? cached : *older;
	account->older_count -= use[CHUNK_FAST].count + use[CHUNK_TCACHE].count;
	account->older_bytes -= use[CHUNK_FAST].bytes + use[CHUNK_TCACHE].bytes;
	if (account->older_count < 0 || account->older_bytes < 0)
		account->older_count = account->older_bytes = 0;
}

static void count_heap(struct reading *r, const struct smaps_entry_vec *maps, int64_t *parts)
{
	const struct glibc_heap_watcher watcher = {
		.in_use = on_in_use, .end = count_batch, .arg = r,
	};
	struct account *account = r->account;
	const struct chunk_sum *use = account->census.use;

	account->has_census = glibc_heap_read(r->pid, maps, parts, r->live ? &watcher : NULL,
					      &account->census);
	if (r->live) {
		settle_cached(account);
	} else {
		account->lines[ACCOUNT_IN_USE] =
			use[CHUNK_IN_USE].resident + use[CHUNK_MAPPED].resident;
		account->lines[ACCOUNT_CACHED] =
			use[CHUNK_FAST].resident + use[CHUNK_TCACHE].resident;
	}
	account->lines[ACCOUNT_OVERHEAD] += use[CHUNK_ADMIN].resident;
	account->lines[ACCOUNT_BINS] = use[CHUNK_FREE].resident;
	account->lines[ACCOUNT_TOP] = use[CHUNK_TOP].resident;
}

/* Heaps of other allocators */

/* Such mappings that are looked at, page by page (1/1024 of it here); others are not split. */
#define OTHER_BYTES_MAX (16ull << 30)

struct others {
	struct reading *r;
	const struct smaps_entry_vec *maps;
	int64_t *parts;			/* bytes of each mapping that a line has */
	struct pages *pages;		/* of each mapping; empty: not to be split */
	size_t last;			/* where a block was found: so is the next, often */
};

static bool may_be_heap(const struct smaps_entry *map, int64_t part)
{
	return map->rss && !part && map->writable && !map->shared && !map->file &&
		(!*map->path || !strcmp(map->path, "[heap]") ||
		 !strncmp(map->path, "[anon:", 6));
}

/* Index of the mapping that @addr is in, or of one that ends before it begins. */
static size_t mapping_of(const struct smaps_entry_vec *maps, uint64_t addr)
{
	size_t low = 0, high = maps->len;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (maps->data[middle].start <= addr)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static void count_other(void *arg, uint64_t addr, uint64_t bytes)
{
	struct others *others = arg;
	const struct smaps_entry *map = &others->maps->data[others->last];
	int64_t resident;

	if (addr < map->start || addr >= map->end) {
		others->last = mapping_of(others->maps, addr);
		map = &others->maps->data[others->last];
		if (addr < map->start || addr >= map->end)
			return;
	}
	resident = (int64_t)pages_resident(&others->pages[others->last], addr, addr + bytes);
	if (resident > map->rss - others->parts[others->last])
		resident = map->rss - others->parts[others->last];
	others->r->account->lines[ACCOUNT_LIVE] += resident;
	others->parts[others->last] += resident;
}

/* What is live in mappings that glibc's heap is not in. */
static void count_others(struct reading *r, const struct smaps_entry_vec *maps, int64_t *parts)
{
	struct others others = { r, maps, parts, xcalloc(maps->len, sizeof(*others.pages)), 0 };
	uint64_t left = OTHER_BYTES_MAX;

	for (size_t i = 0; i < maps->len; i++) {
		const struct smaps_entry *map = &maps->data[i];
		uint64_t bytes = map->end - map->start;

		if (!may_be_heap(map, parts[i]) || bytes > left)
			continue;
		pages_read(r->pid, map->start, map->end, &others.pages[i]);
		left -= bytes;
	}
	r->live->each(r->live->arg, count_other, &others);
	for (size_t i = 0; i < maps->len; i++)
		pages_deinit(&others.pages[i]);
	free(others.pages);
}

/* All else */

/*
 * Whether a thread of the C library has its stack here: its descriptor, at
 * the stack's upper end, says where the stack begins (with its guard) and how
 * long it is, one behind the other ("stackblock", "stackblock_size").
 */
static bool is_thread_stack(uint32_t pid, const struct smaps_entry *map)
{
	uint64_t words[STACK_TOP_BYTES / 8];
	uint64_t size = map->end - map->start, len = size < sizeof(words) ? size : sizeof(words);
	struct iovec local = { words, len };
	struct iovec remote = { (void *)(uintptr_t)(map->end - len), len };

	if (map->file || map->shared || !map->writable || *map->path ||
	    process_vm_readv((pid_t)pid, &local, 1, &remote, 1, 0) != (ssize_t)len)
		return false;
	for (size_t i = 0; i + 1 < len / 8; i++)
		if (words[i] <= map->start && words[i] + words[i + 1] == map->end &&
		    map->start - words[i] <= size)
			return true;
	return false;
}

static bool is_shared_memory(const struct smaps_entry *map)
{
	static const char *const names[] = {
		"/dev/shm/", "/memfd:", "/SYSV", "/dev/zero", "/i915", "[anon_shmem:",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(map->path, names[i], strlen(names[i])))
			return true;
	return map->shared && !map->file;
}

/* What is left of an anonymous mapping beside the allocator's chunks. */
static enum account_kind anonymous_kind(uint32_t pid, const struct smaps_entry_vec *maps, size_t i)
{
	const struct smaps_entry *map = &maps->data[i], *before = map - 1;

	/* What others than the C library's allocator have got by brk(2). */
	if (!strcmp(map->path, "[heap]"))
		return ACCOUNT_ANONYMOUS;
	if (is_thread_stack(pid, map))
		return ACCOUNT_STACKS;
	/* What of a program's data is not in its file lies right behind what is. */
	if (i && before->file && before->writable && before->end == map->start)
		return ACCOUNT_DATA;
	return ACCOUNT_ANONYMOUS;
}

static void count_mapping(struct reading *r, const struct smaps_entry_vec *maps, size_t i,
			  int64_t in_heap)
{
	const struct smaps_entry *map = &maps->data[i];
	int64_t *lines = r->account->lines, rest = map->rss - in_heap;
	int64_t clean = map->rss - map->anonymous;

	if (rest <= 0)
		return;
	if (is_shared_memory(map)) {
		lines[ACCOUNT_SHMEM] += clean;
		lines[ACCOUNT_DATA] += map->anonymous;
	} else if (map->file) {
		lines[ACCOUNT_FILE] += clean;
		lines[ACCOUNT_DATA] += map->anonymous;
	} else if (!strncmp(map->path, "[stack", 6)) {
		lines[ACCOUNT_STACK] += rest;
	} else if (!strncmp(map->path, "[v", 2)) {
		lines[ACCOUNT_KERNEL] += rest;
	} else {
		int64_t lazy = map->lazy_free < rest ? map->lazy_free : rest;

		lines[ACCOUNT_LAZY] += lazy;
		lines[anonymous_kind(r->pid, maps, i)] += rest - lazy;
	}
}

static void sum_up(struct account *account, const struct smaps_entry_vec *maps)
{
	vec_for_each(map, maps) {
		int64_t clean = map->rss - map->anonymous;

		account->rss_bytes += map->rss;
		account->pss_bytes += map->pss;
		account->swap_bytes += map->swap;
		account->anon_bytes += map->anonymous;
		*(is_shared_memory(map) ? &account->shmem_bytes : &account->file_bytes) += clean;
	}
	account->unexplained = account->rss_bytes;
	for (int kind = 0; kind < ACCOUNT_KINDS_COUNT; kind++)
		account->unexplained -= account->lines[kind];
}

/* The heap grew after its mappings were read: that much of it is not in this RSS. */
static void trim_excess(struct account *account)
{
	static const enum account_kind order[] = {
		ACCOUNT_TOP, ACCOUNT_BINS, ACCOUNT_OLDER, ACCOUNT_IN_USE, ACCOUNT_LIVE,
		ACCOUNT_CACHED, ACCOUNT_OVERHEAD,
	};

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		int64_t *line = &account->lines[order[i]];
		int64_t excess = -account->unexplained;

		if (excess <= 0)
			return;
		if (excess > *line)
			excess = *line;
		*line -= excess;
		account->unexplained += excess;
		account->adjusted_bytes += excess;
	}
}

static bool read_once(struct reading *r)
{
	__cleanup(smaps_entry_vec_deinit) struct smaps_entry_vec maps = { 0 };
	struct strbuf text __cleanup_strbuf = { 0 };
	__cleanup_free int64_t *parts = NULL;

	*r->account = (struct account){ 0 };
	if (procfs_read(r->pid, "smaps", &text) || !text.len)
		return false;
	smaps_parse(text.data, &maps);
	if (!maps.len)
		return false;
	parts = xcalloc(maps.len, sizeof(*parts));
	count_heap(r, &maps, parts);
	if (r->live)
		count_others(r, &maps, parts);
	for (size_t i = 0; i < maps.len; i++)
		count_mapping(r, &maps, i, parts[i]);
	sum_up(r->account, &maps);
	return true;
}

bool account_read(uint32_t pid, const struct account_live *live, struct account *ret)
{
	__cleanup_free struct reading *r = xcalloc(1, sizeof(*r));

	*r = (struct reading){ .pid = pid, .live = live, .account = ret };
	for (int i = 0; i < READINGS; i++) {
		if (!read_once(r))
			return false;
		if (ret->unexplained >= -ret->rss_bytes / UNKNOWN_SHARE &&
		    (!ret->census.retries || ret->unexplained <= ret->rss_bytes / UNKNOWN_SHARE))
			break;
	}
	trim_excess(ret);
	return true;
}
