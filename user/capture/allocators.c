// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The allocator table, and what follows from a row. Discovery matches it
 * against the objects of a target, attach packs a row into a cookie, reports
 * name a row.
 */
#include "capture/allocators.h"

#define NONE PROBE_NO_ARG

/*
 * Append only. malloc_usable_size is not here: it neither gives nor takes.
 * memalign and its kin take the alignment first. valloc and pvalloc round up
 * by themselves; what was asked for is what counts.
 *
 * Exceptions leave calls behind them where they start; _Unwind_Resume only
 * goes on with one that was seen starting, once per cleanup, so it has no row.
 */
const struct allocator_function allocator_functions[] = {
	/* symbol                     kind             size  count ptr */
	{ "malloc",                   PROBE_ALLOC,     0,    NONE, NONE },
	{ "calloc",                   PROBE_CALLOC,    1,    0,    NONE },
	{ "realloc",                  PROBE_REALLOC,   1,    NONE, 0 },
	{ "reallocarray",             PROBE_REALLOC,   2,    1,    0 },
	{ "memalign",                 PROBE_ALLOC,     1,    NONE, NONE },
	{ "aligned_alloc",            PROBE_ALLOC,     1,    NONE, NONE },
	{ "posix_memalign",           PROBE_ALLOC_OUT, 2,    NONE, 0 },
	{ "valloc",                   PROBE_ALLOC,     0,    NONE, NONE },
	{ "pvalloc",                  PROBE_ALLOC,     0,    NONE, NONE },
	{ "free",                     PROBE_FREE,      NONE, NONE, 0 },
	{ "cfree",                    PROBE_FREE,      NONE, NONE, 0 },
	{ "mmap",                     PROBE_MMAP,      1,    NONE, 0 },
	{ "mmap64",                   PROBE_MMAP,      1,    NONE, 0 },
	{ "munmap",                   PROBE_MUNMAP,    1,    NONE, 0 },
	{ "mremap",                   PROBE_MREMAP,    2,    1,    0 },
	{ "brk",                      PROBE_BRK,       NONE, NONE, NONE },
	{ "sbrk",                     PROBE_BRK,       NONE, NONE, NONE },
	{ "longjmp",                  PROBE_LEAVE,     NONE, NONE, NONE },
	{ "_longjmp",                 PROBE_LEAVE,     NONE, NONE, NONE },
	{ "siglongjmp",               PROBE_LEAVE,     NONE, NONE, NONE },
	{ "__longjmp_chk",            PROBE_LEAVE,     NONE, NONE, NONE },
	{ "_Unwind_RaiseException",   PROBE_LEAVE,     NONE, NONE, NONE },
	{ "_Unwind_Resume_or_Rethrow", PROBE_LEAVE,    NONE, NONE, NONE },
	{ "_Unwind_ForcedUnwind",     PROBE_LEAVE,     NONE, NONE, NONE },
};

const size_t allocator_functions_count =
	sizeof(allocator_functions) / sizeof(allocator_functions[0]);

/* A row's number has eight bits in the cookie. */
_Static_assert(sizeof(allocator_functions) / sizeof(allocator_functions[0]) <= 256,
	       "the cookie has no room for so many rows");

const char *allocator_symbol(unsigned int func)
{
	if (func >= allocator_functions_count)
		return "unknown";
	return allocator_functions[func].symbol;
}

static unsigned int arg_bit(uint8_t arg)
{
	return arg == PROBE_NO_ARG ? 0 : 1u << arg;
}

unsigned int allocator_function_args(const struct allocator_function *function)
{
	unsigned int args = arg_bit(function->size_arg) |
			    arg_bit(function->count_arg) |
			    arg_bit(function->ptr_arg);

	if (function->kind == PROBE_MMAP)
		args |= arg_bit(2) | arg_bit(3);
	return args;
}

bool allocator_kind_returns(enum probe_kind kind)
{
	switch (kind) {
	case PROBE_ALLOC:
	case PROBE_CALLOC:
	case PROBE_ALLOC_OUT:
	case PROBE_REALLOC:
	case PROBE_MMAP:
	case PROBE_MREMAP:
	case PROBE_BRK:
		return true;
	case PROBE_FREE:
	case PROBE_MUNMAP:
	case PROBE_LEAVE:
		return false;
	}
	return false;
}

bool allocator_kind_reads_stack(enum probe_kind kind)
{
	return kind != PROBE_FREE && kind != PROBE_LEAVE;
}
