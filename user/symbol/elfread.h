/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading ELF files that somebody may be writing to. Contents are read, never
 * mapped: a file cut short under a mapping would end the program by SIGBUS.
 * libelf reads the headers, which it checks; sections are read here.
 */
#ifndef HEAPSONDE_SYMBOL_ELFREAD_H
#define HEAPSONDE_SYMBOL_ELFREAD_H

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#if defined(__x86_64__)
#define ELF_MACHINE_HERE EM_X86_64
#elif defined(__aarch64__)
#define ELF_MACHINE_HERE EM_AARCH64
#endif

static inline void elf_endp(Elf **elf)
{
	elf_end(*elf);
}

#define __cleanup_elf __cleanup(elf_endp)

/*
 * A handle on @fd (borrowed) without mapping the file, or NULL if it is no
 * 64-bit ELF of this machine: beyond here, fields may be used as they are.
 * Tables of more than 65,535 entries are refused: no linked file has them, and
 * libelf would believe a sparse file that claims billions.
 */
Elf *elfread_open(int fd);
/* The same for an ELF file of whatever machine. */
Elf *elfread_open_foreign(int fd);

/* Up to @len bytes at @offset; how many there are before the file's end. */
size_t elfread_some(int fd, uint64_t offset, void *buf, size_t len);
/* Exactly @len bytes or false. */
bool elfread_at(int fd, uint64_t offset, void *buf, size_t len);
/*
 * All of [offset, offset + size) with a NUL behind it; the caller frees it.
 * NULL if that is not in the file, is longer than @max, or memory is short.
 */
void *elfread_whole(int fd, uint64_t offset, uint64_t size, uint64_t max);

/* Where the PT_LOADs put virtual address @vaddr in the file. */
bool elfread_vaddr_to_offset(Elf *elf, uint64_t vaddr, uint64_t *ret);

/*
 * The first section of this name and type that is in the file and not
 * compressed; NULL if there is none. Borrowed from @elf.
 */
const Elf64_Shdr *elfread_section(Elf *elf, int fd, const char *name, uint32_t type);

/* Whether a section of this name is there, of whatever type, compressed or not. */
bool elfread_has_section(Elf *elf, int fd, const char *name);

/*
 * The build id in notes (the contents of a PT_NOTE), as hexadecimal digits
 * that the caller frees; NULL if there is none.
 */
char *elfread_build_id(const void *notes, size_t size, uint64_t align);

/*
 * Whether two beginnings of ELF files are of the same one: by build id, or, if
 * not both tell theirs, by their headers.
 */
bool elfread_same_image(const void *a, size_t a_size, const void *b, size_t b_size);

#endif
