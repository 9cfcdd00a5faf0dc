// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Functions, inlined calls and lines of one unit; see dwarf_unit.h.
 *
 * DWARF is foreign input. libdw stays within the sections, but follows a
 * DW_AT_sibling that points backwards for ever; hence next_sibling().
 */
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "symbol/dwarf_unit.h"

/* Deeper nesting of DIEs than any compiler makes. */
#define NESTING_MAX 256
/* DIEs looked at for one question, and for one unit's list of functions. */
#define STEPS_MAX (1 << 24)
/* Ranges can overlap where code was folded; so many are tried. */
#define OVERLAPS_MAX 16
#define RANGES_MAX (1 << 20)

/* ---- Ranges ---- */

void die_ranges_add(struct die_range_vec *ranges, Dwarf_Die *die, uint64_t id)
{
	Dwarf_Addr base = 0, start, end;
	ptrdiff_t at = 0;

	for (int i = 0; i < RANGES_MAX; i++) {
		at = dwarf_ranges(die, at, &base, &start, &end);
		if (at <= 0)
			return;
		/* Linkers write 0 where they dropped the code. */
		if (start && start < end)
			die_range_vec_push(ranges, (struct die_range){ start, end, id });
	}
}

static int by_start(const void *va, const void *vb)
{
	const struct die_range *a = va, *b = vb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	/* Of equal starts the shorter is the inner one: last, to be found first. */
	return (a->end < b->end) - (a->end > b->end);
}

void die_ranges_sort(struct die_range_vec *ranges)
{
	if (ranges->len)
		qsort(ranges->data, ranges->len, sizeof(*ranges->data), by_start);
}

const struct die_range *die_ranges_find(const struct die_range_vec *ranges, uint64_t vaddr)
{
	size_t lo = 0, hi = ranges->len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ranges->data[mid].start <= vaddr)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (int i = 0; i < OVERLAPS_MAX && lo > 0; i++) {
		if (vaddr < ranges->data[--lo].end)
			return &ranges->data[lo];
	}
	return NULL;
}

/* ---- Walking the tree ---- */

struct walk {
	uint64_t unit_end;	/* no DIE begins here or later */
	int steps_left;
};

static struct walk walk_of(const struct dwarf_unit *unit)
{
	Dwarf_Die die = unit->die;
	Dwarf_Off start = dwarf_dieoffset(&die) - dwarf_cuoffset(&die), next;
	struct walk walk = { .steps_left = STEPS_MAX };
	size_t header;

	if (!dwarf_nextcu(dwarf_cu_getdwarf(die.cu), start, &next, &header, NULL, NULL, NULL))
		walk.unit_end = next;
	return walk;
}

static bool first_child(Dwarf_Die *die, Dwarf_Die *ret)
{
	return dwarf_child(die, ret) == 0;
}

/*
 * What stands behind the children of @die, whose last child's list ends with
 * the NUL at @end_of_list. Stores there too where @die's own list ends.
 */
static bool after_children(struct walk *walk, Dwarf_Die *last, unsigned char *end_of_list,
			   unsigned char **end_ret, Dwarf_Die *ret)
{
	uint64_t offset = dwarf_dieoffset(last);
	unsigned char *next = end_of_list + 1;

	offset += next - (unsigned char *)last->addr;
	if (offset >= walk->unit_end)
		return false;
	if (!*next) {
		*end_ret = next;
		return false;
	}
	return dwarf_offdie(dwarf_cu_getdwarf(last->cu), offset, ret);
}

/*
 * The next DIE of the same list; false at its end, whose NUL is then stored
 * in @end_ret (NULL if the end of the unit or something wrong came first).
 * libdw itself skips children only where their parent says where they end.
 */
static bool next_sibling(struct walk *walk, Dwarf_Die *die, int depth,
			 unsigned char **end_ret, Dwarf_Die *ret)
{
	unsigned char *end_of_list = NULL;
	Dwarf_Die child, next = { 0 };
	int result;

	*end_ret = NULL;
	if (depth > NESTING_MAX || walk->steps_left-- <= 0)
		return false;
	if (dwarf_haschildren(die) == 1 && !dwarf_hasattr(die, DW_AT_sibling) &&
	    first_child(die, &child)) {
		while (next_sibling(walk, &child, depth + 1, &end_of_list, &next))
			child = next;
		return end_of_list && after_children(walk, &child, end_of_list, end_ret, ret);
	}
	result = dwarf_siblingof(die, &next);
	if (result == 1)
		*end_ret = next.addr;
	if (result || dwarf_dieoffset(&next) <= dwarf_dieoffset(die))
		return false;
	*ret = next;
	return true;
}

static bool next_in_list(struct walk *walk, Dwarf_Die *die)
{
	unsigned char *end;
	Dwarf_Die next;

	if (!next_sibling(walk, die, 0, &end, &next))
		return false;
	*die = next;
	return true;
}

/* ---- Functions ---- */

static bool may_hold_functions(int tag)
{
	switch (tag) {
	case DW_TAG_namespace:
	case DW_TAG_module:
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
	case DW_TAG_subprogram:		/* nested ones */
	case DW_TAG_lexical_block:
		return true;
	default:
		return false;
	}
}

static void list_functions(struct walk *walk, struct die_range_vec *ret, Dwarf_Die *parent,
			   int depth)
{
	Dwarf_Die die;

	if (depth > NESTING_MAX || !first_child(parent, &die))
		return;
	do {
		int tag = dwarf_tag(&die);

		if (tag == DW_TAG_subprogram)
			die_ranges_add(ret, &die, dwarf_dieoffset(&die));
		if (may_hold_functions(tag))
			list_functions(walk, ret, &die, depth + 1);
	} while (next_in_list(walk, &die));
}

void dwarf_unit_init(struct dwarf_unit *unit, const Dwarf_Die *cu, const Dwarf_Die *die)
{
	struct walk walk;
	Dwarf_Lines *lines;
	Dwarf_Files *files;
	size_t count;

	*unit = (struct dwarf_unit){ .cu = *cu, .die = *die, .files = *die };
	if (dwarf_getsrclines(&unit->cu, &lines, &unit->lines_count))
		unit->lines_count = 0;
	if (dwarf_getsrcfiles(&unit->files, &files, &count))
		unit->files = *cu;
	walk = walk_of(unit);
	list_functions(&walk, &unit->functions, &unit->die, 0);
	die_ranges_sort(&unit->functions);
}

void dwarf_unit_deinit(struct dwarf_unit *unit)
{
	die_range_vec_deinit(&unit->functions);
}

/* ---- Answers ---- */

/* The child of @parent, inlined call or block, that holds @vaddr. */
static bool child_with_pc(struct walk *walk, Dwarf_Die *parent, uint64_t vaddr, Dwarf_Die *ret)
{
	if (!first_child(parent, ret))
		return false;
	do {
		int tag = dwarf_tag(ret);

		if ((tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block) &&
		    dwarf_haspc(ret, vaddr) == 1)
			return true;
	} while (next_in_list(walk, ret));
	return false;
}

static const char *string_of(Dwarf_Die *die, unsigned int name)
{
	Dwarf_Attribute attr;

	return dwarf_formstring(dwarf_attr_integrate(die, name, &attr));
}

static uint32_t number_of(Dwarf_Die *die, unsigned int name)
{
	Dwarf_Attribute attr;
	Dwarf_Word value;

	if (dwarf_formudata(dwarf_attr(die, name, &attr), &value) || value > UINT32_MAX)
		return 0;
	return value;
}

static void name_place(Dwarf_Die *function, struct dwarf_place *ret)
{
	ret->linkage_name = string_of(function, DW_AT_linkage_name) ?:
			    string_of(function, DW_AT_MIPS_linkage_name);
	ret->name = string_of(function, DW_AT_name);
}

/* Where the function was called that @call has inlined. */
static void place_of_call(struct dwarf_unit *unit, Dwarf_Die *call, struct dwarf_place *ret)
{
	Dwarf_Files *files;
	size_t count;

	ret->line = number_of(call, DW_AT_call_line);
	ret->column = number_of(call, DW_AT_call_column);
	if (dwarf_hasattr(call, DW_AT_call_file) &&
	    !dwarf_getsrcfiles(&unit->files, &files, &count))
		ret->file = dwarf_filesrc(files, number_of(call, DW_AT_call_file), NULL, NULL);
}

static bool place_of_address(struct dwarf_unit *unit, uint64_t vaddr, struct dwarf_place *ret)
{
	Dwarf_Line *line = unit->lines_count ? dwarf_getsrc_die(&unit->cu, vaddr) : NULL;
	int number = 0, column = 0;

	if (!line)
		return false;
	ret->file = dwarf_linesrc(line, NULL, NULL);
	if (!dwarf_lineno(line, &number) && number > 0)
		ret->line = number;
	if (!dwarf_linecol(line, &column) && column > 0)
		ret->column = column;
	return true;
}

/* Stores the inlined calls around @vaddr, the outermost first; how many. */
static size_t find_calls(struct dwarf_unit *unit, Dwarf_Die *function, uint64_t vaddr,
			 Dwarf_Die ret[INLINE_DEPTH_MAX])
{
	struct walk walk = walk_of(unit);
	Dwarf_Die at = *function, child;
	size_t count = 0;

	for (int depth = 0; depth < NESTING_MAX && count < INLINE_DEPTH_MAX; depth++) {
		if (!child_with_pc(&walk, &at, vaddr, &child))
			break;
		if (dwarf_tag(&child) == DW_TAG_inlined_subroutine)
			ret[count++] = child;
		at = child;
	}
	return count;
}

size_t dwarf_unit_find(struct dwarf_unit *unit, uint64_t vaddr,
		       struct dwarf_place ret[INLINE_DEPTH_MAX + 1])
{
	const struct die_range *range = die_ranges_find(&unit->functions, vaddr);
	Dwarf_Die calls[INLINE_DEPTH_MAX], function;
	size_t count = 0;
	bool has_line;

	memset(ret, 0, (INLINE_DEPTH_MAX + 1) * sizeof(*ret));
	has_line = place_of_address(unit, vaddr, &ret[0]);
	if (!range || !dwarf_offdie(dwarf_cu_getdwarf(unit->die.cu), range->die, &function))
		return has_line;
	count = find_calls(unit, &function, vaddr, calls);
	for (size_t i = 0; i < count; i++) {
		Dwarf_Die *call = &calls[count - 1 - i];

		name_place(call, &ret[i]);
		place_of_call(unit, call, &ret[i + 1]);
	}
	name_place(&function, &ret[count]);
	return count + 1;
}
