// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Functions, inlined calls and lines of one unit; see dwarf_unit.h.
 * DWARF is foreign input: see dwarf_safe.h.
 */
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "base/strpool.h"
#include "symbol/dwarf_safe.h"
#include "symbol/dwarf_unit.h"

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
	if (a->end != b->end)
		return a->end > b->end ? -1 : 1;
	/*
	 * Of several copies of one function linkers keep the first, and may let
	 * the units of all of them claim its address.
	 */
	return (a->die < b->die) - (a->die > b->die);
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

/* ---- Functions ---- */

struct function_list {
	struct dwarf_walk walk;
	bool in_types;		/* types may hold functions: not in C */
	struct dwarf_unit *unit;
};

static bool is_c(Dwarf_Die *die)
{
	switch (dwarf_srclang(die)) {
	case DW_LANG_C89:
	case DW_LANG_C:
	case DW_LANG_C99:
	case DW_LANG_C11:
		return true;
	default:
		return false;
	}
}

static bool may_hold_functions(const struct function_list *list, int tag)
{
	switch (tag) {
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
		return list->in_types;
	case DW_TAG_namespace:
	case DW_TAG_module:
	case DW_TAG_subprogram:		/* nested ones */
	case DW_TAG_lexical_block:
		return true;
	default:
		return false;
	}
}

static void add_function(struct function_list *list, Dwarf_Die *die)
{
	struct dwarf_unit *unit = list->unit;
	size_t ranges = unit->ranges.len;

	die_ranges_add(&unit->ranges, die, unit->functions.len);
	if (unit->ranges.len > ranges)
		dwarf_function_vec_push(&unit->functions, (struct dwarf_function){
			.die = dwarf_dieoffset(die) });
}

static void list_functions(struct function_list *list, Dwarf_Die *parent, int depth)
{
	Dwarf_Die die;

	if (depth > DWARF_NESTING_MAX || dwarf_child(parent, &die))
		return;
	do {
		int tag = dwarf_tag(&die);

		if (tag == DW_TAG_subprogram)
			add_function(list, &die);
		if (may_hold_functions(list, tag))
			list_functions(list, &die, depth + 1);
	} while (dwarf_walk_next(&list->walk, &die));
}

/* ---- Lines ---- */

/* The number of the line's file in @unit, which it is told on this occasion. */
static uint16_t file_of(struct dwarf_unit *unit, Dwarf_Line *line, struct strpool *strings)
{
	Dwarf_Files *files;
	const char *name;
	size_t nr;

	if (dwarf_line_file(line, &files, &nr) || nr >= NO_FILE)
		return NO_FILE;
	while (unit->files.len <= nr)
		file_name_vec_push(&unit->files, NULL);
	if (!unit->files.data[nr]) {
		name = dwarf_filesrc(files, nr, NULL, NULL);
		unit->files.data[nr] = name ? strpool_intern(strings, name) : NULL;
	}
	return nr;
}

static struct code_line read_line(struct dwarf_unit *unit, Dwarf_Line *line,
				  struct strpool *strings)
{
	struct code_line ret = { .file = NO_FILE };
	int number = 0, column = 0;
	bool ends = true;

	if (dwarf_lineendsequence(line, &ends) || ends)
		return ret;
	ret.file = file_of(unit, line, strings);
	if (!dwarf_lineno(line, &number) && number > 0)
		ret.line = number;
	if (!dwarf_linecol(line, &column) && column > 0 && column <= UINT16_MAX)
		ret.column = column;
	return ret;
}

static bool says_the_same(const struct code_line *a, const struct code_line *b)
{
	return a->line == b->line && a->file == b->file && a->column == b->column;
}

/* Of several at one address the last is meant. Code further than 4 GiB on is left out. */
static void add_line(struct dwarf_unit *unit, uint64_t vaddr, struct code_line line)
{
	struct code_line *last = unit->lines.len ? &unit->lines.data[unit->lines.len - 1] : NULL;

	if (!last)
		unit->base = vaddr;
	if (vaddr - unit->base > UINT32_MAX)
		return;
	line.start = vaddr - unit->base;
	if (last && last->start == line.start)
		*last = line;
	else if (!last || !says_the_same(last, &line))
		code_line_vec_push(&unit->lines, line);
}

/* libdw has sorted them. */
static void read_lines(struct dwarf_unit *unit, Dwarf_Die *cu, struct strpool *strings)
{
	Dwarf_Lines *lines;
	Dwarf_Addr vaddr;

	if (dwarf_getsrclines(cu, &lines, &unit->lines_read))
		unit->lines_read = 0;
	for (size_t i = 0; i < unit->lines_read; i++) {
		Dwarf_Line *line = dwarf_onesrcline(lines, i);

		if (line && !dwarf_lineaddr(line, &vaddr))
			add_line(unit, vaddr, read_line(unit, line, strings));
	}
}

static void count_bytes(struct dwarf_unit *unit)
{
	unit->bytes = sizeof(*unit) + unit->lines.cap * sizeof(*unit->lines.data) +
		      unit->files.cap * sizeof(*unit->files.data) +
		      unit->ranges.cap * sizeof(*unit->ranges.data) +
		      unit->functions.cap * sizeof(*unit->functions.data);
}

void dwarf_unit_init(struct dwarf_unit *unit, Dwarf_Die *cu, Dwarf_Die *die,
		     struct strpool *strings)
{
	struct function_list list = {
		.walk = dwarf_walk_of(die), .in_types = !is_c(die), .unit = unit };

	*unit = (struct dwarf_unit){ 0 };
	read_lines(unit, cu, strings);
	list_functions(&list, die, 0);
	die_ranges_sort(&unit->ranges);
	count_bytes(unit);
}

void dwarf_unit_deinit(struct dwarf_unit *unit)
{
	vec_for_each(function, &unit->functions) {
		inline_segment_vec_deinit(&function->segments);
		inline_call_vec_deinit(&function->calls);
	}
	code_line_vec_deinit(&unit->lines);
	file_name_vec_deinit(&unit->files);
	die_range_vec_deinit(&unit->ranges);
	dwarf_function_vec_deinit(&unit->functions);
}

/* ---- Inlined calls ---- */

static const char *name_of(Dwarf_Die *function, struct strpool *strings)
{
	static const unsigned int names[] = {
		DW_AT_linkage_name, DW_AT_MIPS_linkage_name, DW_AT_name };
	Dwarf_Attribute attr;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *name = dwarf_formstring(dwarf_attr_integrate(function, names[i],
									 &attr));

		if (name)
			return strpool_intern(strings, name);
	}
	return NULL;
}

static uint32_t number_of(Dwarf_Die *die, unsigned int name)
{
	Dwarf_Attribute attr;
	Dwarf_Word value;

	if (dwarf_formudata(dwarf_attr(die, name, &attr), &value) || value > UINT32_MAX)
		return 0;
	return value;
}

struct call_list {
	struct dwarf_walk walk;
	struct dwarf_function *function;
	struct die_range_vec ranges;	/* die: index into the function's calls */
	Dwarf_Files *files;
	struct strpool *strings;
};

static const char *call_file(const struct call_list *list, Dwarf_Die *call)
{
	const char *name = NULL;

	if (list->files && dwarf_hasattr(call, DW_AT_call_file))
		name = dwarf_filesrc(list->files, number_of(call, DW_AT_call_file), NULL, NULL);
	return name ? strpool_intern(list->strings, name) : NULL;
}

static uint32_t add_call(struct call_list *list, Dwarf_Die *die, uint32_t parent)
{
	struct inline_call_vec *calls = &list->function->calls;

	inline_call_vec_push(calls, (struct inline_call){
		.raw = name_of(die, list->strings),
		.file = call_file(list, die),
		.line = number_of(die, DW_AT_call_line),
		.column = number_of(die, DW_AT_call_column),
		.parent = parent,
	});
	die_ranges_add(&list->ranges, die, calls->len - 1);
	return calls->len - 1;
}

static void list_calls(struct call_list *list, Dwarf_Die *parent, uint32_t call, int depth)
{
	Dwarf_Die die;

	if (depth > DWARF_NESTING_MAX || dwarf_child(parent, &die))
		return;
	do {
		int tag = dwarf_tag(&die);

		if (tag == DW_TAG_inlined_subroutine)
			list_calls(list, &die, add_call(list, &die, call), depth + 1);
		else if (tag == DW_TAG_lexical_block)
			list_calls(list, &die, call, depth + 1);
	} while (dwarf_walk_next(&list->walk, &die));
}

static void add_segment(struct inline_segment_vec *segments, uint64_t start, uint32_t call)
{
	if (segments->len && segments->data[segments->len - 1].start == start)
		segments->data[segments->len - 1].call = call;
	else
		inline_segment_vec_push(segments, (struct inline_segment){ start, call });
}

/*
 * Ranges nest; the innermost is meant. @ranges: sorted, an outer before the
 * inner ones that begin with it. Those that are open stand on a stack, which
 * is kept in the beginning of @ranges itself; one that would outlive the
 * range it lies in is cut.
 */
static void flatten(struct die_range_vec *ranges, struct inline_segment_vec *ret)
{
	struct die_range *stack = ranges->data;
	size_t open = 0;

	for (size_t i = 0; i <= ranges->len; i++) {
		struct die_range range = { .start = UINT64_MAX };

		if (i < ranges->len)
			range = ranges->data[i];
		while (open && stack[open - 1].end <= range.start) {
			open--;
			add_segment(ret, stack[open].end, open ? stack[open - 1].die : NO_CALL);
		}
		if (i == ranges->len)
			break;
		if (open && range.end > stack[open - 1].end)
			range.end = stack[open - 1].end;
		add_segment(ret, range.start, range.die);
		stack[open++] = range;
	}
}

/* Calls are numbered from the outside in: of equal ranges the inner one is last. */
static int by_nesting(const void *va, const void *vb)
{
	const struct die_range *a = va, *b = vb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->end != b->end)
		return a->end > b->end ? -1 : 1;
	return (a->die > b->die) - (a->die < b->die);
}

void dwarf_function_load(struct dwarf_unit *unit, struct dwarf_function *function,
			 Dwarf_Die *cu, Dwarf_Die *die, struct strpool *strings)
{
	struct call_list list = {
		.walk = dwarf_walk_of(die), .function = function, .strings = strings };
	Dwarf_Die function_die;
	size_t count;

	function->loaded = true;
	if (!dwarf_offdie(dwarf_cu_getdwarf(die->cu), function->die, &function_die))
		return;
	if (dwarf_getsrcfiles(die, &list.files, &count) &&
	    dwarf_getsrcfiles(cu, &list.files, &count))
		list.files = NULL;
	function->raw = name_of(&function_die, strings);
	list_calls(&list, &function_die, NO_CALL, 0);
	if (list.ranges.len)
		qsort(list.ranges.data, list.ranges.len, sizeof(*list.ranges.data), by_nesting);
	flatten(&list.ranges, &function->segments);
	die_range_vec_deinit(&list.ranges);
	unit->bytes += function->segments.cap * sizeof(*function->segments.data) +
		       function->calls.cap * sizeof(*function->calls.data);
}

/* ---- Answers ---- */

struct dwarf_function *dwarf_unit_function(struct dwarf_unit *unit, uint64_t vaddr)
{
	const struct die_range *range = die_ranges_find(&unit->ranges, vaddr);

	return range ? &unit->functions.data[range->die] : NULL;
}

static bool place_of_address(const struct dwarf_unit *unit, uint64_t vaddr,
			     struct dwarf_place *ret)
{
	const struct code_line *lines = unit->lines.data, *line;
	size_t lo = 0, hi = unit->lines.len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (unit->base + lines[mid].start <= vaddr)
			lo = mid + 1;
		else
			hi = mid;
	}
	line = lo ? &lines[lo - 1] : NULL;
	if (!line || line->file == NO_FILE)
		return false;
	ret->file = unit->files.data[line->file];
	ret->line = line->line;
	ret->column = line->column;
	return true;
}

static uint32_t innermost_call(const struct dwarf_function *function, uint64_t vaddr)
{
	size_t lo = 0, hi = function->segments.len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (function->segments.data[mid].start <= vaddr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo ? function->segments.data[lo - 1].call : NO_CALL;
}

/* Of more than INLINE_DEPTH_MAX nested calls the outer ones are left out. */
size_t dwarf_unit_find(const struct dwarf_unit *unit, const struct dwarf_function *function,
		       uint64_t vaddr, struct dwarf_place ret[INLINE_DEPTH_MAX + 1])
{
	uint32_t nr;
	size_t count = 0;
	bool has_line;

	memset(ret, 0, (INLINE_DEPTH_MAX + 1) * sizeof(*ret));
	has_line = place_of_address(unit, vaddr, &ret[0]);
	if (!function)
		return has_line;
	for (nr = innermost_call(function, vaddr); nr != NO_CALL && count < INLINE_DEPTH_MAX;
	     count++) {
		const struct inline_call *call = &function->calls.data[nr];

		ret[count].raw = call->raw;
		ret[count + 1] = (struct dwarf_place){
			.file = call->file, .line = call->line, .column = call->column };
		nr = call->parent;
	}
	ret[count].raw = function->raw;
	return count + 1;
}
