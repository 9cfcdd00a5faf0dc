// SPDX-License-Identifier: GPL-2.0-or-later
/* One ELF file: identity, segments, and the way to its symbols; see object.h. */
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "symbol/debugdata.h"
#include "symbol/debugfile.h"
#include "symbol/elfread.h"
#include "symbol/go/reader.h"
#include "symbol/line_reader.h"
#include "symbol/object.h"
#include "symbol/symtab.h"

#define NOTES_MAX (64 << 10)

/* A PT_LOAD as far as the file reaches: [vaddr, vaddr + size) is at offset. */
struct load {
	uint64_t vaddr, size, offset;
	bool executable;
};

DEFINE_VEC(load_vec, struct load);
DEFINE_VEC(segment_vec, struct object_segment);

struct object_private {
	struct load_vec loads;
	struct segment_vec segments;
	struct symtab *symtab;		/* NULL until the first question */
	int expected;			/* from symtab_ask(), or -1 */
	struct line_reader *lines;	/* NULL until then too, or if there is no DWARF */
	bool lines_tried;
	bool no_debug_file;
	bool is_go, go_asked;
	struct line_reader *go_lines;	/* the same of Go's tables */
	bool go_lines_tried;
	int root_fd;
	unsigned int refs;
};

/* ---- Opening ---- */

static struct error *not_for_us(const char *path, const char *what)
{
	return error_create(ERROR_UNSUPPORTED,
			    "%s: %s; only 64-bit programs of this machine can be watched",
			    path, what);
}

static const char *machine_name(uint16_t machine)
{
	switch (machine) {
	case EM_X86_64:
		return "x86-64";
	case EM_AARCH64:
		return "arm64";
	case EM_RISCV:
		return "RISC-V";
	case EM_PPC64:
		return "POWER";
	case EM_S390:
		return "s390";
	case EM_LOONGARCH:
		return "LoongArch";
	case EM_MIPS:
		return "MIPS";
	default:
		return "another machine";
	}
}

/* Says why this file is not one that elfread_open() and we can use, or NULL. */
static struct error *check_kind(int fd, const char *path)
{
	__cleanup_free char *what = NULL;
	Elf64_Ehdr ehdr;

	if (elfread_some(fd, 0, &ehdr, sizeof(ehdr)) < EI_NIDENT + 4 ||
	    memcmp(ehdr.e_ident, ELFMAG, SELFMAG))
		return error_create(ERROR_UNSUPPORTED, "%s: not an ELF file", path);
	/* The fields read here stand at the same place in both classes. */
	if (ehdr.e_ident[EI_CLASS] == ELFCLASS32)
		return not_for_us(path, "a 32-bit ELF file");
	if (ehdr.e_ident[EI_CLASS] != ELFCLASS64)
		return error_create(ERROR_CORRUPT, "%s: an ELF file of unknown class", path);
	if (ehdr.e_ident[EI_DATA] != ELFDATA2LSB)
		return not_for_us(path, "a big-endian ELF file");
	if (ehdr.e_machine != ELF_MACHINE_HERE) {
		what = xasprintf("an ELF file for %s (machine %u)",
				 machine_name(ehdr.e_machine), ehdr.e_machine);
		return not_for_us(path, what);
	}
	if (ehdr.e_type != ET_EXEC && ehdr.e_type != ET_DYN)
		return error_create(ERROR_UNSUPPORTED,
				    "%s: an ELF file, but neither program nor library", path);
	return NULL;
}

static void add_load(struct object_private *priv, const GElf_Phdr *phdr, uint64_t file_size)
{
	struct load load = {
		.vaddr = phdr->p_vaddr,
		.size = phdr->p_filesz,
		.offset = phdr->p_offset,
		.executable = phdr->p_flags & PF_X,
	};

	if (load.offset >= file_size)
		return;
	if (load.size > file_size - load.offset)
		load.size = file_size - load.offset;
	if (!load.size || load.vaddr > UINT64_MAX - load.size)
		return;
	load_vec_push(&priv->loads, load);
}

static int by_vaddr(const void *va, const void *vb)
{
	const struct load *a = va, *b = vb;

	return (a->vaddr > b->vaddr) - (a->vaddr < b->vaddr);
}

/* The ABI wants PT_LOADs sorted and disjoint; what overlaps is left out. */
static void keep_disjoint(struct object_private *priv)
{
	struct load_vec *loads = &priv->loads;
	size_t kept = 0;

	if (!loads->len)
		return;
	qsort(loads->data, loads->len, sizeof(*loads->data), by_vaddr);
	for (size_t i = 0; i < loads->len; i++) {
		const struct load *load = &loads->data[i];

		if (kept && load->vaddr - loads->data[kept - 1].vaddr < loads->data[kept - 1].size)
			continue;
		loads->data[kept++] = *load;
	}
	loads->len = kept;
	vec_for_each(load, loads) {
		if (load->executable)
			segment_vec_push(&priv->segments, (struct object_segment){
				load->vaddr, load->size, load->offset });
	}
}

static char *read_build_id(int fd, const GElf_Phdr *phdr)
{
	size_t size = phdr->p_filesz < NOTES_MAX ? phdr->p_filesz : NOTES_MAX;
	__cleanup_free void *notes = xmalloc(size);

	return elfread_build_id(notes, elfread_some(fd, phdr->p_offset, notes, size),
				phdr->p_align);
}

static struct error *read_headers(struct object *obj, uint64_t file_size)
{
	__cleanup_elf Elf *elf = elfread_open(obj->fd);
	size_t count = 0;
	GElf_Phdr phdr;

	if (!elf || elf_getphdrnum(elf, &count))
		return error_create(ERROR_CORRUPT, "%s: broken ELF header", obj->path);
	for (size_t i = 0; i < count; i++) {
		if (!gelf_getphdr(elf, i, &phdr))
			break;
		if (phdr.p_type == PT_LOAD)
			add_load(obj->priv, &phdr, file_size);
		if (phdr.p_type == PT_NOTE && !obj->build_id)
			obj->build_id = read_build_id(obj->fd, &phdr);
	}
	keep_disjoint(obj->priv);
	if (!obj->build_id)
		obj->build_id = xstrdup("");
	if (!obj->priv->loads.len)
		return error_create(ERROR_CORRUPT, "%s: an ELF file without segments", obj->path);
	return NULL;
}

struct error *object_create(int fd, const char *path, struct object **ret)
{
	struct object *obj __cleanup(object_destroyp) = xcalloc(1, sizeof(*obj));
	struct error *err;
	struct stat st;

	obj->fd = fd;
	obj->path = xstrdup(path);
	obj->priv = xcalloc(1, sizeof(*obj->priv));
	obj->priv->root_fd = obj->priv->expected = -1;
	obj->priv->refs = 1;
	if (fstat(fd, &st))
		return error_errno(errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return error_create(ERROR_UNSUPPORTED, "%s: not a regular file", path);
	obj->dev = st.st_dev;
	obj->ino = st.st_ino;
	obj->deleted = !st.st_nlink;
	err = check_kind(fd, path) ?: read_headers(obj, st.st_size);
	if (err)
		return err;
	*ret = steal_ptr(obj);
	return NULL;
}

struct object *object_ref(struct object *obj)
{
	obj->priv->refs++;
	return obj;
}

void object_destroy(struct object *obj)
{
	if (!obj || --obj->priv->refs)
		return;
	symtab_destroy(obj->priv->symtab);
	if (obj->priv->expected >= 0)
		close(obj->priv->expected);
	line_reader_destroy(obj->priv->lines);
	line_reader_destroy(obj->priv->go_lines);
	load_vec_deinit(&obj->priv->loads);
	segment_vec_deinit(&obj->priv->segments);
	if (obj->priv->root_fd >= 0)
		close(obj->priv->root_fd);
	free(obj->priv);
	free(obj->build_id);
	free(obj->path);
	if (obj->fd >= 0)
		close(obj->fd);
	free(obj);
}

void object_set_root(struct object *obj, int root_fd)
{
	obj->priv->root_fd = root_fd < 0 ? -1 : fcntl(root_fd, F_DUPFD_CLOEXEC, 0);
}

/* ---- Segments ---- */

size_t object_segments(const struct object *obj, const struct object_segment **ret)
{
	*ret = obj->priv->segments.data;
	return obj->priv->segments.len;
}

static const struct load *load_at_vaddr(const struct object *obj, uint64_t vaddr)
{
	vec_for_each(load, &obj->priv->loads) {
		if (vaddr - load->vaddr < load->size)
			return load;
	}
	return NULL;
}

bool object_vaddr_to_offset(const struct object *obj, uint64_t vaddr, uint64_t *ret)
{
	const struct load *load = load_at_vaddr(obj, vaddr);

	if (load)
		*ret = vaddr - load->vaddr + load->offset;
	return load;
}

bool object_offset_to_vaddr(const struct object *obj, uint64_t offset, uint64_t *ret)
{
	vec_for_each(load, &obj->priv->loads) {
		if (offset - load->offset < load->size) {
			*ret = offset - load->offset + load->vaddr;
			return true;
		}
	}
	return false;
}

/*
 * How well @load explains a mapping of file offset @offset: the loader maps
 * whole pages, so that neighbours in the file share one; the text's mapping
 * begins where an executable segment begins, or was split off from it later.
 */
static int mapping_fit(const struct load *load, uint64_t offset, uint64_t page)
{
	uint64_t first = load->offset & ~(page - 1);

	if (offset < first || offset >= load->offset + load->size)
		return 0;
	return 1 + 2 * load->executable + (offset == first);
}

/* Whether the lowest segment, loaded with @bias, begins at one of @bases. */
static bool fits_a_base(const struct object *obj, uint64_t bias, uint64_t page,
			const uint64_t *bases, size_t count)
{
	const struct load *lowest = obj->priv->loads.data;

	for (size_t i = 0; i < count; i++) {
		if (lowest->offset < page && bias + (lowest->vaddr & ~(page - 1)) == bases[i])
			return true;
	}
	return false;
}

bool object_bias(const struct object *obj, uint64_t start, uint64_t offset,
		 const uint64_t *bases, size_t bases_count, uint64_t *ret)
{
	uint64_t page = sysconf(_SC_PAGESIZE);
	int best_fit = 0;

	vec_for_each(load, &obj->priv->loads) {
		uint64_t bias = start - (offset - load->offset + load->vaddr);
		int fit = mapping_fit(load, offset, page);

		if (fit)
			fit = 2 * fit + fits_a_base(obj, bias, page, bases, bases_count);
		if (fit > best_fit) {
			best_fit = fit;
			*ret = bias;
		}
	}
	return best_fit > 0;
}

size_t object_read(const struct object *obj, uint64_t vaddr, void *buf, size_t len)
{
	const struct load *load = load_at_vaddr(obj, vaddr);

	if (!load)
		return 0;
	if (len > load->size - (vaddr - load->vaddr))
		len = load->size - (vaddr - load->vaddr);
	return elfread_some(obj->fd, vaddr - load->vaddr + load->offset, buf, len);
}

/* ---- Symbols ---- */

/* Its separate debug file, or -1: once there was none, nobody looks for it again. */
static int open_debug_file(const struct object *obj)
{
	int fd = obj->priv->no_debug_file ? -1 : debugfile_open(obj, obj->priv->root_fd);

	obj->priv->no_debug_file = fd < 0;
	return fd;
}

/* A stripped file's names: of its debug file, else the few it carries compressed. */
static void add_debug_symbols(const struct object *obj, struct symtab *symtab)
{
	__cleanup_close int separate = open_debug_file(obj);
	__cleanup_close int embedded = -1;

	if (separate >= 0 && symtab_add_file(symtab, separate, obj->path))
		return;
	embedded = debugdata_open(obj);
	if (embedded >= 0)
		symtab_add_file(symtab, embedded, obj->path);
}

void object_expect_symbols(struct object *obj)
{
	struct object_private *priv = obj->priv;

	if (!priv->symtab && priv->expected < 0)
		priv->expected = symtab_ask(priv->segments.data, priv->segments.len, obj->fd);
}

static bool add_own_symbols(struct object *obj, struct symtab *symtab)
{
	int socket __cleanup_close = -1;

	object_expect_symbols(obj);
	socket = obj->priv->expected;
	obj->priv->expected = -1;
	return symtab_take(symtab, socket, obj->fd, obj->path);
}

static struct symtab *symtab_of(struct object *obj)
{
	struct object_private *priv = obj->priv;
	struct symtab *symtab;

	if (priv->symtab)
		return priv->symtab;
	symtab = symtab_create(priv->segments.data, priv->segments.len);
	if (!add_own_symbols(obj, symtab))
		add_debug_symbols(obj, symtab);
	symtab_finish(symtab);
	return priv->symtab = symtab;
}

size_t object_symbols(struct object *obj, const struct object_symbol **ret)
{
	return symtab_functions(symtab_of(obj), ret);
}

const struct object_symbol *object_find_symbol(struct object *obj, uint64_t vaddr)
{
	return symtab_find(symtab_of(obj), vaddr);
}

size_t object_find_exported(struct object *obj, const char *name,
			    struct object_symbol *ret, size_t max)
{
	return symtab_find_exported(symtab_of(obj), name, ret, max);
}

#define DYNAMIC_MAX (64ul << 20)	/* bytes of dynamic symbols or of their names */

bool object_find_variable(const struct object *obj, const char *name, uint64_t *vaddr_ret)
{
	__cleanup_elf Elf *elf = elfread_open(obj->fd);
	const Elf64_Shdr *table, *strings;
	__cleanup_free Elf64_Sym *symbols = NULL;
	__cleanup_free char *names = NULL;

	if (!elf)
		return false;
	table = elfread_section(elf, obj->fd, ".dynsym", SHT_DYNSYM);
	strings = elfread_section(elf, obj->fd, ".dynstr", SHT_STRTAB);
	if (!table || !strings)
		return false;
	symbols = elfread_whole(obj->fd, table->sh_offset, table->sh_size, DYNAMIC_MAX);
	names = elfread_whole(obj->fd, strings->sh_offset, strings->sh_size, DYNAMIC_MAX);
	for (size_t i = 0; symbols && names && i < table->sh_size / sizeof(*symbols); i++) {
		const Elf64_Sym *sym = &symbols[i];

		if (ELF64_ST_TYPE(sym->st_info) != STT_OBJECT || sym->st_shndx == SHN_UNDEF ||
		    sym->st_name >= strings->sh_size || strcmp(names + sym->st_name, name))
			continue;
		*vaddr_ret = sym->st_value;
		return true;
	}
	return false;
}

const char *object_demangle(struct object *obj, const struct object_symbol *sym)
{
	return symtab_demangle(symtab_of(obj), sym);
}

/* ---- Source lines ---- */

static struct line_reader *lines_of(struct object *obj)
{
	struct object_private *priv = obj->priv;
	int separate __cleanup_close = -1;

	if (priv->lines_tried)
		return priv->lines;
	priv->lines_tried = true;
	priv->lines = line_reader_create(obj->fd, obj->path, LINES_DWARF);
	separate = priv->lines ? -1 : open_debug_file(obj);
	if (separate >= 0)
		priv->lines = line_reader_create(separate, obj->path, LINES_DWARF);
	return priv->lines;
}

static struct line_reader *go_lines_of(struct object *obj)
{
	struct object_private *priv = obj->priv;

	if (!priv->go_lines_tried && object_is_go(obj))
		priv->go_lines = line_reader_create(obj->fd, obj->path, LINES_GO);
	priv->go_lines_tried = true;
	return priv->go_lines;
}

size_t object_source_frames(struct object *obj, uint64_t vaddr, const struct source_frame **ret)
{
	struct line_reader *lines = go_lines_of(obj);
	size_t count = lines ? line_reader_find(lines, vaddr, ret) : 0;

	if (count)
		return count;
	lines = lines_of(obj);
	return lines ? line_reader_find(lines, vaddr, ret) : 0;
}

/* ---- Go ---- */

bool object_is_go(struct object *obj)
{
	struct object_private *priv = obj->priv;

	if (!priv->go_asked)
		priv->is_go = go_program_is(obj->fd);
	priv->go_asked = true;
	return priv->is_go;
}

bool object_is_go_code(struct object *obj, uint64_t vaddr)
{
	const struct object_symbol *symbol = object_find_symbol(obj, vaddr);

	return symbol && symbol->is_go;
}

/* ---- A debug file from elsewhere ---- */

bool object_lacks_lines(struct object *obj)
{
	return !go_lines_of(obj) && !lines_of(obj);
}

void object_set_debug_file(struct object *obj, int debug_fd)
{
	struct object_private *priv = obj->priv;

	if (!debugfile_belongs(obj, debug_fd))
		return;
	line_reader_destroy(priv->lines);
	priv->lines = line_reader_create(debug_fd, obj->path, LINES_DWARF);
	priv->lines_tried = true;
	symtab_destroy(priv->symtab);
	priv->symtab = symtab_create(priv->segments.data, priv->segments.len);
	symtab_add_file(priv->symtab, obj->fd, obj->path);
	symtab_add_file(priv->symtab, debug_fd, obj->path);
	symtab_finish(priv->symtab);
}

bool object_has_call_frames(const struct object *obj)
{
	__cleanup_elf Elf *elf = elfread_open(obj->fd);

	return elf && (elfread_section(elf, obj->fd, ".eh_frame", SHT_PROGBITS) ||
		       elfread_section(elf, obj->fd, ".eh_frame", SHT_X86_64_UNWIND));
}

/* Whether a PT_DYNAMIC belongs to an executable rather than to a library. */
static bool dynamic_says_pie(int fd, const Elf64_Phdr *phdr)
{
	__cleanup_free Elf64_Dyn *dyn = elfread_whole(fd, phdr->p_offset, phdr->p_filesz, 1 << 20);

	for (size_t i = 0; dyn && i < phdr->p_filesz / sizeof(*dyn); i++) {
		if (dyn[i].d_tag == DT_NULL)
			break;
		if (dyn[i].d_tag == DT_FLAGS_1)
			return dyn[i].d_un.d_val & DF_1_PIE;
	}
	return false;
}

bool object_is_static_program(const struct object *object)
{
	__cleanup_elf Elf *elf = elfread_open(object->fd);
	bool program = false;
	Elf64_Ehdr *ehdr;
	Elf64_Phdr *phdr;
	size_t count;

	if (!elf || elf_getphdrnum(elf, &count))
		return false;
	ehdr = elf64_getehdr(elf);
	phdr = elf64_getphdr(elf);
	if (!ehdr || !phdr)
		return false;
	program = ehdr->e_type == ET_EXEC;
	for (size_t i = 0; i < count; i++) {
		if (phdr[i].p_type == PT_INTERP)
			return false;
		if (phdr[i].p_type == PT_DYNAMIC && ehdr->e_type == ET_DYN)
			program = dynamic_says_pie(object->fd, &phdr[i]);
	}
	return program;
}
