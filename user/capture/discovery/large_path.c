// SPDX-License-Identifier: GPL-2.0-or-later
/* Chains of comparisons in malloc; see large_path.h. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "capture/discovery/large_path.h"

#if defined(__x86_64__)

#include <sys/ptrace.h>
#include <sys/user.h>

#include <capstone/capstone.h>

/* _int_malloc() is static, and without a symbol in most files: near malloc() it is. */
#define AROUND (64u << 10)
#define INSTRUCTIONS_BETWEEN 8	/* of one comparison and the next */

/* The last bytes of each span of sizes whose bins are equally far apart. */
static const int64_t constants[LARGE_STEPS + 1] = { 0x3ff, 0xc3f, 0x29ff, 0xafff, 0x27fff };

static const struct { x86_reg reg; uint16_t place; } registers[] = {
	{ X86_REG_RAX, offsetof(struct user_regs_struct, rax) },
	{ X86_REG_RBX, offsetof(struct user_regs_struct, rbx) },
	{ X86_REG_RCX, offsetof(struct user_regs_struct, rcx) },
	{ X86_REG_RDX, offsetof(struct user_regs_struct, rdx) },
	{ X86_REG_RSI, offsetof(struct user_regs_struct, rsi) },
	{ X86_REG_RDI, offsetof(struct user_regs_struct, rdi) },
	{ X86_REG_RBP, offsetof(struct user_regs_struct, rbp) },
	{ X86_REG_R8, offsetof(struct user_regs_struct, r8) },
	{ X86_REG_R9, offsetof(struct user_regs_struct, r9) },
	{ X86_REG_R10, offsetof(struct user_regs_struct, r10) },
	{ X86_REG_R11, offsetof(struct user_regs_struct, r11) },
	{ X86_REG_R12, offsetof(struct user_regs_struct, r12) },
	{ X86_REG_R13, offsetof(struct user_regs_struct, r13) },
	{ X86_REG_R14, offsetof(struct user_regs_struct, r14) },
	{ X86_REG_R15, offsetof(struct user_regs_struct, r15) },
};

struct text {
	csh cs;
	cs_insn *insn;
	const uint8_t *code;
	size_t size;
	uint64_t vaddr;
};

static bool decode(struct text *t, uint64_t vaddr)
{
	size_t at = vaddr - t->vaddr, left = t->size - at;
	const uint8_t *code = t->code + at;

	return vaddr >= t->vaddr && at < t->size &&
	       cs_disasm_iter(t->cs, &code, &left, &vaddr, t->insn);
}

/* The register that the instruction compares with @constant; X86_REG_INVALID: none. */
static x86_reg compares(const cs_insn *insn, int64_t constant)
{
	const cs_x86_op *ops = insn->detail->x86.operands;

	if (insn->id != X86_INS_CMP || ops[0].type != X86_OP_REG || ops[1].type != X86_OP_IMM ||
	    ops[1].imm != constant)
		return X86_REG_INVALID;
	return ops[0].reg;
}

static bool writes(struct text *t, x86_reg reg)
{
	cs_regs read, written;
	uint8_t reads, count;

	if (cs_regs_access(t->cs, t->insn, read, &reads, written, &count))
		return true;
	for (uint8_t i = 0; i < count; i++)
		if (written[i] == reg)
			return true;
	return false;
}

/*
 * From @vaddr on, the jump that follows the comparison of @reg with @constant; then
 * the instruction stands there. 0: something else comes before.
 */
static uint64_t find_jump(struct text *t, uint64_t vaddr, x86_reg reg, int64_t constant)
{
	for (int i = 0; i < INSTRUCTIONS_BETWEEN && decode(t, vaddr); i++) {
		vaddr = t->insn->address + t->insn->size;
		if (compares(t->insn, constant) == reg)
			return decode(t, vaddr) && t->insn->id == X86_INS_JBE ? vaddr : 0;
		if (cs_insn_group(t->cs, t->insn, CS_GRP_JUMP) ||
		    cs_insn_group(t->cs, t->insn, CS_GRP_CALL) ||
		    cs_insn_group(t->cs, t->insn, CS_GRP_RET) || writes(t, reg))
			return 0;
	}
	return 0;
}

static bool place_of(x86_reg reg, uint16_t *ret)
{
	for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
		if (registers[i].reg == reg) {
			*ret = registers[i].place;
			return true;
		}
	return false;
}

/* Whether a chain begins at @vaddr, with the first comparison. */
static bool read_chain(struct text *t, const struct object *libc, uint64_t vaddr,
		       struct large_path *ret)
{
	x86_reg reg;

	if (!decode(t, vaddr))
		return false;
	reg = compares(t->insn, constants[0]);
	if (!place_of(reg, &ret->reg))
		return false;
	for (size_t i = 0; i <= LARGE_STEPS; i++) {
		vaddr = find_jump(t, vaddr, reg, constants[i]);
		if (!vaddr)
			return false;
		if (i && !object_vaddr_to_offset(libc, vaddr, &ret->steps[i - 1].file_offset))
			return false;
		if (i)
			ret->steps[i - 1].above = (uint32_t)constants[i - 1];
		vaddr = t->insn->address + t->insn->size;
	}
	return true;
}

/* Where the comparison's constant stands; its opcode is 3 bytes before, or 2 for rax. */
static size_t find_chains(struct text *t, const struct object *libc,
			  struct large_path ret[LARGE_PATHS_MAX])
{
	const uint32_t constant = (uint32_t)constants[0];
	const uint8_t *at = t->code, *end = t->code + t->size;
	size_t count = 0;

	while (count < LARGE_PATHS_MAX &&
	       (at = memmem(at, (size_t)(end - at), &constant, sizeof(constant)))) {
		uint64_t vaddr = t->vaddr + (uint64_t)(at - t->code);

		if (read_chain(t, libc, vaddr - 3, &ret[count]) ||
		    read_chain(t, libc, vaddr - 2, &ret[count]))
			count++;
		at++;
	}
	return count;
}

size_t large_paths_find(const struct object *libc, uint64_t malloc_vaddr,
			struct large_path ret[LARGE_PATHS_MAX])
{
	__cleanup_free uint8_t *code = xmalloc(2 * AROUND);
	struct text t = { .code = code };
	size_t count = 0;

	t.vaddr = malloc_vaddr > AROUND ? malloc_vaddr - AROUND : 0;
	t.size = object_read(libc, t.vaddr, code, 2 * AROUND);
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &t.cs))
		return 0;
	cs_option(t.cs, CS_OPT_DETAIL, CS_OPT_ON);
	t.insn = cs_malloc(t.cs);
	if (t.insn) {
		count = find_chains(&t, libc, ret);
		cs_free(t.insn, 1);
	}
	cs_close(&t.cs);
	return count;
}

#else

size_t large_paths_find(const struct object *libc, uint64_t malloc_vaddr,
			struct large_path ret[LARGE_PATHS_MAX])
{
	return 0;
}

#endif
