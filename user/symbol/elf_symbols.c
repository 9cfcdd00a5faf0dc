// SPDX-License-Identifier: GPL-2.0-or-later
/* Taking function symbols out of an ELF file; see elf_symbols.h. */
#include <elf.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "symbol/elf_symbols.h"
#include "symbol/elfread.h"

/*
 * The largest string tables known (browsers with all symbols) have 250 MB. A
 * sparse file can claim any size.
 */
#define STRINGS_MAX (512ULL << 20)
#define CHUNK 2048

/* A symbol table inside a file, and what is needed to read it. */
struct source {
	const struct elf_symbols_wish *wish;
	int fd;
	uint64_t offset, count;
	const Elf64_Shdr *sections;	/* NULL if there are none */
	size_t sections_count;
	const char *strings;		/* the last one may lack its NUL */
	uint64_t strings_size;
	void *mapped;			/* what they are in */
	size_t mapped_bytes;
	bool exported;
};

static void unmap_strings(const struct source *src)
{
	if (src->mapped)
		munmap(src->mapped, src->mapped_bytes);
}

/*
 * Mapped, so that they cost a reader no memory of its own. Somebody who cuts the file
 * short meanwhile ends that reader.
 */
static bool map_strings(struct source *src, uint64_t offset, uint64_t size)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), before = offset % page;
	struct stat st;

	if (!size || size > STRINGS_MAX || fstat(src->fd, &st) ||
	    offset > (uint64_t)st.st_size || size > (uint64_t)st.st_size - offset)
		return false;
	src->mapped_bytes = before + size;
	src->mapped = mmap(NULL, src->mapped_bytes, PROT_READ, MAP_PRIVATE, src->fd,
			   (off_t)(offset - before));
	if (src->mapped == MAP_FAILED) {
		src->mapped = NULL;
		return false;
	}
	src->strings = (const char *)src->mapped + before;
	src->strings_size = size;
	return true;
}

const struct object_segment *elf_symbols_segment(const struct object_segment *segments,
						 size_t count, uint64_t vaddr)
{
	size_t lo = 0, hi = count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (vaddr < segments[mid].vaddr)
			hi = mid;
		else if (vaddr - segments[mid].vaddr >= segments[mid].size)
			lo = mid + 1;
		else
			return &segments[mid];
	}
	return NULL;
}

/* "name@VERSION" and "name@@VERSION"; an @ may also be part of a name. */
static size_t len_without_version(const char *name, size_t len)
{
	const char *at = memchr(name + 1, '@', len - 1);

	if (at && (at[1] == '@' || at[1] == '_' || (at[1] >= 'A' && at[1] <= 'Z') ||
		   (at[1] >= 'a' && at[1] <= 'z')))
		return (size_t)(at - name);
	return len;
}

/* What arm64's assembler (mapping symbols) and compilers leave behind. */
static bool is_local_marker(const char *name)
{
	return !strncmp(name, ".L", 2) ||
	       (name[0] == '$' && (name[1] == 'x' || name[1] == 'd') &&
		(!name[2] || name[2] == '.'));
}

static bool is_label(const struct source *src, const Elf64_Sym *sym)
{
	return ELF64_ST_TYPE(sym->st_info) == STT_NOTYPE &&
	       sym->st_shndx < src->sections_count &&
	       src->sections[sym->st_shndx].sh_flags & SHF_EXECINSTR;
}

static uint8_t rank_of(const Elf64_Sym *sym)
{
	switch (ELF64_ST_BIND(sym->st_info)) {
	case STB_LOCAL:
		return RANK_LOCAL;
	case STB_WEAK:
		return RANK_WEAK;
	default:
		return RANK_GLOBAL;
	}
}

/* Where the section or, failing that, the segment ends in which @sym lies. */
static uint64_t limit_of(const struct source *src, const Elf64_Sym *sym,
			 const struct object_segment *seg)
{
	uint64_t limit = seg->vaddr + seg->size;

	if (sym->st_shndx < src->sections_count) {
		const Elf64_Shdr *shdr = &src->sections[sym->st_shndx];

		if (sym->st_value - shdr->sh_addr < shdr->sh_size &&
		    shdr->sh_size < limit - shdr->sh_addr)
			limit = shdr->sh_addr + shdr->sh_size;
	}
	return limit;
}

static void add_symbol(const struct source *src, const Elf64_Sym *sym)
{
	bool function = ELF64_ST_TYPE(sym->st_info) == STT_FUNC;
	const struct elf_symbols_wish *wish = src->wish;
	const struct object_segment *seg;
	struct named_range range;
	char plain[STREAM_NAME_MAX + 1];
	const char *name;
	size_t len;

	if (sym->st_shndx == SHN_UNDEF || sym->st_name >= src->strings_size ||
	    (!function && !is_label(src, sym)))
		return;
	seg = elf_symbols_segment(wish->segments, wish->segments_count, sym->st_value);
	name = src->strings + sym->st_name;
	len = src->strings_size - sym->st_name;
	len = strnlen(name, len < STREAM_NAME_MAX ? len : STREAM_NAME_MAX + 1);
	if (!seg || !len || len > STREAM_NAME_MAX)
		return;
	len = len_without_version(name, len);
	memcpy(plain, name, len);
	plain[len] = '\0';
	if (!function && is_local_marker(plain))
		return;
	range = (struct named_range){
		.start = sym->st_value,
		.size = sym->st_size,
		.limit = limit_of(src, sym, seg),
		.rank = rank_of(sym),
		.is_label = !function,
		.is_exported = src->exported && function && rank_of(sym) != RANK_LOCAL,
	};
	if (range.size > range.limit - range.start)
		range.size = range.limit - range.start;
	wish->take(wish->arg, &range, plain);
}

static void add_source(const struct source *src)
{
	Elf64_Sym chunk[CHUNK];
	uint64_t done = 0, count = src->count < SYMBOLS_MAX ? src->count : SYMBOLS_MAX;

	while (done < count) {
		size_t want = count - done < CHUNK ? count - done : CHUNK;
		size_t n = elfread_some(src->fd, src->offset + done * sizeof(*chunk),
					chunk, want * sizeof(*chunk)) / sizeof(*chunk);

		for (size_t i = 0; i < n; i++)
			add_symbol(src, &chunk[i]);
		if (n < want)
			break;
		done += n;
	}
}

/* All section headers, so that symbols can be asked for theirs. */
static size_t read_sections(Elf *elf, Elf64_Shdr **ret)
{
	size_t count = 0;

	*ret = NULL;
	if (elf_getshdrnum(elf, &count) || !count)
		return 0;
	*ret = xcalloc(count, sizeof(**ret));
	for (size_t i = 0; i < count; i++) {
		const Elf64_Shdr *shdr = elf64_getshdr(elf_getscn(elf, i));

		if (shdr)
			(*ret)[i] = *shdr;
	}
	return count;
}

static bool add_section(const struct elf_symbols_wish *wish, int fd, const Elf64_Shdr *sections,
			size_t sections_count, const Elf64_Shdr *shdr)
{
	const Elf64_Shdr *strings;
	struct source src = {
		.wish = wish,
		.fd = fd,
		.offset = shdr->sh_offset,
		.count = shdr->sh_size / sizeof(Elf64_Sym),
		.sections = sections,
		.sections_count = sections_count,
		.exported = shdr->sh_type == SHT_DYNSYM,
	};

	if (shdr->sh_link >= sections_count)
		return false;
	strings = &sections[shdr->sh_link];
	if (strings->sh_type != SHT_STRTAB)
		return false;
	if (!map_strings(&src, strings->sh_offset, strings->sh_size))
		return false;
	add_source(&src);
	unmap_strings(&src);
	return true;
}

/* What the dynamic segment says of .dynsym, as virtual addresses. */
struct dynamic { uint64_t symtab, strtab, strsz, hash, gnu_hash; };

static bool read_dynamic(Elf *elf, int fd, struct dynamic *ret)
{
	GElf_Phdr phdr = { 0 };
	size_t count = 0;
	Elf64_Dyn dyn;

	elf_getphdrnum(elf, &count);
	for (size_t i = 0; i < count; i++) {
		if (gelf_getphdr(elf, i, &phdr) && phdr.p_type == PT_DYNAMIC)
			break;
	}
	if (phdr.p_type != PT_DYNAMIC)
		return false;
	for (uint64_t at = 0; at + sizeof(dyn) <= phdr.p_filesz; at += sizeof(dyn)) {
		if (!elfread_at(fd, phdr.p_offset + at, &dyn, sizeof(dyn)) ||
		    dyn.d_tag == DT_NULL)
			break;
		switch (dyn.d_tag) {
		case DT_SYMTAB:
			ret->symtab = dyn.d_un.d_ptr;
			break;
		case DT_STRTAB:
			ret->strtab = dyn.d_un.d_ptr;
			break;
		case DT_STRSZ:
			ret->strsz = dyn.d_un.d_val;
			break;
		case DT_HASH:
			ret->hash = dyn.d_un.d_ptr;
			break;
		case DT_GNU_HASH:
			ret->gnu_hash = dyn.d_un.d_ptr;
			break;
		}
	}
	return ret->symtab && ret->strtab && (ret->hash || ret->gnu_hash);
}

/* The hash chain that begins with symbol @i ends where the lowest bit is set. */
static uint64_t gnu_chain_end(int fd, uint64_t chain, uint64_t i)
{
	uint32_t words[CHUNK];

	for (;;) {
		size_t n = elfread_some(fd, chain + i * 4, words, sizeof(words)) / 4;

		for (size_t w = 0; w < n; w++, i++) {
			if (words[w] & 1)
				return i + 1;
		}
		if (n < CHUNK)
			return i;
	}
}

/*
 * DT_GNU_HASH does not tell the number of symbols: the last one ends the
 * chain of the highest bucket.
 */
static uint64_t gnu_hash_count(int fd, uint64_t offset)
{
	uint32_t head[4], *buckets, highest = 0;
	__cleanup_free void *data = NULL;
	uint64_t buckets_at, chain;

	if (!elfread_at(fd, offset, head, sizeof(head)))
		return 0;
	buckets_at = offset + sizeof(head) + head[2] * 8ULL;
	chain = buckets_at + head[0] * 4ULL;
	data = elfread_whole(fd, buckets_at, head[0] * 4ULL, STRINGS_MAX);
	if (!data)
		return 0;
	buckets = data;
	for (uint32_t i = 0; i < head[0]; i++) {
		if (buckets[i] > highest)
			highest = buckets[i];
	}
	if (highest < head[1])
		return head[1];
	return gnu_chain_end(fd, chain - head[1] * 4ULL, highest);
}

static uint64_t dynamic_symbol_count(Elf *elf, int fd, const struct dynamic *dyn)
{
	uint32_t head[2];
	uint64_t offset;

	if (dyn->hash)
		return elfread_vaddr_to_offset(elf, dyn->hash, &offset) &&
		       elfread_at(fd, offset, head, sizeof(head)) ? head[1] : 0;
	return elfread_vaddr_to_offset(elf, dyn->gnu_hash, &offset) ?
	       gnu_hash_count(fd, offset) : 0;
}

static void add_dynamic(const struct elf_symbols_wish *wish, Elf *elf, int fd)
{
	struct source src = { .wish = wish, .fd = fd, .exported = true };
	struct dynamic dyn = { 0 };
	uint64_t strings;

	if (!read_dynamic(elf, fd, &dyn) ||
	    !elfread_vaddr_to_offset(elf, dyn.symtab, &src.offset) ||
	    !elfread_vaddr_to_offset(elf, dyn.strtab, &strings))
		return;
	src.count = dynamic_symbol_count(elf, fd, &dyn);
	if (!map_strings(&src, strings, dyn.strsz))
		return;
	add_source(&src);
	unmap_strings(&src);
}

bool elf_symbols_take(int fd, const struct elf_symbols_wish *wish)
{
	__cleanup_free Elf64_Shdr *sections = NULL;
	__cleanup_elf Elf *elf = elfread_open(fd);
	bool symtab_found = false, dynsym_found = false;
	size_t count;

	if (!elf)
		return false;
	count = read_sections(elf, &sections);
	for (size_t i = 0; i < count; i++) {
		bool *found = sections[i].sh_type == SHT_SYMTAB ? &symtab_found :
			      sections[i].sh_type == SHT_DYNSYM ? &dynsym_found : NULL;

		/* There is one of each; a second one is somebody's joke. */
		if (found && !*found)
			*found = add_section(wish, fd, sections, count, &sections[i]);
	}
	if (!dynsym_found)
		add_dynamic(wish, elf, fd);
	return symtab_found;
}
