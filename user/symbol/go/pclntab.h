/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of functions that every Go program carries, in the form of Go 1.18
 * and newer (the runtime's symtab.go and cmd/internal/objabi describe it):
 *
 *	header: magic, quantum, counts, offsets of the tables
 *	names, file names: strings, each with its NUL
 *	units: for each compilation unit the offsets of its files' names
 *	pc tables: what changes within a function, as deltas of value and pc
 *	functab: {entry - text, offset of its _func} for each function, by entry
 *
 * The runtime unwinds and names its stacks by it, so that no stripping removes it.
 * Foreign input: whatever points outside the table makes a function nameless,
 * a value unknown.
 */
#ifndef HEAPSONDE_SYMBOL_GO_PCLNTAB_H
#define HEAPSONDE_SYMBOL_GO_PCLNTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct go_pclntab {
	const uint8_t *data;		/* borrowed */
	size_t size;
	uint64_t names, units, files, pc_tables, functab;	/* offsets in it */
	size_t count;			/* functions */
	unsigned int quantum;		/* bytes of the shortest instruction */
	bool before_1_20;		/* no first lines, inlined calls of another shape */
};

enum go_function_flag {
	GO_TOP_FRAME = 0x1,	/* nobody called it: a stack's bottom */
	GO_SP_WRITE = 0x2,	/* sets the stack pointer in ways its table does not tell */
	GO_ASSEMBLY = 0x4,
};

/* Offsets count from the beginning of the program's text. */
struct go_function {
	uint64_t start, end;
	const char *name;		/* "" if the table does not tell; borrowed */
	uint64_t func;			/* where its description is in the table; 0: nowhere */
	uint32_t start_line;		/* 0 if unknown */
	uint8_t flags;			/* enum go_function_flag */
	uint8_t id;			/* the runtime's number of its special functions; 0: none */
};

/* False if it is no such table. */
bool go_pclntab_init(struct go_pclntab *table, const void *data, size_t size);
/* The function of that number; false if its place in text makes no sense. */
bool go_pclntab_function(const struct go_pclntab *table, size_t i, struct go_function *ret);
/* The function that holds the address. */
bool go_pclntab_find(const struct go_pclntab *table, uint64_t offset, struct go_function *ret);
/* The name at an offset of the names; "" if there is none. Borrowed. */
const char *go_pclntab_name(const struct go_pclntab *table, uint32_t name);

/* What the pc tables tell of an instruction. */
enum go_value {
	GO_STACK_DELTA,		/* bytes between the stack pointer and that of the entry */
	GO_FILE,		/* see go_pclntab_file() */
	GO_LINE,
	GO_INLINED,		/* index in the tree of inlined calls; -1: none */
};

/* A stretch of code for which a value is the same. */
struct go_value_range {
	uint64_t start, end;	/* as a function's */
	int32_t value;
	/* Behind it; private. */
	uint64_t at, limit;
};

/*
 *	struct go_value_range range;
 *
 *	if (go_value_begin(table, f, GO_LINE, &range))
 *		while (go_value_next(table, &range))
 *			...
 *
 * Ascending, without holes, within the function; fewer where the table breaks off.
 */
bool go_value_begin(const struct go_pclntab *table, const struct go_function *f,
		    enum go_value value, struct go_value_range *ret);
bool go_value_next(const struct go_pclntab *table, struct go_value_range *range);
/* The value at an address of the function; false if the table does not tell. */
bool go_value_at(const struct go_pclntab *table, const struct go_function *f,
		 enum go_value value, uint64_t offset, int32_t *ret);

/* The path of file @number as the function counts them, or NULL. Borrowed. */
const char *go_pclntab_file(const struct go_pclntab *table, const struct go_function *f,
			    int32_t number);

/*
 * Where the function's tree of inlined calls is, as an offset from the program's
 * go:func.*; false if it has none.
 */
bool go_pclntab_inline_tree(const struct go_pclntab *table, const struct go_function *f,
			    uint32_t *ret);

#endif
