// SPDX-License-Identifier: GPL-2.0-or-later
/* Probes by which programs tell of their allocations; see reports.h. */
#include "capture/discovery/reports.h"

#include <asm/ptrace.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "symbol/jump.h"
#include "symbol/usdt.h"

#if defined(__x86_64__)
#define REGISTER(name) offsetof(struct pt_regs, name)

/* By DWARF number. */
static const uint16_t registers[] = {
	REGISTER(rax), REGISTER(rdx), REGISTER(rcx), REGISTER(rbx),
	REGISTER(rsi), REGISTER(rdi), REGISTER(rbp), REGISTER(rsp),
	REGISTER(r8), REGISTER(r9), REGISTER(r10), REGISTER(r11),
	REGISTER(r12), REGISTER(r13), REGISTER(r14), REGISTER(r15),
};

static uint16_t register_offset(uint8_t reg)
{
	return reg < sizeof(registers) / sizeof(registers[0]) ? registers[reg]
							      : OPERAND_NO_REGISTER;
}

#define NOP "\x90"
#else
/* x0 to x30 and sp lie in a row. */
static uint16_t register_offset(uint8_t reg)
{
	return reg < 32 ? reg * 8 : OPERAND_NO_REGISTER;
}

#define NOP "\x1f\x20\x03\xd5"
#endif

static const struct allocator_function *find_row(const char *name, uint16_t *func_ret)
{
	for (size_t i = 0; i < allocator_functions_count; i++) {
		const struct allocator_function *f = &allocator_functions[i];

		if (f->group == GROUP_REPORTS && !strcmp(f->symbol + sizeof(REPORTS_NAME), name)) {
			*func_ret = i;
			return f;
		}
	}
	return NULL;
}

static const char unnamed[] = "an argument is in a variable that the stripped file does not name";

/* False if the argument is in a variable that the object does not have. */
static bool bind_operand(const struct candidate *c, const struct usdt_argument *argument,
			 struct probe_operand *ret)
{
	uint64_t variable;

	*ret = (struct probe_operand){
		.value = argument->value,
		.reg = register_offset(argument->reg),
		.index = register_offset(argument->index),
		.shift = argument->shift,
		.bytes = argument->bytes,
		.is_signed = argument->is_signed,
	};
	switch (argument->place) {
	case USDT_CONSTANT:
		ret->place = OPERAND_CONSTANT;
		return true;
	case USDT_REGISTER:
		ret->place = OPERAND_REGISTER;
		return true;
	case USDT_MEMORY:
		ret->place = OPERAND_MEMORY;
		return true;
	case USDT_SYMBOL:
		if (!jump_find_variable(c->object, argument->symbol, &variable))
			return false;
		ret->place = OPERAND_MEMORY;
		ret->value += variable + c->bias;
		return true;
	}
	return false;
}

/* Why they cannot be read, or NULL. A sampler that gives no weight takes every block. */
static const char *bind_operands(const struct candidate *c, const struct usdt_probe *usdt,
			  enum probe_kind kind, struct probe_operands *ret)
{
	struct usdt_argument arguments[3];
	int count = usdt_parse_arguments(usdt->arguments, USDT_MACHINE_HERE, arguments, 3);

	if (count < (kind == PROBE_REPORT_ALLOC ? 2 : 1))
		return "its arguments are in no form that is known";
	if (!bind_operand(c, &arguments[0], &ret->ptr))
		return unnamed;
	if (kind == PROBE_REPORT_ALLOC &&
	    (!bind_operand(c, &arguments[1], &ret->size) ||
	     !bind_operand(c, &arguments[count > 2 ? 2 : 1], &ret->weight)))
		return unnamed;
	return NULL;
}

/*
 * Why the probe cannot be set, or NULL. What stands there may be no nop because
 * the note lies, and of a nop of five bytes kernels since 6.18 make a call
 * that overwrites what a function without a frame keeps below its stack.
 */
static const char *find_place(const struct candidate *c, const struct usdt_probe *usdt,
			      struct planned_probe *probe)
{
	char code[sizeof(NOP) - 1];

	if (object_read(c->object, usdt->vaddr, code, sizeof(code)) < sizeof(code) ||
	    memcmp(code, NOP, sizeof(code)))
		return "no nop stands there";
	if (!object_vaddr_to_offset(c->object, usdt->vaddr, &probe->file_offset))
		return "it lies outside of the file's code";
	if (usdt->semaphore &&
	    !object_vaddr_to_offset(c->object, usdt->semaphore, &probe->semaphore))
		return "its semaphore lies outside of the file's data";
	return NULL;
}

static bool list_report(const struct candidate *c, const struct usdt_probe *usdt,
			struct object_plan *op, struct note_vec *notes)
{
	struct planned_probe probe = {
		.symbol = { .vaddr = usdt->vaddr },
		.placement = { .emulated = true, .instruction = "nop",
			       .reason = "the program's own probe" },
	};
	const char *why;

	probe.function = find_row(usdt->name, &probe.func);
	if (!probe.function)
		return false;
	probe.symbol.name = probe.function->symbol;
	why = op->probes.len < PROBE_SITES_MAX ? find_place(c, usdt, &probe)
					       : "there are too many of them";
	if (!why)
		why = bind_operands(c, usdt, probe.function->kind, &probe.operands);
	if (why) {
		notes_add(notes, "%s: %s at %#" PRIx64 " (%s) is not probed: %s", c->object->path,
			  probe.symbol.name, usdt->vaddr, usdt->arguments, why);
		return false;
	}
	planned_probe_vec_push(&op->probes, probe);
	return true;
}

bool reports_list(const struct candidate *c, struct object_plan *op, struct note_vec *notes)
{
	__cleanup(usdt_probes_deinit) struct usdt_probe_vec probes = { 0 };
	const struct allocator_choice *choice = c->choice;
	bool any = false;

	if ((choice->only && strcmp(choice->only, REPORTS_NAME)) ||
	    (choice->library && !candidate_is_object(c->object, choice->library)))
		return false;
	usdt_probes(c->object, REPORTS_NAME, &probes);
	vec_for_each(usdt, &probes)
		any |= list_report(c, usdt, op, notes);
	return any;
}

bool reports_there(const struct address_space *as)
{
	const struct mapping_vec *mappings = address_space_mappings(as);
	const struct object *last = NULL;

	vec_for_each(m, mappings) {
		__cleanup(usdt_probes_deinit) struct usdt_probe_vec probes = { 0 };

		if (!m->object || m->object == last)
			continue;
		last = m->object;
		usdt_probes(last, REPORTS_NAME, &probes);
		if (probes.len)
			return true;
	}
	return false;
}
