// SPDX-License-Identifier: GPL-2.0-or-later
/* A Go program's module data; see module.h. */
#include <gelf.h>
#include <string.h>

#include "symbol/elfread.h"
#include "symbol/go/module.h"

#define PCLNTAB_MAX (512ull << 20)
#define DATA_MAX (256ull << 20)
#define TABLE_ALIGN 32
#define RELOCATIONS_MAX (256ull << 20)

/* Offsets in runtime.moduledata that no version since 1.19 changed. */
#define MODULEDATA_FUNCNAMETAB 8
#define MODULEDATA_PCLNTABLE 104
#define MODULEDATA_TEXT 176
#define MODULEDATA_NOPTRDATA 192
#define MODULEDATA_ENOPTRBSS 248

/* Where gofunc was in turn, and with it the ends of the types: 1.19, 1.20, 1.27. */
static const struct { uint64_t gofunc, types, etypes; } late_offsets[] = {
	{ 304, 280, 288 }, { 320, 296, 304 }, { 344, 296, 312 },
};

#define PROOF_TREES 64		/* of inlined calls, that a gofunc must explain */

/* The runtime's inlinedCall. */
struct inlined_1_18 {
	int16_t parent;
	uint8_t id, zero;
	int32_t file, line, name, parent_pc;
};

struct inlined_1_20 {
	uint8_t id, zero[3];
	int32_t name, parent_pc, start_line;
};

/* The table begins the section, or @within it, where an external linker put it. */
static bool read_pclntab_of(struct go_module *m, const Elf64_Shdr *shdr, bool within)
{
	uint64_t last = within && shdr->sh_size > TABLE_ALIGN ? shdr->sh_size - TABLE_ALIGN : 0;

	m->table_data = elfread_whole(m->fd, shdr->sh_offset, shdr->sh_size, PCLNTAB_MAX);
	for (uint64_t at = 0; m->table_data && at <= last; at += TABLE_ALIGN) {
		m->table_vaddr = shdr->sh_addr + at;
		if (go_pclntab_init(&m->table, m->table_data + at, shdr->sh_size - at))
			return true;
	}
	free(m->table_data);
	m->table_data = NULL;
	return false;
}

static bool read_pclntab(struct go_module *m)
{
	static const struct { const char *name; bool within; } places[] = {
		{ ".gopclntab", false }, { ".data.rel.ro.gopclntab", false },
		{ ".data.rel.ro", true },
	};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		const Elf64_Shdr *shdr = elfread_section(m->elf, m->fd, places[i].name,
							 SHT_PROGBITS);

		/* Only Go programs have those of the linker's; the other is in all. */
		if (shdr && (!places[i].within || elfread_section(m->elf, m->fd, ".go.buildinfo",
								  SHT_PROGBITS)))
			return read_pclntab_of(m, shdr, places[i].within);
	}
	return false;
}

static void read_relocations(struct go_module *m)
{
	static const char *const names[] = { ".rela.dyn", ".rela" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !m->relocations; i++) {
		const Elf64_Shdr *shdr = elfread_section(m->elf, m->fd, names[i], SHT_RELA);

		if (!shdr)
			continue;
		m->relocations = elfread_whole(m->fd, shdr->sh_offset, shdr->sh_size,
					       RELOCATIONS_MAX);
		m->relocations_count = m->relocations ? shdr->sh_size / sizeof(Elf64_Rela) : 0;
	}
}

bool go_module_read(const struct go_module *m, uint64_t vaddr, void *buf, size_t size)
{
	uint64_t offset;

	return elfread_vaddr_to_offset(m->elf, vaddr, &offset) &&
	       elfread_at(m->fd, offset, buf, size);
}

/* The word at @vaddr as the loader will leave it, but for the bias. */
static uint64_t word_at(const struct go_module *m, uint64_t vaddr)
{
	uint64_t word = 0;

	for (size_t i = 0; i < m->relocations_count; i++)
		if (m->relocations[i].r_offset == vaddr)
			return (uint64_t)m->relocations[i].r_addend;
	return go_module_read(m, vaddr, &word, sizeof(word)) ? word : 0;
}

static bool is_moduledata(const struct go_module *m, uint64_t vaddr)
{
	return word_at(m, vaddr + MODULEDATA_FUNCNAMETAB) == m->table_vaddr + m->table.names &&
	       word_at(m, vaddr + MODULEDATA_PCLNTABLE) == m->table_vaddr + m->table.functab;
}

static uint64_t moduledata_by_relocation(const struct go_module *m)
{
	for (size_t i = 0; i < m->relocations_count; i++)
		if ((uint64_t)m->relocations[i].r_addend == m->table_vaddr &&
		    is_moduledata(m, m->relocations[i].r_offset))
			return m->relocations[i].r_offset;
	return 0;
}

static uint64_t moduledata_in_segment(const struct go_module *m, const GElf_Phdr *phdr)
{
	__cleanup_free uint64_t *words = elfread_whole(m->fd, phdr->p_offset, phdr->p_filesz,
						       DATA_MAX);

	for (size_t i = 0; words && i < phdr->p_filesz / sizeof(*words); i++) {
		uint64_t vaddr = phdr->p_vaddr + i * sizeof(*words);

		if (words[i] == m->table_vaddr && is_moduledata(m, vaddr))
			return vaddr;
	}
	return 0;
}

/* It begins with the table's address and has those of two of its parts further on. */
static uint64_t find_moduledata(const struct go_module *m)
{
	uint64_t found = moduledata_by_relocation(m);
	size_t count = 0;

	if (elf_getphdrnum(m->elf, &count))
		return 0;
	for (size_t i = 0; i < count && !found; i++) {
		GElf_Phdr phdr;

		if (gelf_getphdr(m->elf, (int)i, &phdr) && phdr.p_type == PT_LOAD &&
		    (phdr.p_flags & PF_W))
			found = moduledata_in_segment(m, &phdr);
	}
	return found;
}

bool go_module_inlined(const struct go_module *m, const struct go_function *f, int32_t index,
		       struct go_inlined *ret)
{
	bool old = m->table.before_1_20;
	size_t size = old ? sizeof(struct inlined_1_18) : sizeof(struct inlined_1_20);
	union { struct inlined_1_18 of_1_18; struct inlined_1_20 of_1_20; } call;
	uint32_t tree;

	if (index < 0 || !m->func_data || !go_pclntab_inline_tree(&m->table, f, &tree) ||
	    !go_module_read(m, m->func_data + tree + (uint64_t)index * size, &call, size))
		return false;
	*ret = (struct go_inlined){
		.name = go_pclntab_name(&m->table, (uint32_t)(old ? call.of_1_18.name :
								    call.of_1_20.name)),
		.start_line = old ? 0 : (uint32_t)call.of_1_20.start_line,
		.id = old ? call.of_1_18.id : call.of_1_20.id,
		.parent = f->start + (uint32_t)(old ? call.of_1_18.parent_pc :
						      call.of_1_20.parent_pc),
	};
	return *ret->name && ret->parent < f->end;
}

/* Whether the function's first inlined call makes sense; @ret counts those who have one. */
static bool explains(const struct go_module *m, const struct go_function *f, int *ret)
{
	struct go_value_range range;
	struct go_inlined call;

	if (!go_value_begin(&m->table, f, GO_INLINED, &range))
		return true;
	while (go_value_next(&m->table, &range)) {
		if (range.value < 0)
			continue;
		++*ret;
		return go_module_inlined(m, f, range.value, &call);
	}
	return true;
}

/* The word of the module data by which inlined calls have names and parents; with it, m->types. */
static uint64_t find_func_data(struct go_module *m, uint64_t moduledata)
{
	for (size_t i = 0; i < sizeof(late_offsets) / sizeof(late_offsets[0]); i++) {
		struct go_function f;
		bool proven = true;
		int trees = 0;

		m->func_data = word_at(m, moduledata + late_offsets[i].gofunc);
		for (size_t k = 0; proven && trees < PROOF_TREES && k < m->table.count; k++)
			proven = !go_pclntab_function(&m->table, k, &f) || explains(m, &f, &trees);
		if (!proven || !trees)
			continue;
		m->types = word_at(m, moduledata + late_offsets[i].types);
		m->types_end = word_at(m, moduledata + late_offsets[i].etypes);
		return m->func_data;
	}
	return 0;
}

bool go_module_init(struct go_module *m, Elf *elf, int fd)
{
	uint64_t moduledata;

	*m = (struct go_module){ .elf = elf, .fd = fd };
	if (!read_pclntab(m)) {
		go_module_deinit(m);
		return false;
	}
	read_relocations(m);
	moduledata = find_moduledata(m);
	if (moduledata) {
		m->text = word_at(m, moduledata + MODULEDATA_TEXT);
		m->data = word_at(m, moduledata + MODULEDATA_NOPTRDATA);
		m->data_end = word_at(m, moduledata + MODULEDATA_ENOPTRBSS);
		m->func_data = find_func_data(m, moduledata);
	}
	free(m->relocations);
	m->relocations = NULL;
	m->relocations_count = 0;
	return true;
}

void go_module_deinit(struct go_module *m)
{
	free(m->table_data);
	free(m->relocations);
	*m = (struct go_module){ 0 };
}
