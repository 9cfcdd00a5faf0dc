/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where in a function a probe stands decides its price: an instruction that
 * the kernel emulates costs a thirteenth of one it must single-step out of
 * line. Placement walks the function's entry block and takes the first
 * emulated instruction at which everything that the program reads is still in
 * place and nothing that the function does has happened yet.
 *
 * Source of the rules: arch/x86/kernel/uprobes.c, branch_setup_xol_ops() and
 * push_setup_xol_ops(): push reg, nop, call rel32, jmp and jcc are emulated.
 */
#ifndef HEAPSONDE_CAPTURE_DISCOVERY_PLACEMENT_H
#define HEAPSONDE_CAPTURE_DISCOVERY_PLACEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/vec.h"

/* What the program at this probe needs to find untouched. */
struct placement_request {
	const uint8_t *code;	/* the function's bytes */
	size_t size;		/* of code; the whole function where its end is known */
	uint64_t vaddr;		/* of code[0], as ELF virtual address */
	unsigned int args;	/* bit n: argument n is read from its register */
	bool returns;		/* a return probe is set here: the stack pointer must
				 * still be what it was at the entry */
	bool stack;		/* the program reads the stack pointer or below it: the
				 * same demand */
	bool result;		/* no entry, but where a call returns to: what it returned
				 * and the frame pointer are read */
};

struct placement {
	uint32_t offset;	/* from the entry */
	bool emulated;
	char instruction[48];	/* "push %rbp", as AT&T writes it */
	char reason[96];	/* why here, in a few words, for doctor */
};

/*
 * Fails with ERROR_UNSUPPORTED when no instruction may carry the probe (for
 * example a function whose entry block loops back to the entry, or code that
 * the kernel refuses to probe). The entry instruction is the last resort,
 * single-stepped.
 */
struct error *placement_find(const struct placement_request *req,
			     struct placement *ret) __must_check;

/* Where a function is left: by a return, or by a direct jump to @target outside of it. */
struct function_exit {
	uint64_t vaddr;
	bool returns;
	uint64_t target;	/* of a jump */
	bool always;		/* that has no condition */
};

DEFINE_VEC(function_exit_vec, struct function_exit);

/*
 * Appends the exits of @size bytes of code at @vaddr. Jumps by pointer are not
 * among them. Fails with ERROR_UNSUPPORTED on a machine whose instructions are
 * not known.
 */
struct error *placement_exits(const uint8_t *code, size_t size, uint64_t vaddr,
			      struct function_exit_vec *ret) __must_check;

#endif
