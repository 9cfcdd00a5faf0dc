/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whose code a frame is, told from its module: what views and graphs colour. */
#ifndef HEAPSONDE_MODEL_MODULE_KIND_H
#define HEAPSONDE_MODEL_MODULE_KIND_H

#include "model/snapshot.h"

/* X(symbol, name in the legend) */
#define MODULE_KINDS(X)							\
	X(MODULE_PROGRAM, "program")	/* the target's own executable */	\
	X(MODULE_LIBRARY, "library")						\
	X(MODULE_LIBC, "C library")	/* and its loader */			\
	X(MODULE_GENERATED, "generated or kernel's code") /* JIT, vDSO */	\
	X(MODULE_UNKNOWN, "unknown")	/* no file is mapped there */

#define X(symbol, name) symbol,
enum module_kind { MODULE_KINDS(X) MODULE_KINDS_COUNT };
#undef X

const char *module_kind_name(enum module_kind kind);
enum module_kind module_kind_of(const struct snapshot *snap, const struct frame *frame);

#endif
