/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a Go program's file tells of its runtime, stripped or not: the version
 * from .go.buildinfo, every function from the pclntab that the runtime itself
 * unwinds by, and where the runtime's own variables lie.
 *
 * No symbol names those variables in a stripped file. They are found by vote:
 * each call of a method of the wanted singleton loads its receiver, by
 * instructions of one form, right before the call; the address that most calls
 * pass is the variable. Go's linker writes both, so the forms are few.
 *
 * Addresses are those of the file; a position-independent program's load bias
 * comes on top. The file is foreign input.
 */
#ifndef HEAPSONDE_SYMBOL_GO_BINARY_H
#define HEAPSONDE_SYMBOL_GO_BINARY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "symbol/go/layout.h"
#include "symbol/go/points.h"

/* X(symbol, the runtime's name of it) */
#define GO_VARIABLES(X)							\
	X(GO_MHEAP, "runtime.mheap_")					\
	X(GO_CONTROLLER, "runtime.gcController")			\
	X(GO_MEMSTATS, "runtime.memstats")				\
	X(GO_ALLP, "runtime.allp")

enum go_variable {
#define X(symbol, name) symbol,
	GO_VARIABLES(X)
#undef X
	GO_VARIABLES_COUNT
};

const char *go_variable_name(enum go_variable variable);

struct go_binary {
	char *version;		/* "go1.22.12" */
	unsigned int minor;	/* 22; 0 if it is not of the form go1.N */
	uint64_t text;		/* what functions' entries count from */
	uint64_t data, data_end;	/* all variables lie in here */
	uint64_t variables[GO_VARIABLES_COUNT];
	bool has_layout;	/* in its own debug data */
	struct go_layout layout;
	struct go_points points;	/* what is not needed to read figures; may lack some */
};

/*
 * *ret is NULL if the file is no Go program. ERROR_UNSUPPORTED, with the
 * version, if it is one that cannot be read: too old, obfuscated. The file (@fd,
 * borrowed) may be one of another machine, x86-64 or arm64.
 */
struct error *go_binary_open(int fd, struct go_binary **ret) __must_check;
void go_binary_close(struct go_binary *go);
DEFINE_CLEANUP(struct go_binary *, go_binary_close);

#endif
