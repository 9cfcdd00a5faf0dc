/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Walks a user stack by unwind tables (unwind.h), one frame a step.
 *
 * The caller keeps the walk's state in task storage: programs on uprobes are
 * preempted and move between CPUs, so that nothing per CPU may be held across
 * a step.
 * What is slow is not the search but every bpf_probe_read_user(): the stack
 * is copied a window of 2 KiB at a time, and slots are served from it.
 *
 * How it stays within the verifier:
 *  - bpf_loop() (5.17) calls a few frames' steps, which are verified once
 *    (unwind_stack()). Kernels without it take a global function, verified by
 *    itself, whose only way to the state is a map, for 5.10 refuses pointer
 *    arguments: unwind_stack_global(), there if the includer defines
 *    UNWIND_STATE(). It must not be called with preemption disabled, where
 *    that exists: verifiers of 6.10 to 6.14 refuse global functions there.
 *  - indexes of bisections are made opaque, else every combination of branches
 *    is followed with its own ranges and a million instructions do not do.
 *  - every function keeps below 64 bytes of BPF stack: from there on, 6.13 and
 *    later give programs a per-CPU stack, which preemption would share.
 *
 * The same code is compiled natively by tests/unit/unwind_walk.c, which
 * defines UNWIND_HOST and supplies the functions listed below.
 */
#ifndef HEAPSONDE_UNWIND_BPF_H
#define HEAPSONDE_UNWIND_BPF_H

#include "bpf/events.h"
#include "bpf/unwind.h"

#if defined(__TARGET_ARCH_arm64) || defined(UNWIND_ARM64)
#define UNWIND_IS_ARM64 1
#else
#define UNWIND_IS_ARM64 0
#endif

/* A frame pointer that is only hoped for lies no further from the stack pointer. */
#define UNWIND_GUESS_MAX (16ul << 20)

#define UNWIND_FIRST_WINDOW 1024	/* many stacks need no more, and it is cheaper */
#define UNWIND_MEMO_WORDS 64	/* a power of two; about 30 frames */
#define UNWIND_PAGE 4096ul	/* the smallest there is: a copy may end at any */

enum unwind_flag {
	UNWIND_EXACT_PC	 = 0x1,	/* pc was interrupted: it is no return address */
	UNWIND_LR_VALID	 = 0x2,	/* arm64: the link register is that frame's own */
	UNWIND_PC_GUESSED = 0x4, /* pc comes from a frame pointer: must be code */
};

#ifdef __clang__
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wgnu-variable-sized-type-not-at-end"
#endif
struct unwind_state {
	__u64 pc, sp, bp, lr;
	__u64 inner[FOCUS_INNER_MAX];	/* frames before the first one; 0: none */
	__u64 slot;		/* what a pending return probe knows this frame by */
	__u64 stack_end;	/* nothing beyond is read */
	__u64 hash;		/* of the frames */
	__u64 word;		/* what unwind_word() read */
	__u64 instance;		/* next return_instance to look at; 1: none looked at */
	__u32 flags;		/* enum unwind_flag */
	__u32 guessed;		/* frames found by frame pointers */
	__u32 max_depth;
	__u32 busy;		/* a walk is under way in this task */
	__u32 last_range;
	__u32 opaque;		/* 0, which the verifier does not know */
	struct unwind_space space;
	/*
	 * A read beyond this failed once. A read that fails is dearer than ten
	 * that succeed, and a thread's walks end at the same place: kept from
	 * walk to walk.
	 */
	__u64 fault_at;
	__u64 bottom;		/* where the thread's last complete walk ended */
	__u32 unfinished;	/* the walk waits for tables: see UNWIND_MAY_LEAVE() */
	__u64 window_base;
	__u32 window_bytes;
	__u32 refills;		/* of the window, in this walk */
	/* The window as it travels when the walk is left to user space. */
	struct ev_stack_memory memory;
	__u64 window[UNWIND_WINDOW_WORDS];
	/*
	 * What the walk in the record started from, and every word of the
	 * stack that it read. A walk that would start from the same and finds
	 * the same words there is the same walk: its record stands. Loops that
	 * allocate are much of what programs do, and comparing is cheaper than
	 * walking.
	 */
	struct {
		__u64 pc, sp, bp, lr;
		__u32 generation, start;
		__u32 words;	/* more than there is room for: not to be used */
		__u32 same;
		__u64 at[UNWIND_MEMO_WORDS], word[UNWIND_MEMO_WORDS];
	} memo;
	/*
	 * The record as it travels: its frames follow it. Of an interrupted
	 * frame the pc plus one is kept, so that subtracting one leads into
	 * the right instruction, as it does for all the return addresses.
	 */
	struct ev_stack record;
	__u64 pcs[MAX_DEPTH];
};
#ifdef __clang__
#pragma clang diagnostic pop
#endif

#define UNWIND_NO_RULE 0xffffffffu	/* no range holds the address */

/*
 * Whether a walk that the tables do not suffice for, yet, may be left to user
 * space. The includer defines it if it can hand walks over.
 */
#ifndef UNWIND_MAY_LEAVE
#define UNWIND_MAY_LEAVE(s) 0
#endif
/* How much of the stack is there, where it is a copy. */
#ifndef UNWIND_READABLE
#define UNWIND_READABLE(addr, size) (size)
#endif

/*
 * What the walker needs of its surroundings. NULL, or a negative result, for
 * what does not exist.
 */
#ifdef UNWIND_HOST
static long unwind_copy_user(void *to, __u32 size, __u64 from);
static const __u32 *unwind_slab_word(__u32 word);
static const struct unwind_rule *unwind_rule_at(__u32 id);
static const struct unwind_range *unwind_range_at(__u32 i);
static __u64 *unwind_cache_at(__u32 i);
static __u64 unwind_real_return(struct unwind_state *s);
static __u64 unwind_pac_mask;
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#define UNWIND_NOINLINE __attribute__((noinline))
#else /* BPF */
#define UNWIND_NOINLINE __attribute__((noinline))

/* User space sets the sizes of these before loading. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32[UNWIND_SLAB_WORDS]);
} unwind_slab SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, UNWIND_RULES_MAX);
	__type(key, __u32);
	__type(value, struct unwind_rule);
} unwind_rules SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct unwind_range);
} unwind_ranges SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);		/* tgid */
	__type(value, struct unwind_space);
} unwind_spaces SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, UNWIND_CACHE_SIZE);
	__type(key, __u32);
	__type(value, __u64);
} unwind_cache SEC(".maps") __weak;

/* Bits of a pointer that hold a signature on arm64; user space knows better. */
const volatile __u64 unwind_pac_mask __weak = 0xff7f000000000000;

static __always_inline long unwind_copy_user(void *to, __u32 size, __u64 from)
{
	return bpf_probe_read_user(to, size, (const void *)from);
}

static __always_inline const __u32 *unwind_slab_word(__u32 word)
{
	__u32 element = word >> UNWIND_SLAB_SHIFT;
	__u32 *words = bpf_map_lookup_elem(&unwind_slab, &element);

	return words ? words + (word & (UNWIND_SLAB_WORDS - 1)) : NULL;
}

static __always_inline const struct unwind_rule *unwind_rule_at(__u32 id)
{
	return bpf_map_lookup_elem(&unwind_rules, &id);
}

static __always_inline const struct unwind_range *unwind_range_at(__u32 i)
{
	return bpf_map_lookup_elem(&unwind_ranges, &i);
}

static __always_inline __u64 *unwind_cache_at(__u32 i)
{
	return bpf_map_lookup_elem(&unwind_cache, &i);
}

/* The few kernel fields used here, by name; see CO-RE. */
struct return_instance___unwind {
	unsigned long stack, orig_ret_vaddr;
	struct return_instance___unwind *next;
} __attribute__((preserve_access_index));

struct uprobe_task___unwind {
	struct return_instance___unwind *return_instances;
} __attribute__((preserve_access_index));

struct task_struct___unwind {
	struct uprobe_task___unwind *utask;
} __attribute__((preserve_access_index));

#define UNWIND_PENDING_MAX 64	/* return probes passed over between two frames */

/*
 * The return address that a pending return probe, ours or anybody's, has
 * replaced by its trampoline; 0 if none of them holds s->slot. Probes pend in
 * the order of the frames: the search goes on where it last ended.
 */
static UNWIND_NOINLINE __u64 unwind_real_return(struct unwind_state *s)
{
	struct return_instance___unwind *ri = (void *)s->instance;

	if (s->instance == 1) {
		struct task_struct___unwind *task = (void *)bpf_get_current_task();

		ri = BPF_CORE_READ(task, utask, return_instances);
	}
	for (int i = 0; i < UNWIND_PENDING_MAX && ri; i++) {
		if (BPF_CORE_READ(ri, stack) == s->slot) {
			s->instance = (__u64)ri;
			return BPF_CORE_READ(ri, orig_ret_vaddr);
		}
		ri = BPF_CORE_READ(ri, next);
	}
	return 0;
}
#endif /* BPF */

/* Ends the walk. */
static __always_inline int unwind_end(struct unwind_state *s, __u32 status)
{
	s->record.status = status == UNWIND_COMPLETE && s->guessed ? UNWIND_GUESSED : status;
	return 1;
}

/* The address whose instruction made the call, which is where the rule is. */
static __always_inline __u64 unwind_lookup_pc(const struct unwind_state *s)
{
	return s->flags & UNWIND_EXACT_PC ? s->pc : s->pc - 1;
}

static __always_inline __u32 unwind_opaque(const struct unwind_state *s, __u32 value)
{
	return value ^ s->opaque;
}

/* Index of the range that holds @pc, or UNWIND_NO_RULE. Most often the last one. */
static UNWIND_NOINLINE __u32 unwind_find_range(struct unwind_state *s, __u64 pc)
{
	__u32 first = s->space.first, lo = 0, hi = s->space.count;
	const struct unwind_range *r;

	if (s->last_range - first < hi) {
		r = unwind_range_at(s->last_range);
		if (r && pc >= r->start && pc < r->end)
			return s->last_range;
	}
	for (int i = 0; i < UNWIND_RANGE_STEPS && lo < hi; i++) {
		__u32 mid = lo + ((hi - lo) >> 1);

		r = unwind_range_at(first + mid);
		if (!r)
			return UNWIND_NO_RULE;
		if (pc < r->start)
			hi = unwind_opaque(s, mid);
		else
			lo = unwind_opaque(s, mid + 1);
	}
	r = unwind_range_at(first + lo - 1);
	if (!lo || !r || pc < r->start || pc >= r->end)
		return UNWIND_NO_RULE;
	s->last_range = first + lo - 1;
	return s->last_range;
}

/* The rule's number for byte @offset of the bucket whose index word is @word. */
static UNWIND_NOINLINE __u32 unwind_find_row(struct unwind_state *s, __u32 word,
					     __u32 offset)
{
	const __u32 *first = unwind_slab_word(word);
	const __u32 *last = unwind_slab_word(word + 1);
	const __u32 *row;
	__u32 lo, hi;

	if (!first || !last)
		return CFA_GAP;
	lo = *first;
	hi = *last;
	for (int i = 0; i < UNWIND_BUCKET_STEPS && lo < hi; i++) {
		__u32 mid = lo + ((hi - lo) >> 1);

		row = unwind_slab_word(mid);
		if (!row)
			return CFA_GAP;
		if (UNWIND_ROW_OFFSET(*row) > offset)
			hi = unwind_opaque(s, mid);
		else
			lo = unwind_opaque(s, mid + 1);
	}
	row = unwind_slab_word(lo - 1);
	return row ? UNWIND_ROW_RULE(*row) : CFA_GAP;
}

static __always_inline __u32 unwind_search(struct unwind_state *s, __u64 pc)
{
	__u32 i = unwind_find_range(s, pc);
	const struct unwind_range *r;
	__u64 offset;

	if (i == UNWIND_NO_RULE)
		return i;
	r = unwind_range_at(i);
	if (!r)
		return UNWIND_NO_RULE;
	if (r->kind == RANGE_RULE)
		return r->value;
	/* A table of call sites may be wrong where no call is. */
	if (s->flags & UNWIND_EXACT_PC && !(r->flags & RANGE_FULL)) {
		if (UNWIND_MAY_LEAVE(s)) {
			s->unfinished = 1;
			return UNWIND_NO_RULE;
		}
		s->guessed++;
	}
	offset = pc - r->base;
	return unwind_find_row(s, r->value + (offset >> UNWIND_BUCKET_SHIFT),
			       offset & (UNWIND_BUCKET_SIZE - 1));
}

static __always_inline __u32 unwind_cache_index(const struct unwind_state *s, __u64 pc)
{
	return (pc ^ s->space.generation) & (UNWIND_CACHE_SIZE - 1);
}

/* An entry of the cache without its rule. */
static __always_inline __u64 unwind_cache_tag(const struct unwind_state *s, __u64 pc)
{
	return (pc >> UNWIND_CACHE_SHIFT) << (UNWIND_GENERATION_BITS + UNWIND_RULE_BITS) |
	       (__u64)s->space.generation << UNWIND_RULE_BITS;
}

/* What the cache does not know, and now will. */
static UNWIND_NOINLINE __u32 unwind_search_rule(struct unwind_state *s)
{
	__u64 pc = unwind_lookup_pc(s);
	__u64 *entry;
	__u32 id = unwind_search(s, pc);

	if (s->flags & UNWIND_EXACT_PC || pc >> UNWIND_PC_BITS || id >= UNWIND_RULES_MAX)
		return id;
	entry = unwind_cache_at(unwind_cache_index(s, pc));
	if (entry)
		*(volatile __u64 *)entry = unwind_cache_tag(s, pc) | id;
	return id;
}

/*
 * The number of the rule for s->pc, or UNWIND_NO_RULE. An interrupted pc is
 * not looked for: what a range says of its exactness is not remembered.
 */
static __always_inline __u32 unwind_find_rule(struct unwind_state *s)
{
	__u64 pc = unwind_lookup_pc(s), found;
	__u64 *entry = unwind_cache_at(unwind_cache_index(s, pc));

	if (!entry)
		return UNWIND_NO_RULE;
	found = *(volatile __u64 *)entry ^ unwind_cache_tag(s, pc);
	if (found < UNWIND_RULES_MAX && !(pc >> UNWIND_PC_BITS) &&
	    !(s->flags & UNWIND_EXACT_PC))
		return found;
	return unwind_search_rule(s);
}

/*
 * The caller has seen to the size. But verifiers learn nothing from comparing
 * two registers before v6.8 (67420501e868 "bpf: generalize reg_set_min_max() to
 * handle non-const register comparisons"), and clang would leave out a
 * comparison that it knows to be needless.
 */
static __always_inline long unwind_copy_window(struct unwind_state *s, __u64 size, __u64 addr)
{
	__asm__ volatile("" : "+r"(size));
	if (size > sizeof(s->window))
		return -1;
	return unwind_copy_user(s->window, size, addr);
}

/* Copies the stack from @addr on. False if not even a word can be read. */
static UNWIND_NOINLINE int unwind_fill_window(struct unwind_state *s, __u64 addr)
{
	__u64 size = s->stack_end - addr;
	__u64 most = s->refills++ ? sizeof(s->window) : UNWIND_FIRST_WINDOW;

	if (addr >= s->stack_end || size < 8)
		return 0;
	if (size > most)
		size = most;
	if (addr < s->fault_at && s->fault_at - addr < size)
		size = s->fault_at - addr;
	size = UNWIND_READABLE(addr, size);
	s->window_bytes = 0;
	s->window_base = addr;
	if (unwind_copy_window(s, size, addr)) {
		/* The mapping may end within it: try what is on the same page. */
		if (size > UNWIND_PAGE - (addr & (UNWIND_PAGE - 1)))
			size = UNWIND_PAGE - (addr & (UNWIND_PAGE - 1));
		if (unwind_copy_window(s, size, addr)) {
			/* It may be readable the next time. */
			s->memo.words = UNWIND_MEMO_WORDS + 1;
			return 0;
		}
		s->fault_at = addr + size;
	}
	s->window_bytes = size & ~7ul;
	return 1;
}

/* Reads the word at @addr, a multiple of 8, into s->word. */
static __always_inline int unwind_word(struct unwind_state *s, __u64 addr)
{
	__u64 offset = addr - s->window_base;

	if (addr & 7)
		return 0;
	if (offset >= s->window_bytes) {
		if (!unwind_fill_window(s, addr))
			return 0;
		offset = 0;
	}
	s->word = s->window[(offset >> 3) & (UNWIND_WINDOW_WORDS - 1)];
	s->memo.at[s->memo.words & (UNWIND_MEMO_WORDS - 1)] = addr;
	s->memo.word[s->memo.words & (UNWIND_MEMO_WORDS - 1)] = s->word;
	s->memo.words++;
	return 1;
}

/* Whether word @i of the memo is still what the stack holds. */
static __always_inline int unwind_memo_holds(struct unwind_state *s, __u32 i)
{
	__u64 addr = s->memo.at[i & (UNWIND_MEMO_WORDS - 1)];
	__u64 offset = addr - s->window_base;

	if (offset >= s->window_bytes) {
		if (!unwind_fill_window(s, addr))
			return 0;
		offset = 0;
	}
	return s->window[(offset >> 3) & (UNWIND_WINDOW_WORDS - 1)] ==
	       s->memo.word[i & (UNWIND_MEMO_WORDS - 1)];
}

/* A pointer to code as it was before arm64 signed it. */
static __always_inline __u64 unwind_strip(__u64 pc)
{
	return UNWIND_IS_ARM64 ? pc & ~unwind_pac_mask : pc;
}

static __always_inline int unwind_return_to(struct unwind_state *s, __u64 pc,
					    __u64 cfa, __u64 bp)
{
	/* What the kernel knows a pending return probe by: see arch_uretprobe. */
	s->slot = UNWIND_IS_ARM64 ? cfa : cfa - 8;
	s->pc = unwind_strip(pc);
	s->sp = cfa;
	s->bp = bp;
	s->flags = 0;
	return 0;
}

/*
 * Code without a rule, hoping for frame pointers. What they lead to must be
 * code; the walk's status says that it relied on them. A frame pointer of 0
 * is how ABIs mark the bottom.
 */
static UNWIND_NOINLINE int unwind_by_frame_pointer(struct unwind_state *s, __u32 otherwise)
{
	__u64 fp = s->bp, bp;

	s->guessed++;
	if (!fp)
		return unwind_end(s, UNWIND_COMPLETE);
	if (fp - s->sp > UNWIND_GUESS_MAX || fp & 7 || !unwind_word(s, fp))
		return unwind_end(s, otherwise);
	bp = s->word;
	if (!unwind_word(s, fp + 8))
		return unwind_end(s, otherwise);
	unwind_return_to(s, s->word, fp + 16, bp);
	s->flags = UNWIND_PC_GUESSED;
	return 0;
}

/* Where the kernel saved the registers that a signal interrupted. */
#if UNWIND_IS_ARM64
#define UNWIND_SIGFRAME_REG(s, n) ((s)->sp + 312 + 8 * (n))
#define UNWIND_SIGFRAME_BP 29
#define UNWIND_SIGFRAME_LR 30
#define UNWIND_SIGFRAME_SP 31
#define UNWIND_SIGFRAME_PC 32
#else
#define UNWIND_SIGFRAME_REG(s, n) ((s)->sp + 40 + 8 * (n))
#define UNWIND_SIGFRAME_BP 10
#define UNWIND_SIGFRAME_SP 15
#define UNWIND_SIGFRAME_PC 16
#endif

/* The interrupted stack may be another one: its end is not known. */
static UNWIND_NOINLINE int unwind_by_sigframe(struct unwind_state *s)
{
	__u64 pc, sp, bp;

	s->stack_end = ~0ul;
	if (!unwind_word(s, UNWIND_SIGFRAME_REG(s, UNWIND_SIGFRAME_BP)))
		return unwind_end(s, UNWIND_READ_FAULT);
	bp = s->word;
#if UNWIND_IS_ARM64
	if (!unwind_word(s, UNWIND_SIGFRAME_REG(s, UNWIND_SIGFRAME_LR)))
		return unwind_end(s, UNWIND_READ_FAULT);
	s->lr = s->word;
#endif
	if (!unwind_word(s, UNWIND_SIGFRAME_REG(s, UNWIND_SIGFRAME_SP)))
		return unwind_end(s, UNWIND_READ_FAULT);
	sp = s->word;
	if (!unwind_word(s, UNWIND_SIGFRAME_REG(s, UNWIND_SIGFRAME_PC)))
		return unwind_end(s, UNWIND_READ_FAULT);
	pc = s->word;
	unwind_return_to(s, pc, sp, bp);
	s->slot = 0;
	s->flags = UNWIND_EXACT_PC | UNWIND_LR_VALID;
	return 0;
}

/* The CFA by @rule; 0 if what it needs cannot be read. */
static __always_inline __u64 unwind_cfa_of(struct unwind_state *s,
					   const struct unwind_rule *rule)
{
	__u64 base = rule->cfa == CFA_BP || rule->cfa == CFA_DEREF_BP ? s->bp : s->sp;
	__s32 off = rule->cfa_off;

	switch (rule->cfa) {
	case CFA_SP:
	case CFA_BP:
		if (UNWIND_IS_ARM64 && rule->flags & RULE_RA_PACKED)
			off = ((__s32)((__u32)off << 12) >> 12) * 8;
		return base + off;
	case CFA_DEREF_SP:
	case CFA_DEREF_BP:
		if (!unwind_word(s, base + (off >> 16)))
			return 0;
		return s->word + (__s16)off;
	case CFA_PLT:
		return s->sp + ((unwind_lookup_pc(s) & 15) >= (__u32)off ? 16 : 8);
	}
	return 0;
}

/* The caller's frame pointer by @rule, in s->word. */
static __always_inline int unwind_bp_of(struct unwind_state *s,
					const struct unwind_rule *rule, __u64 cfa)
{
	__s64 off = rule->bp_words * 8;

	if (rule->flags & RULE_BP_AT_CFA)
		return unwind_word(s, cfa + off);
	if (rule->flags & RULE_BP_AT_BP)
		return unwind_word(s, s->bp + off);
	s->word = rule->flags & RULE_BP_LOST ? 0 : s->bp;
	return 1;
}

/* The return address by @rule, in s->word. */
static __always_inline int unwind_ra_of(struct unwind_state *s,
					const struct unwind_rule *rule, __u64 cfa)
{
	if (!UNWIND_IS_ARM64)
		return unwind_word(s, cfa - 8);
	if (rule->flags & RULE_RA_IN_LR) {
		s->word = s->lr;
		return s->flags & UNWIND_LR_VALID;
	}
	if (rule->flags & RULE_RA_PACKED)
		return unwind_word(s, cfa + (rule->cfa_off >> 20) * 8);
	return unwind_word(s, cfa + rule->bp_words * 8 + 8);
}

/* A frame lies above its callee's; only arm64's leaf may have none of its own. */
static __always_inline int unwind_is_frame(const struct unwind_state *s, __u64 cfa)
{
	__u64 least = s->sp + 8;

	if (UNWIND_IS_ARM64)
		least = s->flags & UNWIND_LR_VALID ? s->sp : s->sp + 1;
	return cfa >= least && cfa <= s->stack_end && !(cfa & 7);
}

static UNWIND_NOINLINE int unwind_by_rule(struct unwind_state *s, __u32 id)
{
	const struct unwind_rule *rule = unwind_rule_at(id);
	__u64 cfa, bp;

	if (!rule)
		return unwind_end(s, UNWIND_FAILED);
	cfa = unwind_cfa_of(s, rule);
	if (!cfa)
		return unwind_end(s, UNWIND_READ_FAULT);
	if (rule->flags & RULE_OTHER_STACK)
		s->stack_end = ~0ul;
	else if (!unwind_is_frame(s, cfa))
		return unwind_end(s, UNWIND_BAD_CFA);
	if (!unwind_bp_of(s, rule, cfa))
		return unwind_end(s, UNWIND_READ_FAULT);
	bp = s->word;
	if (!unwind_ra_of(s, rule, cfa))
		return unwind_end(s, UNWIND_READ_FAULT);
	return unwind_return_to(s, s->word, cfa, bp);
}

static __always_inline void unwind_record(struct unwind_state *s, __u64 pc)
{
	s->pcs[s->record.count & (MAX_DEPTH - 1)] = pc;
	s->record.count++;
	s->hash = unwind_hash(s->hash, pc);
}

/* Puts the real return address where a pending return probe's trampoline is. */
static __always_inline int unwind_resolve_trampoline(struct unwind_state *s)
{
	/* Signed, if the probe stands behind the instruction that signs. */
	__u64 pc = s->slot ? unwind_strip(unwind_real_return(s)) : 0;

	/* This depends on more than the stack. */
	s->memo.words = UNWIND_MEMO_WORDS + 1;
	if (!pc || pc == s->pc)
		return 0;
	s->pc = pc;
	s->slot = 0;
	return 1;
}

/* Ends the walk for user space to begin it anew. */
static __always_inline int unwind_leave(struct unwind_state *s)
{
	s->unfinished = 1;
	/* Same words do not make the rest the same. */
	s->memo.words = UNWIND_MEMO_WORDS + 1;
	return unwind_end(s, UNWIND_NO_MAPPING);
}

/*
 * Records the frame at s->pc and goes on to its caller. Returns 1 when the walk
 * ended.
 *
 * A trampoline begins a page that no range holds. But the address before it
 * may well belong to one, which is why page starts are always asked about.
 */
static __always_inline int unwind_step(struct unwind_state *s)
{
	__u32 id;

	if (!s->pc)
		return unwind_end(s, UNWIND_COMPLETE);
	if (!(s->pc & (UNWIND_PAGE - 1)))
		unwind_resolve_trampoline(s);
	id = unwind_find_rule(s);
	if (id == UNWIND_NO_RULE && s->flags & UNWIND_PC_GUESSED)
		return unwind_end(s, UNWIND_NO_CFI);
	if (id == UNWIND_NO_RULE && (s->unfinished || UNWIND_MAY_LEAVE(s)))
		return unwind_leave(s);
	if (s->record.count >= s->max_depth)
		return unwind_end(s, UNWIND_TRUNCATED);
	unwind_record(s, unwind_lookup_pc(s) + 1);
	switch (id) {
	case CFA_STOP:
		s->bottom = s->sp;
		return unwind_end(s, UNWIND_COMPLETE);
	case CFA_SIGFRAME:
		return unwind_by_sigframe(s);
	case CFA_UNSUPPORTED:
		return unwind_end(s, UNWIND_UNSUPPORTED);
	case CFA_GAP:
	case CFA_FP:
		return unwind_by_frame_pointer(s, UNWIND_NO_CFI);
	case UNWIND_NO_RULE:
		return unwind_by_frame_pointer(s, UNWIND_NO_MAPPING);
	}
	return unwind_by_rule(s, id);
}

/*
 * Gives a walk its registers (@lr: arm64 only). False if a program that this
 * one interrupted is in the midst of a walk with @s, which must then be left
 * alone.
 */
static __always_inline int unwind_enter(struct unwind_state *s, __u64 pc, __u64 sp,
					__u64 bp, __u64 lr)
{
	if (s->busy)
		return 0;
	s->busy = 1;
	s->pc = pc;
	s->sp = sp;
	s->bp = bp;
	s->lr = lr;
	s->slot = 0;
	for (int i = 0; i < FOCUS_INNER_MAX; i++)
		s->inner[i] = 0;
	return 1;
}

/* The first frame: where a function that was just entered will return to. */
static __always_inline int unwind_leave_function(struct unwind_state *s)
{
	if (UNWIND_IS_ARM64)
		return !unwind_return_to(s, s->lr, s->sp, s->bp);
	if (!unwind_word(s, s->sp))
		return 0;
	return !unwind_return_to(s, s->word, s->sp + 8, s->bp);
}

/* Makes a state that was entered ready for its first step. False: it has failed. */
static __always_inline int unwind_begin(struct unwind_state *s, enum unwind_start start,
					__u32 max_depth)
{
	s->max_depth = max_depth > MAX_DEPTH ? MAX_DEPTH : max_depth;
	s->record.count = 0;
	s->record.status = UNWIND_READ_FAULT;
	s->hash = s->space.epoch;
	s->guessed = 0;
	s->instance = 1;
	s->window_bytes = 0;
	s->refills = 0;
	s->opaque = 0;
	s->memo.words = 0;
	s->memo.pc = s->pc;
	s->memo.sp = s->sp;
	s->memo.bp = s->bp;
	s->memo.lr = s->lr;
	s->memo.generation = s->space.generation;
	s->memo.start = start;
	s->unfinished = 0;
	s->stack_end = ~0ul;
	s->flags = start == UNWIND_AT_PC ? UNWIND_EXACT_PC | UNWIND_LR_VALID : 0;
	for (int i = 0; i < FOCUS_INNER_MAX; i++)
		if (s->inner[i])
			unwind_record(s, s->inner[i]);
	return start == UNWIND_AT_ENTRY ? unwind_leave_function(s) : 1;
}

#ifdef UNWIND_HOST
static inline void unwind_run(struct unwind_state *s)
{
	while (!unwind_step(s))
		;
}
#else
#ifndef UNWIND_FRAMES_PER_CALL
#define UNWIND_FRAMES_PER_CALL 4
#endif
#define UNWIND_CALLS (MAX_DEPTH / UNWIND_FRAMES_PER_CALL + 1)

/* The inner loop saves calls, which cost as much as a tenth of a frame. */
static __always_inline int unwind_steps(struct unwind_state *s)
{
	for (int i = 0; i < UNWIND_FRAMES_PER_CALL; i++)
		if (unwind_step(s))
			return 1;
	return 0;
}

#define UNWIND_MEMO_STEP 8

/* Compares some words of the memo with the stack; 1 when that is decided. */
static __always_inline int unwind_memo_steps(struct unwind_state *s, __u32 i)
{
	for (__u32 j = 0; j < UNWIND_MEMO_STEP; j++) {
		__u32 at = i * UNWIND_MEMO_STEP + j;

		if (at >= s->memo.words)
			return 1;
		if (!unwind_memo_holds(s, at)) {
			s->memo.same = 0;
			return 1;
		}
	}
	return 0;
}

/* How the steps are repeated; known to the compiler at every call. */
enum unwind_loop { UNWIND_LOOP_HELPER, UNWIND_LOOP_GLOBAL };

static long unwind_loop_step(__u32 i, struct unwind_state **s)
{
	return unwind_steps(*s);
}

static long unwind_loop_memo(__u32 i, struct unwind_state **s)
{
	return unwind_memo_steps(*s, i);
}

#ifdef UNWIND_STATE
__attribute__((noinline, weak)) int unwind_global_step(void)
{
	struct unwind_state *s = UNWIND_STATE();

	return s ? unwind_steps(s) : 1;
}

__attribute__((noinline, weak)) int unwind_global_memo(__u32 i)
{
	struct unwind_state *s = UNWIND_STATE();

	return s ? unwind_memo_steps(s, i) : 1;
}
#else
static __always_inline int unwind_global_step(void) { return 1; }
static __always_inline int unwind_global_memo(__u32 i) { return 1; }
#endif

static __always_inline void unwind_run(struct unwind_state *s, enum unwind_loop loop)
{
	struct unwind_state *state = s;

	if (loop == UNWIND_LOOP_HELPER)
		bpf_loop(UNWIND_CALLS, unwind_loop_step, &state, 0);
	else
		for (int i = 0; i < UNWIND_CALLS && !unwind_global_step(); i++)
			;
}

#define UNWIND_MEMO_CALLS (UNWIND_MEMO_WORDS / UNWIND_MEMO_STEP + 1)

static __always_inline void unwind_compare(struct unwind_state *s, enum unwind_loop loop)
{
	struct unwind_state *state = s;

	if (loop == UNWIND_LOOP_HELPER)
		bpf_loop(UNWIND_MEMO_CALLS, unwind_loop_memo, &state, 0);
	else
		for (int i = 0; i < UNWIND_MEMO_CALLS && !unwind_global_memo(i); i++)
			;
}

/* Whether the walk that begins now is the one in the record, which then stands. */
static __always_inline int unwind_repeats(struct unwind_state *s, __u32 start,
					  enum unwind_loop loop)
{
	if (s->memo.pc != s->pc || s->memo.sp != s->sp || s->memo.bp != s->bp ||
	    s->memo.lr != s->lr || s->memo.start != start ||
	    s->memo.generation != s->space.generation || !s->space.generation ||
	    s->memo.words > UNWIND_MEMO_WORDS || !s->record.count)
		return 0;
	s->memo.same = 1;
	s->window_bytes = 0;
	s->refills = 0;
	s->stack_end = ~0ul;
	unwind_compare(s, loop);
	return s->memo.same;
}

static __always_inline int unwind_stack_by(enum unwind_loop loop, struct unwind_state *s,
					   __u32 start, __u32 tgid, __u32 max_depth)
{
	struct unwind_space *space = bpf_map_lookup_elem(&unwind_spaces, &tgid);

	if (space)
		s->space = *space;
	else
		s->space = (struct unwind_space){ 0 };
	if (unwind_repeats(s, start, loop)) {
		s->busy = 0;
		return 0;
	}
	if (unwind_begin(s, start, max_depth)) {
		if (s->space.suspect && UNWIND_MAY_LEAVE(s))
			unwind_leave(s);
		else
			unwind_run(s, loop);
	}
	s->busy = 0;
	return 0;
}

/*
 * Walks the current task's stack from where unwind_enter() put it, into
 * s->record and s->pcs; what else the record says is the caller's. @tgid:
 * whose ranges.
 */
static UNWIND_NOINLINE __attribute__((unused)) int unwind_stack(struct unwind_state *s,
								__u32 start, __u32 tgid,
								__u32 max_depth)
{
	return unwind_stack_by(UNWIND_LOOP_HELPER, s, start, tgid, max_depth);
}

#ifdef UNWIND_STATE
/* The same without bpf_loop(). @s is UNWIND_STATE(). */
static UNWIND_NOINLINE __attribute__((unused)) int unwind_stack_global(struct unwind_state *s,
								       __u32 start, __u32 tgid,
								       __u32 max_depth)
{
	return unwind_stack_by(UNWIND_LOOP_GLOBAL, s, start, tgid, max_depth);
}
#endif
#endif

#endif
