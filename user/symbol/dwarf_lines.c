// SPDX-License-Identifier: GPL-2.0-or-later
/* The DWARF of one file: its units, and what was asked of it; see dwarf_lines.h. */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/strpool.h"
#include "symbol/demangle.h"
#include "symbol/dwarf_lines.h"
#include "symbol/dwarf_safe.h"
#include "symbol/dwarf_unit.h"
#include "symbol/elfread.h"
#include "symbol/safeopen.h"

/*
 * What libdw has parsed it keeps until dwarf_end(): about 48 bytes a line, and
 * a unit's abbreviations. Then it is opened anew.
 */
#define PARSED_LINES_MAX (1 << 20)
#define PARSED_UNITS_MAX 4096
/* What is kept of units here. */
#define UNITS_BYTES_MAX (256 << 20)
#define ANSWERS_MAX (1 << 18)

struct unit {
	uint64_t offset;		/* of its DIE */
	uint64_t used;			/* when, in questions */
	uint32_t parsed_by;		/* which opening of libdw has met it */
	struct dwarf_unit *loaded;	/* NULL until asked for */
};

DEFINE_VEC(unit_vec, struct unit);
DEFINE_VEC(source_frame_vec, struct source_frame);

struct answer {
	uint64_t vaddr;
	uint32_t first;			/* in frames */
	uint32_t count_plus_1;		/* 0: this slot is free */
};

struct dwarf_lines {
	int fd, alt_fd;
	Elf *elf, *alt_elf;
	Dwarf *dwarf, *alt;		/* dwarf: NULL if it could not be opened again */
	struct unit_vec units;
	struct die_range_vec ranges;	/* die: an index into units */
	bool indexed;
	uint32_t opening;		/* counts how often dwarf was opened */
	size_t parsed_units, parsed_lines;
	size_t units_bytes;		/* of all that are loaded */
	uint64_t questions, evicted_at;
	struct answer *answers;		/* hash table, linear probing */
	size_t answers_size, answers_count;
	struct source_frame_vec frames;
	struct strpool *strings;
};

/* ---- Opening ---- */

/* The directory of the open file @fd, as we see it; the caller frees it. */
static char *directory_of(int fd)
{
	__cleanup_free char *link = xasprintf("/proc/self/fd/%d", fd);
	char path[PATH_MAX];
	ssize_t len = readlink(link, path, sizeof(path) - 1);
	char *slash;

	path[len < 0 ? 0 : len] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return xstrdup("/");
	*slash = '\0';
	return xstrdup(path);
}

static char *below(const char *dir, const char *path)
{
	return path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", dir, path);
}

static char *build_id_path(const uint8_t *id, size_t len)
{
	char hex[2 * 64 + 1] = "";

	if (len < 2 || len > 64)
		return NULL;
	for (size_t i = 0; i < len; i++)
		sprintf(hex + 2 * i, "%02x", id[i]);
	return xasprintf("/usr/lib/debug/.build-id/%.2s/%s.debug", hex, hex + 2);
}

static bool open_alt(struct dwarf_lines *lines, const char *path, const uint8_t *id, size_t len)
{
	__cleanup_close int fd = safeopen(AT_FDCWD, path);
	__cleanup_elf Elf *elf = fd < 0 ? NULL : elfread_open(fd);
	const void *own_id;

	if (!elf || !dwarf_is_sane(elf, fd) ||
	    dwelf_elf_gnu_build_id(elf, &own_id) != (ssize_t)len ||
	    memcmp(own_id, id, len))
		return false;
	lines->alt = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
	if (!lines->alt)
		return false;
	lines->alt_fd = steal_fd(&fd);
	lines->alt_elf = steal_ptr(elf);
	return true;
}

/*
 * The file that dwz moved what several have in common to. libdw would open
 * by itself whatever name is written there; so it is found here or the DWARF
 * is not used. False if it is needed and not there.
 */
static bool find_alt(struct dwarf_lines *lines)
{
	__cleanup_free char *dir = directory_of(lines->fd);
	__cleanup_free char *by_name = NULL, *by_id = NULL;
	const void *id;
	const char *name;
	ssize_t len = dwelf_dwarf_gnu_debugaltlink(lines->dwarf, &name, &id);

	if (len <= 0)
		return len == 0;
	if (!lines->alt) {
		by_name = below(dir, name);
		by_id = build_id_path(id, len);
		if (!(by_id && open_alt(lines, by_id, id, len)) &&
		    !open_alt(lines, by_name, id, len))
			return false;
	}
	dwarf_setalt(lines->dwarf, lines->alt);
	return true;
}

static bool open_dwarf(struct dwarf_lines *lines)
{
	lines->dwarf = dwarf_begin_elf(lines->elf, DWARF_C_READ, NULL);
	if (!lines->dwarf)
		return false;
	lines->opening++;
	lines->parsed_units = lines->parsed_lines = 0;
	if (dwarf_strings_end(lines->elf) && find_alt(lines))
		return true;
	dwarf_end(steal_ptr(lines->dwarf));
	return false;
}

static bool has_units(Dwarf *dwarf)
{
	size_t header;
	Dwarf_Off next;

	return !dwarf_nextcu(dwarf, 0, &next, &header, NULL, NULL, NULL);
}

struct dwarf_lines *dwarf_lines_create(int fd)
{
	__cleanup(dwarf_lines_destroyp) struct dwarf_lines *lines = xcalloc(1, sizeof(*lines));

	lines->fd = fd;
	lines->alt_fd = -1;
	lines->strings = strpool_create();
	lines->elf = elfread_open(fd);
	if (!lines->elf || !dwarf_is_sane(lines->elf, fd) || !open_dwarf(lines) ||
	    !has_units(lines->dwarf))
		return NULL;
	return steal_ptr(lines);
}

static void unload(struct dwarf_lines *lines, struct unit *unit)
{
	if (!unit->loaded)
		return;
	lines->units_bytes -= unit->loaded->bytes;
	dwarf_unit_deinit(unit->loaded);
	free(steal_ptr(unit->loaded));
}

void dwarf_lines_destroy(struct dwarf_lines *lines)
{
	if (!lines)
		return;
	vec_for_each(unit, &lines->units)
		unload(lines, unit);
	if (lines->dwarf)
		dwarf_end(lines->dwarf);
	if (lines->alt)
		dwarf_end(lines->alt);
	unit_vec_deinit(&lines->units);
	die_range_vec_deinit(&lines->ranges);
	source_frame_vec_deinit(&lines->frames);
	free(lines->answers);
	strpool_destroy(lines->strings);
	elf_end(lines->elf);
	elf_end(lines->alt_elf);
	close(lines->fd);
	if (lines->alt_fd >= 0)
		close(lines->alt_fd);
	free(lines);
}

/* ---- Units ---- */

static void index_units(struct dwarf_lines *lines)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die die;
	uint8_t type;

	lines->indexed = true;
	while (!dwarf_get_units(lines->dwarf, cu, &cu, NULL, &type, &die, NULL)) {
		if (type != DW_UT_compile && type != DW_UT_skeleton)
			continue;
		die_ranges_add(&lines->ranges, &die, lines->units.len);
		unit_vec_push(&lines->units, (struct unit){ .offset = dwarf_dieoffset(&die) });
	}
	die_ranges_sort(&lines->ranges);
}

static bool is_regular(const char *dir, const char *name)
{
	__cleanup_free char *path = below(dir, name);
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode);
}

static bool is_other(const char *dir, const char *name)
{
	__cleanup_free char *path = below(dir, name);
	struct stat st;

	return !stat(path, &st) && !S_ISREG(st.st_mode);
}

static const char *die_string(Dwarf_Die *die, unsigned int name, unsigned int gnu_name)
{
	Dwarf_Attribute attr;

	return dwarf_formstring(dwarf_attr(die, name, &attr)) ?:
	       dwarf_formstring(dwarf_attr(die, gnu_name, &attr));
}

/*
 * The DIE of the split unit that belongs to the skeleton @cu. libdw opens the
 * .dwo file itself, beside the file or in the compiler's directory; that it
 * meets no FIFO or device there is seen to here.
 */
static bool find_split(struct dwarf_lines *lines, Dwarf_Die *cu, Dwarf_Die *ret)
{
	const char *name = die_string(cu, DW_AT_dwo_name, DW_AT_GNU_dwo_name);
	const char *comp_dir = die_string(cu, DW_AT_comp_dir, DW_AT_comp_dir) ?: "/";
	__cleanup_free char *dir = directory_of(lines->fd);
	uint8_t type;

	if (!name || is_other(dir, name) || is_other(comp_dir, name) ||
	    (!is_regular(dir, name) && !is_regular(comp_dir, name)))
		return false;
	return !dwarf_cu_info(cu->cu, NULL, &type, NULL, ret, NULL, NULL, NULL) && ret->addr;
}

/* The DIEs of @unit in libdw, opened anew if it keeps too much; see dwarf_unit_init(). */
static bool parse(struct dwarf_lines *lines, struct unit *unit, Dwarf_Die *cu, Dwarf_Die *die)
{
	if (lines->dwarf && (lines->parsed_units >= PARSED_UNITS_MAX ||
			     lines->parsed_lines >= PARSED_LINES_MAX))
		dwarf_end(steal_ptr(lines->dwarf));
	if (!lines->dwarf && !open_dwarf(lines))
		return false;
	if (!dwarf_offdie(lines->dwarf, unit->offset, cu))
		return false;
	if (!find_split(lines, cu, die))
		*die = *cu;
	lines->parsed_units += unit->parsed_by != lines->opening;
	unit->parsed_by = lines->opening;
	return true;
}

/*
 * Room for another: what was not asked for in the latter half of the time
 * since there was none goes, all if that is not enough.
 */
static void evict(struct dwarf_lines *lines)
{
	uint64_t horizon = lines->evicted_at + (lines->questions - lines->evicted_at) / 2;

	lines->evicted_at = lines->questions;
	vec_for_each(unit, &lines->units)
		if (unit->used < horizon)
			unload(lines, unit);
	if (lines->units_bytes < UNITS_BYTES_MAX)
		return;
	vec_for_each(unit, &lines->units)
		unload(lines, unit);
}

static struct dwarf_unit *load(struct dwarf_lines *lines, struct unit *unit)
{
	Dwarf_Die cu, die;

	unit->used = ++lines->questions;
	if (unit->loaded)
		return unit->loaded;
	if (lines->units_bytes >= UNITS_BYTES_MAX)
		evict(lines);
	if (!parse(lines, unit, &cu, &die))
		return NULL;
	unit->loaded = xcalloc(1, sizeof(*unit->loaded));
	dwarf_unit_init(unit->loaded, &cu, &die, lines->strings);
	lines->units_bytes += unit->loaded->bytes;
	lines->parsed_lines += unit->loaded->lines_read;
	return unit->loaded;
}

/* The function at @vaddr of a loaded unit, with its inlined calls. */
static struct dwarf_function *load_function(struct dwarf_lines *lines, struct unit *unit,
					    uint64_t vaddr)
{
	struct dwarf_function *function = dwarf_unit_function(unit->loaded, vaddr);
	Dwarf_Die cu, die;

	if (!function || function->loaded || !parse(lines, unit, &cu, &die))
		return function;
	lines->units_bytes -= unit->loaded->bytes;
	dwarf_function_load(unit->loaded, function, &cu, &die, lines->strings);
	lines->units_bytes += unit->loaded->bytes;
	return function;
}

/* ---- Questions ---- */

static struct source_frame frame_of(struct dwarf_lines *lines, const struct dwarf_place *place)
{
	__cleanup_free char *demangled = place->raw ? demangle(place->raw) : NULL;

	return (struct source_frame){
		.function = demangled ? strpool_intern(lines->strings, demangled) : place->raw,
		.raw = place->raw,
		.file = place->file,
		.line = place->line,
		.column = place->column,
	};
}

static struct answer *slot_of(const struct dwarf_lines *lines, uint64_t vaddr)
{
	size_t i = vaddr * 0x9e3779b97f4a7c15ULL >> 20;

	for (;; i++) {
		struct answer *answer = &lines->answers[i & (lines->answers_size - 1)];

		if (!answer->count_plus_1 || answer->vaddr == vaddr)
			return answer;
	}
}

/* Room for one answer more; too many are forgotten. */
static void make_room(struct dwarf_lines *lines)
{
	struct answer *old = lines->answers;
	size_t old_size = lines->answers_size;

	if (lines->answers_count >= ANSWERS_MAX) {
		memset(old, 0, old_size * sizeof(*old));
		lines->answers_count = lines->frames.len = 0;
	}
	if (lines->answers_count * 2 < old_size)
		return;
	lines->answers_size = old_size ? old_size * 2 : 256;
	lines->answers = xcalloc(lines->answers_size, sizeof(*old));
	for (size_t i = 0; i < old_size; i++) {
		if (old[i].count_plus_1)
			*slot_of(lines, old[i].vaddr) = old[i];
	}
	free(old);
}

/* Appends to frames what is known of @vaddr; how many. */
static size_t ask_unit(struct dwarf_lines *lines, uint64_t vaddr)
{
	struct dwarf_place places[INLINE_DEPTH_MAX + 1];
	const struct die_range *range;
	struct unit *unit;
	size_t count;

	if (!lines->indexed)
		index_units(lines);
	range = die_ranges_find(&lines->ranges, vaddr);
	unit = range ? &lines->units.data[range->die] : NULL;
	if (!unit || !load(lines, unit))
		return 0;
	count = dwarf_unit_find(unit->loaded, load_function(lines, unit, vaddr), vaddr, places);
	for (size_t i = 0; i < count; i++)
		source_frame_vec_push(&lines->frames, frame_of(lines, &places[i]));
	return count;
}

size_t dwarf_lines_find(struct dwarf_lines *lines, uint64_t vaddr,
			const struct source_frame **ret)
{
	struct answer *answer;

	make_room(lines);
	answer = slot_of(lines, vaddr);
	if (!answer->count_plus_1) {
		answer->vaddr = vaddr;
		answer->first = lines->frames.len;
		answer->count_plus_1 = ask_unit(lines, vaddr) + 1;
		lines->answers_count++;
	}
	if (answer->count_plus_1 == 1)
		return 0;
	*ret = lines->frames.data + answer->first;
	return answer->count_plus_1 - 1;
}
