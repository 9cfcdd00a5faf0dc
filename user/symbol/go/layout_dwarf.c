// SPDX-License-Identifier: GPL-2.0-or-later
/* Structures of the Go runtime in DWARF; see layout_dwarf.h. */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdint.h>
#include <string.h>

#include "symbol/dwarf_safe.h"
#include "symbol/go/layout_dwarf.h"

#define OFFSET_MAX (64u << 20)	/* of any field in any structure */
#define ALIASES_MAX 8		/* of a type, in a row */

/*
 * X(field of struct go_layout, structure, the field's path in there): the size of the
 * structure where there is no path.
 */
#define MEMBERS(X)							\
	X(stats_gen, "mstats", "heapStats.gen")				\
	X(stats_stacks_sys, "mstats", "stacks_sys")			\
	X(stats_mspan_sys, "mstats", "mspan_sys")			\
	X(stats_mcache_sys, "mstats", "mcache_sys")			\
	X(stats_buckhash_sys, "mstats", "buckhash_sys")			\
	X(stats_gc_misc_sys, "mstats", "gcMiscSys")			\
	X(stats_other_sys, "mstats", "other_sys")			\
	X(stats_last_gc_unix, "mstats", "last_gc_unix")			\
	X(stats_pause_total_ns, "mstats", "pause_total_ns")		\
	X(stats_pause_ns, "mstats", "pause_ns")				\
	X(stats_pause_end, "mstats", "pause_end")			\
	X(stats_numgc, "mstats", "numgc")				\
	X(stats_numforcedgc, "mstats", "numforcedgc")			\
	X(stats_gc_cpu_fraction, "mstats", "gc_cpu_fraction")		\
	X(delta_size, "heapStatsDelta", "")				\
	X(delta_committed, "heapStatsDelta", "committed")		\
	X(delta_released, "heapStatsDelta", "released")			\
	X(delta_in_heap, "heapStatsDelta", "inHeap")			\
	X(delta_in_stacks, "heapStatsDelta", "inStacks")		\
	X(delta_in_work_bufs, "heapStatsDelta", "inWorkBufs")		\
	X(delta_in_ptr_bits, "heapStatsDelta", "inPtrScalarBits")	\
	X(delta_tiny_count, "heapStatsDelta", "tinyAllocCount")		\
	X(delta_large_alloc, "heapStatsDelta", "largeAlloc")		\
	X(delta_large_alloc_count, "heapStatsDelta", "largeAllocCount")	\
	X(delta_small_alloc_count, "heapStatsDelta", "smallAllocCount")	\
	X(delta_large_free, "heapStatsDelta", "largeFree")		\
	X(delta_large_free_count, "heapStatsDelta", "largeFreeCount")	\
	X(delta_small_free_count, "heapStatsDelta", "smallFreeCount")	\
	X(pacer_gc_percent, "gcControllerState", "gcPercent")		\
	X(pacer_memory_limit, "gcControllerState", "memoryLimit")	\
	X(pacer_percent_goal, "gcControllerState", "gcPercentHeapGoal")	\
	X(pacer_sweep_min_trigger, "gcControllerState", "sweepDistMinTrigger") \
	X(pacer_triggered, "gcControllerState", "triggered")		\
	X(pacer_heap_live, "gcControllerState", "heapLive")		\
	X(pacer_stack_scan, "gcControllerState", "lastStackScan")	\
	X(pacer_globals_scan, "gcControllerState", "globalsScan")	\
	X(pacer_heap_marked, "gcControllerState", "heapMarked")		\
	X(pacer_heap_in_use, "gcControllerState", "heapInUse")		\
	X(pacer_heap_released, "gcControllerState", "heapReleased")	\
	X(pacer_heap_free, "gcControllerState", "heapFree")		\
	X(pacer_total_alloc, "gcControllerState", "totalAlloc")		\
	X(pacer_total_free, "gcControllerState", "totalFree")		\
	X(pacer_mapped_ready, "gcControllerState", "mappedReady")	\
	X(mheap_allspans, "mheap", "allspans")				\
	X(mheap_arenas, "mheap", "arenas")				\
	X(mheap_spanalloc, "mheap", "spanalloc")			\
	X(mheap_cachealloc, "mheap", "cachealloc")			\
	X(fixalloc_inuse, "fixalloc", "inuse")				\
	X(arena_spans, "heapArena", "spans")				\
	X(arena_inline_marks, "heapArena", "pageUseSpanInlineMarkBits")	\
	X(span_size, "mspan", "")					\
	X(span_start, "mspan", "startAddr")				\
	X(span_npages, "mspan", "npages")				\
	X(span_nelems, "mspan", "nelems")				\
	X(span_free_index, "mspan", "freeindex")			\
	X(span_alloc_cache, "mspan", "allocCache")			\
	X(span_alloc_bits, "mspan", "allocBits")			\
	X(span_mark_bits, "mspan", "gcmarkBits")			\
	X(span_alloc_count, "mspan", "allocCount")			\
	X(span_state, "mspan", "state")					\
	X(span_count_before_cache, "mspan", "allocCountBeforeCache")	\
	X(span_elemsize, "mspan", "elemsize")				\
	X(mcache_tiny_allocs, "mcache", "tinyAllocs")			\
	X(mcache_alloc, "mcache", "alloc")				\
	X(p_id, "p", "id")						\
	X(p_mcache, "p", "mcache")					\
	X(bucket_cycle_size, "memRecordCycle", "")

static const struct member {
	size_t field;
	const char *structure, *path;
} members[] = {
#define X(field, structure, path) { offsetof(struct go_layout, field), structure, path },
	MEMBERS(X)
#undef X
};

#define MEMBERS_COUNT (sizeof(members) / sizeof(members[0]))

_Static_assert(sizeof(struct go_layout) ==
	       offsetof(struct go_layout, stats_gen) + MEMBERS_COUNT * sizeof(int32_t),
	       "every field of struct go_layout must be found in DWARF");

static int32_t *field_of(struct go_layout *layout, const struct member *member)
{
	return (int32_t *)((char *)layout + member->field);
}

/* The type of @die behind its other names. */
static bool type_of(Dwarf_Die *die, Dwarf_Die *ret)
{
	Dwarf_Attribute attr;

	if (!dwarf_attr(die, DW_AT_type, &attr) || !dwarf_formref_die(&attr, ret))
		return false;
	for (int i = 0; i < ALIASES_MAX && dwarf_tag(ret) == DW_TAG_typedef; i++) {
		if (!dwarf_attr(ret, DW_AT_type, &attr) || !dwarf_formref_die(&attr, ret))
			return false;
	}
	return dwarf_tag(ret) == DW_TAG_structure_type;
}

static bool is_named(Dwarf_Die *die, const char *name, size_t len)
{
	const char *own = dwarf_diename(die);

	return own && !strncmp(own, name, len) && !own[len];
}

static bool find_member(Dwarf_Die *structure, const char *name, size_t len, Dwarf_Die *ret)
{
	struct dwarf_walk walk = dwarf_walk_of(structure);

	if (dwarf_child(structure, ret))
		return false;
	do {
		if (dwarf_tag(ret) == DW_TAG_member && is_named(ret, name, len))
			return true;
	} while (dwarf_walk_next(&walk, ret));
	return false;
}

static bool member_offset(Dwarf_Die *member, Dwarf_Word *ret)
{
	Dwarf_Attribute attr;

	return dwarf_attr(member, DW_AT_data_member_location, &attr) &&
	       !dwarf_formudata(&attr, ret) && *ret < OFFSET_MAX;
}

/* How far into @structure the field lies; -1: it has none of that name. */
static int32_t offset_in(const Dwarf_Die *structure, const char *path)
{
	Dwarf_Die type = *structure, member;
	uint64_t sum = 0;

	for (;;) {
		size_t len = strcspn(path, ".");
		Dwarf_Word offset;

		if (!find_member(&type, path, len, &member) || !member_offset(&member, &offset))
			return -1;
		sum += offset;
		if (!path[len])
			return (int32_t)sum;
		path += len + 1;
		if (!type_of(&member, &type))
			return -1;
	}
}

static int32_t size_of(Dwarf_Die *structure)
{
	int size = dwarf_bytesize(structure);

	return size > 0 && (unsigned int)size < OFFSET_MAX ? size : -1;
}

static void take_structure(Dwarf_Die *die, struct go_layout *ret)
{
	static const char package[] = "runtime.";
	const char *name = dwarf_diename(die);

	if (!name || strncmp(name, package, sizeof(package) - 1))
		return;
	name += sizeof(package) - 1;
	for (size_t i = 0; i < MEMBERS_COUNT; i++)
		if (!strcmp(name, members[i].structure))
			*field_of(ret, &members[i]) =
				*members[i].path ? offset_in(die, members[i].path) : size_of(die);
}

/* Some are not there in every version. */
bool go_layout_is_whole(const struct go_layout *layout)
{
	for (size_t i = 0; i < MEMBERS_COUNT; i++) {
		int32_t value = *field_of((struct go_layout *)layout, &members[i]);
		size_t field = members[i].field;

		if (value < -1 || value >= (int32_t)OFFSET_MAX)
			return false;
		if (value < 0 && field != offsetof(struct go_layout, delta_in_ptr_bits) &&
		    field != offsetof(struct go_layout, arena_inline_marks))
			return false;
	}
	return true;
}

/* Go's linker puts types into the unit of the runtime; where that stands is its affair. */
static bool read_units(Dwarf *dwarf, struct go_layout *ret)
{
	Dwarf_Off at = 0, next;
	size_t header;

	for (; !dwarf_nextcu(dwarf, at, &next, &header, NULL, NULL, NULL); at = next) {
		Dwarf_Die unit, die;
		struct dwarf_walk walk;

		if (!dwarf_offdie(dwarf, at + header, &unit) || dwarf_child(&unit, &die))
			continue;
		walk = dwarf_walk_of(&unit);
		do {
			if (dwarf_tag(&die) == DW_TAG_structure_type)
				take_structure(&die, ret);
		} while (dwarf_walk_next(&walk, &die));
		if (go_layout_is_whole(ret))
			return true;
	}
	return false;
}

bool go_layout_read_dwarf(Elf *elf, int fd, struct go_layout *ret)
{
	bool whole = false;
	Dwarf *dwarf;

	for (size_t i = 0; i < MEMBERS_COUNT; i++)
		*field_of(ret, &members[i]) = -1;
	if (!dwarf_is_sane(elf, fd))
		return false;
	dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
	if (!dwarf)
		return false;
	if (dwarf_strings_end(elf))
		whole = read_units(dwarf, ret);
	dwarf_end(dwarf);
	return whole;
}
