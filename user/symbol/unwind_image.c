// SPDX-License-Identifier: GPL-2.0-or-later
/* ELF as the unwind table compiler sees it; see unwind_image.h. */
#include <dwarf.h>
#include <endian.h>
#include <errno.h>
#include <gelf.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "symbol/unwind_image.h"

/* Bounds for what a forged header claims: a browser's are a tenth of it. */
#define CFI_MAX (128ul << 20)
#define NAMES_MAX (16ul << 20)

static struct error *check_header(Elf *elf, uint16_t *machine_ret)
{
	GElf_Ehdr header;

	if (!elf || elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &header))
		return error_create(ERROR_UNSUPPORTED, "not an ELF file");
	if (header.e_ident[EI_CLASS] != ELFCLASS64 ||
	    header.e_ident[EI_DATA] != ELFDATA2LSB ||
	    (header.e_machine != EM_X86_64 && header.e_machine != EM_AARCH64))
		return error_create(ERROR_UNSUPPORTED,
				    "not a 64-bit x86 or arm64 ELF file");
	if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
		return error_create(ERROR_UNSUPPORTED, "not linked");
	*machine_ret = header.e_machine;
	return NULL;
}

/*
 * Segments ascend by address in a valid file. One that does not would make
 * addresses ambiguous; it is left out.
 */
static void add_segment(struct unwind_image *image, const GElf_Phdr *ph)
{
	const struct unwind_segment *last;
	uint64_t size = ph->p_filesz;

	if (ph->p_type != PT_LOAD || ph->p_offset >= image->size ||
	    image->segments_count == UNWIND_SEGMENTS_MAX)
		return;
	if (size > image->size - ph->p_offset)
		size = image->size - ph->p_offset;
	if (!size || ph->p_vaddr + size < ph->p_vaddr)
		return;
	if (image->segments_count) {
		last = &image->segments[image->segments_count - 1];
		if (ph->p_vaddr < last->vaddr + last->size)
			return;
	}
	image->segments[image->segments_count++] = (struct unwind_segment){
		.vaddr = ph->p_vaddr,
		.size = size,
		.offset = ph->p_offset,
		.executable = ph->p_flags & PF_X,
	};
}

static void read_segments(struct unwind_image *image)
{
	GElf_Phdr ph;
	size_t count;

	if (elf_getphdrnum(image->elf, &count))
		return;
	for (size_t i = 0; i < count; i++)
		if (gelf_getphdr(image->elf, i, &ph))
			add_segment(image, &ph);
}

struct error *unwind_image_init(struct unwind_image *image, int fd,
				const void *memory, size_t size)
{
	struct error *err;
	struct stat st;

	*image = (struct unwind_image){ .fd = fd, .memory = memory, .size = size };
	elf_version(EV_CURRENT);
	if (fd >= 0) {
		if (fstat(fd, &st))
			return error_errno(errno, "fstat");
		image->size = st.st_size;
		image->elf = elf_begin(fd, ELF_C_READ, NULL);
	} else {
		image->elf = elf_memory((char *)memory, size);
	}
	err = check_header(image->elf, &image->machine);
	if (err)
		unwind_image_deinit(image);
	else
		read_segments(image);
	return err;
}

void unwind_image_deinit(struct unwind_image *image)
{
	elf_end(image->elf);
	image->elf = NULL;
}

static const struct unwind_segment *
find_segment(const struct unwind_image *image, uint64_t vaddr)
{
	for (size_t i = 0; i < image->segments_count; i++)
		if (vaddr - image->segments[i].vaddr < image->segments[i].size)
			return &image->segments[i];
	return NULL;
}

size_t unwind_image_read(const struct unwind_image *image, uint64_t vaddr,
			 void *buf, size_t len)
{
	const struct unwind_segment *seg = find_segment(image, vaddr);
	uint64_t offset;
	ssize_t n;

	if (!seg)
		return 0;
	offset = vaddr - seg->vaddr;
	if (len > seg->size - offset)
		len = seg->size - offset;
	offset += seg->offset;
	if (image->fd < 0) {
		memcpy(buf, image->memory + offset, len);
		return len;
	}
	n = pread(image->fd, buf, len, offset);
	return n < 0 ? 0 : n;
}

static bool read_word(void *ctx, uint64_t vaddr, uint64_t *ret)
{
	return unwind_image_read(ctx, vaddr, ret, sizeof(*ret)) == sizeof(*ret);
}

static struct cfi_section new_section(struct unwind_image *image)
{
	return (struct cfi_section){
		.machine = image->machine,
		.read_word = read_word,
		.read_ctx = image,
	};
}

/* The section named @name that has contents, or NULL. */
static Elf_Scn *find_section(const struct unwind_image *image, const char *name,
			     GElf_Shdr *ret)
{
	Elf_Scn *scn = NULL;
	size_t names;

	if (elf_getshdrstrndx(image->elf, &names) ||
	    !gelf_getshdr(elf_getscn(image->elf, names), ret) || ret->sh_size > NAMES_MAX)
		return NULL;
	while ((scn = elf_nextscn(image->elf, scn))) {
		const char *s;

		if (!gelf_getshdr(scn, ret) || ret->sh_type == SHT_NOBITS)
			continue;
		s = elf_strptr(image->elf, names, ret->sh_name);
		if (s && !strcmp(s, name))
			return scn;
	}
	return NULL;
}

/*
 * .eh_frame_hdr begins: version, three encodings, encoded address of
 * .eh_frame. Linkers write it as pcrel sdata4 or, rarely, as absptr.
 */
static bool eh_frame_from_header(const struct unwind_image *image, uint64_t *ret)
{
	struct { uint8_t version, encoding, pad[2]; uint8_t value[8]; } hdr = { 0 };
	GElf_Phdr ph = { 0 };
	int32_t relative;
	size_t count, i;

	if (elf_getphdrnum(image->elf, &count))
		return false;
	for (i = 0; i < count; i++)
		if (gelf_getphdr(image->elf, i, &ph) &&
		    ph.p_type == PT_GNU_EH_FRAME)
			break;
	if (i == count || unwind_image_read(image, ph.p_vaddr, &hdr, sizeof(hdr)) < 8 ||
	    hdr.version != 1)
		return false;
	memcpy(&relative, hdr.value, sizeof(relative));
	memcpy(ret, hdr.value, sizeof(*ret));
	if (hdr.encoding == (DW_EH_PE_pcrel | DW_EH_PE_sdata4))
		*ret = ph.p_vaddr + 4 + relative;
	else if (hdr.encoding == (DW_EH_PE_datarel | DW_EH_PE_sdata4))
		*ret = ph.p_vaddr + relative;
	else
		return hdr.encoding == DW_EH_PE_absptr;
	return true;
}

/*
 * Where .eh_frame is. Without a section header its end is unknown: up to a
 * terminator or the segment's end.
 */
static bool locate_eh_frame(const struct unwind_image *image,
			    struct cfi_section *ret)
{
	const struct unwind_segment *seg;
	GElf_Shdr sh;
	bool section = find_section(image, ".eh_frame", &sh);
	uint64_t vaddr;

	if (!eh_frame_from_header(image, &vaddr)) {
		if (!section)
			return false;
		vaddr = sh.sh_addr;
	}
	seg = find_segment(image, vaddr);
	if (!seg)
		return false;
	ret->vaddr = vaddr;
	ret->size = seg->vaddr + seg->size - vaddr;
	ret->ends_at_zero = true;
	if (section && sh.sh_addr == vaddr && sh.sh_size <= ret->size) {
		ret->size = sh.sh_size;
		ret->ends_at_zero = false;
	}
	if (ret->size > CFI_MAX)
		ret->size = CFI_MAX;
	return true;
}

uint64_t unwind_image_eh_frame_bytes(const struct unwind_image *image)
{
	struct cfi_section section;

	return locate_eh_frame(image, &section) ? section.size : 0;
}

bool unwind_image_eh_frame(struct unwind_image *image, struct unwind_cfi *ret)
{
	struct cfi_section section = new_section(image);

	if (!locate_eh_frame(image, &section))
		return false;
	ret->owned = xmalloc(section.size + !section.size);
	section.size = unwind_image_read(image, section.vaddr, ret->owned,
					 section.size);
	section.data = ret->owned;
	cfi_init(&ret->cfi, &section);
	return true;
}

/* .zdebug_*: "ZLIB", then how much it is when inflated, most significant byte first. */
static uint64_t gnu_inflated_size(Elf_Scn *scn)
{
	Elf_Data *data = elf_rawdata(scn, NULL);
	uint64_t size;

	if (!data || data->d_size < 12)
		return UINT64_MAX;
	memcpy(&size, (const char *)data->d_buf + 4, sizeof(size));
	return be64toh(size);
}

/*
 * Replaces what is compressed in the section by the bytes themselves. zlib
 * inflates a thousandfold: what a forged header announces is not tried.
 */
static bool decompress(Elf_Scn *scn, bool gnu)
{
	GElf_Chdr header;

	if (gnu)
		return gnu_inflated_size(scn) <= CFI_MAX && elf_compress_gnu(scn, 0, 0) >= 0;
	return gelf_getchdr(scn, &header) && header.ch_size <= CFI_MAX &&
	       elf_compress(scn, 0, 0) >= 0;
}

static Elf_Data *debug_frame_data(const struct unwind_image *image, GElf_Shdr *sh)
{
	Elf_Scn *scn = find_section(image, ".debug_frame", sh);
	bool gnu = !scn;

	if (gnu)
		scn = find_section(image, ".zdebug_frame", sh);
	if (!scn || sh->sh_size > CFI_MAX)
		return NULL;
	if ((gnu || sh->sh_flags & SHF_COMPRESSED) &&
	    (!decompress(scn, gnu) || !gelf_getshdr(scn, sh)))
		return NULL;
	return elf_getdata(scn, NULL);
}

bool unwind_image_debug_frame(struct unwind_image *image, struct unwind_cfi *ret)
{
	struct cfi_section section = new_section(image);
	GElf_Shdr sh;
	Elf_Data *data = debug_frame_data(image, &sh);

	if (!data || !data->d_buf)
		return false;
	section.data = data->d_buf;
	section.size = data->d_size;
	section.vaddr = sh.sh_addr;
	section.debug_frame = true;
	ret->owned = NULL;
	cfi_init(&ret->cfi, &section);
	return true;
}

void unwind_cfi_deinit(struct unwind_cfi *cfi)
{
	cfi_deinit(&cfi->cfi);
	free(cfi->owned);
	cfi->owned = NULL;
}
