// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The allocator table, and what follows from a row. Discovery matches it
 * against the objects of a target, attach packs a row into a cookie.
 */
#include "capture/discovery/allocators.h"

#include <string.h>

#define NONE PROBE_NO_ARG

const struct allocator_group_row allocator_groups[GROUPS_COUNT] = {
#define X(group, where, anchor1, anchor2) [group] = { where, { anchor1, anchor2 } },
	ALLOCATOR_GROUPS(X)
#undef X
};

/* jemalloc's (the second is Rust's), mimalloc's, tcmalloc's, snmalloc's. */
const char *const allocator_prefixes[] = { "", "je_", "_rjem_", "mi_", "tc_", "sn_" };
const size_t allocator_prefixes_count =
	sizeof(allocator_prefixes) / sizeof(allocator_prefixes[0]);

const struct allocator_name allocator_names[] = {
	{ "glibc",		"gnu_get_libc_version" },
	{ "musl",		"__init_libc" },
	{ "musl",		"__dls2b" },
	{ "jemalloc",		"mallctl" },
	{ "tcmalloc",		"tc_malloc_size" },
	{ "mimalloc",		"mi_version" },
	{ "rpmalloc",		"rpmalloc_initialize" },
	{ "snmalloc",		"sn_rust_alloc" },
	{ "Hoard",		"xxmalloc" },
	{ "AddressSanitizer",	"__asan_init" },
	{ REPORTS_NAME,		REPORTS_NAME ":alloc" },	/* no function is called that */
};
const size_t allocator_names_count = sizeof(allocator_names) / sizeof(allocator_names[0]);

/*
 * malloc_usable_size and its kin are not here: they neither give nor take.
 * Where alignments come first, they have no column. valloc and pvalloc round
 * up by themselves; what was asked for is what counts.
 *
 * Exceptions leave calls behind them where they start; _Unwind_Resume only
 * goes on with one that was seen starting, once per cleanup, so it has no row.
 */
const struct allocator_function allocator_functions[] = {
	/* symbol, kind, size, count, ptr, pool, group */

	/* The C library's interface, whoever implements it. */
	{ "malloc", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_MALLOC },
	{ "calloc", PROBE_ALLOC, 1, 0, NONE, NONE, GROUP_MALLOC },
	{ "realloc", PROBE_REALLOC, 1, NONE, 0, NONE, GROUP_MALLOC },
	{ "reallocarray", PROBE_REALLOC, 2, 1, 0, NONE, GROUP_MALLOC },
	{ "reallocf", PROBE_REALLOC_OR_FREE, 1, NONE, 0, NONE, GROUP_MALLOC },
	{ "memalign", PROBE_ALLOC, 1, NONE, NONE, NONE, GROUP_MALLOC },
	{ "aligned_alloc", PROBE_ALLOC, 1, NONE, NONE, NONE, GROUP_MALLOC },
	{ "posix_memalign", PROBE_ALLOC_OUT, 2, NONE, 0, NONE, GROUP_MALLOC },
	{ "valloc", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_MALLOC },
	{ "pvalloc", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_MALLOC },
	{ "free", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_MALLOC },
	{ "cfree", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_MALLOC },
	{ "free_sized", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_MALLOC },
	{ "free_aligned_sized", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_MALLOC },

	/* jemalloc's own, flags behind. */
	{ "mallocx", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_JEMALLOC },
	{ "rallocx", PROBE_REALLOC, 1, NONE, 0, NONE, GROUP_JEMALLOC },
	{ "xallocx", PROBE_RESIZE, 1, NONE, 0, NONE, GROUP_JEMALLOC },
	{ "dallocx", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_JEMALLOC },
	{ "sdallocx", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_JEMALLOC },

	/* C++: operator new and delete, plain, nothrow, aligned, sized; arrays. */
	{ "_Znwm", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_CXX },
	{ "_Znam", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_CXX },
	{ "_ZnwmRKSt9nothrow_t", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_CXX },
	{ "_ZnamRKSt9nothrow_t", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_CXX },
	{ "_ZnwmSt11align_val_t", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_CXX },
	{ "_ZnamSt11align_val_t", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_CXX },
	{ "_ZnwmSt11align_val_tRKSt9nothrow_t", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_CXX },
	{ "_ZnamSt11align_val_tRKSt9nothrow_t", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_CXX },
	{ "_ZdlPv", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_CXX },
	{ "_ZdaPv", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_CXX },
	{ "_ZdlPvm", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_CXX },
	{ "_ZdaPvm", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_CXX },
	{ "_ZdlPvRKSt9nothrow_t", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_CXX },
	{ "_ZdaPvRKSt9nothrow_t", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_CXX },
	{ "_ZdlPvSt11align_val_t", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_CXX },
	{ "_ZdaPvSt11align_val_t", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_CXX },
	{ "_ZdlPvmSt11align_val_t", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_CXX },
	{ "_ZdaPvmSt11align_val_t", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_CXX },
	{ "_ZdlPvSt11align_val_tRKSt9nothrow_t", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_CXX },
	{ "_ZdaPvSt11align_val_tRKSt9nothrow_t", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_CXX },

	/* tcmalloc's names for them. */
	{ "tc_new", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_TCMALLOC },
	{ "tc_new_nothrow", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_TCMALLOC },
	{ "tc_new_aligned", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_TCMALLOC },
	{ "tc_new_aligned_nothrow", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_TCMALLOC },
	{ "tc_newarray", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_TCMALLOC },
	{ "tc_newarray_nothrow", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_TCMALLOC },
	{ "tc_newarray_aligned", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_TCMALLOC },
	{ "tc_newarray_aligned_nothrow", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_TCMALLOC },
	{ "tc_malloc_skip_new_handler", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_TCMALLOC },
	{ "tc_delete", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_TCMALLOC },
	{ "tc_delete_sized", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_TCMALLOC },
	{ "tc_delete_nothrow", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_TCMALLOC },
	{ "tc_delete_aligned", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_TCMALLOC },
	{ "tc_delete_sized_aligned", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_TCMALLOC },
	{ "tc_delete_aligned_nothrow", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_TCMALLOC },
	{ "tc_deletearray", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_TCMALLOC },
	{ "tc_deletearray_sized", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_TCMALLOC },
	{ "tc_deletearray_nothrow", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_TCMALLOC },
	{ "tc_deletearray_aligned", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_TCMALLOC },
	{ "tc_deletearray_sized_aligned", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_TCMALLOC },
	{ "tc_deletearray_aligned_nothrow", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_TCMALLOC },

	/* mimalloc: of this process's default heap, then of a heap that is given. */
	{ "mi_malloc_small", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_zalloc_small", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_zalloc", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_mallocn", PROBE_ALLOC, 1, 0, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_reallocn", PROBE_REALLOC, 2, 1, 0, NONE, GROUP_MIMALLOC },
	{ "mi_rezalloc", PROBE_REALLOC, 1, NONE, 0, NONE, GROUP_MIMALLOC },
	{ "mi_recalloc", PROBE_REALLOC, 2, 1, 0, NONE, GROUP_MIMALLOC },
	{ "mi_malloc_aligned", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_malloc_aligned_at", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_zalloc_aligned", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_zalloc_aligned_at", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_calloc_aligned", PROBE_ALLOC, 1, 0, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_calloc_aligned_at", PROBE_ALLOC, 1, 0, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_realloc_aligned", PROBE_REALLOC, 1, NONE, 0, NONE, GROUP_MIMALLOC },
	{ "mi_realloc_aligned_at", PROBE_REALLOC, 1, NONE, 0, NONE, GROUP_MIMALLOC },
	{ "mi_rezalloc_aligned", PROBE_REALLOC, 1, NONE, 0, NONE, GROUP_MIMALLOC },
	{ "mi_rezalloc_aligned_at", PROBE_REALLOC, 1, NONE, 0, NONE, GROUP_MIMALLOC },
	{ "mi_recalloc_aligned", PROBE_REALLOC, 2, 1, 0, NONE, GROUP_MIMALLOC },
	{ "mi_recalloc_aligned_at", PROBE_REALLOC, 2, 1, 0, NONE, GROUP_MIMALLOC },
	{ "mi_aligned_recalloc", PROBE_REALLOC, 2, 1, 0, NONE, GROUP_MIMALLOC },
	{ "mi_aligned_offset_recalloc", PROBE_REALLOC, 2, 1, 0, NONE, GROUP_MIMALLOC },
	{ "mi_expand", PROBE_REALLOC, 1, NONE, 0, NONE, GROUP_MIMALLOC },
	{ "mi__expand", PROBE_REALLOC, 1, NONE, 0, NONE, GROUP_MIMALLOC },
	{ "mi_new", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_new_n", PROBE_ALLOC, 1, 0, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_new_nothrow", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_new_aligned", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_new_aligned_nothrow", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_new_realloc", PROBE_REALLOC, 1, NONE, 0, NONE, GROUP_MIMALLOC },
	{ "mi_new_reallocn", PROBE_REALLOC, 2, 1, 0, NONE, GROUP_MIMALLOC },
	{ "mi_free_size", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_MIMALLOC },
	{ "mi_free_aligned", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_MIMALLOC },
	{ "mi_free_size_aligned", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_MIMALLOC },
	{ "mi_heap_malloc_small", PROBE_ALLOC, 1, NONE, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_heap_malloc", PROBE_ALLOC, 1, NONE, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_heap_zalloc", PROBE_ALLOC, 1, NONE, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_heap_calloc", PROBE_ALLOC, 2, 1, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_heap_mallocn", PROBE_ALLOC, 2, 1, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_heap_realloc", PROBE_REALLOC, 2, NONE, 1, NONE, GROUP_MIMALLOC },
	{ "mi_heap_reallocn", PROBE_REALLOC, 3, 2, 1, NONE, GROUP_MIMALLOC },
	{ "mi_heap_reallocf", PROBE_REALLOC_OR_FREE, 2, NONE, 1, NONE, GROUP_MIMALLOC },
	{ "mi_heap_rezalloc", PROBE_REALLOC, 2, NONE, 1, NONE, GROUP_MIMALLOC },
	{ "mi_heap_recalloc", PROBE_REALLOC, 3, 2, 1, NONE, GROUP_MIMALLOC },
	{ "mi_heap_malloc_aligned", PROBE_ALLOC, 1, NONE, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_heap_malloc_aligned_at", PROBE_ALLOC, 1, NONE, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_heap_zalloc_aligned", PROBE_ALLOC, 1, NONE, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_heap_zalloc_aligned_at", PROBE_ALLOC, 1, NONE, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_heap_calloc_aligned", PROBE_ALLOC, 2, 1, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_heap_calloc_aligned_at", PROBE_ALLOC, 2, 1, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_heap_realloc_aligned", PROBE_REALLOC, 2, NONE, 1, NONE, GROUP_MIMALLOC },
	{ "mi_heap_realloc_aligned_at", PROBE_REALLOC, 2, NONE, 1, NONE, GROUP_MIMALLOC },
	{ "mi_heap_rezalloc_aligned", PROBE_REALLOC, 2, NONE, 1, NONE, GROUP_MIMALLOC },
	{ "mi_heap_rezalloc_aligned_at", PROBE_REALLOC, 2, NONE, 1, NONE, GROUP_MIMALLOC },
	{ "mi_heap_recalloc_aligned", PROBE_REALLOC, 3, 2, 1, NONE, GROUP_MIMALLOC },
	{ "mi_heap_recalloc_aligned_at", PROBE_REALLOC, 3, 2, 1, NONE, GROUP_MIMALLOC },
	{ "mi_heap_alloc_new", PROBE_ALLOC, 1, NONE, NONE, NONE, GROUP_MIMALLOC },
	{ "mi_heap_alloc_new_n", PROBE_ALLOC, 2, 1, NONE, NONE, GROUP_MIMALLOC },

	/* rpmalloc, Hoard, snmalloc for Rust (the alignment comes first). */
	{ "rpmalloc", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_RPMALLOC },
	{ "rpzalloc", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_RPMALLOC },
	{ "rpcalloc", PROBE_ALLOC, 1, 0, NONE, NONE, GROUP_RPMALLOC },
	{ "rprealloc", PROBE_REALLOC, 1, NONE, 0, NONE, GROUP_RPMALLOC },
	{ "rpaligned_alloc", PROBE_ALLOC, 1, NONE, NONE, NONE, GROUP_RPMALLOC },
	{ "rpaligned_zalloc", PROBE_ALLOC, 1, NONE, NONE, NONE, GROUP_RPMALLOC },
	{ "rpaligned_calloc", PROBE_ALLOC, 2, 1, NONE, NONE, GROUP_RPMALLOC },
	{ "rpaligned_realloc", PROBE_REALLOC, 2, NONE, 0, NONE, GROUP_RPMALLOC },
	{ "rpmemalign", PROBE_ALLOC, 1, NONE, NONE, NONE, GROUP_RPMALLOC },
	{ "rpposix_memalign", PROBE_ALLOC_OUT, 2, NONE, 0, NONE, GROUP_RPMALLOC },
	{ "rpfree", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_RPMALLOC },
	{ "rpmalloc_heap_alloc", PROBE_ALLOC, 1, NONE, NONE, NONE, GROUP_RPMALLOC },
	{ "rpmalloc_heap_aligned_alloc", PROBE_ALLOC, 2, NONE, NONE, NONE, GROUP_RPMALLOC },
	{ "rpmalloc_heap_calloc", PROBE_ALLOC, 2, 1, NONE, NONE, GROUP_RPMALLOC },
	{ "rpmalloc_heap_aligned_calloc", PROBE_ALLOC, 3, 2, NONE, NONE, GROUP_RPMALLOC },
	{ "rpmalloc_heap_realloc", PROBE_REALLOC, 2, NONE, 1, NONE, GROUP_RPMALLOC },
	{ "rpmalloc_heap_aligned_realloc", PROBE_REALLOC, 3, NONE, 1, NONE, GROUP_RPMALLOC },
	{ "rpmalloc_heap_free", PROBE_FREE, NONE, NONE, 1, NONE, GROUP_RPMALLOC },
	{ "xxmalloc", PROBE_ALLOC, 0, NONE, NONE, NONE, GROUP_HOARD },
	{ "xxcalloc", PROBE_ALLOC, 1, 0, NONE, NONE, GROUP_HOARD },
	{ "xxrealloc", PROBE_REALLOC, 1, NONE, 0, NONE, GROUP_HOARD },
	{ "xxmemalign", PROBE_ALLOC, 1, NONE, NONE, NONE, GROUP_HOARD },
	{ "xxfree", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_HOARD },
	{ "sn_rust_alloc", PROBE_ALLOC, 1, NONE, NONE, NONE, GROUP_SNMALLOC },
	{ "sn_rust_alloc_zeroed", PROBE_ALLOC, 1, NONE, NONE, NONE, GROUP_SNMALLOC },
	{ "sn_rust_realloc", PROBE_REALLOC, 3, NONE, 0, NONE, GROUP_SNMALLOC },
	{ "sn_rust_dealloc", PROBE_FREE, NONE, NONE, 0, NONE, GROUP_SNMALLOC },

	/* Memory that the program maps for itself. */
	{ "mmap", PROBE_MMAP, 1, NONE, 0, NONE, GROUP_MAPPING },
	{ "mmap64", PROBE_MMAP, 1, NONE, 0, NONE, GROUP_MAPPING },
	{ "munmap", PROBE_MUNMAP, 1, NONE, 0, NONE, GROUP_MAPPING },
	{ "mremap", PROBE_MREMAP, 2, 1, 0, NONE, GROUP_MAPPING },
	{ "brk", PROBE_BRK, NONE, NONE, NONE, NONE, GROUP_MAPPING },
	{ "sbrk", PROBE_BRK, NONE, NONE, NONE, NONE, GROUP_MAPPING },

	/* What may leave an allocator call behind that never returns. */
	{ "longjmp", PROBE_LEAVE, NONE, NONE, NONE, NONE, GROUP_JUMP },
	{ "_longjmp", PROBE_LEAVE, NONE, NONE, NONE, NONE, GROUP_JUMP },
	{ "siglongjmp", PROBE_LEAVE, NONE, NONE, NONE, NONE, GROUP_JUMP },
	{ "__longjmp_chk", PROBE_LEAVE, NONE, NONE, NONE, NONE, GROUP_JUMP },
	{ "_Unwind_RaiseException", PROBE_LEAVE, NONE, NONE, NONE, NONE, GROUP_UNWINDER },
	{ "_Unwind_Resume_or_Rethrow", PROBE_LEAVE, NONE, NONE, NONE, NONE, GROUP_UNWINDER },
	{ "_Unwind_ForcedUnwind", PROBE_LEAVE, NONE, NONE, NONE, NONE, GROUP_UNWINDER },

	/* What programs tell by themselves of blocks that they sample. */
	{ REPORTS_NAME ":alloc", PROBE_REPORT_ALLOC, NONE, NONE, NONE, NONE, GROUP_REPORTS },
	{ REPORTS_NAME ":free", PROBE_REPORT_FREE, NONE, NONE, NONE, NONE, GROUP_REPORTS },
};

const size_t allocator_functions_count =
	sizeof(allocator_functions) / sizeof(allocator_functions[0]);

_Static_assert(sizeof(allocator_functions) / sizeof(allocator_functions[0]) <= PROBE_FUNCS_MAX,
	       "the cookie has no room for so many rows");

static unsigned int arg_bit(uint8_t arg)
{
	return arg == PROBE_NO_ARG ? 0 : 1u << arg;
}

unsigned int allocator_function_args(const struct allocator_function *function)
{
	unsigned int args = arg_bit(function->size_arg) |
			    arg_bit(function->count_arg) |
			    arg_bit(function->ptr_arg);

	if (function->pool_arg < PROBE_ARGS)
		args |= arg_bit(function->pool_arg);
	if (function->kind == PROBE_MMAP)
		args |= arg_bit(2) | arg_bit(3);
	return args;
}

bool allocator_kind_returns(enum probe_kind kind)
{
	switch (kind) {
	case PROBE_ALLOC:
	case PROBE_ALLOC_OUT:
	case PROBE_REALLOC:
	case PROBE_REALLOC_OR_FREE:
	case PROBE_RESIZE:
	case PROBE_HIDE:
	case PROBE_MMAP:
	case PROBE_MREMAP:
	case PROBE_BRK:
		return true;
	case PROBE_FREE:
	case PROBE_CLEAR:
	case PROBE_MUNMAP:
	case PROBE_LEAVE:
	case PROBE_EXIT:
	case PROBE_REPORT_ALLOC:
	case PROBE_REPORT_FREE:
	case PROBE_FOCUS:
	case PROBE_FOCUS_END:
	case PROBE_LARGE:
		return false;
	}
	return false;
}

bool allocator_function_throws(const struct allocator_function *function)
{
	bool is_new = !strncmp(function->symbol, "_Zn", 3) || strstr(function->symbol, "_new");
	bool is_cxx = function->group == GROUP_DESCRIBED && !strncmp(function->symbol, "_Z", 2);

	return (is_new || is_cxx) && allocator_kind_returns(function->kind) &&
	       !strstr(function->symbol, "nothrow");
}

bool allocator_kind_reads_stack(enum probe_kind kind)
{
	return kind != PROBE_FREE && kind != PROBE_LEAVE;
}
