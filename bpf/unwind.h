/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unwind tables as the BPF walker (unwind.bpf.h) reads them and user space
 * (symbol/unwind_table.h) writes them.
 *
 * One array of 32-bit words, the slab, holds every file's table; a target's
 * executable mappings are a sorted slice of ranges that point into it. To find
 * the rule for an address: range, then bucket of 256 bytes of text, then the
 * last row in it that begins at or before the address. A bucket that has no
 * such row continues the row before it, which may lie some buckets earlier;
 * every table begins with a row, so that this never leaves the table.
 */
#ifndef HEAPSONDE_UNWIND_H
#define HEAPSONDE_UNWIND_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/* How a frame's canonical frame address (CFA) is found. */
#define UNWIND_CFAS(X)							\
	X(CFA_GAP,	  "no call frame information covers this code")	\
	X(CFA_STOP,	  "bottom of the stack: nobody called this")	\
	X(CFA_FP,	  "code known to keep frame pointers")		\
	X(CFA_UNSUPPORTED, "described in a form the walker does not know") \
	X(CFA_SIGFRAME,	  "return from a signal handler: registers are in the frame") \
	X(CFA_SP,	  "sp + cfa_off")				\
	X(CFA_BP,	  "bp + cfa_off")				\
	X(CFA_DEREF_SP,	  "*(sp + high half of cfa_off) + low half")	\
	X(CFA_DEREF_BP,	  "*(bp + high half of cfa_off) + low half")	\
	X(CFA_PLT,	  "sp + 8, or sp + 16 from byte cfa_off of a stub on")

enum unwind_cfa {
#define X(cfa, text) cfa,
	UNWIND_CFAS(X)
#undef X
	CFA_COUNT
};

/* Flags of a rule: where the caller's frame pointer and return address are. */
#define RULE_BP_AT_CFA	0x01	/* saved at CFA + 8 * bp_words */
#define RULE_BP_AT_BP	0x02	/* saved at bp + 8 * bp_words (realigned stack) */
#define RULE_BP_LOST	0x04	/* cannot be recovered; else it is unchanged */
#define RULE_RA_IN_LR	0x08	/* arm64: not saved, still in the link register */
#define RULE_RA_PACKED	0x10	/* arm64: not right above bp; see below */
#define RULE_OTHER_STACK 0x20	/* the caller's frame is not on this stack: anywhere */

/*
 * The return address is at CFA - 8 on x86-64. On arm64 it is at the word
 * above the saved frame pointer, or RULE_RA_PACKED: cfa_off then holds
 * CFA offset / 8 in its low 20 bits and the return address's offset from the
 * CFA / 8 in its upper 12 bits, both signed.
 */
struct unwind_rule {
	__s32 cfa_off;
	__s16 bp_words;
	__u8 cfa;		/* enum unwind_cfa */
	__u8 flags;
};

/* The same in every table: rules whose kind says everything. */
#define FIXED_RULES (CFA_SIGFRAME + 1)	/* rule id == enum unwind_cfa below it */

#define UNWIND_BUCKET_SHIFT 8
#define UNWIND_BUCKET_SIZE (1 << UNWIND_BUCKET_SHIFT)
/* At most one row per byte of a bucket: steps of a bisection over 256 rows. */
#define UNWIND_BUCKET_STEPS 9

/* A row: offset in the bucket << 24 | rule id. */
#define UNWIND_ROW(offset, rule) ((__u32)(offset) << 24 | (rule))
#define UNWIND_ROW_OFFSET(row) ((row) >> 24)
#define UNWIND_ROW_RULE(row) ((row) & 0xffffff)

/*
 * The slab's words are kept 1,024 to a map element: an array map rounds its
 * elements up to 8 bytes, and one page per element can still be mapped.
 */
#define UNWIND_SLAB_SHIFT 10
#define UNWIND_SLAB_WORDS (1 << UNWIND_SLAB_SHIFT)

enum unwind_range_kind {
	RANGE_TABLE,		/* value: first word of the buckets' index */
	RANGE_RULE,		/* value: one rule for all of it (JIT code, trampolines) */
};

#define RANGE_FULL 0x1		/* flag: exact for every address, not only calls */

/* Executable memory of a target; a slice of them is sorted and free of overlaps. */
struct unwind_range {
	__u64 start, end;
	__u64 base;		/* bucket of pc is (pc - base) >> UNWIND_BUCKET_SHIFT */
	__u32 value;
	__u16 kind;		/* enum unwind_range_kind */
	__u16 flags;
};

/*
 * The ranges of one address space. To change them, write a new slice and then
 * replace this whole value: a walk sees the old or the new one, never both. Every
 * replacement takes a new generation, which retires what the rule cache
 * remembers; when generations wrap, user space empties the cache.
 */
struct unwind_space {
	__u32 first, count;	/* slice of the ranges */
	__u32 generation;	/* from 1; below UNWIND_GENERATIONS */
	/*
	 * Counts the times that code was unmapped, so that its addresses may
	 * mean another file since: part of every stack's id.
	 */
	__u32 epoch;
	/*
	 * Set by the kernel side when code is about to be unmapped: until the next
	 * replacement the ranges may be of what is no longer there.
	 */
	__u32 suspect;
};

#define UNWIND_RANGES_MAX 4096		/* of one address space */
#define UNWIND_RANGE_STEPS 13

/*
 * pc -> rule cache: one word per entry, so that it is never seen half
 * written: the pc's bits above the index, the generation, the rule id.
 */
#define UNWIND_PC_BITS 47		/* addresses beyond are not cached */
#define UNWIND_CACHE_SHIFT 13
#define UNWIND_CACHE_SIZE (1 << UNWIND_CACHE_SHIFT)
#define UNWIND_GENERATION_BITS 14
#define UNWIND_GENERATIONS (1 << UNWIND_GENERATION_BITS)
#define UNWIND_RULE_BITS 16
#define UNWIND_RULES_MAX (1 << UNWIND_RULE_BITS)

/*
 * A stack's id: of its frames, leaf first, over an initial value, the epoch of the
 * address space. Its lowest bit is always set.
 */
#define UNWIND_HASH_FACTOR 0x9e3779b97f4a7c15ull

static inline __attribute__((always_inline)) __u64 unwind_hash(__u64 hash, __u64 pc)
{
	hash = (hash ^ pc) * UNWIND_HASH_FACTOR;
	return hash ^ hash >> 32;
}

/* Where a walk begins. */
enum unwind_start {
	UNWIND_AT_ENTRY,	/* first instruction of a function; it is left out */
	UNWIND_AT_RETURN,	/* pc is where a call just returned to */
	UNWIND_AT_PC,		/* anywhere; needs full tables */
};

#define UNWIND_WINDOW_WORDS 256		/* of the stack, copied at once */

#ifdef __cplusplus
#define UNWIND_ASSERT static_assert
#else
#define UNWIND_ASSERT _Static_assert
#endif
UNWIND_ASSERT(sizeof(struct unwind_rule) == 8, "unwind_rule");
UNWIND_ASSERT(sizeof(struct unwind_range) == 32, "unwind_range");
UNWIND_ASSERT(sizeof(struct unwind_space) == 20, "unwind_space");
UNWIND_ASSERT(UNWIND_PC_BITS - UNWIND_CACHE_SHIFT + UNWIND_GENERATION_BITS +
	      UNWIND_RULE_BITS == 64, "cache entry");

#endif
