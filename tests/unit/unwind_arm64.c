// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The walker's arm64 form on made-up stacks: link register, signed return
 * addresses, frame records, signal frames. Each function is a range with one
 * rule, so that no table is needed.
 */
#include "tests/unit/test.h"

#define UNWIND_HOST
#define UNWIND_ARM64
#include "bpf/unwind.bpf.h"

#define SIGNATURE 0x2a00000000000000	/* what pointer authentication puts on top */

enum { PAIR = FIXED_RULES, ALONE, LEAF, FP_PAIR, SWITCH, RULES };

static const struct unwind_rule rules[RULES] = {
	[CFA_GAP] = { .cfa = CFA_GAP },
	[CFA_STOP] = { .cfa = CFA_STOP },
	[CFA_FP] = { .cfa = CFA_FP },
	[CFA_UNSUPPORTED] = { .cfa = CFA_UNSUPPORTED },
	[CFA_SIGFRAME] = { .cfa = CFA_SIGFRAME },
	/* stp x29, x30, [sp, -48]! */
	[PAIR] = { .cfa = CFA_SP, .cfa_off = 48, .bp_words = -6, .flags = RULE_BP_AT_CFA },
	/* str x30, [sp, -32]!: CFA sp + 32, return address at CFA - 32 */
	[ALONE] = { .cfa = CFA_SP, .flags = RULE_RA_PACKED,
		    .cfa_off = (__s32)(-4u << 20 | 4) },
	[LEAF] = { .cfa = CFA_SP, .cfa_off = 0, .flags = RULE_RA_IN_LR },
	/* CFA x29 + 16, pair at CFA - 16 */
	[FP_PAIR] = { .cfa = CFA_BP, .cfa_off = 16, .bp_words = -2, .flags = RULE_BP_AT_CFA },
	/* Go's, with a frame of 16 bytes, the pair in its lowest words but one */
	[SWITCH] = { .cfa = CFA_BP, .cfa_off = 24, .bp_words = -3,
		     .flags = RULE_BP_AT_CFA | RULE_OTHER_STACK },
};

/* Function of rule r: addresses from 0x10000 * (r + 1). */
#define CODE(rule) (0x10000ull * ((rule) + 1) + 0x100)

static struct unwind_range ranges[RULES];
static __u64 cache[UNWIND_CACHE_SIZE];
static __u64 stack[512];
static __u64 unwind_pac_mask = 0xff7f000000000000;
static struct { __u64 slot, real; } pending;

static long unwind_copy_user(void *to, __u32 size, __u64 from)
{
	if (from < (__u64)stack || from + size > (__u64)(stack + 512))
		return -1;
	memcpy(to, (void *)from, size);
	return 0;
}

static const __u32 *unwind_slab_word(__u32 word)
{
	return word ? NULL : NULL;
}

static const struct unwind_rule *unwind_rule_at(__u32 id)
{
	return id < RULES ? &rules[id] : NULL;
}

static const struct unwind_range *unwind_range_at(__u32 i)
{
	return i < RULES ? &ranges[i] : NULL;
}

static __u64 *unwind_cache_at(__u32 i)
{
	return &cache[i];
}

static __u64 unwind_real_return(struct unwind_state *s)
{
	return s->slot && s->slot == pending.slot ? pending.real : 0;
}

static struct unwind_state state;

static void walk(enum unwind_start start, __u64 pc, int sp, __u64 bp, __u64 lr)
{
	for (int i = 0; i < RULES; i++)
		ranges[i] = (struct unwind_range){
			.start = 0x10000 * (i + 1), .end = 0x10000 * (i + 2),
			.kind = RANGE_RULE, .value = i, .flags = RANGE_FULL };
	memset(&state, 0, sizeof(state));
	state.space = (struct unwind_space){ .count = RULES, .generation = 1 };
	unwind_enter(&state, pc, (__u64)(stack + sp), bp, lr);
	if (unwind_begin(&state, start, MAX_DEPTH))
		unwind_run(&state);
}

static void begin(void)
{
	memset(stack, 0, sizeof(stack));
	memset(&pending, 0, sizeof(pending));
}

/* PAIR called by ALONE called by the bottom, at word @sp; signed. */
static void put_frames(int sp)
{
	stack[sp] = 0;				/* x29 of ALONE */
	stack[sp + 1] = CODE(ALONE) | SIGNATURE;
	stack[sp + 6] = CODE(CFA_STOP) | SIGNATURE;
}

static void check_frames(int first)
{
	check_int(state.record.status, UNWIND_COMPLETE);
	check_int(state.record.count, first + 3);
	check_int(state.pcs[first], CODE(PAIR));
	check_int(state.pcs[first + 1], CODE(ALONE));
	check_int(state.pcs[first + 2], CODE(CFA_STOP));
}

TEST(entry_goes_by_the_link_register)
{
	begin();
	put_frames(10);
	walk(UNWIND_AT_ENTRY, 0x5000, 10, 0, CODE(PAIR) | SIGNATURE);
	check_frames(0);
}

TEST(return_address_is_looked_up)
{
	begin();
	put_frames(10);
	walk(UNWIND_AT_RETURN, CODE(PAIR), 10, 0, 0);
	check_frames(0);
}

TEST(frame_pointer_frames)
{
	begin();
	put_frames(30);
	stack[20] = 0x1234;		/* FP_PAIR's caller's x29 */
	stack[21] = CODE(PAIR);
	/* CFA is x29 + 16, which is where PAIR's frame begins */
	stack[22] = 0;
	stack[23] = CODE(ALONE);
	stack[28] = CODE(CFA_STOP);
	walk(UNWIND_AT_RETURN, CODE(FP_PAIR), 5, (__u64)(stack + 20), 0);
	check_int(state.pcs[0], CODE(FP_PAIR));
	check_frames(1);
}

/* The other stack may lie below this one, which a frame's caller otherwise cannot. */
TEST(caller_on_another_stack)
{
	begin();
	stack[20] = 0x1234;
	stack[21] = CODE(PAIR) | SIGNATURE;
	put_frames(23);
	walk(UNWIND_AT_RETURN, CODE(SWITCH), 300, (__u64)(stack + 20), 0);
	check_int(state.pcs[0], CODE(SWITCH));
	check_frames(1);
	walk(UNWIND_AT_RETURN, CODE(FP_PAIR), 300, (__u64)(stack + 20), 0);
	check_int(state.record.status, UNWIND_BAD_CFA);
	walk(UNWIND_AT_RETURN, CODE(SWITCH), 300, 0, 0);
	check_int(state.record.status, UNWIND_READ_FAULT);
}

/* The kernel's frame: siginfo and ucontext, registers at sp + 312. */
TEST(signal_interrupts_a_leaf)
{
	int regs = 10 + 312 / 8;

	begin();
	stack[regs + 29] = 0;
	stack[regs + 30] = CODE(PAIR);
	stack[regs + 31] = (__u64)(stack + 100);
	stack[regs + 32] = CODE(LEAF);
	put_frames(100);
	walk(UNWIND_AT_RETURN, CODE(CFA_SIGFRAME), 10, 0, 0);
	check_int(state.pcs[1], CODE(LEAF) + 1);	/* exact: plus one */
	check_frames(2);
}

TEST(leaf_that_calls_is_nonsense)
{
	begin();
	walk(UNWIND_AT_RETURN, CODE(LEAF), 10, 0, CODE(PAIR));
	check(state.record.status != UNWIND_COMPLETE);
	check_int(state.record.count, 1);
}

TEST(leaf_at_its_very_pc)
{
	begin();
	put_frames(10);
	walk(UNWIND_AT_PC, CODE(LEAF), 10, 0, CODE(PAIR));
	check_int(state.pcs[0], CODE(LEAF) + 1);
	check_frames(1);
}

/* The kernel knows a pending return probe by sp at the function's entry. */
TEST(pending_return_probe)
{
	begin();
	put_frames(10);
	stack[11] = 0x7ffff0000000;
	pending.slot = (__u64)(stack + 16);
	pending.real = CODE(ALONE);
	walk(UNWIND_AT_RETURN, CODE(PAIR), 10, 0, 0);
	check_frames(0);
}

TEST(unknown_code_goes_by_frame_record)
{
	begin();
	put_frames(22);
	stack[20] = 0;
	stack[21] = CODE(PAIR) | SIGNATURE;
	walk(UNWIND_AT_RETURN, CODE(CFA_GAP), 18, (__u64)(stack + 20), 0);
	check_int(state.record.status, UNWIND_GUESSED);
	check_int(state.record.count, 4);
	check_int(state.pcs[1], CODE(PAIR));
}

/* Whatever way a return address is found, its signature is no part of it. */
TEST(signature_is_stripped_everywhere)
{
	int regs = 10 + 312 / 8;

	begin();
	stack[regs + 29] = (__u64)(stack + 102);
	stack[regs + 30] = CODE(FP_PAIR) | SIGNATURE;		/* the leaf's caller */
	stack[regs + 31] = (__u64)(stack + 100);
	stack[regs + 32] = CODE(LEAF);
	stack[102] = 0;
	stack[103] = CODE(PAIR) | SIGNATURE;			/* a frame record's */
	put_frames(104);
	walk(UNWIND_AT_RETURN, CODE(CFA_SIGFRAME), 10, 0, 0);
	check_int(state.pcs[1], CODE(LEAF) + 1);
	check_int(state.pcs[2], CODE(FP_PAIR));
	check_frames(3);
}

/* What a return probe replaced was signed as well. */
TEST(pending_return_probe_keeps_a_signed_address)
{
	begin();
	put_frames(10);
	stack[11] = 0x7ffff0000000;
	pending.slot = (__u64)(stack + 16);
	pending.real = CODE(ALONE) | SIGNATURE;
	walk(UNWIND_AT_RETURN, CODE(PAIR), 10, 0, 0);
	check_frames(0);
}
