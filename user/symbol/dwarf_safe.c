// SPDX-License-Identifier: GPL-2.0-or-later
/* libdw and foreign input; see dwarf_safe.h. */
#include <dwarf.h>
#include <endian.h>
#include <string.h>
#include <sys/stat.h>

#include "symbol/dwarf_safe.h"
#include "symbol/elfread.h"

/* libdw reads sections whole, unpacked. */
#define SECTIONS_MAX (2ULL << 30)
/* zlib cannot do better, and zstd on DWARF does not. */
#define PACKED_RATIO_MAX 1032
/* DIEs looked at for one question, and for one unit's list of functions. */
#define STEPS_MAX (1 << 24)

/* ---- Before a file is opened ---- */

/* How much of memory this section would take. */
static uint64_t unpacked_size(int fd, const Elf64_Shdr *shdr)
{
	Elf64_Chdr chdr;

	if (!(shdr->sh_flags & SHF_COMPRESSED))
		return shdr->sh_size;
	if (!elfread_at(fd, shdr->sh_offset, &chdr, sizeof(chdr)) ||
	    chdr.ch_size / PACKED_RATIO_MAX > shdr->sh_size)
		return UINT64_MAX;
	return chdr.ch_size;
}

bool dwarf_is_sane(Elf *elf, int fd)
{
	uint64_t total = 0;
	Elf_Scn *scn = NULL;
	struct stat st;

	if (fstat(fd, &st))
		return false;
	while ((scn = elf_nextscn(elf, scn))) {
		const Elf64_Shdr *shdr = elf64_getshdr(scn);
		uint64_t size;

		if (!shdr)
			return false;
		if (shdr->sh_type == SHT_NOBITS || shdr->sh_flags & SHF_ALLOC)
			continue;
		size = unpacked_size(fd, shdr);
		if (shdr->sh_offset > (uint64_t)st.st_size ||
		    shdr->sh_size > (uint64_t)st.st_size - shdr->sh_offset ||
		    size > SECTIONS_MAX)
			return false;
		total += size;
	}
	return total <= SECTIONS_MAX;
}

/* The older way to compress: the section's name says it, "ZLIB" and a size come first. */
static uint64_t unpacked_zdebug(int fd, const Elf64_Shdr *shdr)
{
	struct { char magic[4]; uint64_t size; } __attribute__((packed)) head;

	if (!elfread_at(fd, shdr->sh_offset, &head, sizeof(head)) || memcmp(head.magic, "ZLIB", 4))
		return 0;
	return be64toh(head.size);
}

uint64_t dwarf_bytes(int fd)
{
	__cleanup_elf Elf *elf = elfread_open(fd);
	uint64_t total = 0, size;
	Elf_Scn *scn = NULL;
	size_t names;

	if (!elf || !dwarf_is_sane(elf, fd) || elf_getshdrstrndx(elf, &names))
		return 0;
	while ((scn = elf_nextscn(elf, scn))) {
		const Elf64_Shdr *shdr = elf64_getshdr(scn);
		const char *name = elf_strptr(elf, names, shdr->sh_name);

		if (!name || shdr->sh_type == SHT_NOBITS)
			continue;
		size = !strncmp(name, ".zdebug", 7) ? unpacked_zdebug(fd, shdr) :
		       !strncmp(name, ".debug", 6) ? unpacked_size(fd, shdr) : 0;
		total = size > UINT64_MAX - total ? UINT64_MAX : total + size;
	}
	return total;
}

bool dwarf_strings_end(Elf *elf)
{
	Elf_Scn *scn = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return false;
	while ((scn = elf_nextscn(elf, scn))) {
		const char *name = elf_strptr(elf, names, elf64_getshdr(scn)->sh_name);
		const Elf_Data *data;

		if (!name || (strcmp(name, ".debug_str") && strcmp(name, ".debug_line_str")))
			continue;
		data = elf_rawdata(scn, NULL);
		/* One that says it takes no room in the file has a size, but no contents. */
		if (!data || (data->d_size && (!data->d_buf ||
			      ((const char *)data->d_buf)[data->d_size - 1])))
			return false;
	}
	return true;
}

/* ---- Walking the tree ---- */

struct dwarf_walk dwarf_walk_of(Dwarf_Die *die)
{
	Dwarf_Off start = dwarf_dieoffset(die) - dwarf_cuoffset(die), next;
	struct dwarf_walk walk = { .steps_left = STEPS_MAX };
	size_t header;

	if (!dwarf_nextcu(dwarf_cu_getdwarf(die->cu), start, &next, &header, NULL, NULL, NULL))
		walk.unit_end = next;
	return walk;
}

/*
 * What stands behind the children of @die, whose last child's list ends with
 * the NUL at @end_of_list. Stores there too where @die's own list ends.
 */
static bool after_children(struct dwarf_walk *walk, Dwarf_Die *last, unsigned char *end_of_list,
			   unsigned char **end_ret, Dwarf_Die *ret)
{
	uint64_t offset = dwarf_dieoffset(last) + (end_of_list + 1 - (unsigned char *)last->addr);

	/* The unit's header may lie; libdw refuses what is behind the section. */
	if (offset >= walk->unit_end ||
	    !dwarf_offdie(dwarf_cu_getdwarf(last->cu), offset, ret))
		return false;
	if (*(unsigned char *)ret->addr)
		return true;
	*end_ret = ret->addr;
	return false;
}

/*
 * The next DIE of the same list; false at its end, whose NUL is then stored
 * in @end_ret (NULL if the end of the unit or something wrong came first).
 * libdw itself skips children only where their parent says where they end.
 */
static bool next_sibling(struct dwarf_walk *walk, Dwarf_Die *die, int depth,
			 unsigned char **end_ret, Dwarf_Die *ret)
{
	unsigned char *end_of_list = NULL;
	Dwarf_Die child, next = { 0 };
	int result;

	*end_ret = NULL;
	if (depth > DWARF_NESTING_MAX || walk->steps_left-- <= 0)
		return false;
	if (dwarf_haschildren(die) == 1 && !dwarf_hasattr(die, DW_AT_sibling) &&
	    !dwarf_child(die, &child)) {
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

bool dwarf_walk_next(struct dwarf_walk *walk, Dwarf_Die *die)
{
	unsigned char *end;
	Dwarf_Die next;

	if (!next_sibling(walk, die, 0, &end, &next))
		return false;
	*die = next;
	return true;
}
