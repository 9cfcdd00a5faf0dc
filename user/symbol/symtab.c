// SPDX-License-Identifier: GPL-2.0-or-later
/* Gathering, indexing and asking for function symbols; see symtab.h. */
#include <elf.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/vec.h"
#include "symbol/demangle.h"
#include "symbol/elfread.h"
#include "symbol/symtab.h"

/*
 * The largest string tables known (browsers with all symbols) have 250 MB. A
 * sparse file can claim any size.
 */
#define STRINGS_MAX (512ULL << 20)
#define SYMBOLS_MAX (8ULL << 20)
#define NAME_LEN_MAX 65536
#define CHUNK 2048

#define NONE UINT32_MAX

enum binding_rank { RANK_TOLD, RANK_GLOBAL, RANK_WEAK, RANK_LOCAL };

/* A symbol on its way into the index. */
struct entry {
	struct object_symbol sym;
	uint64_t limit;		/* where it ends at the latest */
	uint8_t rank;		/* enum binding_rank */
	bool label;		/* STT_NOTYPE: names code, but is no function */
	uint32_t index;		/* in functions or labels, after finishing */
};

/* From start to the next range's start, index names the best symbol. */
struct range {
	uint64_t start;
	uint32_t index;		/* functions, then labels; NONE */
};

/* A symbol whose end the sweep has not reached yet. */
struct open_symbol {
	uint64_t end;
	uint32_t index;
};

DEFINE_VEC(entry_vec, struct entry);
DEFINE_VEC(range_vec, struct range);
DEFINE_VEC(open_vec, struct open_symbol);
DEFINE_VEC(symbol_vec, struct object_symbol);
DEFINE_VEC(string_vec, char *);

struct symtab {
	const struct object_segment *segments;
	size_t segments_count;
	struct entry_vec entries;	/* empty once finished */
	struct string_vec strings;	/* string tables, which the names point into */
	struct symbol_vec functions, labels;
	struct range_vec ranges;
	char **demangled;		/* by index; NULL: not asked for yet */
	/* Exported functions by the hash of their name, made at the first question. */
	uint32_t *buckets, *chain;
	uint32_t buckets_mask;
};

struct symtab *symtab_create(const struct object_segment *segments, size_t count)
{
	struct symtab *symtab = xcalloc(1, sizeof(*symtab));

	symtab->segments = segments;
	symtab->segments_count = count;
	return symtab;
}

static size_t symbols_count(const struct symtab *symtab)
{
	return symtab->functions.len + symtab->labels.len;
}

static const struct object_symbol *symbol_at(const struct symtab *symtab, uint32_t index)
{
	if (index < symtab->functions.len)
		return &symtab->functions.data[index];
	return &symtab->labels.data[index - symtab->functions.len];
}

void symtab_destroy(struct symtab *symtab)
{
	if (!symtab)
		return;
	if (symtab->demangled) {
		for (size_t i = 0; i < symbols_count(symtab); i++) {
			if (symtab->demangled[i] != symbol_at(symtab, i)->name)
				free(symtab->demangled[i]);
		}
	}
	vec_for_each(s, &symtab->strings)
		free(*s);
	free(symtab->demangled);
	free(symtab->buckets);
	free(symtab->chain);
	entry_vec_deinit(&symtab->entries);
	string_vec_deinit(&symtab->strings);
	symbol_vec_deinit(&symtab->functions);
	symbol_vec_deinit(&symtab->labels);
	range_vec_deinit(&symtab->ranges);
	free(symtab);
}

/* ---- Gathering ---- */

/* A symbol table inside a file, and what is needed to read it. */
struct source {
	int fd;
	uint64_t offset, count;
	const Elf64_Shdr *sections;	/* NULL if there are none */
	size_t sections_count;
	char *strings;
	uint64_t strings_size;
	bool exported;
};

static const struct object_segment *segment_of(const struct symtab *symtab, uint64_t vaddr)
{
	const struct object_segment *segments = symtab->segments;
	size_t lo = 0, hi = symtab->segments_count;

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
static void strip_version(char *name)
{
	char *at = strchr(name + 1, '@');

	if (at && (at[1] == '@' || at[1] == '_' || (at[1] >= 'A' && at[1] <= 'Z') ||
		   (at[1] >= 'a' && at[1] <= 'z')))
		*at = '\0';
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

static void add_symbol(struct symtab *symtab, const struct source *src, const Elf64_Sym *sym)
{
	bool function = ELF64_ST_TYPE(sym->st_info) == STT_FUNC;
	const struct object_segment *seg;
	struct entry *entry;
	uint64_t limit;
	char *name;

	if (sym->st_shndx == SHN_UNDEF || sym->st_name >= src->strings_size ||
	    (!function && !is_label(src, sym)))
		return;
	seg = segment_of(symtab, sym->st_value);
	name = src->strings + sym->st_name;
	if (!seg || !*name || strnlen(name, NAME_LEN_MAX) == NAME_LEN_MAX ||
	    (!function && is_local_marker(name)))
		return;
	strip_version(name);
	limit = limit_of(src, sym, seg);
	entry = entry_vec_append(&symtab->entries);
	*entry = (struct entry){
		.sym = {
			.vaddr = sym->st_value,
			.size = sym->st_size,
			.name = name,
			.exported = src->exported && function && rank_of(sym) != RANK_LOCAL,
		},
		.limit = limit,
		.rank = rank_of(sym),
		.label = !function,
	};
	if (entry->sym.size > limit - sym->st_value)
		entry->sym.size = limit - sym->st_value;
}

void symtab_add_function(struct symtab *symtab, uint64_t vaddr, uint64_t size, const char *name)
{
	const struct object_segment *seg = segment_of(symtab, vaddr);
	uint64_t limit = seg ? seg->vaddr + seg->size : 0;

	if (!seg || strnlen(name, NAME_LEN_MAX) == NAME_LEN_MAX)
		return;
	entry_vec_push(&symtab->entries, (struct entry){
		.sym = {
			.vaddr = vaddr,
			.size = size < limit - vaddr ? size : limit - vaddr,
			.name = name,
		},
		.limit = limit,
		.rank = RANK_TOLD,
	});
}

static void add_source(struct symtab *symtab, const struct source *src)
{
	Elf64_Sym chunk[CHUNK];
	uint64_t done = 0, count = src->count < SYMBOLS_MAX ? src->count : SYMBOLS_MAX;

	while (done < count) {
		size_t want = count - done < CHUNK ? count - done : CHUNK;
		size_t n = elfread_some(src->fd, src->offset + done * sizeof(*chunk),
					chunk, want * sizeof(*chunk)) / sizeof(*chunk);

		for (size_t i = 0; i < n; i++)
			add_symbol(symtab, src, &chunk[i]);
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

static bool add_section(struct symtab *symtab, int fd, const Elf64_Shdr *sections,
			size_t sections_count, const Elf64_Shdr *shdr)
{
	const Elf64_Shdr *strings;
	struct source src = {
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
	src.strings = elfread_whole(fd, strings->sh_offset, strings->sh_size, STRINGS_MAX);
	if (!src.strings)
		return false;
	src.strings_size = strings->sh_size;
	string_vec_push(&symtab->strings, src.strings);
	add_source(symtab, &src);
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

static void add_dynamic(struct symtab *symtab, Elf *elf, int fd)
{
	struct source src = { .fd = fd, .exported = true };
	struct dynamic dyn = { 0 };
	uint64_t strings;

	if (!read_dynamic(elf, fd, &dyn) ||
	    !elfread_vaddr_to_offset(elf, dyn.symtab, &src.offset) ||
	    !elfread_vaddr_to_offset(elf, dyn.strtab, &strings))
		return;
	src.count = dynamic_symbol_count(elf, fd, &dyn);
	src.strings = elfread_whole(fd, strings, dyn.strsz, STRINGS_MAX);
	if (!src.strings)
		return;
	src.strings_size = dyn.strsz;
	string_vec_push(&symtab->strings, src.strings);
	add_source(symtab, &src);
}

bool symtab_add_file(struct symtab *symtab, int fd)
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
			*found = add_section(symtab, fd, sections, count, &sections[i]);
	}
	if (!dynsym_found)
		add_dynamic(symtab, elf, fd);
	return symtab_found;
}

/* ---- Indexing ---- */

static int compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int by_address_and_name(const void *va, const void *vb)
{
	const struct entry *a = va, *b = vb;

	return compare(a->sym.vaddr, b->sym.vaddr) ?: strcmp(a->sym.name, b->sym.name);
}

/* The best of several names of one address first. */
static int by_preference(const void *va, const void *vb)
{
	const struct entry *a = va, *b = vb;

	return a->label - b->label ?: a->rank - b->rank ?:
	       compare(strlen(a->sym.name), strlen(b->sym.name)) ?:
	       strcmp(a->sym.name, b->sym.name);
}

/* .symtab repeats .dynsym, and a debug file repeats .symtab. */
static void merge_into(struct entry *kept, const struct entry *twin)
{
	kept->sym.exported |= twin->sym.exported;
	kept->label &= twin->label;
	if (twin->sym.size > kept->sym.size)
		kept->sym.size = twin->sym.size;
	if (twin->rank < kept->rank)
		kept->rank = twin->rank;
}

static void sort_and_merge(struct entry_vec *entries)
{
	size_t kept = 0;

	if (!entries->len)
		return;
	qsort(entries->data, entries->len, sizeof(*entries->data), by_address_and_name);
	for (size_t i = 1; i < entries->len; i++) {
		if (!by_address_and_name(&entries->data[kept], &entries->data[i]))
			merge_into(&entries->data[kept], &entries->data[i]);
		else
			entries->data[++kept] = entries->data[i];
	}
	entries->len = kept + 1;
}

/* The first entry from @i on that has another address. */
static size_t group_end(const struct entry_vec *entries, size_t i)
{
	uint64_t vaddr = entries->data[i].sym.vaddr;

	while (i < entries->len && entries->data[i].sym.vaddr == vaddr)
		i++;
	return i;
}

static void order_aliases(struct entry_vec *entries)
{
	for (size_t i = 0, end; i < entries->len; i = end) {
		end = group_end(entries, i);
		if (end - i > 1)
			qsort(&entries->data[i], end - i, sizeof(*entries->data),
			      by_preference);
	}
}

/* Functions and labels part; indices count the functions first. */
static void split(struct symtab *symtab)
{
	vec_for_each(entry, &symtab->entries) {
		if (!entry->label) {
			entry->index = symtab->functions.len;
			symbol_vec_push(&symtab->functions, entry->sym);
		}
	}
	vec_for_each(entry, &symtab->entries) {
		if (entry->label) {
			entry->index = symbols_count(symtab);
			symbol_vec_push(&symtab->labels, entry->sym);
		}
	}
}

static void emit(struct range_vec *ranges, uint64_t start, uint32_t index)
{
	if (ranges->len && ranges->data[ranges->len - 1].start == start)
		ranges->data[ranges->len - 1].index = index;
	else
		range_vec_push(ranges, (struct range){ start, index });
}

/*
 * Ends what is open and ends at or before @vaddr. Whoever began before it and
 * is still open goes on behind it.
 */
static void close_until(struct range_vec *ranges, struct open_vec *open, uint64_t vaddr)
{
	while (open->len && open->data[open->len - 1].end <= vaddr) {
		uint64_t end = open->data[open->len - 1].end;

		while (open->len && open->data[open->len - 1].end <= end)
			open->len--;
		emit(ranges, end, open->len ? open->data[open->len - 1].index : NONE);
	}
}

/* Opens what begins at the address of @group, the best on top. */
static void open_group(struct open_vec *open, const struct entry *group, size_t count,
		       uint64_t next_vaddr)
{
	for (size_t i = count; i-- > 0; ) {
		const struct entry *entry = &group[i];

		if (entry->sym.size)
			open_vec_push(open, (struct open_symbol){
				entry->sym.vaddr + entry->sym.size, entry->index });
	}
	if (!open->len)
		open_vec_push(open, (struct open_symbol){
			next_vaddr < group->limit ? next_vaddr : group->limit,
			group->index });
}

/*
 * Sweeps the addresses from low to high with a stack of the symbols that are
 * open; the one that began last is on top and names the range.
 */
static void flatten(struct range_vec *ranges, const struct entry_vec *entries)
{
	struct open_vec open = { 0 };

	for (size_t i = 0, end; i < entries->len; i = end) {
		uint64_t vaddr = entries->data[i].sym.vaddr;

		end = group_end(entries, i);
		close_until(ranges, &open, vaddr);
		open_group(&open, &entries->data[i], end - i,
			   end < entries->len ? entries->data[end].sym.vaddr : UINT64_MAX);
		emit(ranges, vaddr, open.data[open.len - 1].index);
	}
	close_until(ranges, &open, UINT64_MAX);
	open_vec_deinit(&open);
}

void symtab_finish(struct symtab *symtab)
{
	sort_and_merge(&symtab->entries);
	order_aliases(&symtab->entries);
	split(symtab);
	flatten(&symtab->ranges, &symtab->entries);
	entry_vec_deinit(&symtab->entries);
}

/* ---- Questions ---- */

size_t symtab_functions(const struct symtab *symtab, const struct object_symbol **ret)
{
	*ret = symtab->functions.data;
	return symtab->functions.len;
}

const struct object_symbol *symtab_find(const struct symtab *symtab, uint64_t vaddr)
{
	const struct range *ranges = symtab->ranges.data;
	size_t lo = 0, hi = symtab->ranges.len;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ranges[mid].start <= vaddr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo || ranges[lo - 1].index == NONE)
		return NULL;
	return symbol_at(symtab, ranges[lo - 1].index);
}

/* FNV-1a */
static uint32_t hash_name(const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619u;
	return hash;
}

static void hash_exported(struct symtab *symtab)
{
	size_t size = 16;

	while (size < symtab->functions.len)
		size *= 2;
	symtab->buckets_mask = size - 1;
	symtab->buckets = xmalloc(size * sizeof(*symtab->buckets));
	memset(symtab->buckets, 0xff, size * sizeof(*symtab->buckets));
	symtab->chain = xcalloc(symtab->functions.len, sizeof(*symtab->chain));
	for (size_t i = symtab->functions.len; i-- > 0; ) {
		uint32_t *bucket = &symtab->buckets[hash_name(symtab->functions.data[i].name) &
						    symtab->buckets_mask];

		if (!symtab->functions.data[i].exported)
			continue;
		symtab->chain[i] = *bucket;
		*bucket = i;
	}
}

size_t symtab_find_exported(struct symtab *symtab, const char *name,
			    struct object_symbol *ret, size_t max)
{
	size_t count = 0;
	uint32_t i;

	if (!symtab->buckets)
		hash_exported(symtab);
	i = symtab->buckets[hash_name(name) & symtab->buckets_mask];
	for (; i != NONE && count < max; i = symtab->chain[i]) {
		if (!strcmp(symtab->functions.data[i].name, name))
			ret[count++] = symtab->functions.data[i];
	}
	return count;
}

/* The number of the symbol that @sym is, or is a copy of; NONE. */
static uint32_t index_of(const struct symtab *symtab, const struct object_symbol *sym)
{
	const struct object_symbol *functions = symtab->functions.data;
	const struct symbol_vec *labels = &symtab->labels;
	size_t lo = 0, hi = symtab->functions.len;

	if (hi && sym >= functions && sym < functions + hi)
		return sym - functions;
	if (labels->len && sym >= labels->data && sym < labels->data + labels->len)
		return hi + (sym - labels->data);
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (functions[mid].vaddr < sym->vaddr)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < symtab->functions.len && functions[lo].vaddr == sym->vaddr; lo++) {
		if (functions[lo].name == sym->name)
			return lo;
	}
	return NONE;
}

const char *symtab_demangle(struct symtab *symtab, const struct object_symbol *sym)
{
	uint32_t index = index_of(symtab, sym);
	char **slot;

	if (index == NONE)
		return sym->name;
	if (!symtab->demangled)
		symtab->demangled = xcalloc(symbols_count(symtab), sizeof(char *));
	slot = &symtab->demangled[index];
	if (!*slot)
		*slot = demangle(sym->name) ?: (char *)symbol_at(symtab, index)->name;
	return *slot;
}
