// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The arguments of probes in programs, as the assembler writes operands: AT&T's
 * way on x86-64 ("-4@%eax", "8@-16(%rbp,%rcx,8)", "8@$5", "8@count(%rip)"),
 * arm64's own ("8@x0", "8@[sp, 16]", "8@5"). See usdt.h.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "symbol/usdt.h"

/* Where the reading stands; every taker leaves it alone when it finds nothing. */
struct operand {
	const char *at;
};

static bool take(struct operand *o, const char *text)
{
	size_t len = strlen(text);

	if (strncmp(o->at, text, len))
		return false;
	o->at += len;
	return true;
}

static bool at_end(const struct operand *o)
{
	return !*o->at || isspace((unsigned char)*o->at);
}

static bool take_number(struct operand *o, int64_t *ret)
{
	const char *digits = o->at + (*o->at == '-' || *o->at == '+');
	char *end;

	if (!isdigit((unsigned char)*digits))
		return false;
	errno = 0;
	*ret = *o->at == '-' ? strtoll(o->at, &end, 0) : (int64_t)strtoull(o->at, &end, 0);
	if (errno)
		return false;
	o->at = end;
	return true;
}

/* Letters and digits, for names of registers and symbols. */
static size_t word_length(const struct operand *o)
{
	size_t len = 0;

	while (isalnum((unsigned char)o->at[len]) || strchr("_.$", o->at[len] ?: ' '))
		len++;
	return len;
}

/* --- x86-64 -------------------------------------------------------------- */

/* By DWARF number: whole, low 32, 16 and 8 bits. */
static const char *const x86_names[16][4] = {
	{ "rax", "eax", "ax", "al" }, { "rdx", "edx", "dx", "dl" },
	{ "rcx", "ecx", "cx", "cl" }, { "rbx", "ebx", "bx", "bl" },
	{ "rsi", "esi", "si", "sil" }, { "rdi", "edi", "di", "dil" },
	{ "rbp", "ebp", "bp", "bpl" }, { "rsp", "esp", "sp", "spl" },
	{ "r8", "r8d", "r8w", "r8b" }, { "r9", "r9d", "r9w", "r9b" },
	{ "r10", "r10d", "r10w", "r10b" }, { "r11", "r11d", "r11w", "r11b" },
	{ "r12", "r12d", "r12w", "r12b" }, { "r13", "r13d", "r13w", "r13b" },
	{ "r14", "r14d", "r14w", "r14b" }, { "r15", "r15d", "r15w", "r15b" },
};

static bool x86_register(struct operand *o, uint8_t *ret)
{
	struct operand name = { o->at + 1 };
	size_t len;

	if (*o->at != '%')
		return false;
	len = word_length(&name);
	for (int reg = 0; reg < 16; reg++) {
		for (int width = 0; width < 4; width++) {
			if (strlen(x86_names[reg][width]) != len ||
			    strncmp(x86_names[reg][width], name.at, len))
				continue;
			*ret = reg;
			o->at = name.at + len;
			return true;
		}
	}
	return false;
}

static bool x86_scale(struct operand *o, uint8_t *shift_ret)
{
	int64_t scale;

	if (!take_number(o, &scale) || scale < 1 || scale > 8 || scale & (scale - 1))
		return false;
	*shift_ret = __builtin_ctzll(scale);
	return true;
}

/* "(%rbp)", "(%rbp,%rcx,8)", "(,%rcx,8)"; "(%rip)" only behind a symbol. */
static bool x86_address(struct operand *o, struct usdt_argument *ret)
{
	if (!take(o, "("))
		return false;
	if (ret->place == USDT_SYMBOL)
		return take(o, "%rip)");
	if (*o->at != ',' && !x86_register(o, &ret->reg))
		return false;
	if (take(o, ",") && !x86_register(o, &ret->index))
		return false;
	if (take(o, ",") && !x86_scale(o, &ret->shift))
		return false;
	return take(o, ")");
}

static bool take_symbol(struct operand *o, struct usdt_argument *ret)
{
	size_t len = word_length(o);

	if (!len || len >= sizeof(ret->symbol) || isdigit((unsigned char)*o->at))
		return false;
	memcpy(ret->symbol, o->at, len);
	ret->symbol[len] = '\0';
	o->at += len;
	take_number(o, &ret->value);
	return true;
}

static bool x86_operand(struct operand *o, struct usdt_argument *ret)
{
	if (x86_register(o, &ret->reg)) {
		ret->place = USDT_REGISTER;
		return true;
	}
	if (take(o, "$")) {
		ret->place = USDT_CONSTANT;
		return take_number(o, &ret->value);
	}
	ret->place = USDT_MEMORY;
	if (!take_number(o, &ret->value) && take_symbol(o, ret))
		ret->place = USDT_SYMBOL;
	return x86_address(o, ret);
}

/* --- arm64 --------------------------------------------------------------- */

#define ARM64_SP 31

static bool arm64_register(struct operand *o, uint8_t *ret)
{
	struct operand number = { o->at + 1 };
	size_t len = word_length(o);
	int64_t reg;

	if (len == 2 && !strncmp(o->at, "sp", 2)) {
		*ret = ARM64_SP;
		o->at += len;
		return true;
	}
	if ((*o->at != 'x' && *o->at != 'w') || !isdigit((unsigned char)*number.at) ||
	    !take_number(&number, &reg) || reg < 0 || reg >= ARM64_SP)
		return false;
	*ret = reg;
	*o = number;
	return true;
}

static void take_spaces(struct operand *o)
{
	while (*o->at == ' ')
		o->at++;
}

/* "[sp]", "[sp, 16]", "[x1, #16]", "[x1, x2]". */
static bool arm64_address(struct operand *o, struct usdt_argument *ret)
{
	if (!arm64_register(o, &ret->reg))
		return false;
	if (take(o, ",")) {
		take_spaces(o);
		take(o, "#");
		if (!take_number(o, &ret->value) && !arm64_register(o, &ret->index))
			return false;
	}
	return take(o, "]");
}

static bool arm64_operand(struct operand *o, struct usdt_argument *ret)
{
	if (take(o, "[")) {
		ret->place = USDT_MEMORY;
		return arm64_address(o, ret);
	}
	if (arm64_register(o, &ret->reg)) {
		ret->place = USDT_REGISTER;
		return true;
	}
	ret->place = USDT_CONSTANT;
	take(o, "#");
	return take_number(o, &ret->value);
}

/* --- both ---------------------------------------------------------------- */

static bool take_size(struct operand *o, struct usdt_argument *ret)
{
	int64_t size;

	if (!take_number(o, &size) || !take(o, "@"))
		return false;
	ret->is_signed = size < 0;
	ret->bytes = size < 0 ? -size : size;
	return size == ret->bytes || -size == ret->bytes ?
		       ret->bytes && ret->bytes <= 8 && !(ret->bytes & (ret->bytes - 1)) : false;
}

int usdt_parse_arguments(const char *text, enum usdt_machine machine,
			 struct usdt_argument *ret, int max)
{
	struct operand o = { text };
	int count = 0;

	for (;; count++) {
		struct usdt_argument argument = {
			.reg = USDT_NO_REGISTER, .index = USDT_NO_REGISTER,
		};

		take_spaces(&o);
		if (!*o.at || count == max)
			return count;
		if (!take_size(&o, &argument) ||
		    !(machine == USDT_ARM64 ? arm64_operand(&o, &argument)
					    : x86_operand(&o, &argument)) ||
		    !at_end(&o))
			return -1;
		ret[count] = argument;
	}
}
