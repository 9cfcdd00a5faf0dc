/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the fields of the Go runtime's structures lie, by the version of Go. Read
 * from the DWARF of programs built by each of these versions; a new version is a
 * column here, and of no interest where a program has DWARF itself
 * (layout_dwarf.h). Which one fits a process is proven on its memory before
 * anything is believed (capture/go/runtime.h).
 */
#ifndef HEAPSONDE_SYMBOL_GO_LAYOUT_H
#define HEAPSONDE_SYMBOL_GO_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#define GO_VERSIONS 8

/*
 * X(field, its offset in 1.19, 1.21, 1.22, 1.23, 1.24, 1.25, 1.26, 1.27): the
 * structure's name in front, a size where the name says so; -1: not there.
 */
#define GO_LAYOUT_OF_BOTH(X) \
	X(stats_gen,                 3528,  3528,  3528,  3528,  3528,  3504,  3504,  3504) \
	X(stats_stacks_sys,          3544,  3544,  3544,  3544,  3544,  3520,  3520,  3520) \
	X(stats_mspan_sys,           3552,  3552,  3552,  3552,  3552,  3528,  3528,  3528) \
	X(stats_mcache_sys,          3560,  3560,  3560,  3560,  3560,  3536,  3536,  3536) \
	X(stats_buckhash_sys,        3568,  3568,  3568,  3568,  3568,  3544,  3544,  3544) \
	X(stats_gc_misc_sys,         3576,  3576,  3576,  3576,  3576,  3552,  3552,  3552) \
	X(stats_other_sys,           3584,  3584,  3584,  3584,  3584,  3560,  3560,  3560) \
	X(stats_last_gc_unix,        3592,  3592,  3592,  3592,  3592,  3568,  3568,  3568) \
	X(stats_pause_total_ns,      3600,  3600,  3600,  3600,  3600,  3576,  3576,  3576) \
	X(stats_pause_ns,            3608,  3608,  3608,  3608,  3608,  3584,  3584,  3584) \
	X(stats_pause_end,           5656,  5656,  5656,  5656,  5656,  5632,  5632,  5632) \
	X(stats_numgc,               7704,  7704,  7704,  7704,  7704,  7680,  7680,  7680) \
	X(stats_numforcedgc,         7708,  7708,  7708,  7708,  7708,  7684,  7684,  7684) \
	X(stats_gc_cpu_fraction,     7712,  7712,  7712,  7712,  7712,  7688,  7688,  7688) \
	X(delta_size,                1176,  1176,  1176,  1176,  1176,  1168,  1168,  1168) \
	X(delta_committed,              0,     0,     0,     0,     0,     0,     0,     0) \
	X(delta_released,               8,     8,     8,     8,     8,     8,     8,     8) \
	X(delta_in_heap,               16,    16,    16,    16,    16,    16,    16,    16) \
	X(delta_in_stacks,             24,    24,    24,    24,    24,    24,    24,    24) \
	X(delta_in_work_bufs,          32,    32,    32,    32,    32,    32,    32,    32) \
	X(delta_in_ptr_bits,           40,    40,    40,    40,    40,    -1,    -1,    -1) \
	X(delta_tiny_count,            48,    48,    48,    48,    48,    40,    40,    40) \
	X(delta_large_alloc,           56,    56,    56,    56,    56,    48,    48,    48) \
	X(delta_large_alloc_count,     64,    64,    64,    64,    64,    56,    56,    56) \
	X(delta_small_alloc_count,     72,    72,    72,    72,    72,    64,    64,    64) \
	X(delta_large_free,           616,   616,   616,   616,   616,   608,   608,   608) \
	X(delta_large_free_count,     624,   624,   624,   624,   624,   616,   616,   616) \
	X(delta_small_free_count,     632,   632,   632,   632,   632,   624,   624,   624) \
	X(pacer_gc_percent,             0,     0,     0,     0,     0,     0,     0,     0) \
	X(pacer_memory_limit,           8,     8,     8,     8,     8,     8,     8,     8) \
	X(pacer_percent_goal,         104,    72,    72,    72,    72,    72,    72,    72) \
	X(pacer_sweep_min_trigger,    112,    80,    80,    80,    80,    80,    80,    80) \
	X(pacer_triggered,            120,    88,    88,    88,    88,    88,    88,    88) \
	X(pacer_heap_live,            136,   104,   104,   104,   104,   104,   104,   104) \
	X(pacer_stack_scan,           160,   128,   128,   128,   128,   128,   128,   128) \
	X(pacer_globals_scan,         176,   144,   144,   144,   144,   144,   144,   144) \
	X(pacer_heap_marked,          184,   152,   152,   152,   152,   152,   152,   152) \
	X(pacer_heap_in_use,          304,   272,   272,   272,   272,   272,   272,   272) \
	X(pacer_heap_released,        312,   280,   280,   280,   280,   280,   280,   280) \
	X(pacer_heap_free,            320,   288,   288,   288,   288,   288,   288,   288) \
	X(pacer_total_alloc,          328,   296,   296,   296,   296,   296,   296,   296) \
	X(pacer_total_free,           336,   304,   304,   304,   304,   304,   304,   304) \
	X(pacer_mapped_ready,         344,   312,   312,   312,   312,   312,   312,   312) \
	X(mheap_allspans,           65856, 65864, 65864, 65864, 65864, 65864, 65864, 65864) \
	X(fixalloc_inuse,              48,    48,    48,    48,    48,    48,    48,    48) \
	X(arena_spans,             2097152,1064960,     0,     0,     0,     0,     0,     0) \
	X(arena_inline_marks,          -1,    -1,    -1,    -1,    -1, 68608, 68608, 68608) \
	X(span_size,                  144,   168,   160,   160,   160,   160,   160,   160) \
	X(span_start,                  24,    24,    24,    24,    24,    24,    24,    24) \
	X(span_npages,                 32,    32,    32,    32,    32,    32,    32,    32) \
	X(span_nelems,                 56,    56,    50,    50,    50,    50,    50,    50) \
	X(span_free_index,             48,    48,    48,    48,    48,    48,    48,    48) \
	X(span_alloc_cache,            64,    64,    56,    56,    56,    56,    56,    56) \
	X(span_alloc_bits,             72,    72,    64,    64,    64,    64,    64,    64) \
	X(span_mark_bits,              80,    80,    72,    72,    72,    72,    72,    72) \
	X(span_alloc_count,            96,   104,    96,    96,    96,    96,    96,    96) \
	X(span_state,                  99,   107,    99,    99,    99,    99,    99,    99) \
	X(span_count_before_cache,    102,   110,   102,   102,   102,   102,   102,   102) \
	X(span_elemsize,              104,   112,   104,   104,   104,   104,   104,   104) \
	X(mcache_tiny_allocs,          32,    32,    32,    32,    40,    40,    40,    40) \
	X(mcache_alloc,                40,    40,    40,    40,    48,    48,    48,    48) \
	X(p_id,                         0,     0,     0,     0,     0,     0,     0,     0) \
	X(p_mcache,                    64,    64,    64,    56,    56,    56,    56,    56) \
	X(bucket_cycle_size,           32,    32,    32,    32,    32,    32,    32,    16)

/* Padding differs with the size of cache lines. */
#define GO_LAYOUT_X86(X) \
	X(mheap_arenas,     65936, 65944, 66008, 66008, 66008, 66008, 66008, 66008) \
	X(mheap_spanalloc,  92224, 92232, 92296, 92296, 92296, 92320, 92320, 92320) \
	X(mheap_cachealloc, 92296, 92304, 92368, 92368, 92368, 92392, 92464, 92464)

#define GO_LAYOUT_ARM64(X) \
	X(mheap_arenas,     65936, 65944, 66072, 66072, 66072, 66072, 66072, 66072) \
	X(mheap_spanalloc,  92224,100936,101064,101064,101064,101088,101088,101088) \
	X(mheap_cachealloc, 92296,101008,101136,101136,101136,101160,101232,101232)

struct go_layout {
	unsigned int minor;	/* of Go 1.N */
#define X(field, ...) int32_t field;
	GO_LAYOUT_OF_BOTH(X)
	GO_LAYOUT_X86(X)
#undef X
};

/* One a version, oldest first. */
extern const struct go_layout go_layouts_x86[GO_VERSIONS], go_layouts_arm64[GO_VERSIONS];
#ifdef __aarch64__
#define go_layouts go_layouts_arm64
#else
#define go_layouts go_layouts_x86
#endif

/* Bytes of the field span_nelems. */
size_t go_layout_nelems_size(const struct go_layout *layout);

/* Objects up to 32 KiB come in classes of size, the same in all these versions. */
#define GO_SIZE_CLASSES 68
extern const uint16_t go_class_sizes[GO_SIZE_CLASSES];

#endif
