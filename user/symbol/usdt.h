/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Probes that a program's authors put into it (USDT): a nop each, described
 * by a note of the file: where it is, whose it is, where its arguments are
 * at that moment, and a counter in memory that says whether anybody listens.
 *
 * Source: SystemTap's "UserSpaceProbeImplementation", sys/sdt.h; arguments are
 * written as the assembler writes operands, "SIZE@OPERAND", a negative size
 * for signed ones.
 */
#ifndef HEAPSONDE_SYMBOL_USDT_H
#define HEAPSONDE_SYMBOL_USDT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/vec.h"
#include "symbol/object.h"

struct usdt_probe {
	uint64_t vaddr;		/* of the nop, as the file's other addresses are */
	uint64_t semaphore;	/* of the counter, 16 bits wide; 0: none */
	char *provider, *name, *arguments;	/* owned */
};

DEFINE_VEC(usdt_probe_vec, struct usdt_probe);

void usdt_probes_deinit(struct usdt_probe_vec *probes);
/* Leaves the first @count of them. */
void usdt_probes_cut(struct usdt_probe_vec *probes, size_t count);

/*
 * Appends the probes of @provider that the contents of a .note.stapsdt tell.
 * The notes say where a marker section was when they were made; it is at
 * @base now (0: there is none, addresses hold as they are), which differs
 * where something moved the file's addresses afterwards. What is no whole note
 * ends the list.
 */
void usdt_parse_notes(const void *notes, size_t size, uint64_t base, const char *provider,
		      struct usdt_probe_vec *ret);

#define USDT_PROVIDER_MAX 32	/* bytes of its name */

/*
 * Those of an object's file. Most have none, which is seen without a look at what the
 * notes mean: where the provider's name stands in them, they are read by a process that
 * may do nothing else (base/reader.h).
 */
void usdt_probes(const struct object *object, const char *provider, struct usdt_probe_vec *ret);

/* Where an argument is. Registers are numbered as DWARF numbers them. */
enum usdt_place {
	USDT_CONSTANT,		/* value */
	USDT_REGISTER,		/* reg */
	USDT_MEMORY,		/* at reg + (index << shift) + value */
	USDT_SYMBOL,		/* at symbol + value */
};

#define USDT_NO_REGISTER 0xff

struct usdt_argument {
	enum usdt_place place;
	uint8_t bytes;		/* 1, 2, 4 or 8 */
	bool is_signed;
	uint8_t reg, index;	/* USDT_NO_REGISTER where there is none */
	uint8_t shift;
	int64_t value;
	char symbol[64];
};

enum usdt_machine { USDT_X86_64, USDT_ARM64 };

#if defined(__aarch64__)
#define USDT_MACHINE_HERE USDT_ARM64
#else
#define USDT_MACHINE_HERE USDT_X86_64
#endif

/*
 * Reads up to @max arguments; how many there are, or -1 if one is written in
 * a way that is not known here (floating point, for example).
 */
int usdt_parse_arguments(const char *text, enum usdt_machine machine,
			 struct usdt_argument *ret, int max);

#endif
