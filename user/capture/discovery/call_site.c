// SPDX-License-Identifier: GPL-2.0-or-later
/* Calls of allocators' functions; see call_site.h. */
#include "capture/discovery/call_site.h"

#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "capture/discovery/placement.h"
#include "symbol/jump.h"

#define CALL_NEAR 5		/* e8 rel32 */
#define CALL_BY_SLOT 6		/* ff 15 rel32: call *slot(%rip) */
#define CODE_BEHIND 64		/* bytes in which the second probe's place is looked for */

static const struct allocator_function *find_row(const char *symbol, uint16_t *func_ret)
{
	for (size_t i = 0; symbol && i < allocator_functions_count; i++) {
		if (strcmp(allocator_functions[i].symbol, symbol))
			continue;
		*func_ret = (uint16_t)i;
		return &allocator_functions[i];
	}
	return NULL;
}

/* By any of the names of its address. */
static const struct allocator_function *row_at(struct object *object, uint64_t vaddr,
					       uint16_t *func_ret)
{
	const struct object_symbol *symbols;
	size_t count = object_symbols(object, &symbols);
	const struct allocator_function *row = NULL;

	for (size_t i = 0; i < count && !row; i++)
		if (symbols[i].vaddr == vaddr)
			row = find_row(symbols[i].name, func_ret);
	return row;
}

#if defined(__x86_64__)

/* What a call at @vaddr leads to: a function of the object, or the name that a stub is bound to. */
static const struct allocator_function *called(const struct object *object, uint64_t vaddr,
					       uint16_t *func_ret)
{
	struct jump jump = { 0 };
	const struct allocator_function *row;

	if (!jump_at(object, vaddr, &jump))
		return row_at((struct object *)object, vaddr, func_ret);
	row = jump.name ? find_row(jump.name, func_ret)
			: row_at((struct object *)object, jump.vaddr, func_ret);
	jump_deinit(&jump);
	return row;
}

/* The bytes before a return address may look like a call of either form. */
static bool read_call(const struct object *object, uint64_t vaddr, struct call_site *ret)
{
	uint8_t code[CALL_BY_SLOT];
	char *name __cleanup_free = NULL;
	int32_t rel;

	if (object_read(object, vaddr - sizeof(code), code, sizeof(code)) < sizeof(code))
		return false;
	memcpy(&rel, code + sizeof(code) - sizeof(rel), sizeof(rel));
	ret->call_bytes = CALL_NEAR;
	if (code[1] == 0xe8)
		ret->function = called(object, vaddr + (int64_t)rel, &ret->func);
	if (ret->function)
		return true;
	if (code[0] != 0xff || code[1] != 0x15)
		return false;
	ret->call_bytes = CALL_BY_SLOT;
	ret->call_stepped = true;
	name = jump_slot_symbol(object, vaddr + (int64_t)rel);
	ret->function = find_row(name, &ret->func);
	return ret->function;
}

#else

static bool read_call(const struct object *object, uint64_t vaddr, struct call_site *ret)
{
	return false;
}

#endif

static const char *place_behind(const struct object *object, uint64_t vaddr,
				struct call_site *ret)
{
	uint8_t code[CODE_BEHIND];
	struct placement_request request = {
		.code = code, .vaddr = vaddr, .stack = true, .result = true,
	};
	struct placement placement;
	struct error *err;

	request.size = object_read(object, vaddr, code, sizeof(code));
	err = placement_find(&request, &placement);
	if (err) {
		error_destroy(err);
		return "no instruction behind the call can be probed";
	}
	ret->end_stepped = !placement.emulated;
	return object_vaddr_to_offset(object, vaddr + placement.offset, &ret->end_offset)
		       ? NULL : "the call lies outside of the file's code";
}

const char *call_site_find(const struct object *object, uint64_t vaddr, struct call_site *ret)
{
	*ret = (struct call_site){ 0 };
	if (!read_call(object, vaddr, ret))
		return "the call does not go straight to a known function";
	if (ret->function->kind != PROBE_ALLOC)
		return "its function does not simply return a new block";
	if (!object_vaddr_to_offset(object, vaddr - ret->call_bytes, &ret->call_offset))
		return "the call lies outside of the file's code";
	return place_behind(object, vaddr, ret);
}

bool call_site_is_allocators(struct object *object, uint64_t vaddr)
{
	const struct object_symbol *symbol = object_find_symbol(object, vaddr);
	uint16_t func;

	return symbol && row_at(object, symbol->vaddr, &func);
}
