/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compiles a file's call frame information into the compact table that the
 * BPF walker searches (bpf/unwind.h has the shapes).
 *
 * Two kinds. A walk that starts where an allocator is called meets nothing
 * but return addresses, and a row whose code holds no call instruction can
 * never be asked for one: CALL_SITES leaves such rows out (nine in ten) and
 * lets the row before them run on. FULL is right for every address, as walks
 * from page faults and system calls need it.
 *
 * What may look like a call but is an immediate or a displacement only keeps
 * a row that was not needed.
 */
#ifndef HEAPSONDE_SYMBOL_UNWIND_TABLE_H
#define HEAPSONDE_SYMBOL_UNWIND_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/vec.h"
#include "bpf/unwind.h"

enum unwind_table_kind { UNWIND_CALL_SITES, UNWIND_FULL };

/*
 * An executable segment. Buckets cover [vaddr, end), the part that has call
 * frame information; what lies around it (constants, in files linked without
 * -z separate-code) is a gap.
 */
struct unwind_text {
	uint64_t segment, segment_end;
	uint64_t vaddr, end;	/* empty: nothing is known of the segment */
	uint64_t base;		/* vaddr, down to a bucket's begin */
	uint32_t first_bucket;	/* in index */
	uint32_t buckets;	/* index has one word more: the end of the last */
};

DEFINE_VEC(unwind_text_vec, struct unwind_text);
DEFINE_VEC(unwind_word_vec, uint32_t);

/* Rules by number, each once. The first FIXED_RULES are those of bpf/unwind.h. */
struct unwind_rules {
	struct unwind_rule *data;
	uint32_t len, cap;
	uint32_t *slots;	/* hash table of numbers + 1; twice cap */
};

void unwind_rules_init(struct unwind_rules *rules);
void unwind_rules_deinit(struct unwind_rules *rules);
uint32_t unwind_rules_intern(struct unwind_rules *rules, struct unwind_rule rule);

struct unwind_table_stats {
	size_t fdes;		/* used */
	size_t malformed;	/* entries of the section that made no sense */
	size_t rows_seen;	/* rows before any was left out */
	size_t unsupported;	/* of them in a form the walker does not know */
	uint64_t compile_ns;
};

struct unwind_table {
	enum unwind_table_kind kind;
	uint16_t machine;		/* EM_X86_64 or EM_AARCH64 */
	struct unwind_text_vec texts;	/* sorted by vaddr */
	struct unwind_word_vec index;	/* first row of each bucket, in rows */
	struct unwind_word_vec rows;
	struct unwind_rules rules;
	struct unwind_table_stats stats;
};

/*
 * @fd: the ELF file, borrowed. @debug_fd: its separate debug file, or -1; only
 * .debug_frame is taken from there. A file without any information gives a
 * table that is one gap. ERROR_UNSUPPORTED if it is not linked 64-bit ELF.
 */
struct error *unwind_table_create(int fd, int debug_fd, enum unwind_table_kind kind,
				  struct unwind_table **ret) __must_check;
/* The same of an ELF image in memory (a vDSO). */
struct error *unwind_table_create_memory(const void *image, size_t size,
					 enum unwind_table_kind kind,
					 struct unwind_table **ret) __must_check;
void unwind_table_destroy(struct unwind_table *table);
DEFINE_CLEANUP(struct unwind_table *, unwind_table_destroy);

/* The rule for the ELF virtual address @vaddr; false outside executable segments. */
bool unwind_table_find(const struct unwind_table *table, uint64_t vaddr,
		       struct unwind_rule *ret);

/* Whether a table from elsewhere keeps the promises of one compiled here. */
bool unwind_table_is_sound(const struct unwind_table *table);

/* Bytes of kernel memory: index, rows and rules. */
size_t unwind_table_bytes(const struct unwind_table *table);
/* Words of the slab that the table takes. */
uint32_t unwind_table_words(const struct unwind_table *table);

/*
 * Writes the table for a slab where it begins at word @at: the index, holding
 * absolute words, and behind it the rows, with rule numbers of @rules, the
 * system-wide set. @words has room for unwind_table_words().
 */
void unwind_table_place(const struct unwind_table *table, uint32_t at,
			struct unwind_rules *rules, uint32_t *words);

#define UNWIND_TABLE_RANGES_MAX 3	/* of one mapping */

/*
 * The ranges for memory [start, end) that maps this file with @bias (address
 * minus virtual address), its table being placed at @at: sorted, none if the
 * file has no text there. Returns how many.
 */
size_t unwind_table_ranges(const struct unwind_table *table, uint32_t at,
			   uint64_t start, uint64_t end, uint64_t bias,
			   struct unwind_range ret[UNWIND_TABLE_RANGES_MAX]);

#endif
