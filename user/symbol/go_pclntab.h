/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of functions that every Go program carries, in the form of Go 1.18
 * and newer (the runtime's symtab.go and cmd/internal/objabi describe it):
 *
 *	header: magic, quantum, counts, offsets of the tables
 *	functab: {entry - text, offset of its _func} for each function, by entry
 *
 * Foreign input: whatever points outside the table makes a function nameless.
 */
#ifndef HEAPSONDE_SYMBOL_GO_PCLNTAB_H
#define HEAPSONDE_SYMBOL_GO_PCLNTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct go_pclntab {
	const uint8_t *data;		/* borrowed */
	size_t size;
	uint64_t names, functab;	/* offsets in it */
	size_t count;			/* functions */
};

/* Offsets count from the beginning of the program's text. */
struct go_function {
	uint64_t start, end;
	const char *name;		/* "" if the table does not tell; borrowed */
};

/* False if it is no such table. */
bool go_pclntab_init(struct go_pclntab *table, const void *data, size_t size);
/* The function of that number; false if its place in text makes no sense. */
bool go_pclntab_function(const struct go_pclntab *table, size_t i, struct go_function *ret);

#endif
