// SPDX-License-Identifier: GPL-2.0-or-later
/* Unwind tables for the BPF walker; see unwinder.h. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/log.h"
#include "base/progress.h"
#include "base/vec.h"
#include "bpf/unwind.h"
#include "capture/unwinder.h"
#include "symbol/address_space.h"
#include "symbol/object.h"
#include "symbol/unwind_cache.h"
#include "symbol/unwind_reader.h"
#include "symbol/unwind_table.h"

#define NOT_PLACED UINT32_MAX
#define SLICES_PER_SPACE 2		/* the one in use and the one before */
#define CHILDREN_SPACES 1024		/* targets at once, when they may have children */
#define CHILDREN_RANGES (1u << 16)	/* and what all of them have mapped */
#define USER_END (1ull << 47)

/* A file's table; NULL if it has no usable one. */
struct unwind_file {
	uint64_t dev, ino;
	struct unwind_table *table;
	uint32_t at;			/* in the slab, or NOT_PLACED */
	bool omitted;			/* there was no room */
	bool incomplete;		/* there is no whole table of it to be had */
};

DEFINE_VEC(unwind_file_vec, struct unwind_file);
DEFINE_VEC(unwind_range_vec, struct unwind_range);

/* Which file's code is mapped where. */
struct code { uint64_t start, end, dev, ino, offset; };

DEFINE_VEC(code_vec, struct code);

/* A part of the ranges map, which one space has to itself. */
struct slice { uint32_t first, count; };

DEFINE_VEC(slice_vec, struct slice);

/* What the walker was last told of one process. */
struct space {
	uint32_t pid;
	struct slice slice;
	struct slice old;		/* walks that began before may still read it */
	uint32_t epoch;			/* see struct unwind_space */
	struct unwind_range_vec ranges;
	struct code_vec code;
	struct unwind_space told;
	bool published;
	bool omitted;			/* there was no room for its mappings */
};

DEFINE_VEC(space_vec, struct space);

struct unwinder {
	bool frame_pointers;
	struct unwind_cache *disk;	/* owned; NULL: none */
	bool full;			/* see unwinder_want_full() */
	struct unwind_file_vec files;
	struct unwind_rules rules;
	uint32_t rules_written;
	uint32_t words_used, words_max;
	uint32_t spaces_max;
	uint32_t generation;		/* of the last publication, in any space */
	size_t omitted;
	struct space_vec spaces;
	struct slice_vec slices;	/* in use, sorted */
	uint32_t ranges_max;

	/* Of the loaded maps. */
	int ranges_fd, spaces_fd;
	uint32_t *slab;
	struct unwind_rule *rule_map;
	uint64_t *cache;
};

static struct unwind_cache *open_disk_cache(void)
{
	__cleanup_free char *dir = unwind_cache_default_dir();

	return dir ? unwind_cache_open(dir, UNWIND_CACHE_BYTES_MAX) : NULL;
}

struct unwinder *unwinder_create(bool frame_pointers, bool no_cache)
{
	struct unwinder *u = xcalloc(1, sizeof(*u));

	u->frame_pointers = frame_pointers;
	if (!frame_pointers && !no_cache)
		u->disk = open_disk_cache();
	unwind_rules_init(&u->rules);
	return u;
}

static size_t slab_bytes(const struct unwinder *u)
{
	return (size_t)u->words_max * sizeof(uint32_t);
}

void unwinder_destroy(struct unwinder *u)
{
	if (!u)
		return;
	if (u->slab)
		munmap(u->slab, slab_bytes(u));
	if (u->rule_map)
		munmap(u->rule_map, UNWIND_RULES_MAX * sizeof(*u->rule_map));
	if (u->cache)
		munmap(u->cache, UNWIND_CACHE_SIZE * sizeof(*u->cache));
	vec_for_each(file, &u->files)
		unwind_table_destroy(file->table);
	unwind_file_vec_deinit(&u->files);
	vec_for_each(space, &u->spaces) {
		unwind_range_vec_deinit(&space->ranges);
		code_vec_deinit(&space->code);
	}
	space_vec_deinit(&u->spaces);
	slice_vec_deinit(&u->slices);
	unwind_rules_deinit(&u->rules);
	unwind_cache_close(u->disk);
	free(u);
}

static struct unwind_file *find_file(struct unwinder *u, const struct object *object)
{
	vec_for_each(file, &u->files)
		if (file->dev == object->dev && file->ino == object->ino)
			return file;
	return NULL;
}

static struct unwind_file *compile(struct unwinder *u, const struct object *object)
{
	struct unwind_file *file = find_file(u, object);
	struct error *err;

	if (file)
		return file;
	file = unwind_file_vec_append(&u->files);
	*file = (struct unwind_file){ .dev = object->dev, .ino = object->ino, .at = NOT_PLACED };
	err = unwind_cache_table(u->disk, object->fd, object->build_id,
				 u->full ? UNWIND_FULL : UNWIND_CALL_SITES, u->slab,
				 &file->table);
	error_destroy(err);
	return file;
}

void unwinder_compile(struct unwinder *u, const struct address_space *as)
{
	const struct mapping_vec *mappings = address_space_mappings(as);
	struct progress progress;

	if (u->frame_pointers)
		return;
	progress_begin(&progress, "reading unwind tables");
	vec_for_each(mapping, mappings) {
		progress_update(&progress, mapping - mappings->data, mappings->len);
		compile(u, mapping->object);
	}
	progress_end(&progress);
}

void unwinder_size(const struct unwinder *u, const struct unwinder_maps *maps, uint32_t spaces,
		   bool children, uint64_t spare_bytes)
{
	uint32_t ranges = spaces * SLICES_PER_SPACE * UNWIND_RANGES_MAX;
	uint64_t words = 0;

	vec_for_each(file, &u->files)
		if (file->table)
			words += unwind_table_words(file->table);
	words = 2 * words + (u->frame_pointers ? 0 : spare_bytes / sizeof(uint32_t));
	bpf_map__set_max_entries(maps->slab, (words >> UNWIND_SLAB_SHIFT) + 1);
	bpf_map__set_max_entries(maps->ranges, ranges + (children ? CHILDREN_RANGES : 0));
	bpf_map__set_max_entries(maps->spaces, spaces + (children ? CHILDREN_SPACES : 0));
}

static void *map_array(const struct bpf_map *map, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	return p == MAP_FAILED ? NULL : p;
}

struct error *unwinder_load(struct unwinder *u, const struct unwinder_maps *maps)
{
	u->words_max = bpf_map__max_entries(maps->slab) << UNWIND_SLAB_SHIFT;
	u->spaces_max = bpf_map__max_entries(maps->spaces);
	u->ranges_max = bpf_map__max_entries(maps->ranges);
	u->ranges_fd = bpf_map__fd(maps->ranges);
	u->spaces_fd = bpf_map__fd(maps->spaces);
	u->slab = map_array(maps->slab, slab_bytes(u));
	u->rule_map = map_array(maps->rules, UNWIND_RULES_MAX * sizeof(*u->rule_map));
	u->cache = map_array(maps->cache, UNWIND_CACHE_SIZE * sizeof(*u->cache));
	if (!u->slab || !u->rule_map || !u->cache)
		return error_errno(errno, "mapping the unwind tables' memory");
	return NULL;
}

static bool has_room(const struct unwinder *u, const struct unwind_table *table)
{
	return unwind_table_words(table) <= u->words_max - u->words_used &&
	       u->rules.len + table->rules.len <= UNWIND_RULES_MAX;
}

/* Writes the table into the slab, unless it is there; false if there is no room. */
static bool place(struct unwinder *u, struct unwind_file *file)
{
	uint32_t words = unwind_table_words(file->table);

	if (file->at != NOT_PLACED)
		return true;
	if (!has_room(u, file->table))
		return false;
	file->at = u->words_used;
	u->words_used += words;
	unwind_table_place(file->table, file->at, &u->rules, u->slab + file->at);
	/* Rules before the ranges that lead to them. */
	for (; u->rules_written < u->rules.len; u->rules_written++)
		u->rule_map[u->rules_written] = u->rules.data[u->rules_written];
	return true;
}

static void add_rule_range(struct unwind_range_vec *ranges, uint64_t start, uint64_t end,
			   enum unwind_cfa cfa)
{
	unwind_range_vec_push(ranges, (struct unwind_range){
		.start = start, .end = end, .base = start, .value = cfa, .kind = RANGE_RULE });
}

static void add_object_ranges(struct unwinder *u, const struct mapping *mapping,
			      struct unwind_range_vec *ranges)
{
	struct unwind_range found[UNWIND_TABLE_RANGES_MAX];
	struct unwind_file *file = compile(u, mapping->object);
	size_t count;

	if (!file->table) {
		add_rule_range(ranges, mapping->start, mapping->end, CFA_GAP);
		return;
	}
	if (!place(u, file)) {
		u->omitted += !file->omitted;
		file->omitted = true;
		add_rule_range(ranges, mapping->start, mapping->end, CFA_GAP);
		return;
	}
	count = unwind_table_ranges(file->table, file->at, mapping->start, mapping->end,
				    mapping->bias, found);
	for (size_t i = 0; i < count; i++)
		unwind_range_vec_push(ranges, found[i]);
}

/*
 * Executable memory without a file is code that a program makes for itself, as
 * a rule with frame pointers. Memory that the kernel names in brackets is its
 * own: probes' trampolines, which the walker must not find in any range.
 */
static void collect_ranges(struct unwinder *u, const struct address_space *as,
			   struct unwind_range_vec *ranges)
{
	if (u->frame_pointers) {
		add_rule_range(ranges, 4096, USER_END, CFA_FP);
		return;
	}
	vec_for_each(region, address_space_regions(as)) {
		if (!region->current || ranges->len + UNWIND_TABLE_RANGES_MAX > UNWIND_RANGES_MAX)
			continue;
		if (region->m.object)
			add_object_ranges(u, &region->m, ranges);
		else if (!region->backing || region->backing->path[0] != '[')
			add_rule_range(ranges, region->m.start, region->m.end, CFA_FP);
	}
}

static struct space *find_space(struct unwinder *u, uint32_t pid)
{
	vec_for_each(space, &u->spaces)
		if (space->pid == pid)
			return space;
	if (u->spaces.len >= u->spaces_max)
		return NULL;
	space_vec_push(&u->spaces, (struct space){ .pid = pid });
	return &u->spaces.data[u->spaces.len - 1];
}

static bool is_generation_used(const struct unwinder *u, uint32_t generation)
{
	vec_for_each(space, &u->spaces)
		if (space->told.generation == generation)
			return true;
	return false;
}

/* Generations are never shared by two spaces; when they wrap, nothing old may be left. */
static uint32_t next_generation(struct unwinder *u)
{
	do {
		if (++u->generation == UNWIND_GENERATIONS) {
			memset(u->cache, 0, UNWIND_CACHE_SIZE * sizeof(*u->cache));
			u->generation = 1;
		}
	} while (is_generation_used(u, u->generation));
	return u->generation;
}

/* First fit between the slices in use; false if there is no room. */
static bool take_slice(struct unwinder *u, uint32_t count, struct slice *ret)
{
	uint32_t first = 0;
	size_t i = 0;

	while (i < u->slices.len && u->slices.data[i].first - first < count) {
		first = u->slices.data[i].first + u->slices.data[i].count;
		i++;
	}
	if (i == u->slices.len && u->ranges_max - first < count)
		return false;
	*ret = (struct slice){ first, count };
	slice_vec_append(&u->slices);
	memmove(&u->slices.data[i + 1], &u->slices.data[i],
		(u->slices.len - 1 - i) * sizeof(*u->slices.data));
	u->slices.data[i] = *ret;
	return true;
}

static void return_slice(struct unwinder *u, const struct slice *slice)
{
	for (size_t i = 0; slice->count && i < u->slices.len; i++) {
		if (u->slices.data[i].first != slice->first)
			continue;
		u->slices.len--;
		memmove(&u->slices.data[i], &u->slices.data[i + 1],
			(u->slices.len - i) * sizeof(*u->slices.data));
		return;
	}
}

static struct error *write_slice(const struct unwinder *u, uint32_t first,
				 const struct unwind_range_vec *ranges)
{
	for (uint32_t i = 0; i < ranges->len; i++) {
		uint32_t key = first + i;

		if (bpf_map_update_elem(u->ranges_fd, &key, &ranges->data[i], BPF_ANY))
			return error_errno(errno, "handing mappings to the kernel");
	}
	return NULL;
}

static void collect_code(const struct address_space *as, struct code_vec *ret)
{
	vec_for_each(m, address_space_mappings(as))
		code_vec_push(ret, (struct code){ m->start, m->end, m->object->dev,
						  m->object->ino, m->file_offset });
}

/* Whether a file's code that was there is no longer; both are sorted by start. */
static bool has_vanished(const struct code_vec *before, const struct code_vec *now)
{
	size_t at = 0;

	vec_for_each(old, before) {
		while (at < now->len && now->data[at].start < old->start)
			at++;
		if (at == now->len || memcmp(&now->data[at], old, sizeof(*old)))
			return true;
	}
	return false;
}

struct error *unwinder_publish(struct unwinder *u, uint32_t pid, const struct address_space *as)
{
	struct unwind_range_vec ranges __cleanup(unwind_range_vec_deinit) = { 0 };
	struct code_vec code __cleanup(code_vec_deinit) = { 0 };
	struct space *space = find_space(u, pid);
	struct unwind_space value;
	struct slice slice;
	struct error *err;

	if (!space) {
		u->omitted++;
		return NULL;
	}
	collect_ranges(u, as, &ranges);
	if (space->published && ranges.len == space->ranges.len &&
	    !memcmp(ranges.data, space->ranges.data, ranges.len * sizeof(*ranges.data)))
		return NULL;
	collect_code(as, &code);
	if (has_vanished(&space->code, &code))
		space->epoch++;
	/* A new slice beside the old one, then one step to it. */
	return_slice(u, &space->old);
	space->old = (struct slice){ 0 };
	if (!take_slice(u, ranges.len + !ranges.len, &slice)) {
		u->omitted += !space->omitted;
		space->omitted = true;
		return NULL;
	}
	value = (struct unwind_space){
		.first = slice.first,
		.count = ranges.len,
		.generation = next_generation(u),
		.epoch = space->epoch,
	};
	err = write_slice(u, value.first, &ranges);
	if (err)
		return err;
	if (bpf_map_update_elem(u->spaces_fd, &pid, &value, BPF_ANY))
		return error_errno(errno, "handing mappings to the kernel");
	unwind_range_vec_deinit(&space->ranges);
	space->ranges = ranges;
	ranges = (struct unwind_range_vec){ 0 };
	code_vec_deinit(&space->code);
	space->code = code;
	code = (struct code_vec){ 0 };
	space->old = space->slice;
	space->slice = slice;
	space->told = value;
	space->published = true;
	return NULL;
}

uint32_t unwinder_generation(const struct unwinder *u)
{
	return u->generation;
}

void unwinder_want_full(struct unwinder *u)
{
	u->full = true;
}

/* The old table stays in the slab: walks under way may be reading it. */
bool unwinder_complete(struct unwinder *u, const struct address_space *as, uint64_t pc)
{
	const struct mapping *mapping = address_space_find(as, pc);
	struct unwind_file *file = mapping ? find_file(u, mapping->object) : NULL;
	__cleanup(unwind_table_destroyp) struct unwind_table *table = NULL;

	if (!file || !file->table || file->incomplete || file->table->kind == UNWIND_FULL)
		return false;
	error_destroy(unwind_read(mapping->object->fd, UNWIND_FULL, true, &table));
	file->incomplete = !table || !has_room(u, table);
	if (file->incomplete)
		return false;
	unwind_table_destroy(file->table);
	file->table = steal_ptr(table);
	file->at = NOT_PLACED;
	return true;
}

bool unwinder_tables(struct unwinder *u, uint32_t pid, struct walk_tables *ret)
{
	const struct space *space = find_space(u, pid);

	if (!space || !space->told.generation)
		return false;
	*ret = (struct walk_tables){
		.slab = u->slab,
		.words = u->words_used,
		.rules = u->rules.data,
		.rules_count = u->rules.len,
		.ranges = space->ranges.data,
		.space = space->told,
	};
	return true;
}

void unwinder_forget(struct unwinder *u, uint32_t pid)
{
	struct space *space = find_space(u, pid);

	if (space)
		space->published = false;
}

void unwinder_drop(struct unwinder *u, uint32_t pid)
{
	for (size_t i = 0; i < u->spaces.len; i++) {
		struct space *space = &u->spaces.data[i];

		if (space->pid != pid)
			continue;
		return_slice(u, &space->old);
		return_slice(u, &space->slice);
		unwind_range_vec_deinit(&space->ranges);
		code_vec_deinit(&space->code);
		*space = u->spaces.data[--u->spaces.len];
		bpf_map_delete_elem(u->spaces_fd, &pid);
		return;
	}
}

size_t unwinder_omitted(const struct unwinder *u)
{
	return u->omitted;
}
