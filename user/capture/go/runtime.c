// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading a Go runtime's books; see runtime.h. The formulas are those of the
 * runtime's mstats.go (readmemstats_m) and mgcpacer.go, the same from 1.19 on.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/uio.h>

#include "base/vec.h"
#include "bpf/go.h"
#include "capture/go/runtime.h"
#include "symbol/go/reader.h"
#include "symbol/object.h"
#include "symbol/symbolizer.h"

#define STATS_BYTES 7720	/* of runtime.memstats, as far as anything is read */
#define PACER_BYTES 360
#define DELTAS 3
#define SPAN_CLASSES (2 * GO_SIZE_CLASSES)
#define CACHE_BYTES (64 + SPAN_CLASSES * 8)
#define SPAN_BYTES 168
#define PROCESSORS_MAX 65536
#define READ_TRIES 8		/* until no field changed while others were read */
#define PROOF_TRIES 40
#define PROOF_SPANS 64

#define PAGE_SHIFT 13
#define PAGES_PER_ARENA 8192
#define ARENA_SHIFT 26
#ifdef __aarch64__
#define ARENA_BASE 0ull
#else
#define ARENA_BASE 0xffff800000000000ull
#endif
#define ARENAS_MAX (1ull << 22)
#define SPAN_IN_USE 1

struct cache { uint8_t bytes[CACHE_BYTES]; };
struct span { uint8_t bytes[SPAN_BYTES]; };

DEFINE_VEC(iovec_vec, struct iovec);
DEFINE_VEC(address_vec, uint64_t);
DEFINE_VEC(cache_vec, struct cache);
DEFINE_VEC(span_vec, struct span);
DEFINE_VEC(slot_vec, int);

/* What is read together; kept between reads for its memory. */
struct books {
	uint8_t stats[STATS_BYTES], stats_after[STATS_BYTES];
	uint8_t pacer[PACER_BYTES];
	uint64_t spanalloc_inuse, cachealloc_inuse;
	uint64_t allspans[2], allp[2];	/* pointer, length */
	uint64_t arenas;
	struct address_vec processors, cache_addresses;
	struct cache_vec caches;
	struct span_vec spans;
	struct slot_vec classes;	/* of spans, by position */
};

struct go_runtime {
	uint32_t pid;
	uint64_t bias;
	struct object *object;
	struct go_binary *binary;
	const struct go_layout *layout;	/* NULL: not proven yet */
	struct iovec_vec local, remote;
	struct books books;
};

/* --- reading --- */

static void want(struct go_runtime *go, uint64_t address, void *buf, size_t len)
{
	iovec_vec_push(&go->local, (struct iovec){ buf, len });
	iovec_vec_push(&go->remote, (struct iovec){ (void *)(uintptr_t)address, len });
}

/* All that was wanted, in as few calls as there are limits. */
static bool fetch(struct go_runtime *go)
{
	bool ok = true;

	for (size_t i = 0; i < go->local.len && ok; i += IOV_MAX) {
		size_t n = go->local.len - i < IOV_MAX ? go->local.len - i : IOV_MAX;
		ssize_t bytes = 0;

		for (size_t k = i; k < i + n; k++)
			bytes += (ssize_t)go->local.data[k].iov_len;
		ok = process_vm_readv((pid_t)go->pid, go->local.data + i, n,
				      go->remote.data + i, n, 0) == bytes;
	}
	go->local.len = go->remote.len = 0;
	return ok;
}

static uint64_t variable(const struct go_runtime *go, enum go_variable variable)
{
	return go->binary->variables[variable] + go->bias;
}

static uint64_t word(const uint8_t *base, int32_t offset)
{
	uint64_t value = 0;

	if (offset >= 0)
		memcpy(&value, base + offset, sizeof(value));
	return value;
}

static uint32_t half(const uint8_t *base, int32_t offset)
{
	uint32_t value;

	memcpy(&value, base + offset, sizeof(value));
	return value;
}

static uint16_t quarter(const uint8_t *base, int32_t offset)
{
	uint16_t value;

	memcpy(&value, base + offset, sizeof(value));
	return value;
}

static void want_heads(struct go_runtime *go, const struct go_layout *l)
{
	struct books *b = &go->books;
	uint64_t mheap = variable(go, GO_MHEAP);

	want(go, variable(go, GO_MEMSTATS), b->stats, sizeof(b->stats));
	want(go, variable(go, GO_CONTROLLER), b->pacer, sizeof(b->pacer));
	want(go, mheap + l->mheap_spanalloc + l->fixalloc_inuse, &b->spanalloc_inuse, 8);
	want(go, mheap + l->mheap_cachealloc + l->fixalloc_inuse, &b->cachealloc_inuse, 8);
	want(go, mheap + l->mheap_allspans, b->allspans, sizeof(b->allspans));
	want(go, mheap + l->mheap_arenas, &b->arenas, sizeof(b->arenas));
	want(go, variable(go, GO_ALLP), b->allp, sizeof(b->allp));
}

/* The caches of all Ps, in which allocations lie that no statistics have yet. */
static bool read_caches(struct go_runtime *go, const struct go_layout *l)
{
	struct books *b = &go->books;
	size_t count = b->allp[1];

	if (!count || count > PROCESSORS_MAX)
		return false;
	b->processors.len = b->cache_addresses.len = b->caches.len = 0;
	address_vec_reserve(&b->processors, count);
	address_vec_reserve(&b->cache_addresses, count);
	cache_vec_reserve(&b->caches, count);
	want(go, b->allp[0], b->processors.data, count * sizeof(uint64_t));
	if (!fetch(go))
		return false;
	b->processors.len = b->cache_addresses.len = count;
	for (size_t i = 0; i < count; i++)
		want(go, b->processors.data[i] + l->p_mcache, &b->cache_addresses.data[i], 8);
	if (!fetch(go))
		return false;
	vec_for_each(address, &b->cache_addresses)
		if (*address)
			want(go, *address, cache_vec_append(&b->caches), sizeof(struct cache));
	return fetch(go);
}

/* Most slots of a cache hold the same empty span, which counts nothing. */
static bool read_spans(struct go_runtime *go, const struct go_layout *l)
{
	struct books *b = &go->books;
	uint64_t before = 0;

	b->spans.len = b->classes.len = 0;
	span_vec_reserve(&b->spans, b->caches.len * SPAN_CLASSES);
	vec_for_each(cache, &b->caches) {
		for (int i = 0; i < SPAN_CLASSES; i++) {
			uint64_t address = word(cache->bytes, l->mcache_alloc + i * 8);

			if (!address || address == before)
				continue;
			before = address;
			want(go, address, span_vec_append(&b->spans), (size_t)l->span_size);
			slot_vec_push(&b->classes, i / 2);
		}
	}
	want(go, variable(go, GO_MEMSTATS), b->stats_after, sizeof(b->stats_after));
	return fetch(go);
}

/* Whether all of it is of one moment; if not, it is of a few microseconds. */
static bool is_whole(const struct books *b)
{
	return !memcmp(b->stats, b->stats_after, sizeof(b->stats));
}

enum outcome { READ_FAILED, READ_TORN, READ_WHOLE };

static enum outcome read_books(struct go_runtime *go, const struct go_layout *l)
{
	want_heads(go, l);
	if (!fetch(go) || !read_caches(go, l) || !read_spans(go, l))
		return READ_FAILED;
	return is_whole(&go->books) ? READ_WHOLE : READ_TORN;
}

/* --- sums --- */

static uint64_t delta(const struct books *b, const struct go_layout *l, int32_t field)
{
	uint64_t sum = 0;

	for (int i = 0; field >= 0 && i < DELTAS; i++)
		sum += word(b->stats, i * l->delta_size + field);
	return sum;
}

struct sums { uint64_t bytes, count; };

/* What the statistics have, without what still lies in caches. */
static struct sums counted(const struct books *b, const struct go_layout *l, int32_t large,
			   int32_t large_count, int32_t small_count)
{
	struct sums sums = { delta(b, l, large), delta(b, l, large_count) };

	for (int i = 0; i < GO_SIZE_CLASSES; i++) {
		uint64_t n = delta(b, l, small_count + i * 8);

		sums.count += n;
		sums.bytes += n * go_class_sizes[i];
	}
	return sums;
}

static struct sums allocated(const struct books *b, const struct go_layout *l)
{
	return counted(b, l, l->delta_large_alloc, l->delta_large_alloc_count,
		       l->delta_small_alloc_count);
}

static struct sums freed(const struct books *b, const struct go_layout *l)
{
	return counted(b, l, l->delta_large_free, l->delta_large_free_count,
		       l->delta_small_free_count);
}

/* What was taken out of a span since it is cached; read torn, it may be negative. */
static int64_t used_slots(const uint8_t *span, const struct go_layout *l)
{
	return (int16_t)(quarter(span, l->span_alloc_count) -
			 quarter(span, l->span_count_before_cache));
}

static struct sums cached(const struct books *b, const struct go_layout *l)
{
	struct sums sums = { 0 };

	for (size_t i = 0; i < b->spans.len; i++) {
		const uint8_t *span = b->spans.data[i].bytes;
		uint64_t used = (uint64_t)used_slots(span, l);

		sums.count += used;
		sums.bytes += used * go_class_sizes[b->classes.data[i]];
	}
	return sums;
}

static uint64_t cached_tiny(const struct books *b, const struct go_layout *l)
{
	uint64_t sum = 0;

	vec_for_each(cache, &b->caches)
		sum += word(cache->bytes, l->mcache_tiny_allocs);
	return sum;
}

/* --- the heap's goal, as gcControllerState.heapGoalInternal() has it --- */

#define HEADROOM_MIN (1u << 20)
#define HEADROOM_PERCENT 3	/* since 1.21 */
#define RUNWAY_MIN (64u << 10)

static uint64_t limit_goal(const uint8_t *p, const struct go_layout *l)
{
	uint64_t free_bytes = word(p, l->pacer_heap_free);
	uint64_t alloc = word(p, l->pacer_total_alloc) - word(p, l->pacer_total_free);
	uint64_t ready = word(p, l->pacer_mapped_ready), limit = word(p, l->pacer_memory_limit);
	uint64_t marked = word(p, l->pacer_heap_marked);
	uint64_t other = ready - free_bytes - alloc;
	uint64_t overage = ready > limit ? ready - limit : 0;
	uint64_t goal, headroom = HEADROOM_MIN;

	if (other + overage >= limit)
		return marked;
	goal = limit - (other + overage);
	if (l->minor > 19 && goal / 100 * HEADROOM_PERCENT > headroom)
		headroom = goal / 100 * HEADROOM_PERCENT;
	goal = goal < 2 * headroom ? headroom : goal - headroom;
	return goal < marked ? marked : goal;
}

static uint64_t heap_goal(const uint8_t *p, const struct go_layout *l)
{
	uint64_t goal = word(p, l->pacer_percent_goal), by_limit = limit_goal(p, l);
	uint64_t triggered = word(p, l->pacer_triggered);

	if (by_limit < goal)
		return by_limit;
	if (word(p, l->pacer_sweep_min_trigger) > goal)
		goal = word(p, l->pacer_sweep_min_trigger);
	if (triggered != UINT64_MAX && goal < triggered + RUNWAY_MIN)
		goal = triggered + RUNWAY_MIN;
	return goal;
}

/* --- the figures --- */

static void fill_heap(const struct books *b, const struct go_layout *l,
		      struct runtime_figures *f)
{
	struct sums in = allocated(b, l), out = freed(b, l), cache = cached(b, l);
	uint64_t tiny = delta(b, l, l->delta_tiny_count) + cached_tiny(b, l);
	const uint8_t *p = b->pacer;

	f->TotalAlloc = (int64_t)(in.bytes + cache.bytes);
	f->HeapAlloc = f->TotalAlloc - (int64_t)out.bytes;
	f->Mallocs = (int64_t)(in.count + cache.count + tiny);
	f->Frees = (int64_t)(out.count + tiny);
	f->HeapObjects = f->Mallocs - f->Frees;
	f->HeapInuse = (int64_t)word(p, l->pacer_heap_in_use);
	f->HeapReleased = (int64_t)word(p, l->pacer_heap_released);
	f->HeapIdle = (int64_t)word(p, l->pacer_heap_free) + f->HeapReleased;
	f->HeapSys = f->HeapInuse + f->HeapIdle;
}

static void fill_collector(const struct books *b, const struct go_layout *l,
			   struct runtime_figures *f)
{
	uint64_t limit = word(b->pacer, l->pacer_memory_limit);

	f->NextGC = (int64_t)heap_goal(b->pacer, l);
	f->GOGC = (int32_t)half(b->pacer, l->pacer_gc_percent);
	f->MemoryLimit = limit >= INT64_MAX ? RUNTIME_NO_LIMIT : (int64_t)limit;
	f->HeapMarked = (int64_t)word(b->pacer, l->pacer_heap_marked);
	f->StackScan = (int64_t)word(b->pacer, l->pacer_stack_scan);
	f->GlobalsScan = (int64_t)word(b->pacer, l->pacer_globals_scan);
	f->NumGC = half(b->stats, l->stats_numgc);
	f->NumForcedGC = half(b->stats, l->stats_numforcedgc);
	f->PauseTotalNs = (int64_t)word(b->stats, l->stats_pause_total_ns);
	f->LastGC = (int64_t)word(b->stats, l->stats_last_gc_unix);
	memcpy(&f->GCCPUFraction, b->stats + l->stats_gc_cpu_fraction, sizeof(f->GCCPUFraction));
}

static void fill_system(const struct books *b, const struct go_layout *l,
			struct runtime_figures *f)
{
	f->StackInuse = (int64_t)delta(b, l, l->delta_in_stacks);
	f->StackSys = f->StackInuse + (int64_t)word(b->stats, l->stats_stacks_sys);
	f->MSpanInuse = (int64_t)b->spanalloc_inuse;
	f->MSpanSys = (int64_t)word(b->stats, l->stats_mspan_sys);
	f->MCacheInuse = (int64_t)b->cachealloc_inuse;
	f->MCacheSys = (int64_t)word(b->stats, l->stats_mcache_sys);
	f->BuckHashSys = (int64_t)word(b->stats, l->stats_buckhash_sys);
	f->GCSys = (int64_t)(word(b->stats, l->stats_gc_misc_sys) +
			     delta(b, l, l->delta_in_work_bufs) +
			     delta(b, l, l->delta_in_ptr_bits));
	f->OtherSys = (int64_t)word(b->stats, l->stats_other_sys);
	f->Sys = f->HeapSys + f->StackSys + f->MSpanSys + f->MCacheSys + f->BuckHashSys +
		 f->GCSys + f->OtherSys;
}

/* --- the proof --- */

static bool holds_in_statistics(const struct books *b, const struct go_layout *l)
{
	uint64_t in_heap = delta(b, l, l->delta_in_heap);
	uint64_t committed = delta(b, l, l->delta_committed) - delta(b, l, l->delta_in_stacks) -
			     delta(b, l, l->delta_in_work_bufs) -
			     delta(b, l, l->delta_in_ptr_bits);
	const uint8_t *p = b->pacer;

	return in_heap && in_heap == word(p, l->pacer_heap_in_use) &&
	       delta(b, l, l->delta_released) == word(p, l->pacer_heap_released) &&
	       committed == word(p, l->pacer_heap_in_use) + word(p, l->pacer_heap_free) &&
	       allocated(b, l).bytes == word(p, l->pacer_total_alloc) &&
	       freed(b, l).bytes == word(p, l->pacer_total_free);
}

static bool holds_in_processors(struct go_runtime *go, const struct go_layout *l)
{
	struct books *b = &go->books;
	size_t count = b->processors.len;
	__cleanup_free int32_t *ids = xcalloc(count, sizeof(*ids));

	for (size_t i = 0; i < count; i++)
		want(go, b->processors.data[i] + l->p_id, &ids[i], sizeof(*ids));
	if (!fetch(go))
		return false;
	for (size_t i = 0; i < count; i++)
		if (ids[i] != (int32_t)i)
			return false;
	return b->caches.len > 0;
}

/* Whether the heap's map of pages leads back to the span. */
static bool is_mapped(struct go_runtime *go, const struct go_layout *l, uint64_t span,
		      uint64_t start)
{
	uint64_t index = (start - ARENA_BASE) >> ARENA_SHIFT, arena = 0, found = 0;
	uint64_t page = (start >> PAGE_SHIFT) % PAGES_PER_ARENA;

	if (index >= ARENAS_MAX)
		return false;
	want(go, go->books.arenas + index * 8, &arena, sizeof(arena));
	if (!fetch(go) || !arena)
		return false;
	want(go, arena + (uint64_t)l->arena_spans + page * 8, &found, sizeof(found));
	return fetch(go) && found == span;
}

static bool is_sound(const struct span *s, const struct go_layout *l)
{
	uint64_t elements = go_layout_nelems_size(l) == 2 ? quarter(s->bytes, l->span_nelems) :
							    word(s->bytes, l->span_nelems);
	uint64_t bytes = word(s->bytes, l->span_npages) << PAGE_SHIFT;
	uint64_t size = word(s->bytes, l->span_elemsize);

	return elements && size && elements <= bytes / size &&
	       quarter(s->bytes, l->span_alloc_count) <= elements;
}

static bool holds_in_spans(struct go_runtime *go, const struct go_layout *l)
{
	uint64_t count = go->books.allspans[1] < PROOF_SPANS ? go->books.allspans[1] : PROOF_SPANS;
	uint64_t addresses[PROOF_SPANS];
	int proven = 0;

	want(go, go->books.allspans[0], addresses, count * sizeof(*addresses));
	if (!count || !fetch(go))
		return false;
	for (uint64_t i = 0; i < count; i++) {
		struct span span;

		want(go, addresses[i], &span, (size_t)l->span_size);
		if (!fetch(go))
			return false;
		if (span.bytes[l->span_state] != SPAN_IN_USE)
			continue;
		if (!is_sound(&span, l) ||
		    !is_mapped(go, l, addresses[i], word(span.bytes, l->span_start)))
			return false;
		proven++;
	}
	return proven > 0;
}

static bool proves(struct go_runtime *go, const struct go_layout *l)
{
	for (int i = 0; i < PROOF_TRIES; i++)
		if (read_books(go, l) != READ_FAILED && holds_in_statistics(&go->books, l) &&
		    holds_in_processors(go, l) && holds_in_spans(go, l))
			return true;
	return false;
}

/* The program is being started until all of its Ps are there. */
static bool has_begun(struct go_runtime *go)
{
	uint64_t allp[2] = { 0 }, last = 0;

	want(go, variable(go, GO_ALLP), allp, sizeof(allp));
	if (!fetch(go) || !allp[1] || allp[1] > PROCESSORS_MAX)
		return false;
	want(go, allp[0] + (allp[1] - 1) * sizeof(last), &last, sizeof(last));
	return fetch(go) && last;
}

/* How long what is read of each structure is, and arrays in there. */
static bool is_within(const char *field, int32_t offset, int32_t delta_size)
{
	const struct { const char *field; int32_t room; } rooms[] = {
		{ "stats_pause_ns", STATS_BYTES - GO_PAUSES * 8 },
		{ "stats_pause_end", STATS_BYTES - GO_PAUSES * 8 },
		{ "stats_", STATS_BYTES - 8 },
		{ "delta_size", STATS_BYTES / DELTAS },
		{ "delta_small_", delta_size - GO_SIZE_CLASSES * 8 },
		{ "delta_", delta_size - 8 },
		{ "pacer_", PACER_BYTES - 8 },
		{ "mcache_alloc", CACHE_BYTES - SPAN_CLASSES * 8 },
		{ "mcache_", CACHE_BYTES - 8 },
		{ "span_size", SPAN_BYTES },
		{ "span_", GO_SPAN_READ - 8 },
	};

	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++)
		if (!strncmp(field, rooms[i].field, strlen(rooms[i].field)))
			return offset <= rooms[i].room;
	return true;
}

/* What a program's own debug data says may be anything. */
static bool is_readable(const struct go_layout *l)
{
	return l->span_size >= GO_SPAN_READ && l->delta_size > 0 &&
#define X(field, ...) is_within(#field, l->field, l->delta_size) &&
	       GO_LAYOUT_OF_BOTH(X)
#undef X
	       true;
}

static const struct go_layout *known_layout(unsigned int minor)
{
	for (int i = 0; i < GO_VERSIONS; i++)
		if (go_layouts[i].minor == minor)
			return &go_layouts[i];
	return NULL;
}

/* How far the layout of that number is from a version. */
static unsigned int distance(unsigned int minor, int i)
{
	return minor > go_layouts[i].minor ? minor - go_layouts[i].minor :
					     go_layouts[i].minor - minor;
}

/*
 * Of a version that is not in the table, the neighbours', the nearest first; of one
 * that does not say which it is, the newest first.
 */
static const struct go_layout *fitting_neighbour(struct go_runtime *go)
{
	unsigned int minor = go->binary->minor ? go->binary->minor : UINT_MAX;
	bool tried[GO_VERSIONS] = { false };

	for (int n = 0; n < GO_VERSIONS; n++) {
		int nearest = -1;

		for (int i = GO_VERSIONS; i-- > 0;)
			if (!tried[i] &&
			    (nearest < 0 || distance(minor, i) < distance(minor, nearest)))
				nearest = i;
		if (proves(go, &go_layouts[nearest]))
			return &go_layouts[nearest];
		tried[nearest] = true;
	}
	return NULL;
}

static const struct go_layout *fitting_layout(struct go_runtime *go)
{
	const struct go_layout *own = &go->binary->layout;
	const struct go_layout *known = known_layout(go->binary->minor);

	if (go->binary->has_layout && is_readable(own) && proves(go, own))
		return own;
	if (known)
		return proves(go, known) ? known : NULL;
	return fitting_neighbour(go);
}

static struct error *prove(struct go_runtime *go)
{
	if (!has_begun(go))
		return error_create(ERROR_GONE, "its Go runtime (%s) has not begun or has ended",
				    go->binary->version);
	go->layout = fitting_layout(go);
	if (go->layout)
		return NULL;
	return error_create(ERROR_UNSUPPORTED,
			    "a Go program (%s) whose runtime cannot be read: it is laid out as "
			    "no version that is known (1.%u to 1.%u), and no debug data says how",
			    go->binary->version, go_layouts[0].minor,
			    go_layouts[GO_VERSIONS - 1].minor);
}

struct error *go_runtime_read(struct go_runtime *go, struct runtime_figures *ret)
{
	struct error *err = go->layout ? NULL : prove(go);
	enum outcome outcome = READ_TORN;

	if (err)
		return err;
	for (int i = 0; i < READ_TRIES && outcome == READ_TORN; i++)
		outcome = read_books(go, go->layout);
	if (outcome == READ_FAILED)
		return error_create(ERROR_GONE, "process %u has no Go runtime any more", go->pid);
	fill_heap(&go->books, go->layout, ret);
	fill_collector(&go->books, go->layout, ret);
	fill_system(&go->books, go->layout, ret);
	return NULL;
}

/* --- life --- */

static struct error *open_binary(const struct address_space *as, struct go_binary **binary,
				 struct object **object, uint64_t *bias)
{
	const struct object *before = NULL;

	vec_for_each(mapping, address_space_mappings(as)) {
		struct error *err;

		if (mapping->object == before)
			continue;
		before = mapping->object;
		err = go_binary_read(mapping->object->fd, mapping->object->path, binary);
		if (err || *binary) {
			*bias = mapping->bias;
			*object = mapping->object;
			return err;
		}
	}
	return NULL;
}

struct error *go_runtime_open(uint32_t pid, const struct address_space *as,
			      struct go_runtime **ret)
{
	struct go_binary *binary = NULL;
	struct object *object = NULL;
	uint64_t bias = 0;
	struct error *err = open_binary(as, &binary, &object, &bias);

	*ret = NULL;
	if (err || !binary)
		return err;
	*ret = xcalloc(1, sizeof(**ret));
	(*ret)->pid = pid;
	(*ret)->bias = bias;
	(*ret)->object = object_ref(object);
	(*ret)->binary = binary;
	return NULL;
}

void go_runtime_close(struct go_runtime *go)
{
	if (!go)
		return;
	go_binary_close(go->binary);
	object_destroy(go->object);
	iovec_vec_deinit(&go->local);
	iovec_vec_deinit(&go->remote);
	address_vec_deinit(&go->books.processors);
	address_vec_deinit(&go->books.cache_addresses);
	cache_vec_deinit(&go->books.caches);
	span_vec_deinit(&go->books.spans);
	slot_vec_deinit(&go->books.classes);
	free(go);
}

const char *go_runtime_version(const struct go_runtime *go)
{
	return go->binary->version;
}

uint32_t go_runtime_pid(const struct go_runtime *go)
{
	return go->pid;
}

const struct go_binary *go_runtime_binary(const struct go_runtime *go)
{
	return go->binary;
}

uint64_t go_runtime_bias(const struct go_runtime *go)
{
	return go->bias;
}

const struct go_layout *go_runtime_layout(const struct go_runtime *go)
{
	return go->layout;
}

uint64_t go_runtime_arenas(const struct go_runtime *go)
{
	return go->books.arenas;
}

const struct object *go_runtime_object(const struct go_runtime *go)
{
	return go->object;
}

void go_runtime_sizes(const struct go_runtime *go, struct runtime_size ret[GO_SIZE_CLASSES])
{
	const struct go_layout *l = go->layout;
	const struct books *b = &go->books;

	for (int i = 0; i < GO_SIZE_CLASSES; i++)
		ret[i] = (struct runtime_size){
			.Size = go_class_sizes[i],
			.Mallocs = (int64_t)delta(b, l, l->delta_small_alloc_count + i * 8),
			.Frees = (int64_t)delta(b, l, l->delta_small_free_count + i * 8),
		};
	for (size_t i = 0; i < b->spans.len; i++)
		ret[b->classes.data[i]].Mallocs += used_slots(b->spans.data[i].bytes, l);
}

void go_runtime_allocated(const struct go_runtime *go, uint64_t ret[GO_SIZE_CLASSES])
{
	const struct go_layout *l = go->layout;
	const struct books *b = &go->books;
	struct runtime_size sizes[GO_SIZE_CLASSES];

	go_runtime_sizes(go, sizes);
	ret[0] = delta(b, l, l->delta_large_alloc);
	for (int i = 1; i < GO_SIZE_CLASSES; i++)
		ret[i] = (uint64_t)(sizes[i].Mallocs * sizes[i].Size);
}


/* The last collection's but @back in one of the rings; 0: not in there. */
static uint64_t of_collection(const struct go_runtime *go, int32_t ring, unsigned int back)
{
	uint32_t count = half(go->books.stats, go->layout->stats_numgc);

	if (back >= count || back >= GO_PAUSES)
		return 0;
	return word(go->books.stats, ring + (int32_t)((count - 1 - back) % GO_PAUSES) * 8);
}

uint64_t go_runtime_collected_ns(const struct go_runtime *go, unsigned int back)
{
	return of_collection(go, go->layout->stats_pause_end, back);
}

uint64_t go_runtime_pause_ns(const struct go_runtime *go, unsigned int back)
{
	return of_collection(go, go->layout->stats_pause_ns, back);
}

void go_runtime_pretend(struct go_runtime *go, unsigned int minor)
{
	go->binary->minor = minor;
	go->layout = NULL;
}
