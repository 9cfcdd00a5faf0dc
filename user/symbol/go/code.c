// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Instructions of Go code; see code.h.
 *
 * x86-64:	e8 <rel32>			call function
 *		48 8d 05 <disp32>		lea variable(%rip), %rax
 *		48 8b 05 <disp32>		mov variable(%rip), %reg
 * arm64:	bl function
 *		adrp x, page; add x, x, offset	the address of a variable
 *		ldr, ldp, ldar			from there, or from the page itself
 */
#include <string.h>

#include "base/alloc.h"
#include "symbol/go/code.h"
#include "symbol/go/module.h"

#define X86_CALL_BYTES 5
#define X86_LEA_BYTES 7
#define REACH 24		/* bytes between an argument and its call, a base and its load */
#define ARM64_PAGE 4096ull

bool go_code_read(const struct go_module *module, uint64_t pc, uint64_t size, uint64_t max,
		  struct go_code *ret)
{
	*ret = (struct go_code){ .pc = pc, .size = size, .arm64 = module->table.quantum == 4 };
	if (!size || size > max)
		return false;
	ret->bytes = xmalloc(size);
	if (go_module_read(module, pc, ret->bytes, size))
		return true;
	go_code_deinit(ret);
	return false;
}

void go_code_deinit(struct go_code *code)
{
	free(code->bytes);
	*code = (struct go_code){ 0 };
}

size_t go_code_step(const struct go_code *code)
{
	return code->arm64 ? 4 : 1;
}

/* --- x86-64 --- */

static uint64_t x86_relative(const struct go_code *code, size_t disp_at)
{
	int32_t disp;

	memcpy(&disp, code->bytes + disp_at, sizeof(disp));
	return code->pc + disp_at + sizeof(disp) + (uint64_t)(int64_t)disp;
}

static uint64_t x86_call(const struct go_code *code, size_t at)
{
	return at + X86_CALL_BYTES <= code->size && code->bytes[at] == 0xe8 ?
	       x86_relative(code, at + 1) : 0;
}

static uint64_t x86_argument(const struct go_code *code, size_t at)
{
	size_t first = at > REACH ? at - REACH : 0;

	for (size_t i = at; i-- > first;) {
		const uint8_t *p = code->bytes + i;

		if (at - i >= X86_LEA_BYTES && p[0] == 0x48 && p[1] == 0x8d && p[2] == 0x05)
			return x86_relative(code, i + 3);
	}
	return 0;
}

static uint64_t x86_load(const struct go_code *code, size_t at)
{
	const uint8_t *p = code->bytes + at;

	return at + X86_LEA_BYTES <= code->size && (p[0] & ~4) == 0x48 && p[1] == 0x8b &&
	       (p[2] & 0xc7) == 0x05 ? x86_relative(code, at + 3) : 0;
}

/* --- arm64 --- */

static uint32_t arm64_at(const struct go_code *code, size_t at)
{
	uint32_t word = 0;

	if (at + sizeof(word) <= code->size)
		memcpy(&word, code->bytes + at, sizeof(word));
	return word;
}

static int64_t sign_extend(uint64_t value, unsigned int bits)
{
	return (int64_t)(value << (64 - bits)) >> (64 - bits);
}

static uint64_t arm64_call(const struct go_code *code, size_t at)
{
	uint32_t word = arm64_at(code, at);

	return word >> 26 == 0x25 ?
	       code->pc + at + (uint64_t)(sign_extend(word & 0x3ffffff, 26) * 4) : 0;
}

/* The page that "adrp reg, page" at @at loads; 0. */
static uint64_t arm64_page(const struct go_code *code, size_t at, unsigned int reg)
{
	uint32_t word = arm64_at(code, at);
	uint64_t pages = (uint64_t)(word >> 5 & 0x7ffff) << 2 | (word >> 29 & 3);

	if ((word & 0x9f000000) != 0x90000000 || (word & 31) != reg)
		return 0;
	return ((code->pc + at) & ~(ARM64_PAGE - 1)) +
	       (uint64_t)sign_extend(pages, 21) * ARM64_PAGE;
}

/* What the instruction at @at leaves in @reg, if that is a variable's address; 0. */
static uint64_t arm64_address(const struct go_code *code, size_t at, unsigned int reg)
{
	uint32_t word = arm64_at(code, at);
	uint64_t page;

	/* add reg, base, offset */
	if ((word & 0xffc00000) != 0x91000000 || (word & 31) != reg || at < 4)
		return arm64_page(code, at, reg);
	page = arm64_page(code, at - 4, word >> 5 & 31);
	return page ? page + (word >> 10 & 0xfff) : 0;
}

/* What @reg holds at @at, if a variable's address was put there shortly before. */
static uint64_t arm64_held(const struct go_code *code, size_t at, unsigned int reg)
{
	size_t first = at > REACH ? at - REACH : 0;

	for (size_t i = at; i >= first + 4;) {
		uint64_t address;

		i -= 4;
		address = arm64_address(code, i, reg);
		if (address)
			return address;
	}
	return 0;
}

static uint64_t arm64_load(const struct go_code *code, size_t at, unsigned int *words_ret)
{
	uint32_t word = arm64_at(code, at);
	uint64_t base, offset;

	*words_ret = 1;
	if ((word & 0xffc00000) == 0xf9400000) {		/* ldr */
		offset = (uint64_t)(word >> 10 & 0xfff) * 8;
	} else if ((word & 0xffc00000) == 0xa9400000) {		/* ldp */
		offset = (uint64_t)(sign_extend(word >> 15 & 0x7f, 7) * 8);
		*words_ret = 2;
	} else if ((word & 0xfffffc00) == 0xc8dffc00) {		/* ldar */
		offset = 0;
	} else {
		return 0;
	}
	base = arm64_held(code, at, word >> 5 & 31);
	return base ? base + offset : 0;
}

/* --- either --- */

uint64_t go_code_call(const struct go_code *code, size_t at)
{
	return code->arm64 ? arm64_call(code, at) : x86_call(code, at);
}

uint64_t go_code_argument(const struct go_code *code, size_t at)
{
	return code->arm64 ? arm64_held(code, at, 0) : x86_argument(code, at);
}

uint64_t go_code_load(const struct go_code *code, size_t at, unsigned int *words_ret)
{
	*words_ret = 1;
	return code->arm64 ? arm64_load(code, at, words_ret) : x86_load(code, at);
}
