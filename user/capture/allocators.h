/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The allocator table: every function that is probed, once. A new allocator
 * is a row of data; the BPF programs read the row from the attach cookie
 * (union probe_cookie, bpf/events.h).
 *
 * Columns: symbol, what it does, then argument positions from 0: the size,
 * the count it is multiplied by (or mremap's old size), the pointer.
 */
#ifndef HEAPSONDE_CAPTURE_ALLOCATORS_H
#define HEAPSONDE_CAPTURE_ALLOCATORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/events.h"

struct allocator_function {
	const char *symbol;
	enum probe_kind kind;
	uint8_t size_arg, count_arg, ptr_arg;
};

/* Rows, in an order that stays: a row's number travels in events and recordings. */
extern const struct allocator_function allocator_functions[];
extern const size_t allocator_functions_count;

/* The name of row @func for reports; "unknown" for a row of a newer heapsonde. */
const char *allocator_symbol(unsigned int func);

/*
 * Bit n: the program at this function's entry reads argument n. Derived from
 * the row, except that mmap's prot and flags stand in no column.
 */
unsigned int allocator_function_args(const struct allocator_function *function);

/* Whether the program must see this kind of function return as well. */
bool allocator_kind_returns(enum probe_kind kind);

/*
 * Whether the program reads the stack pointer or what it points to: for the
 * caller's stack, the return address, or the order of nested calls. Only a
 * free (an address, nothing else) and a leaving call do without.
 */
bool allocator_kind_reads_stack(enum probe_kind kind);

#endif
