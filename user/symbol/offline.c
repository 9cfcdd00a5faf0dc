// SPDX-License-Identifier: GPL-2.0-or-later
/* Names in an ELF file that nobody maps any more; see offline.h. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "symbol/debugfile.h"
#include "symbol/elfread.h"
#include "symbol/line_reader.h"
#include "symbol/object.h"
#include "symbol/offline.h"
#include "symbol/safeopen.h"
#include "symbol/symtab.h"

DEFINE_VEC(segment_vec, struct object_segment);

/* Either the object itself or what its debug file has. */
struct offline_names {
	struct object *object;
	struct segment_vec segments;
	struct symtab *symtab;
	struct line_reader *lines;
};

void offline_names_destroy(struct offline_names *names)
{
	if (!names)
		return;
	object_destroy(names->object);
	symtab_destroy(names->symtab);
	line_reader_destroy(names->lines);
	segment_vec_deinit(&names->segments);
	free(names);
}

static struct offline_names *from_object(int dir, const char *file, const char *build_id)
{
	int fd = safeopen(dir, file);
	struct object *object = NULL;
	struct error *err = fd < 0 ? NULL : object_create(fd, file, &object);
	struct offline_names *names;

	error_destroy(err);
	if (!object || strcmp(object->build_id, build_id)) {
		object_destroy(object);
		return NULL;
	}
	names = xcalloc(1, sizeof(*names));
	names->object = object;
	return names;
}

/* A debug file has the segments' headers and nothing in them. */
static void read_segments(int fd, struct segment_vec *ret)
{
	__cleanup_elf Elf *elf = elfread_open(fd);
	size_t count = 0;
	const Elf64_Phdr *phdrs = elf ? elf64_getphdr(elf) : NULL;
	uint64_t end = 0;

	if (!phdrs || elf_getphdrnum(elf, &count))
		return;
	for (size_t i = 0; i < count; i++) {
		const Elf64_Phdr *p = &phdrs[i];

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X) || !p->p_memsz ||
		    p->p_vaddr < end || p->p_vaddr > UINT64_MAX - p->p_memsz)
			continue;
		segment_vec_push(ret, (struct object_segment){ p->p_vaddr, p->p_memsz,
							       p->p_offset });
		end = p->p_vaddr + p->p_memsz;
	}
}

static struct offline_names *from_debug_file(const char *dir, const char *build_id)
{
	int fd __cleanup_close = debugfile_open_by_build_id(build_id, dir);
	struct offline_names *names;

	if (fd < 0)
		return NULL;
	names = xcalloc(1, sizeof(*names));
	read_segments(fd, &names->segments);
	names->symtab = symtab_create(names->segments.data, names->segments.len);
	symtab_add_file(names->symtab, fd, build_id);
	symtab_finish(names->symtab);
	names->lines = line_reader_create(fd, build_id, LINES_DWARF);
	return names;
}

static struct offline_names *from_directory(const char *dir, const char *path,
					    const char *build_id)
{
	int fd __cleanup_close = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	const char *slash = strrchr(path, '/');
	struct offline_names *names = NULL;

	if (fd < 0)
		return NULL;
	while (*path == '/')
		path++;
	if (*path)
		names = from_object(fd, path, build_id);
	if (!names && slash && slash[1])
		names = from_object(fd, slash + 1, build_id);
	return names ? names : from_debug_file(dir, build_id);
}

struct offline_names *offline_names_open(const char *path, const char *build_id,
					 const char *const *dirs, size_t count)
{
	struct offline_names *names = NULL;

	for (size_t i = 0; i < count && !names; i++)
		names = from_directory(dirs[i], path, build_id);
	if (!names && *path == '/')
		names = from_object(AT_FDCWD, path, build_id);
	return names ? names : from_debug_file(NULL, build_id);
}

static void name_function(struct offline_names *names, uint64_t vaddr, struct symbol *ret)
{
	const struct object_symbol *sym = names->object ?
		object_find_symbol(names->object, vaddr) : symtab_find(names->symtab, vaddr);

	if (!sym)
		return;
	ret->raw = sym->name;
	ret->function = names->object ? object_demangle(names->object, sym) :
					symtab_demangle(names->symtab, sym);
}

size_t offline_names_find(struct offline_names *names, uint64_t vaddr,
			  struct symbol_frame *ret, size_t max)
{
	struct symbol called = { .module = "", .path = "", .build_id = "" };
	const struct source_frame *sources = NULL;
	size_t count = 0;

	name_function(names, vaddr, &called);
	if (names->object)
		count = object_source_frames(names->object, vaddr, &sources);
	else if (names->lines)
		count = line_reader_find(names->lines, vaddr, &sources);
	if (!called.function && !count)
		return 0;
	return symbol_frames_compose(&called, sources, count, ret, max);
}
