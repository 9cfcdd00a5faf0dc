// SPDX-License-Identifier: GPL-2.0-or-later
/* Reading ELF files that are foreign input; see elfread.h. */
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "symbol/elfread.h"

#define NAMES_MAX (16ULL << 20)
#define BUILD_ID_MAX 64		/* bytes; SHA-1 makes 20, Go's linker 32 at most */

static bool is_known_class(const Elf64_Ehdr *ehdr)
{
	return !memcmp(ehdr->e_ident, ELFMAG, SELFMAG) &&
	       ehdr->e_ident[EI_CLASS] == ELFCLASS64 &&
	       ehdr->e_ident[EI_DATA] == ELFDATA2LSB;
}

/* Numbers that do not fit are in the first section header instead. */
static bool has_extended_numbers(const Elf64_Ehdr *ehdr)
{
	return (ehdr->e_shoff && !ehdr->e_shnum) || ehdr->e_phnum == PN_XNUM;
}

Elf *elfread_open_foreign(int fd)
{
	Elf64_Ehdr ehdr;
	Elf *elf;

	if (!elfread_at(fd, 0, &ehdr, sizeof(ehdr)) || !is_known_class(&ehdr) ||
	    has_extended_numbers(&ehdr))
		return NULL;
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (elf_kind(elf) == ELF_K_ELF && elf64_getehdr(elf))
		return elf;
	elf_end(elf);
	return NULL;
}

Elf *elfread_open(int fd)
{
	Elf *elf = elfread_open_foreign(fd);

	if (elf && elf64_getehdr(elf)->e_machine == ELF_MACHINE_HERE)
		return elf;
	elf_end(elf);
	return NULL;
}

size_t elfread_some(int fd, uint64_t offset, void *buf, size_t len)
{
	size_t done = 0;

	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return 0;
	while (done < len) {
		ssize_t n = pread(fd, (char *)buf + done, len - done, offset + done);

		if (n <= 0)
			break;
		done += n;
	}
	return done;
}

bool elfread_at(int fd, uint64_t offset, void *buf, size_t len)
{
	return elfread_some(fd, offset, buf, len) == len;
}

void *elfread_whole(int fd, uint64_t offset, uint64_t size, uint64_t max)
{
	__cleanup_free char *buf = NULL;
	struct stat st;

	if (size > max || fstat(fd, &st) || offset > (uint64_t)st.st_size ||
	    size > (uint64_t)st.st_size - offset)
		return NULL;
	/* How large it is was the target's choice: not worth dying for. */
	buf = malloc(size + 1);
	if (!buf || !elfread_at(fd, offset, buf, size))
		return NULL;
	buf[size] = '\0';
	return steal_ptr(buf);
}

bool elfread_vaddr_to_offset(Elf *elf, uint64_t vaddr, uint64_t *ret)
{
	size_t count = 0;

	if (elf_getphdrnum(elf, &count))
		return false;
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr phdr;

		if (!gelf_getphdr(elf, i, &phdr) || phdr.p_type != PT_LOAD)
			continue;
		if (vaddr - phdr.p_vaddr < phdr.p_filesz) {
			*ret = vaddr - phdr.p_vaddr + phdr.p_offset;
			return true;
		}
	}
	return false;
}

/* The section names, NUL-terminated; NULL. Not by libelf, which trusts sizes. */
static char *section_names(Elf *elf, int fd, size_t *size_ret)
{
	const Elf64_Shdr *shdr;
	size_t index = 0;

	if (elf_getshdrstrndx(elf, &index))
		return NULL;
	shdr = elf64_getshdr(elf_getscn(elf, index));
	if (!shdr || shdr->sh_type != SHT_STRTAB)
		return NULL;
	*size_ret = shdr->sh_size;
	return elfread_whole(fd, shdr->sh_offset, shdr->sh_size, NAMES_MAX);
}

const Elf64_Shdr *elfread_section(Elf *elf, int fd, const char *name, uint32_t type)
{
	size_t names_size = 0;
	__cleanup_free char *names = section_names(elf, fd, &names_size);
	Elf_Scn *scn = NULL;

	while (names && (scn = elf_nextscn(elf, scn))) {
		const Elf64_Shdr *shdr = elf64_getshdr(scn);

		if (shdr && shdr->sh_type == type && !(shdr->sh_flags & SHF_COMPRESSED) &&
		    shdr->sh_name < names_size && !strcmp(names + shdr->sh_name, name))
			return shdr;
	}
	return NULL;
}

bool elfread_has_section(Elf *elf, int fd, const char *name)
{
	size_t names_size = 0;
	__cleanup_free char *names = section_names(elf, fd, &names_size);
	Elf_Scn *scn = NULL;

	while (names && (scn = elf_nextscn(elf, scn))) {
		const Elf64_Shdr *shdr = elf64_getshdr(scn);

		if (shdr && shdr->sh_name < names_size && !strcmp(names + shdr->sh_name, name))
			return true;
	}
	return false;
}

static char *hexadecimal(const uint8_t *bytes, size_t len)
{
	char *ret = xmalloc(len * 2 + 1);

	for (size_t i = 0; i < len; i++) {
		ret[i * 2] = "0123456789abcdef"[bytes[i] >> 4];
		ret[i * 2 + 1] = "0123456789abcdef"[bytes[i] & 15];
	}
	ret[len * 2] = '\0';
	return ret;
}

/* Sizes are at most 32 bits wide, so none of this can overflow. */
static uint64_t padded(uint64_t size, uint64_t align)
{
	return (size + align - 1) & ~(align - 1);
}

char *elfread_build_id(const void *notes, size_t size, uint64_t align)
{
	const char *p = notes;

	align = align == 8 ? 8 : 4;
	while (size >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr nhdr;
		uint64_t desc, next;

		memcpy(&nhdr, p, sizeof(nhdr));
		desc = padded(sizeof(nhdr) + (uint64_t)nhdr.n_namesz, align);
		next = padded(desc + nhdr.n_descsz, align);
		if (desc + nhdr.n_descsz > size)
			return NULL;
		if (nhdr.n_type == NT_GNU_BUILD_ID && nhdr.n_namesz == 4 &&
		    !memcmp(p + sizeof(nhdr), "GNU", 4) &&
		    nhdr.n_descsz && nhdr.n_descsz <= BUILD_ID_MAX)
			return hexadecimal((const uint8_t *)p + desc, nhdr.n_descsz);
		if (next >= size)
			return NULL;
		p += next;
		size -= next;
	}
	return NULL;
}

/* Where the program headers end that stand in @image, or 0 if they do not. */
static size_t headers_size(const uint8_t *image, size_t size, Elf64_Ehdr *ret)
{
	if (size < sizeof(*ret))
		return 0;
	memcpy(ret, image, sizeof(*ret));
	if (memcmp(ret->e_ident, ELFMAG, SELFMAG) || ret->e_phentsize != sizeof(Elf64_Phdr) ||
	    ret->e_phoff > size || ret->e_phnum * sizeof(Elf64_Phdr) > size - ret->e_phoff)
		return 0;
	return ret->e_phoff + ret->e_phnum * sizeof(Elf64_Phdr);
}

static char *image_build_id(const uint8_t *image, size_t size)
{
	char *ret = NULL;
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr;

	if (!headers_size(image, size, &ehdr))
		return NULL;
	for (int i = 0; i < ehdr.e_phnum && !ret; i++) {
		memcpy(&phdr, image + ehdr.e_phoff + i * sizeof(phdr), sizeof(phdr));
		if (phdr.p_type == PT_NOTE && phdr.p_offset <= size &&
		    phdr.p_filesz <= size - phdr.p_offset)
			ret = elfread_build_id(image + phdr.p_offset, phdr.p_filesz, phdr.p_align);
	}
	return ret;
}

bool elfread_same_image(const void *a, size_t a_size, const void *b, size_t b_size)
{
	__cleanup_free char *a_id = image_build_id(a, a_size);
	__cleanup_free char *b_id = image_build_id(b, b_size);
	Elf64_Ehdr ehdr;
	size_t headers;

	if (a_id && b_id)
		return !strcmp(a_id, b_id);
	headers = headers_size(a, a_size, &ehdr);
	return headers && headers == headers_size(b, b_size, &ehdr) && !memcmp(a, b, headers);
}
