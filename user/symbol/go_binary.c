// SPDX-License-Identifier: GPL-2.0-or-later
/* A Go program's file; see go_binary.h. */
#include <gelf.h>
#include <string.h>

#include "symbol/elfread.h"
#include "symbol/go_pclntab.h"
#include "symbol/go_vote.h"
#include "symbol/object.h"

#define PCLNTAB_MAX (512ull << 20)
#define DATA_MAX (256ull << 20)
#define RELOCATIONS_MAX (256ull << 20)
#define MINOR_MIN 19

/* Offsets in runtime.moduledata that no version since 1.19 changed. */
#define MODULEDATA_FUNCNAMETAB 8
#define MODULEDATA_PCLNTABLE 104
#define MODULEDATA_TEXT 176
#define MODULEDATA_NOPTRDATA 192
#define MODULEDATA_ENOPTRBSS 248

/* A file as it is being opened. */
struct reading {
	const struct object *obj;
	Elf *elf;
	struct go_pclntab table;
	uint8_t *table_data;
	uint64_t table_vaddr;
	Elf64_Rela *relocations;	/* of a position-independent file: words to be */
	size_t relocations_count;
};

static void reading_deinit(struct reading *r)
{
	elf_end(r->elf);
	free(r->table_data);
	free(r->relocations);
}

const char *go_variable_name(enum go_variable variable)
{
	static const char *const names[] = {
#define X(symbol, name) name,
		GO_VARIABLES(X)
#undef X
	};

	return names[variable];
}

void go_binary_close(struct go_binary *go)
{
	if (!go)
		return;
	free(go->version);
	free(go);
}

/* "\xff Go buildinf:", pointer size, flags, and from 32 on the version, its length in front. */
static char *build_version(const struct reading *r)
{
	static const char magic[] = "\xff Go buildinf:";
	const Elf64_Shdr *shdr = elfread_section(r->elf, r->obj->fd, ".go.buildinfo", SHT_PROGBITS);
	uint8_t head[33 + 127];
	size_t len;

	if (!shdr)
		return NULL;
	len = elfread_some(r->obj->fd, shdr->sh_offset, head,
			   shdr->sh_size < sizeof(head) ? shdr->sh_size : sizeof(head));
	/* Without the flag, strings are elsewhere: before Go 1.18. */
	if (len < 33 || memcmp(head, magic, sizeof(magic) - 1) || !(head[15] & 2) ||
	    head[32] > len - 33)
		return len ? xstrdup("before go1.18") : NULL;
	return xstrndup((char *)head + 33, head[32]);
}

static unsigned int minor_version(const char *version)
{
	const char *at = strstr(version, "go1.");
	unsigned int minor = 0;

	/* "go1.22.12", "devel go1.28-0123abcd" */
	return at && sscanf(at, "go1.%3u", &minor) == 1 ? minor : 0;
}

static bool read_pclntab(struct reading *r)
{
	static const char *const names[] = { ".gopclntab", ".data.rel.ro.gopclntab" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const Elf64_Shdr *shdr = elfread_section(r->elf, r->obj->fd, names[i],
							 SHT_PROGBITS);

		if (!shdr)
			continue;
		r->table_vaddr = shdr->sh_addr;
		r->table_data = elfread_whole(r->obj->fd, shdr->sh_offset, shdr->sh_size,
					      PCLNTAB_MAX);
		return r->table_data && go_pclntab_init(&r->table, r->table_data, shdr->sh_size);
	}
	return false;
}

static void read_relocations(struct reading *r)
{
	static const char *const names[] = { ".rela.dyn", ".rela" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !r->relocations; i++) {
		const Elf64_Shdr *shdr = elfread_section(r->elf, r->obj->fd, names[i], SHT_RELA);

		if (!shdr)
			continue;
		r->relocations = elfread_whole(r->obj->fd, shdr->sh_offset, shdr->sh_size,
					       RELOCATIONS_MAX);
		r->relocations_count = r->relocations ? shdr->sh_size / sizeof(Elf64_Rela) : 0;
	}
}

/* The word at @vaddr as the loader will leave it, but for the bias. */
static uint64_t word_at(const struct reading *r, uint64_t vaddr)
{
	uint64_t word = 0;

	for (size_t i = 0; i < r->relocations_count; i++)
		if (r->relocations[i].r_offset == vaddr)
			return (uint64_t)r->relocations[i].r_addend;
	if (object_read(r->obj, vaddr, &word, sizeof(word)) != sizeof(word))
		return 0;
	return word;
}

static bool is_moduledata(const struct reading *r, uint64_t vaddr)
{
	return word_at(r, vaddr + MODULEDATA_FUNCNAMETAB) == r->table_vaddr + r->table.names &&
	       word_at(r, vaddr + MODULEDATA_PCLNTABLE) == r->table_vaddr + r->table.functab;
}

static uint64_t moduledata_by_relocation(const struct reading *r)
{
	for (size_t i = 0; i < r->relocations_count; i++)
		if ((uint64_t)r->relocations[i].r_addend == r->table_vaddr &&
		    is_moduledata(r, r->relocations[i].r_offset))
			return r->relocations[i].r_offset;
	return 0;
}

static uint64_t moduledata_in_segment(const struct reading *r, const GElf_Phdr *phdr)
{
	__cleanup_free uint64_t *words = elfread_whole(r->obj->fd, phdr->p_offset, phdr->p_filesz,
						       DATA_MAX);

	for (size_t i = 0; words && i < phdr->p_filesz / sizeof(*words); i++) {
		uint64_t vaddr = phdr->p_vaddr + i * sizeof(*words);

		if (words[i] == r->table_vaddr && is_moduledata(r, vaddr))
			return vaddr;
	}
	return 0;
}

/* It begins with the table's address and has those of two of its parts further on. */
static uint64_t find_moduledata(const struct reading *r)
{
	uint64_t found = moduledata_by_relocation(r);
	size_t count = 0;

	if (elf_getphdrnum(r->elf, &count))
		return 0;
	for (size_t i = 0; i < count && !found; i++) {
		GElf_Phdr phdr;

		if (gelf_getphdr(r->elf, (int)i, &phdr) && phdr.p_type == PT_LOAD &&
		    (phdr.p_flags & PF_W))
			found = moduledata_in_segment(r, &phdr);
	}
	return found;
}

static struct error *unreadable(const struct go_binary *go, const char *why)
{
	return error_create(ERROR_UNSUPPORTED, "a Go program (%s) whose runtime cannot be read: %s",
			    go->version, why);
}

static struct error *find_variables(struct reading *r, struct go_binary *go)
{
	uint64_t moduledata;

	if (go->minor && go->minor < MINOR_MIN)
		return unreadable(go, "Go 1.19 and newer are known");
	if (!read_pclntab(r))
		return unreadable(go, "it has no table of functions that is known");
	read_relocations(r);
	moduledata = find_moduledata(r);
	if (!moduledata)
		return unreadable(go, "its module data was not found");
	go->text = word_at(r, moduledata + MODULEDATA_TEXT);
	go->data = word_at(r, moduledata + MODULEDATA_NOPTRDATA);
	go->data_end = word_at(r, moduledata + MODULEDATA_ENOPTRBSS);
	go_vote(r->obj, &r->table, go);
	for (int i = 0; i < GO_VARIABLES_COUNT; i++)
		if (!go->variables[i])
			return unreadable(go, "its code does not show where its variables lie");
	return NULL;
}

struct error *go_binary_open(const struct object *obj, struct go_binary **ret)
{
	__cleanup(reading_deinit) struct reading r = { .obj = obj };
	__cleanup(go_binary_closep) struct go_binary *go = NULL;
	struct error *err;
	char *version;

	*ret = NULL;
	r.elf = elfread_open(obj->fd);
	version = r.elf ? build_version(&r) : NULL;
	if (!version)
		return NULL;
	go = xcalloc(1, sizeof(*go));
	go->version = version;
	go->minor = minor_version(version);
	err = find_variables(&r, go);
	if (err)
		return err;
	*ret = steal_ptr(go);
	return NULL;
}
