// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading glibc's heap from outside; see glibc_heap.h. */
#include <stddef.h>
#include <string.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "capture/ledger/glibc_heap.h"
#include "capture/ledger/heap_chunks.h"

#define HEAP_MAX (64ull << 20)		/* HEAP_MAX_SIZE: threads' heaps are aligned to it */
#define PAGE 4096ull
#define CHUNK_LINKS 0x30ull		/* sizeof(struct malloc_chunk): what trimming spares */

/* struct malloc_state, the same in all these versions. */
#define ARENA_BYTES 2200ull
#define ARENA_FAST 0x10
#define ARENA_FAST_BINS 10
#define ARENA_TOP 0x60
#define ARENA_LAST_BIN 0x850		/* bin 127, for which no size is large enough */
#define ARENA_SYSTEM 0x888

#define TCACHE_BINS 64
#define TCACHE_CHUNK 0x290ull

#define CHAIN_MAX 200000
#define STRANGE_PAGES_MAX 4096	/* of a mapping that shows no chunk */
#define DATA_MAX (4u << 20)
#define VAST_BYTES (1ull << 30)
#define VAST_RATIO 16

/*
 * Mappings of one kind that lie end to end: what grew after a fork is a
 * mapping of its own, though it belongs to the same heap.
 */
struct area {
	struct pages pages;
	size_t map, maps;	/* the first of them, how many */
};

/* glibc's, at the beginning of each heap of a thread's arena. */
struct heap_info { uint64_t arena, previous, size, mprotect_size; };

/* One stretch of chunks that lie end to end. */
struct heap { uint64_t start, first, end; };

DEFINE_VEC(area_vec, struct area);
DEFINE_VEC(heap_vec, struct heap);
DEFINE_VEC(address_vec, uint64_t);

struct walk {
	uint32_t pid;
	const struct smaps_entry_vec *maps;
	const struct glibc_heap_watcher *watcher;
	struct glibc_heap_census *census;
	int64_t *parts;
	struct area_vec areas;
	struct heap_vec heaps;
	struct address_vec arenas;
	bool in_main;			/* the heap that is walked is the main arena's */
	struct address_vec tcaches;	/* blocks that may be a thread's cache */
};

static bool read_remote(uint32_t pid, uint64_t addr, void *buf, size_t len)
{
	struct iovec local = { buf, len };
	struct iovec remote = { (void *)(uintptr_t)addr, len };

	return process_vm_readv((pid_t)pid, &local, 1, &remote, 1, 0) == (ssize_t)len;
}


/* The area that @addr lies in, or NULL. */
static const struct area *area_of(const struct walk *w, uint64_t addr)
{
	vec_for_each(area, &w->areas)
		if (addr >= area->pages.start && addr < area->pages.end)
			return area;
	return NULL;
}

/* Opens the @maps mappings from @map on. */
static const struct area *open_area(struct walk *w, size_t map, size_t maps)
{
	struct area area = { .map = map, .maps = maps };

	if (!pages_read(w->pid, w->maps->data[map].start, w->maps->data[map + maps - 1].end,
			&area.pages))
		return NULL;
	area_vec_push(&w->areas, area);
	return &w->areas.data[w->areas.len - 1];
}

/* [@start, @end) is accounted for. */
static void cover(struct walk *w, const struct area *area, uint64_t start, uint64_t end)
{
	for (size_t i = area->map; i < area->map + area->maps; i++) {
		const struct smaps_entry *map = &w->maps->data[i];
		uint64_t from = start > map->start ? start : map->start;
		uint64_t to = end < map->end ? end : map->end;

		if (from < to)
			w->parts[i] += (int64_t)pages_resident(&area->pages, from, to);
	}
}

static void sum_add(struct chunk_sum *sum, int64_t count, int64_t bytes, int64_t resident)
{
	sum->count += count;
	sum->bytes += bytes;
	sum->resident += resident;
}

/* Class 0 is up to 16 bytes, each further one twice as much. */
static int class_of(uint64_t size)
{
	int bits = size <= 16 ? 0 : 64 - __builtin_clzll(size - 1) - 4;

	return bits < CHUNK_CLASSES ? bits : CHUNK_CLASSES - 1;
}

/* What malloc_trim() finds in a free chunk, or the top, to give back. */
static int64_t trimmable_of(const struct walk *w, const struct area *area, enum chunk_use use,
			    uint64_t addr, uint64_t size)
{
	uint64_t end = addr + size, from = (addr + CHUNK_LINKS + PAGE - 1) & ~(PAGE - 1);

	if (use == CHUNK_TOP && w->in_main && size > CHUNK_MIN + 1)
		from = end - ((size - CHUNK_MIN - 1) & ~(PAGE - 1));
	else if (use != CHUNK_FREE)
		return 0;
	return (int64_t)pages_resident(&area->pages, from, end & ~(PAGE - 1));
}

static void tell(struct walk *w, const struct area *area, enum chunk_use use, uint64_t addr,
		 uint64_t size)
{
	uint64_t resident = pages_resident(&area->pages, addr, addr + size);

	sum_add(&w->census->use[use], 1, (int64_t)size, (int64_t)resident);
	w->census->trimmable += trimmable_of(w, area, use, addr, size);
	if (use == CHUNK_FREE)
		sum_add(&w->census->free_classes[class_of(size)], 1, (int64_t)size,
			(int64_t)resident);
	if (use != CHUNK_IN_USE && use != CHUNK_MAPPED)
		return;
	sum_add(&w->census->classes[class_of(size)], 1, (int64_t)size, (int64_t)resident);
	if (size == TCACHE_CHUNK)
		address_vec_push(&w->tcaches, addr + CHUNK_HEADER);
	if (w->watcher)
		w->watcher->in_use(w->watcher->arg, addr + CHUNK_HEADER, size,
				   use == CHUNK_MAPPED, &area->pages);
}

/* What looked in use turns out to be cached by the allocator. */
static void tell_cached(struct walk *w, enum chunk_use use, uint64_t addr, uint64_t size)
{
	const struct area *area = area_of(w, addr);
	int64_t resident = area ? (int64_t)pages_resident(&area->pages, addr, addr + size) : 0;

	sum_add(&w->census->use[use], 1, (int64_t)size, resident);
	sum_add(&w->census->use[CHUNK_IN_USE], -1, -(int64_t)size, -resident);
	sum_add(&w->census->classes[class_of(size)], -1, -(int64_t)size, -resident);
	if (w->watcher && w->watcher->cached)
		w->watcher->cached(w->watcher->arg, addr + CHUNK_HEADER, size);
}

struct telling { struct walk *w; const struct area *area; };

static void tell_chunk(void *arg, enum chunk_kind kind, uint64_t addr, uint64_t size)
{
	static const enum chunk_use uses[] = {
		[CHUNK_KIND_IN_USE] = CHUNK_IN_USE, [CHUNK_KIND_FREE] = CHUNK_FREE,
		[CHUNK_KIND_TOP] = CHUNK_TOP, [CHUNK_KIND_FENCE] = CHUNK_ADMIN,
	};
	const struct telling *telling = arg;

	tell(telling->w, telling->area, uses[kind], addr, size);
}

static void walk_heap(struct walk *w, const struct area *area, const struct heap *heap,
		      uint64_t arena, uint64_t limit)
{
	struct telling telling = { w, area };
	struct chunk_walk chunks = {
		.pid = w->pid, .pages = &area->pages, .first = heap->first, .end = heap->end,
		.limit = limit, .start = heap->start,
		.size_at = w->in_main ? 0 : heap->start + offsetof(struct heap_info, size),
		.top_at = arena + ARENA_TOP, .tell = tell_chunk, .arg = &telling,
	};
	uint64_t reached;
	int64_t behind;

	heap_vec_push(&w->heaps, *heap);
	w->census->heaps++;
	if (heap->first > heap->start)
		tell(w, area, CHUNK_ADMIN, heap->start, heap->first - heap->start);
	reached = chunk_walk(&chunks);
	w->census->retries += chunks.retries;
	w->census->unfinished += !chunks.finished;
	/* The program itself may have moved the break on: no matter of the heap. */
	if (chunks.finished && reached < heap->end && pages_resident_now(w->pid, reached)) {
		cover(w, area, heap->start, reached);
		return;
	}
	behind = (int64_t)pages_resident(&area->pages, reached, heap->end);
	/* A heap that was trimmed meanwhile had that much more at its top. */
	if (chunks.finished)
		w->census->use[CHUNK_TOP].resident += behind;
	else
		w->census->unknown_resident += behind;
	cover(w, area, heap->start, heap->end);
}

/* The main arena */

static uint64_t word_of(const unsigned char *state, uint64_t offset)
{
	uint64_t word;

	memcpy(&word, state + offset, sizeof(word));
	return word;
}

/*
 * Whether the 2200 bytes of @state, which lie at @addr, are the arena whose heap begins at
 * @start and can grow up to @end. Programs' data has numbers enough to look like its
 * fields; but a bin that is empty links to itself, and the last one is never anything else.
 */
static bool is_main_arena(const unsigned char *state, uint64_t addr, uint64_t start, uint64_t end)
{
	uint64_t top = word_of(state, ARENA_TOP), system = word_of(state, ARENA_SYSTEM);
	uint64_t bin = addr + ARENA_LAST_BIN - CHUNK_HEADER;

	return word_of(state, ARENA_LAST_BIN) == bin && word_of(state, ARENA_LAST_BIN + 8) == bin &&
	       top >= start && top < end && !(top % 16) && system >= top - start;
}

/*
 * Looks through the initialised data of one file for the arena; 0 if it is not there.
 * From its end on: any bin that is empty looks like the last one of an arena before it.
 */
static uint64_t find_in_data(uint32_t pid, const struct smaps_entry *data, uint64_t start,
			     uint64_t end)
{
	uint64_t len = data->end - data->start;
	__cleanup_free unsigned char *buf = NULL;

	if (len > DATA_MAX || len < ARENA_BYTES)
		return 0;
	buf = xmalloc(len);
	if (!read_remote(pid, data->start, buf, len))
		return 0;
	for (uint64_t at = len - ARENA_BYTES; at < len; at -= 8)
		if (is_main_arena(buf + at, data->start + at, start, end))
			return data->start + at;
	return 0;
}

/* The C library's data, or that of a program that has it inside. */
static bool may_hold_arena(const struct smaps_entry *map, const char *program)
{
	const char *name = strrchr(map->path, '/');

	if (!map->file || !map->writable || map->shared || !name)
		return false;
	return !strncmp(name, "/libc.so", 8) || !strncmp(name, "/libc-2", 7) ||
	       !strcmp(map->path, program);
}

static uint64_t find_main_arena(struct walk *w, uint64_t start, uint64_t end)
{
	const char *program = w->maps->data[0].path;

	vec_for_each(map, w->maps) {
		uint64_t arena = may_hold_arena(map, program)
				 ? find_in_data(w->pid, map, start, end) : 0;

		if (arena)
			return arena;
	}
	return 0;
}

static void read_main(struct walk *w, size_t map, size_t maps)
{
	uint64_t start = w->maps->data[map].start, end = w->maps->data[map + maps - 1].end;
	/* It may have grown since the mappings were read, and its top with it. */
	size_t next = map + maps;
	uint64_t limit = next < w->maps->len ? w->maps->data[next].start : UINT64_MAX;
	uint64_t arena = find_main_arena(w, start, limit);
	const struct area *area = arena ? open_area(w, map, maps) : NULL;

	if (!area)
		return;
	address_vec_push(&w->arenas, arena);
	w->in_main = true;
	walk_heap(w, area, &(struct heap){ start, start, end }, arena, limit);
	w->in_main = false;
}

/* The threads' arenas */

/*
 * The bytes of a heap_info: 0x20, since glibc 2.35 0x30; the arena stands
 * right behind that of its first heap. 0 if @arena stands behind none.
 */
static uint64_t info_bytes(uint64_t arena)
{
	uint64_t offset = arena % HEAP_MAX;

	return offset == 0x20 || offset == 0x30 ? offset : 0;
}

static bool is_heap(const struct heap_info *info)
{
	return info_bytes(info->arena) && info->size >= PAGE && !(info->size % PAGE) &&
	       info->size <= info->mprotect_size && info->size <= HEAP_MAX &&
	       !(info->previous % HEAP_MAX);
}

/* The first chunk's place: behind the arena in its first heap, behind the info in others. */
static uint64_t first_chunk(const struct heap_info *info, uint64_t start)
{
	uint64_t behind = start + info_bytes(info->arena);

	if (info->arena == behind)
		behind += ARENA_BYTES;
	return (behind + 15) & ~15ull;
}

/* Whether @start begins a heap of some thread's arena; where that ends, or 0. */
static uint64_t read_thread_heap(struct walk *w, const struct area *area, uint64_t start,
				 uint64_t end)
{
	struct heap_info info;
	struct heap heap;

	if (pages_run_end(&area->pages, start) == start ||
	    !read_remote(w->pid, start, &info, sizeof(info)) || !is_heap(&info))
		return 0;
	/* It may have grown since the mappings were read. */
	heap = (struct heap){ start, first_chunk(&info, start), start + info.size };
	if (info.arena - start == info_bytes(info.arena))
		address_vec_push(&w->arenas, info.arena);
	walk_heap(w, area, &heap, info.arena, start + HEAP_MAX);
	return heap.end < end ? heap.end : end;
}

/* Chunks with a mapping of their own */

/* The bytes of the chunk that begins @addr, a page; 0 if it is none. */
static uint64_t mapped_chunk(struct walk *w, uint64_t addr, uint64_t end)
{
	uint64_t words[2];
	uint64_t size;

	if (!read_remote(w->pid, addr, words, sizeof(words)))
		return 0;
	size = words[1] & ~CHUNK_FLAGS;
	return !words[0] && (words[1] & CHUNK_FLAGS) == CHUNK_IS_MAPPED && size && !(size % PAGE) &&
	       size <= end - addr ? size : 0;
}

/* Neighbouring mappings look like one, so that both kinds may stand in a row. */
static void read_anonymous(struct walk *w, size_t map, size_t maps)
{
	uint64_t at = w->maps->data[map].start, end = w->maps->data[map + maps - 1].end;
	const struct area *area = open_area(w, map, maps);
	int strange = 0;

	while (area && at < end && strange < STRANGE_PAGES_MAX) {
		uint64_t run = pages_run_end(&area->pages, at), size, heap_end;

		if (run == at) {
			at += PAGE;
			continue;
		}
		heap_end = at % HEAP_MAX ? 0 : read_thread_heap(w, area, at, end);
		size = heap_end ? 0 : mapped_chunk(w, at, end);
		if (size) {
			tell(w, area, CHUNK_MAPPED, at, size);
			cover(w, area, at, at + size);
		}
		strange += !heap_end && !size;
		at = heap_end ? heap_end : at + (size ? size : PAGE);
	}
}

/* What is freed but looks in use */

static bool in_heap(const struct walk *w, uint64_t chunk)
{
	if (chunk % 16)
		return false;
	vec_for_each(heap, &w->heaps)
		if (chunk >= heap->first && chunk < heap->end)
			return true;
	return false;
}

/*
 * The next of a list whose link @raw stands at @at. Since glibc 2.32 links
 * are masked by their own place ("safe linking").
 */
static uint64_t unmask(const struct walk *w, uint64_t at, uint64_t raw)
{
	uint64_t plain = raw ^ at >> 12;

	return !plain || in_heap(w, plain) ? plain : raw;
}

/*
 * Follows a list of free chunks of @size, from @block (a chunk's memory), at
 * most @max; how many of them are what they should be are in @ret.
 */
static void read_chain(const struct walk *w, uint64_t block, uint64_t size, int max,
		       struct address_vec *ret)
{
	while (max-- > 0 && block && in_heap(w, block)) {
		uint64_t words[2];

		if (!read_remote(w->pid, block - 8, words, sizeof(words)) ||
		    (words[0] & ~CHUNK_FLAGS) != size)
			return;
		address_vec_push(ret, block);
		block = unmask(w, block, words[1]);
	}
}

struct tcache { uint16_t counts[TCACHE_BINS]; uint64_t entries[TCACHE_BINS]; };

/* A cache has an entry where it counts one, and nowhere else. */
static bool is_tcache(const struct walk *w, const struct tcache *tcache)
{
	for (int i = 0; i < TCACHE_BINS; i++)
		if (!tcache->counts[i] != !tcache->entries[i] ||
		    (tcache->entries[i] && !in_heap(w, tcache->entries[i])))
			return false;
	return true;
}

static void read_tcache(struct walk *w, uint64_t block)
{
	struct tcache tcache;

	if (!read_remote(w->pid, block, &tcache, sizeof(tcache)) || !is_tcache(w, &tcache))
		return;
	if (w->watcher && w->watcher->tcache)
		w->watcher->tcache(w->watcher->arg, block);
	for (int i = 0; i < TCACHE_BINS; i++) {
		__cleanup(address_vec_deinit) struct address_vec chain = { 0 };
		uint64_t size = CHUNK_MIN + 16 * (uint64_t)i;

		read_chain(w, tcache.entries[i], size, tcache.counts[i], &chain);
		vec_for_each(cached, &chain)
			tell_cached(w, CHUNK_TCACHE, *cached - CHUNK_HEADER, size);
	}
}

/* The lists of fast bins link chunks, not their memory. */
static void read_fast_bins(struct walk *w, uint64_t arena)
{
	uint64_t bins[ARENA_FAST_BINS];

	if (!read_remote(w->pid, arena + ARENA_FAST, bins, sizeof(bins)))
		return;
	for (int i = 0; i < ARENA_FAST_BINS; i++) {
		uint64_t chunk = bins[i], size = CHUNK_MIN + 16 * (uint64_t)i, words[2];

		for (int n = 0; n < CHAIN_MAX && chunk && in_heap(w, chunk); n++) {
			if (!read_remote(w->pid, chunk + 8, words, sizeof(words)) ||
			    (words[0] & ~CHUNK_FLAGS) != size)
				break;
			tell_cached(w, CHUNK_FAST, chunk, size);
			chunk = unmask(w, chunk + CHUNK_HEADER, words[1]);
		}
	}
}

enum map_kind { MAP_OTHER, MAP_HEAP, MAP_ANONYMOUS_DATA };

static enum map_kind kind_of(const struct smaps_entry *map)
{
	if (map->file || !map->writable || !map->readable || map->shared)
		return MAP_OTHER;
	if (!strcmp(map->path, "[heap]"))
		return MAP_HEAP;
	return !*map->path || !strncmp(map->path, "[anon:", 6) ? MAP_ANONYMOUS_DATA : MAP_OTHER;
}

/*
 * Vast mappings with little in them (a sanitizer's shadow, 14 TiB) are no
 * heap, and looking at each of their pages would take for ever.
 */
static bool is_vast(const struct smaps_entry_vec *maps, size_t first, size_t count)
{
	uint64_t bytes = maps->data[first + count - 1].end - maps->data[first].start, rss = 0;

	for (size_t i = first; i < first + count; i++)
		rss += (uint64_t)maps->data[i].rss;
	return bytes > VAST_BYTES && bytes / VAST_RATIO > rss;
}

/* How many mappings from @first on are of one kind and lie end to end. */
static size_t run_of(const struct smaps_entry_vec *maps, size_t first)
{
	size_t i = first + 1;

	while (i < maps->len && maps->data[i].start == maps->data[i - 1].end &&
	       kind_of(&maps->data[i]) == kind_of(&maps->data[first]))
		i++;
	return i - first;
}

static void walk_deinit(struct walk *w)
{
	vec_for_each(area, &w->areas)
		pages_deinit(&area->pages);
	area_vec_deinit(&w->areas);
	heap_vec_deinit(&w->heaps);
	address_vec_deinit(&w->arenas);
	address_vec_deinit(&w->tcaches);
	free(w);
}
DEFINE_CLEANUP(struct walk *, walk_deinit);

bool glibc_heap_read(uint32_t pid, const struct smaps_entry_vec *maps, int64_t *parts_ret,
		     const struct glibc_heap_watcher *watcher, struct glibc_heap_census *ret)
{
	__cleanup(walk_deinitp) struct walk *w = xcalloc(1, sizeof(*w));

	*ret = (struct glibc_heap_census){ 0 };
	w->pid = pid;
	w->maps = maps;
	w->parts = parts_ret;
	w->watcher = watcher;
	w->census = ret;
	memset(parts_ret, 0, maps->len * sizeof(*parts_ret));
	for (size_t i = 0, run; i < maps->len; i += run) {
		run = run_of(maps, i);
		if (is_vast(maps, i, run))
			continue;
		if (kind_of(&maps->data[i]) == MAP_HEAP)
			read_main(w, i, run);
		else if (kind_of(&maps->data[i]) == MAP_ANONYMOUS_DATA)
			read_anonymous(w, i, run);
	}
	if (watcher && watcher->end)
		watcher->end(watcher->arg);
	vec_for_each(block, &w->tcaches)
		read_tcache(w, *block);
	vec_for_each(arena, &w->arenas)
		read_fast_bins(w, *arena);
	return ret->heaps || ret->use[CHUNK_MAPPED].count;
}
