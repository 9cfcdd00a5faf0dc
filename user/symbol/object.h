/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One ELF file of a target, open for as long as somebody maps it: its
 * segments, its symbols sorted by address, its build id. Read once, lazily.
 * The file is foreign input: everything in it is checked before it is used.
 */
#ifndef HEAPSONDE_SYMBOL_OBJECT_H
#define HEAPSONDE_SYMBOL_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/vec.h"

struct object {
	int fd;			/* open for reading; of the vDSO a copy in a memfd */
	char *path;		/* as the target names it; "[vdso]" */
	uint64_t dev, ino;
	char *build_id;		/* hexadecimal, "" if none */
	bool deleted;		/* the name is gone from the file system */
	struct object_private *priv;
};

/*
 * Takes ownership of @fd even on failure. ERROR_UNSUPPORTED, saying what it is,
 * if not a 64-bit ELF program or library of this machine; ERROR_CORRUPT if it
 * is one but its headers lie.
 */
struct error *object_create(int fd, const char *path, struct object **ret)
	__must_check;
/* Another reference; each is given back by object_destroy(). */
struct object *object_ref(struct object *obj);
void object_destroy(struct object *obj);
DEFINE_CLEANUP(struct object *, object_destroy);

/*
 * Separate debug files are looked for below this directory first (an O_PATH
 * descriptor, which is copied; -1: only on the host). To be said before the
 * first question about symbols.
 */
void object_set_root(struct object *obj, int root_fd);

/* Executable segments (PT_LOAD with PF_X) by virtual address; size is that in the file. */
struct object_segment { uint64_t vaddr, size, offset; };
size_t object_segments(const struct object *obj, const struct object_segment **ret);

/* Virtual address <-> file offset through the PT_LOADs; false if outside. */
bool object_vaddr_to_offset(const struct object *obj, uint64_t vaddr, uint64_t *ret);
bool object_offset_to_vaddr(const struct object *obj, uint64_t offset, uint64_t *ret);

/*
 * The load bias of an executable mapping: @start, where the file's @offset is
 * mapped, minus the virtual address that the PT_LOADs give that offset. Small
 * segments can share a page of the file; the one is preferred with which the
 * lowest segment begins at one of @bases, where the file's first page is
 * mapped. False if no segment fits.
 */
bool object_bias(const struct object *obj, uint64_t start, uint64_t offset,
		 const uint64_t *bases, size_t bases_count, uint64_t *ret);

/*
 * Copies up to @len bytes of file contents at @vaddr; returns how many (0 if
 * outside the file).
 */
size_t object_read(const struct object *obj, uint64_t vaddr, void *buf, size_t len);

/* Whether the file says how its stack frames are laid out (.eh_frame). */
bool object_has_call_frames(const struct object *obj);

/* A program without interpreter; libraries have none either, and are not PIE. */
bool object_is_static_program(const struct object *object);

struct object_symbol {
	uint64_t vaddr, size;
	const char *name;	/* raw, without @version; borrowed from the object */
	bool exported;		/* in .dynsym */
	bool is_go;		/* of Go's own table of functions */
};

/*
 * Function symbols (STT_FUNC, STT_GNU_IFUNC excluded) of .dynsym and .symtab,
 * sorted by vaddr, all names of an address kept (aliases stand side by side,
 * the best first). All lie in an executable segment; size is 0 where the
 * file does not tell it. A file without .symtab lends that of its separate
 * debug file or of its .gnu_debugdata.
 */
size_t object_symbols(struct object *obj, const struct object_symbol **ret);

/* They will be asked for soon: a reader begins with the file, if none has yet. */
void object_expect_symbols(struct object *obj);

/*
 * The symbol that holds @vaddr, or NULL: the innermost whose size covers it,
 * of aliases GLOBAL before WEAK before LOCAL, then the shortest. A symbol
 * without size (labels of hand-written assembly, which object_symbols() does
 * not list) reaches to the next symbol, and only where no size covers.
 */
const struct object_symbol *object_find_symbol(struct object *obj, uint64_t vaddr);
/* Every address that an exported symbol of this name has (versions differ); count. */
size_t object_find_exported(struct object *obj, const char *name,
			    struct object_symbol *ret, size_t max);
/* Where the exported variable @name is; false if there is none. Reads the file. */
bool object_find_variable(const struct object *obj, const char *name, uint64_t *vaddr_ret);

/*
 * Source lines and inlined functions at @vaddr: of Go code by the runtime's own
 * tables (symbol/go/lines.h), else by the DWARF of the file or of its separate debug
 * file; see line_reader.h. 0 if there is none.
 */
struct source_frame;
size_t object_source_frames(struct object *obj, uint64_t vaddr, const struct source_frame **ret);

/*
 * Whether the file is a Go program, by its headers, and whether Go code is at @vaddr. Go
 * moves its stacks and passes arguments in ways of its own.
 */
bool object_is_go(struct object *obj);
bool object_is_go_code(struct object *obj, uint64_t vaddr);
/* Whether there are no lines for it, neither in the file nor in a separate one found here. */
bool object_lacks_lines(struct object *obj);

/*
 * Symbols and lines are @debug_fd's (borrowed) from now on, if that is this object's
 * debug file by its build id. Symbols that were borrowed are gone after it.
 */
void object_set_debug_file(struct object *obj, int debug_fd);

/* Demangled (C++, Rust, D) or the raw name itself; cached, owned by the object. */
const char *object_demangle(struct object *obj, const struct object_symbol *sym);

#endif
