/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The symbol table of one object: function symbols gathered from one or more
 * files (the object itself, its debug file), then indexed once.
 *
 *	symtab_create() -> symtab_add_file()... -> symtab_finish() -> questions
 *
 * Addresses overlap, nest and repeat in real tables; finishing flattens them
 * into disjoint ranges that name the best symbol, so that a question is one
 * binary search however the table looks.
 */
#ifndef HEAPSONDE_SYMBOL_SYMTAB_H
#define HEAPSONDE_SYMBOL_SYMTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "symbol/object.h"

struct symtab;

/* Symbols outside of @segments (sorted, disjoint; borrowed) are ignored. */
struct symtab *symtab_create(const struct object_segment *segments, size_t count);
void symtab_destroy(struct symtab *symtab);
DEFINE_CLEANUP(struct symtab *, symtab_destroy);

/*
 * How much memory the symbols of all tables may take together, and at least what honest
 * programs on small machines need. Each table gets half of what is left at most, so that
 * there is some for the next one, and what a file of its size can have in earnest. It has
 * what came until then; the file is told of as one that was not read to its end.
 */
void symtab_set_room(uint64_t bytes);

/*
 * Adds what elf_symbols.h finds in the ELF file @fd (borrowed), and the functions of a Go
 * program's own table, by a process that may do nothing else (base/reader.h); of several
 * names of an address Go's is the best. @path is for messages. Returns whether the file has a
 * .symtab; false too if its reader failed.
 */
bool symtab_add_file(struct symtab *symtab, int fd, const char *path);
/*
 * The same in two steps, between which the reader is at work: what symtab_ask() gives, a
 * descriptor to be closed or -1, is for symtab_take() of a table with the same segments, of
 * the same file.
 */
int symtab_ask(const struct object_segment *segments, size_t count, int fd);
bool symtab_take(struct symtab *symtab, int socket, int fd, const char *path);
void symtab_finish(struct symtab *symtab);

size_t symtab_functions(const struct symtab *symtab, const struct object_symbol **ret);
const struct object_symbol *symtab_find(const struct symtab *symtab, uint64_t vaddr);
size_t symtab_find_exported(struct symtab *symtab, const char *name,
			    struct object_symbol *ret, size_t max);
/* The demangled name, or the raw one; cached. @sym may be a copy. */
const char *symtab_demangle(struct symtab *symtab, const struct object_symbol *sym);

#endif
