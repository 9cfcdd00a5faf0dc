// SPDX-License-Identifier: GPL-2.0-or-later
/* Functions that are nothing but a jump; see jump.h. */
#include "symbol/jump.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "symbol/elfread.h"

#define LONGEST_JUMP 16		/* endbr64, bnd, jmp *slot(%rip), and some */
#define SECTION_MAX (64 << 20)

enum jump_form { NO_JUMP, JUMP_DIRECT, JUMP_BY_SLOT };

#if defined(__x86_64__)

/* Where the jump at @vaddr leads, or the slot that says where. */
static enum jump_form decode(const struct object *object, uint64_t vaddr, uint64_t *ret)
{
	uint8_t code[LONGEST_JUMP] = { 0 };
	size_t at = 0;
	int32_t rel;

	if (object_read(object, vaddr, code, sizeof(code)) < sizeof(code))
		return NO_JUMP;
	if (!memcmp(code, "\xf3\x0f\x1e\xfa", 4))
		at = 4;
	if (code[at] == 0xf2)
		at++;
	if (code[at] == 0xeb) {
		*ret = vaddr + at + 2 + (int8_t)code[at + 1];
		return JUMP_DIRECT;
	}
	if (code[at] == 0xe9) {
		memcpy(&rel, code + at + 1, sizeof(rel));
		*ret = vaddr + at + 5 + (int64_t)rel;
		return JUMP_DIRECT;
	}
	if (code[at] == 0xff && code[at + 1] == 0x25) {
		memcpy(&rel, code + at + 2, sizeof(rel));
		*ret = vaddr + at + 6 + (int64_t)rel;
		return JUMP_BY_SLOT;
	}
	return NO_JUMP;
}

static bool fills_slot(const Elf64_Rela *rela)
{
	return ELF64_R_TYPE(rela->r_info) == R_X86_64_JUMP_SLOT ||
	       ELF64_R_TYPE(rela->r_info) == R_X86_64_GLOB_DAT;
}

#else

static enum jump_form decode(const struct object *object, uint64_t vaddr, uint64_t *ret)
{
	return NO_JUMP;
}

static bool fills_slot(const Elf64_Rela *rela)
{
	return false;
}

#endif

/* The name of dynamic symbol @index; the caller frees it. */
static char *dynamic_name(Elf *elf, int fd, size_t index)
{
	const Elf64_Shdr *symbols = elfread_section(elf, fd, ".dynsym", SHT_DYNSYM);
	const Elf64_Shdr *strings = elfread_section(elf, fd, ".dynstr", SHT_STRTAB);
	__cleanup_free char *names = NULL;
	Elf64_Sym sym;

	if (!symbols || !strings || index >= symbols->sh_size / sizeof(sym) ||
	    !elfread_at(fd, symbols->sh_offset + index * sizeof(sym), &sym, sizeof(sym)))
		return NULL;
	names = elfread_whole(fd, strings->sh_offset, strings->sh_size, SECTION_MAX);
	if (!names || sym.st_name >= strings->sh_size || !names[sym.st_name])
		return NULL;
	return xstrdup(names + sym.st_name);
}

/* The symbol whose address the loader puts into @slot, by the relocations in @section. */
static char *bound_by(Elf *elf, int fd, const char *section, uint64_t slot)
{
	const Elf64_Shdr *shdr = elfread_section(elf, fd, section, SHT_RELA);
	__cleanup_free Elf64_Rela *rela = NULL;

	if (!shdr)
		return NULL;
	rela = elfread_whole(fd, shdr->sh_offset, shdr->sh_size, SECTION_MAX);
	for (size_t i = 0; rela && i < shdr->sh_size / sizeof(*rela); i++)
		if (rela[i].r_offset == slot && fills_slot(&rela[i]))
			return dynamic_name(elf, fd, ELF64_R_SYM(rela[i].r_info));
	return NULL;
}

char *jump_slot_symbol(const struct object *object, uint64_t vaddr)
{
	__cleanup_elf Elf *elf = elfread_open(object->fd);
	char *name;

	if (!elf)
		return NULL;
	name = bound_by(elf, object->fd, ".rela.plt", vaddr);
	return name ?: bound_by(elf, object->fd, ".rela.dyn", vaddr);
}

bool jump_at(const struct object *object, uint64_t vaddr, struct jump *ret)
{
	uint64_t target, slot;
	enum jump_form form = decode(object, vaddr, &target);

	*ret = (struct jump){ 0 };
	if (form == NO_JUMP)
		return false;
	ret->vaddr = target;
	slot = target;
	if (form == JUMP_DIRECT)
		form = decode(object, target, &slot);
	if (form == JUMP_BY_SLOT)
		ret->name = jump_slot_symbol(object, slot);
	return true;
}

void jump_deinit(struct jump *jump)
{
	free(jump->name);
}

/* The value of the symbol of this name and type in a symbol table and its strings. */
static bool find_in_table(const struct object *object, const Elf64_Shdr *symbols,
			  const Elf64_Shdr *strings, const char *name, unsigned int type,
			  uint64_t *ret)
{
	__cleanup_free Elf64_Sym *sym = NULL;
	__cleanup_free char *names = NULL;

	if (!symbols || !strings)
		return false;
	sym = elfread_whole(object->fd, symbols->sh_offset, symbols->sh_size, SECTION_MAX);
	names = elfread_whole(object->fd, strings->sh_offset, strings->sh_size, SECTION_MAX);
	for (size_t i = 0; sym && names && i < symbols->sh_size / sizeof(*sym); i++) {
		if (ELF64_ST_TYPE(sym[i].st_info) != type || !sym[i].st_value ||
		    sym[i].st_name >= strings->sh_size || strcmp(names + sym[i].st_name, name))
			continue;
		*ret = sym[i].st_value;
		return true;
	}
	return false;
}

static bool find_symbol(const struct object *object, const char *name, unsigned int type,
			uint64_t *ret)
{
	__cleanup_elf Elf *elf = elfread_open(object->fd);
	int fd = object->fd;

	return elf &&
	       (find_in_table(object, elfread_section(elf, fd, ".dynsym", SHT_DYNSYM),
			      elfread_section(elf, fd, ".dynstr", SHT_STRTAB), name, type, ret) ||
		find_in_table(object, elfread_section(elf, fd, ".symtab", SHT_SYMTAB),
			      elfread_section(elf, fd, ".strtab", SHT_STRTAB), name, type, ret));
}

bool jump_find_variable(const struct object *object, const char *name, uint64_t *ret)
{
	return find_symbol(object, name, STT_OBJECT, ret);
}

bool jump_is_indirect(const struct object *object, const char *name)
{
	uint64_t chooser;

	return find_symbol(object, name, STT_GNU_IFUNC, &chooser);
}
