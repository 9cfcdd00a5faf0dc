/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From addresses of a target to names. An address_space holds the objects
 * mapped in one process image; the symbolizer turns its addresses into
 * frames. Files are opened through the target's own view
 * (/proc/PID/map_files, then /proc/PID/root) and the descriptors are kept, so
 * that a target that has exited, or whose files were replaced, still has
 * names. Nothing here reads events, and nothing stops the target.
 */
#ifndef HEAPSONDE_SYMBOL_SYMBOLIZER_H
#define HEAPSONDE_SYMBOL_SYMBOLIZER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/vec.h"

struct object;		/* an ELF file, shared by all who map it; see object.h */

/* An executable file mapping. */
struct mapping {
	uint64_t start, end;
	uint64_t file_offset;
	uint64_t bias;		/* address in memory minus ELF virtual address */
	struct object *object;	/* borrowed from the address space */
};

DEFINE_VEC(mapping_vec, struct mapping);

struct address_space;

struct address_space *address_space_create(uint32_t pid);
void address_space_destroy(struct address_space *as);
DEFINE_CLEANUP(struct address_space *, address_space_destroy);

/*
 * Objects that are opened from here on are shared with the other address
 * spaces of @store, which is borrowed.
 */
struct object_store;
void address_space_share(struct address_space *as, struct object_store *store);

/*
 * Reads /proc/PID/maps and takes over what is new; what vanished is kept for
 * naming old stacks but yields to newer mappings of the same addresses.
 * @changed_ret (may be NULL): whether an executable file mapping is new.
 * ERROR_GONE when the process has no address space any more (what was known
 * stays); ERROR_UNSUPPORTED when no program of this machine runs in it.
 */
struct error *address_space_refresh(struct address_space *as, bool *changed_ret)
	__must_check;

/*
 * The newest mapping of an ELF file that holds @pc, or NULL. Borrowed until
 * the next refresh.
 */
const struct mapping *address_space_find(const struct address_space *as, uint64_t pc);
/* All current executable mappings of ELF files and of the vDSO, sorted by address. */
const struct mapping_vec *address_space_mappings(const struct address_space *as);

/* What one address is called; all strings borrowed from the address space. */
struct symbol {
	const char *function;	/* demangled, NULL if unknown */
	const char *raw;	/* as in the symbol table, NULL if unknown */
	/* Base name of the object, "[jit]" of code the target named, "" if none is there. */
	const char *module;
	const char *path;	/* "" likewise */
	const char *build_id;	/* hexadecimal, "" if none */
	/* ELF virtual address of pc; file offset if no ELF; pc itself if no file. */
	uint64_t offset;
};

/*
 * Names @pc. For a return address pass is_return: the instruction before it
 * is looked up, so that a call at a function's very end names that function,
 * while offset stays that of @pc itself.
 */
void address_space_symbolize(const struct address_space *as, uint64_t pc,
			     bool is_return, struct symbol *ret);

/* As address_space_symbolize(), without looking into the object: function and raw are NULL. */
void address_space_locate(const struct address_space *as, uint64_t pc, bool is_return,
			  struct symbol *ret);

/* One function at an address: the one that was called, or one inlined into it. */
struct symbol_frame {
	struct symbol symbol;	/* of an inlined one function and raw are its own */
	const char *file;	/* source file by DWARF; NULL if unknown */
	const char *type;	/* of what the call there allocates; NULL if unknown */
	uint32_t line, column;	/* 0 if unknown */
	uint32_t start_line;	/* of the function; 0 if unknown */
	bool inlined;
};

/* More functions are not shown at one address; the outer inlined ones are left out. */
#define SYMBOL_FRAMES_MAX 65

/*
 * As address_space_symbolize(), with source lines: the innermost inlined
 * function first, the function that was called last. How many, at least 1
 * and at most @max, which is at least 1.
 */
size_t address_space_symbolize_frames(const struct address_space *as, uint64_t pc,
				      bool is_return, struct symbol_frame *ret, size_t max);

/*
 * What these are made of: what the symbol table calls the function (NULL if
 * nothing), and what the DWARF knows, innermost first (@count may be 0).
 */
struct source_frame;
size_t symbol_frames_compose(const struct symbol *called, const struct source_frame *sources,
			     size_t count, struct symbol_frame *ret, size_t max);

/* An object of this build id, mapped now or once, or NULL; borrowed. */
struct object *address_space_object(const struct address_space *as, const char *build_id);

/*
 * The same for an address of a known object, whatever is mapped where now:
 * @at says module, path, build_id and offset, which are taken over.
 */
size_t object_symbolize_frames(struct object *object, const struct symbol *at, bool is_return,
			       struct symbol_frame *ret, size_t max);

#endif
