/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The allocator table: every function that is probed, once. A new allocator
 * is some rows of data; the BPF programs read the row from the attach cookie
 * (union probe_cookie, bpf/events.h).
 *
 * Columns: symbol, what it does, then argument positions from 0: the size,
 * the count it is multiplied by (or mremap's old size), the pointer, the pool that
 * the block belongs to; and the group, which says in which objects the symbol means that.
 */
#ifndef HEAPSONDE_CAPTURE_DISCOVERY_ALLOCATORS_H
#define HEAPSONDE_CAPTURE_DISCOVERY_ALLOCATORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/events.h"

/*
 * Rows that are looked for together. X(group, how, anchor, anchor): a group is
 * probed in an object that defines both its anchors; NULL is no condition.
 *
 *	PREFIXED  also with each of allocator_prefixes[] before all names
 *	OWN_NAME  nobody else would use these names: local symbols count, too
 *	IN_HEAP   only in an object that has an allocator of the first group
 *	IN_LIBC   only in one that is the C library as well
 *	IN_NOTES  no functions but probes that the program has (reports.h)
 */
#define ALLOCATOR_GROUPS(X)						\
	X(GROUP_MALLOC,	  PREFIXED, "malloc",	    "free")		\
	X(GROUP_JEMALLOC, PREFIXED, "malloc",	    "mallocx")		\
	X(GROUP_CXX,	  IN_HEAP,  NULL,	    NULL)		\
	X(GROUP_TCMALLOC, OWN_NAME, "tc_malloc",    "tc_free")		\
	X(GROUP_MIMALLOC, OWN_NAME, "mi_malloc",    "mi_free")		\
	X(GROUP_RPMALLOC, OWN_NAME, "rpmalloc",	    "rpfree")		\
	X(GROUP_SNMALLOC, OWN_NAME, "sn_rust_alloc", "sn_rust_dealloc")	\
	X(GROUP_HOARD,	  OWN_NAME, "xxmalloc",	    "xxfree")		\
	X(GROUP_MAPPING,  IN_HEAP,  "mmap",	    "munmap")		\
	X(GROUP_JUMP,	  IN_LIBC,  NULL,	    NULL)		\
	X(GROUP_UNWINDER, EXPORTED, "_Unwind_RaiseException", NULL)	\
	X(GROUP_REPORTS,  IN_NOTES, NULL,	    NULL)

enum allocator_where { EXPORTED, PREFIXED, OWN_NAME, IN_HEAP, IN_LIBC, IN_NOTES };

enum allocator_group {
#define X(group, where, anchor1, anchor2) group,
	ALLOCATOR_GROUPS(X)
#undef X
	GROUPS_COUNT,
	GROUP_DESCRIBED = GROUPS_COUNT,	/* by the user: see description.h */
};

struct allocator_group_row {
	enum allocator_where where;
	const char *anchors[2];
};

extern const struct allocator_group_row allocator_groups[GROUPS_COUNT];

/* The first is "": none. */
extern const char *const allocator_prefixes[];
extern const size_t allocator_prefixes_count;

struct allocator_function {
	const char *symbol;
	enum probe_kind kind;
	uint8_t size_arg, count_arg, ptr_arg, pool_arg;	/* the last may be PROBE_VARIABLE */
	uint8_t group;		/* enum allocator_group */
};

/* A row's number travels in events. */
extern const struct allocator_function allocator_functions[];
extern const size_t allocator_functions_count;

/*
 * Allocators that are known by name: by a symbol that they alone define,
 * looked for with the prefixes too. None of them passes calls on to another
 * allocator, as wrappers do.
 */
struct allocator_name { const char *name, *symbol; };

#define REPORTS_NAME "otel_memory"	/* the provider of the probes of GROUP_REPORTS */

extern const struct allocator_name allocator_names[];
extern const size_t allocator_names_count;

/*
 * Bit n: the program at this function's entry reads argument n. Derived from
 * the row, except that mmap's prot and flags stand in no column.
 */
unsigned int allocator_function_args(const struct allocator_function *function);

/* Whether the program must see this kind of function return as well. */
bool allocator_kind_returns(enum probe_kind kind);

/*
 * Whether the function may be left by a C++ exception, which does not get past
 * a return probe.
 */
bool allocator_function_throws(const struct allocator_function *function);

/*
 * Whether the program reads the stack pointer or what it points to: for the
 * caller's stack, the return address, or the order of nested calls. Only a
 * free (an address, nothing else) and a leaving call do without.
 */
bool allocator_kind_reads_stack(enum probe_kind kind);

#endif
