// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Probe placement: between discovery, which knows the functions, and attach,
 * which sets the probes.
 *
 * Only the entry block is walked, so that the probe is hit once a call, and
 * only as far as the function has done nothing that could be seen outside: a
 * free must be recorded before the block is given away.
 *
 * Jumps into the middle of the entry block are looked for in the function
 * itself only. Other functions enter it by its symbol: compilers give an entry
 * of its own to whatever else may be entered.
 */
#include "capture/discovery/placement.h"

#include <stdio.h>
#include <string.h>

#include <capstone/capstone.h>

enum emulation {
	SINGLE_STEPPED,
	EMULATED_LATELY,	/* by newer kernels only */
	EMULATED,
};

/*
 * What an instruction set says about one instruction. @insn was decoded with
 * detail, in Intel's order of operands.
 */
struct isa {
	cs_arch arch;
	cs_mode mode;
	enum emulation (*emulation)(const cs_insn *insn);
	/* The kernel would not set a probe here. */
	bool (*refused)(const cs_insn *insn);
	/* No effect: may stand before a nop that carries the probe. */
	bool (*is_landing_pad)(const cs_insn *insn);
	bool (*ends_block)(csh cs, const cs_insn *insn);
	bool (*is_return)(const cs_insn *insn);
	bool (*is_call)(const cs_insn *insn);
	bool (*is_jump)(const cs_insn *insn);	/* without a condition */
	/* Where a direct branch or call goes; false for everything else. */
	bool (*branch_target)(const cs_insn *insn, uint64_t *ret);
	/*
	 * What running @insn would spoil for a probe behind it, in words, or
	 * NULL. @why is room for the words.
	 */
	const char *(*spoils)(csh cs, const cs_insn *insn,
			      const struct placement_request *req, char why[32]);
};

#if defined(__x86_64__)

/* Legacy prefixes and REX, as far as they matter here. */
struct x86_opcode {
	const uint8_t *at;	/* first opcode byte, or a VEX, EVEX or XOP prefix */
	const uint8_t *end;	/* of the instruction */
	bool word;		/* 66 */
	bool unsupported;	/* a segment prefix but fs and gs, or lock */
	bool plain;		/* no prefix at all */
};

static struct x86_opcode x86_opcode(const cs_insn *insn)
{
	struct x86_opcode op = { .at = insn->bytes, .end = insn->bytes + insn->size };

	for (; op.at < op.end - 1; op.at++) {
		if (*op.at == 0x66)
			op.word = true;
		else if (memchr("\x26\x2e\x36\x3e\xf0", *op.at, 5))
			op.unsupported = true;
		else if (!memchr("\x64\x65\x67\xf2\xf3", *op.at, 5))
			break;
	}
	if ((*op.at & 0xf0) == 0x40 && op.at < op.end - 1)
		op.at++;
	op.plain = op.at == insn->bytes;
	return op;
}

static bool x86_is_jcc(const struct x86_opcode *op)
{
	return (op->at[0] & 0xf0) == 0x70 ||
	       (op->at[0] == 0x0f && (op->at[1] & 0xf0) == 0x80);
}

static bool x86_is_call_or_jmp(const struct x86_opcode *op)
{
	return op->at[0] == 0xe8 || op->at[0] == 0xe9 || op->at[0] == 0xeb;
}

/*
 * Only the plain forms, which every kernel since 4.18 emulates. Nops of
 * several bytes came late ("uprobes/x86: Add support to emulate nop
 * instructions").
 */
static enum emulation x86_emulation(const cs_insn *insn)
{
	struct x86_opcode op = x86_opcode(insn);
	bool push = (op.at[0] & 0xf8) == 0x50;

	if (push && insn->size == 2 && insn->bytes[0] == 0x41)
		return EMULATED;
	if (op.at[0] == 0x0f && insn->size > 2 && op.at[1] == 0x1f && !op.unsupported)
		return EMULATED_LATELY;
	if (!op.plain)
		return SINGLE_STEPPED;
	if (push || op.at[0] == 0x90 || x86_is_jcc(&op) || x86_is_call_or_jmp(&op))
		return EMULATED;
	return SINGLE_STEPPED;
}

/*
 * good_insns_64 and is_prefix_bad() of the kernel's uprobes.c turned round,
 * and all of VEX, EVEX and XOP: older kernels look such an opcode up as if it
 * had no prefix, and would run vzeroupper as a conditional jump.
 */
static bool x86_refused(const cs_insn *insn)
{
	static const uint8_t bad[] = {
		0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f,
		0x60, 0x61, 0x62, 0x6c, 0x6d, 0x6e, 0x6f, 0x82, 0x8e, 0x9a,
		0xc4, 0xc5, 0xcc, 0xcd, 0xce, 0xcf, 0xd4, 0xd5, 0xd6,
		0xe4, 0xe5, 0xe6, 0xe7, 0xea, 0xec, 0xed, 0xee, 0xef,
		0xf1, 0xf4, 0xfa, 0xfb,
	};
	static const uint8_t bad_0f[] = { 0x05, 0x07, 0x0b, 0x34, 0x35 };
	struct x86_opcode op = x86_opcode(insn);

	if (op.unsupported || memchr(bad, op.at[0], sizeof(bad)))
		return true;
	/* pop r/m is 8f /0, XOP the rest. */
	if (op.at[0] == 0x8f && op.at[1] & 0x38)
		return true;
	if (op.at[0] == 0x0f && memchr(bad_0f, op.at[1], sizeof(bad_0f)))
		return true;
	return op.word && (op.at[0] == 0x90 || x86_is_jcc(&op) || x86_is_call_or_jmp(&op));
}

static bool x86_is_endbr64(const cs_insn *insn)
{
	return insn->size == 4 && !memcmp(insn->bytes, "\xf3\x0f\x1e\xfa", 4);
}

static bool x86_branch_target(const cs_insn *insn, uint64_t *ret)
{
	struct x86_opcode op = x86_opcode(insn);
	uint64_t next = insn->address + insn->size;
	int32_t rel32;

	/* jcc, jmp rel8; loop, jrcxz */
	if ((op.at[0] & 0xf0) == 0x70 || op.at[0] == 0xeb || (op.at[0] & 0xfc) == 0xe0) {
		*ret = next + (int8_t)op.end[-1];
		return true;
	}
	if (!x86_is_jcc(&op) && !x86_is_call_or_jmp(&op))
		return false;
	if (op.end - op.at < 5)
		return false;
	memcpy(&rel32, op.end - 4, sizeof(rel32));
	*ret = next + (int64_t)rel32;
	return true;
}

static bool x86_ends_block(csh cs, const cs_insn *insn)
{
	static const uint8_t groups[] = {
		CS_GRP_JUMP, CS_GRP_CALL, CS_GRP_RET, CS_GRP_INT, CS_GRP_IRET,
		CS_GRP_PRIVILEGE, X86_GRP_RTM,
	};
	uint64_t target;

	if (x86_is_endbr64(insn))
		return false;
	if (x86_branch_target(insn, &target))
		return true;
	for (size_t i = 0; i < sizeof(groups); i++)
		if (cs_insn_group(cs, insn, groups[i]))
			return true;
	switch (insn->id) {
	case X86_INS_SYSCALL:
	case X86_INS_SYSENTER:
	case X86_INS_UD2:
	case X86_INS_HLT:
	case X86_INS_INT3:
		return true;
	}
	return false;
}

static bool x86_is_return(const cs_insn *insn)
{
	struct x86_opcode op = x86_opcode(insn);

	return op.at[0] == 0xc3 || op.at[0] == 0xc2;
}

static bool x86_is_call(const cs_insn *insn)
{
	return x86_opcode(insn).at[0] == 0xe8;
}

static bool x86_is_jump(const cs_insn *insn)
{
	uint8_t opcode = x86_opcode(insn).at[0];

	return opcode == 0xe9 || opcode == 0xeb;
}

/* The integer argument registers of the System V ABI, in every width. */
static const uint16_t x86_arguments[6][5] = {
	{ X86_REG_RDI, X86_REG_EDI,  X86_REG_DI,   X86_REG_DIL, X86_REG_INVALID },
	{ X86_REG_RSI, X86_REG_ESI,  X86_REG_SI,   X86_REG_SIL, X86_REG_INVALID },
	{ X86_REG_RDX, X86_REG_EDX,  X86_REG_DX,   X86_REG_DL,  X86_REG_DH },
	{ X86_REG_RCX, X86_REG_ECX,  X86_REG_CX,   X86_REG_CL,  X86_REG_CH },
	{ X86_REG_R8,  X86_REG_R8D,  X86_REG_R8W,  X86_REG_R8B, X86_REG_INVALID },
	{ X86_REG_R9,  X86_REG_R9D,  X86_REG_R9W,  X86_REG_R9B, X86_REG_INVALID },
};

static const uint16_t x86_stack_pointer[4] = {
	X86_REG_RSP, X86_REG_ESP, X86_REG_SP, X86_REG_SPL,
};

static const uint16_t x86_result[5] = {
	X86_REG_RAX, X86_REG_EAX, X86_REG_AX, X86_REG_AL, X86_REG_AH,
};

static const uint16_t x86_frame_pointer[4] = {
	X86_REG_RBP, X86_REG_EBP, X86_REG_BP, X86_REG_BPL,
};

static bool has_register(const uint16_t *set, size_t count, uint16_t reg)
{
	for (size_t i = 0; i < count; i++)
		if (set[i] == reg)
			return reg != X86_REG_INVALID;
	return false;
}

/*
 * Everything that @insn writes or, where Capstone does not say, could write.
 * False if that cannot be told.
 */
static bool x86_written(csh cs, const cs_insn *insn, cs_regs written, uint8_t *count)
{
	const cs_x86 *x86 = &insn->detail->x86;
	uint8_t reads;
	cs_regs read;

	if (cs_regs_access(cs, insn, read, &reads, written, count))
		return false;
	for (uint8_t i = 0; i < x86->op_count; i++)
		if (x86->operands[i].type == X86_OP_REG && !x86->operands[i].access)
			written[(*count)++] = x86->operands[i].reg;
	return true;
}

enum memory_use { MEMORY_READ, MEMORY_AS_TOLD, MEMORY_MAYBE_WRITTEN };

/*
 * Capstone 4 calls many a store of SSE, AVX, x87 and cmpxchg a load, and a
 * load of test a store. Only for these is it told or known.
 */
static enum memory_use x86_memory_use(const cs_insn *insn)
{
	switch (insn->id) {
	case X86_INS_BT:
	case X86_INS_CMP:
	case X86_INS_LEA:
	case X86_INS_PUSH:
	case X86_INS_TEST:
		return MEMORY_READ;
	case X86_INS_ADC:
	case X86_INS_ADD:
	case X86_INS_AND:
	case X86_INS_IMUL:
	case X86_INS_MOV:
	case X86_INS_MOVABS:
	case X86_INS_MOVSX:
	case X86_INS_MOVSXD:
	case X86_INS_MOVZX:
	case X86_INS_OR:
	case X86_INS_SBB:
	case X86_INS_SUB:
	case X86_INS_XOR:
		return MEMORY_AS_TOLD;
	default:
		return MEMORY_MAYBE_WRITTEN;
	}
}

/* A store that others could see; the function's own frame is nobody else's. */
static bool x86_stores(const cs_insn *insn)
{
	const cs_x86 *x86 = &insn->detail->x86;
	enum memory_use use = x86_memory_use(insn);

	for (uint8_t i = 0; i < x86->op_count && use != MEMORY_READ; i++) {
		const cs_x86_op *op = &x86->operands[i];

		if (op->type != X86_OP_MEM || op->mem.base == X86_REG_RSP)
			continue;
		if (use == MEMORY_MAYBE_WRITTEN || op->access != CS_AC_READ)
			return true;
	}
	return false;
}

static const char *x86_spoils(csh cs, const cs_insn *insn,
			      const struct placement_request *req, char why[32])
{
	cs_regs written;
	uint8_t count;

	if (x86_is_endbr64(insn) || x86_emulation(insn) == EMULATED_LATELY)
		return NULL;
	if (!x86_written(cs, insn, written, &count))
		return "an unknown instruction";
	for (uint8_t i = 0; i < count; i++) {
		for (unsigned int arg = 0; arg < 6; arg++) {
			if (!(req->args & 1u << arg) ||
			    !has_register(x86_arguments[arg], 5, written[i]))
				continue;
			snprintf(why, 32, "%s is overwritten",
				 cs_reg_name(cs, x86_arguments[arg][0]));
			return why;
		}
		if ((req->returns || req->stack) &&
		    has_register(x86_stack_pointer, 4, written[i]))
			return "the stack pointer moves";
		if (req->result && (has_register(x86_result, 5, written[i]) ||
				    has_register(x86_frame_pointer, 4, written[i])))
			return "the result or the frame pointer is overwritten";
	}
	return x86_stores(insn) ? "memory is written" : NULL;
}

static const struct isa native_isa = {
	.arch = CS_ARCH_X86,
	.mode = CS_MODE_64,
	.emulation = x86_emulation,
	.refused = x86_refused,
	.is_landing_pad = x86_is_endbr64,
	.ends_block = x86_ends_block,
	.is_return = x86_is_return,
	.is_call = x86_is_call,
	.is_jump = x86_is_jump,
	.branch_target = x86_branch_target,
	.spoils = x86_spoils,
};

static const struct isa *find_isa(void)
{
	return &native_isa;
}

#else

static const struct isa *find_isa(void)
{
	return NULL;
}

#endif

/* A disassembler and the instruction it decodes into. */
struct decoder {
	csh cs;
	cs_insn *insn;
};

static void decoder_deinit(struct decoder *d)
{
	if (d->insn)
		cs_free(d->insn, 1);
	if (d->cs)
		cs_close(&d->cs);
}

static struct error *decoder_init(struct decoder *d, const struct isa *isa)
{
	cs_err status = cs_open(isa->arch, isa->mode, &d->cs);

	if (!status)
		status = cs_option(d->cs, CS_OPT_DETAIL, CS_OPT_ON);
	if (!status) {
		d->insn = cs_malloc(d->cs);
		status = d->insn ? CS_ERR_OK : CS_ERR_MEM;
	}
	if (status)
		return error_create(ERROR_NOT_FOUND, "the disassembler does not start: %s",
				    cs_strerror(status));
	return NULL;
}

static bool decode_at(struct decoder *d, const struct placement_request *req, uint64_t offset)
{
	const uint8_t *code = req->code + offset;
	size_t left = req->size - offset;
	uint64_t address = req->vaddr + offset;

	return cs_disasm_iter(d->cs, &code, &left, &address, d->insn);
}

/*
 * The lowest offset but 0 that a direct branch of the function goes to; the
 * function's size if there is none. Entry blocks end there at the latest.
 */
static uint64_t first_inner_target(struct decoder *d, const struct isa *isa,
				   const struct placement_request *req)
{
	uint64_t lowest = req->size, address = req->vaddr, target;
	const uint8_t *code = req->code;
	size_t left = req->size;

	/* No operands are looked at here: a tenth of the time. */
	cs_option(d->cs, CS_OPT_DETAIL, CS_OPT_OFF);
	cs_option(d->cs, CS_OPT_SKIPDATA, CS_OPT_ON);
	while (cs_disasm_iter(d->cs, &code, &left, &address, d->insn)) {
		/* Bytes that decode as nothing have no id. */
		if (!d->insn->id || !isa->branch_target(d->insn, &target))
			continue;
		target -= req->vaddr;
		if (target > 0 && target < lowest)
			lowest = target;
	}
	cs_option(d->cs, CS_OPT_SKIPDATA, CS_OPT_OFF);
	cs_option(d->cs, CS_OPT_DETAIL, CS_OPT_ON);
	return lowest;
}

#define NOWHERE UINT64_MAX

/* What the walk over the entry block found; NOWHERE where nothing fits. */
struct walk {
	uint64_t emulated;
	uint64_t late_nop;
	uint64_t stepped;	/* the first that the kernel accepts at all */
	const char *stop;	/* why nothing behind was considered */
	char why[32];
	bool loops;		/* the block branches back to the entry */
};

static void walk_consider(struct walk *w, const struct isa *isa, const cs_insn *insn,
			  uint64_t offset, bool only_pads_before)
{
	enum emulation emulation = isa->emulation(insn);

	if (isa->refused(insn))
		return;
	if (emulation == EMULATED && w->emulated == NOWHERE)
		w->emulated = offset;
	/*
	 * Where nothing was done yet: kernels that replace a nop of five bytes
	 * by a call write below the stack pointer.
	 */
	if (emulation == EMULATED_LATELY && only_pads_before && w->late_nop == NOWHERE)
		w->late_nop = offset;
	if (w->stepped == NOWHERE)
		w->stepped = offset;
}

/*
 * Goes on to the end of the block when the candidates are behind it, to see
 * whether the block is a loop: its probe would be hit more than once a call.
 */
static void walk_entry_block(struct walk *w, struct decoder *d, const struct isa *isa,
			     const struct placement_request *req)
{
	uint64_t end = first_inner_target(d, isa, req), offset = 0, target;
	bool only_pads_before = true;

	for (; offset < end; offset += d->insn->size) {
		if (!decode_at(d, req, offset)) {
			w->stop = w->stop ?: "code that cannot be decoded";
			return;
		}
		if (!w->stop)
			walk_consider(w, isa, d->insn, offset, only_pads_before);
		if (isa->ends_block(d->cs, d->insn)) {
			w->loops = isa->branch_target(d->insn, &target) && target == req->vaddr;
			w->stop = w->stop ?: "the entry block ends";
			return;
		}
		if (!w->stop)
			w->stop = isa->spoils(d->cs, d->insn, req, w->why);
		if (!isa->is_landing_pad(d->insn))
			only_pads_before = false;
	}
	w->stop = w->stop ?: "a loop begins";
}

static void describe_emulated(const struct placement_request *req, struct placement *ret)
{
	if (!ret->offset)
		snprintf(ret->reason, sizeof(ret->reason), "emulated at the entry");
	else
		snprintf(ret->reason, sizeof(ret->reason), "first emulated, %s still in place",
			 req->returns || req->stack ? "arguments and stack" : "arguments");
}

static void choose(const struct placement_request *req, const struct walk *w,
		   struct placement *ret)
{
	if (w->emulated != NOWHERE) {
		ret->offset = w->emulated;
		ret->emulated = true;
		describe_emulated(req, ret);
	} else if (w->late_nop != NOWHERE) {
		ret->offset = w->late_nop;
		snprintf(ret->reason, sizeof(ret->reason),
			 "a long nop: newer kernels emulate it, older ones single-step it");
	} else {
		ret->offset = w->stepped;
		snprintf(ret->reason, sizeof(ret->reason),
			 "single-stepped: no emulated instruction before %s", w->stop);
	}
}

/* The text comes last because AT&T's order of operands is not the analysis's. */
static void write_instruction(struct decoder *d, const struct placement_request *req,
			      struct placement *ret)
{
	cs_option(d->cs, CS_OPT_DETAIL, CS_OPT_OFF);
	cs_option(d->cs, CS_OPT_SYNTAX, CS_OPT_SYNTAX_ATT);
	if (decode_at(d, req, ret->offset))
		snprintf(ret->instruction, sizeof(ret->instruction), "%.15s%s%.31s",
			 d->insn->mnemonic, *d->insn->op_str ? " " : "", d->insn->op_str);
}

/* Where no rules are known, the entry is right on every machine, if dear. */
static void place_at_entry(struct placement *ret)
{
	snprintf(ret->instruction, sizeof(ret->instruction), "entry");
	snprintf(ret->reason, sizeof(ret->reason),
		 "entry: emulated instructions of this machine are not known");
}

struct error *placement_find(const struct placement_request *req, struct placement *ret)
{
	const struct isa *isa = find_isa();
	__attribute__((cleanup(decoder_deinit))) struct decoder d = { 0 };
	struct walk w = { .emulated = NOWHERE, .late_nop = NOWHERE, .stepped = NOWHERE };
	struct error *err;

	*ret = (struct placement){ 0 };
	if (!req->size)
		return error_create(ERROR_UNSUPPORTED, "the function has no code");
	if (!isa) {
		place_at_entry(ret);
		return NULL;
	}
	err = decoder_init(&d, isa);
	if (err)
		return err;
	walk_entry_block(&w, &d, isa, req);
	if (w.loops)
		return error_create(ERROR_UNSUPPORTED,
				    "the entry block is a loop, a probe would count every turn");
	if (w.stepped == NOWHERE)
		return error_create(ERROR_UNSUPPORTED,
				    "nothing that the kernel lets be probed before %s", w.stop);
	choose(req, &w, ret);
	write_instruction(&d, req, ret);
	return NULL;
}

static void add_exit(struct function_exit_vec *exits, const struct isa *isa, const cs_insn *insn,
		     uint64_t begin, uint64_t end)
{
	uint64_t target;

	/* Bytes that decode as nothing have no id. */
	if (!insn->id)
		return;
	if (isa->is_return(insn))
		function_exit_vec_push(exits, (struct function_exit){
			.vaddr = insn->address, .returns = true });
	else if (isa->branch_target(insn, &target) && !isa->is_call(insn) &&
		 (target < begin || target >= end))
		function_exit_vec_push(exits, (struct function_exit){
			.vaddr = insn->address, .target = target,
			.always = isa->is_jump(insn) });
}

struct error *placement_exits(const uint8_t *code, size_t size, uint64_t vaddr,
			      struct function_exit_vec *ret)
{
	const struct isa *isa = find_isa();
	__attribute__((cleanup(decoder_deinit))) struct decoder d = { 0 };
	uint64_t address = vaddr;
	struct error *err;

	if (!isa)
		return error_create(ERROR_UNSUPPORTED,
				    "the instructions of this machine are not known");
	err = decoder_init(&d, isa);
	if (err)
		return err;
	cs_option(d.cs, CS_OPT_DETAIL, CS_OPT_OFF);
	cs_option(d.cs, CS_OPT_SKIPDATA, CS_OPT_ON);
	for (size_t left = size; cs_disasm_iter(d.cs, &code, &left, &address, d.insn);)
		add_exit(ret, isa, d.insn, vaddr, vaddr + size);
	return NULL;
}
