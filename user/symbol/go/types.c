// SPDX-License-Identifier: GPL-2.0-or-later
/* Types by the calls that allocate them; see types.h. */
#include <string.h>

#include "base/alloc.h"
#include "symbol/go/module.h"
#include "symbol/go/types.h"

/* As instructions number them. */
enum reg { REG_AX = 0, REG_BX = 3, REG_SI = 6 };

/* What the function's type argument says of the block. */
enum shape { ONE, SLICE, FIXED };

/*
 * Functions of the runtime, by the beginnings of their names, the first that fits;
 * those of Go's own register calling convention have the type in this register.
 */
static const struct allocator {
	const char *prefix;
	enum reg type;
	enum shape shape;
	const char *fixed;		/* of FIXED: the type's name */
} allocators[] = {
	{ "runtime.newobject", REG_AX, ONE, NULL },
	{ "runtime.makeslice", REG_AX, SLICE, NULL },
	{ "runtime.growslice", REG_SI, SLICE, NULL },
	{ "runtime.makechan", REG_AX, ONE, NULL },
	{ "runtime.makemap", REG_AX, ONE, NULL },
	{ "runtime.mapassign", REG_AX, ONE, NULL },
	{ "runtime.mallocgc", REG_BX, ONE, NULL },
	{ "runtime.convTstring", REG_AX, FIXED, "string" },
	{ "runtime.concatstring", REG_AX, FIXED, "string" },
	{ "runtime.concatbyte", REG_AX, FIXED, "[]uint8" },
	{ "runtime.slicebytetostring", REG_AX, FIXED, "string" },
	{ "runtime.slicerunetostring", REG_AX, FIXED, "string" },
	{ "runtime.intstring", REG_AX, FIXED, "string" },
	{ "runtime.stringtoslicebyte", REG_AX, FIXED, "[]uint8" },
	{ "runtime.stringtoslicerune", REG_AX, FIXED, "[]int32" },
	{ "runtime.rawbyteslice", REG_AX, FIXED, "[]uint8" },
	{ "runtime.convT", REG_AX, ONE, NULL },
};

static const struct allocator *find_allocator(const char *name)
{
	for (size_t i = 0; i < sizeof(allocators) / sizeof(allocators[0]); i++)
		if (!strncmp(name, allocators[i].prefix, strlen(allocators[i].prefix)))
			return &allocators[i];
	return NULL;
}

/* --- the call --- */

#define BEFORE_CALL 48		/* bytes, in which the type must be loaded */
#define CALL_BYTES 5		/* "call rel32" */
#define LOAD_BYTES 7		/* "lea disp(%rip), %reg" */

struct site {
	const struct go_module *module;
	uint64_t start;			/* address of the first byte */
	uint8_t code[BEFORE_CALL + CALL_BYTES];
};

static uint64_t target_of(const struct site *site, size_t at, size_t bytes)
{
	int32_t disp;

	memcpy(&disp, site->code + at + bytes - sizeof(disp), sizeof(disp));
	return site->start + at + bytes + (uint64_t)(int64_t)disp;
}

static bool is_call(const struct site *site, size_t at, struct go_function *ret)
{
	uint64_t offset;

	if (site->code[at] != 0xe8)
		return false;
	offset = target_of(site, at, CALL_BYTES) - site->module->text;
	return go_pclntab_find(&site->module->table, offset, ret) && ret->start == offset;
}

/* The last load of a type into @reg with no call behind it; 0. */
static uint64_t loaded_type(const struct site *site, enum reg reg)
{
	const struct go_module *m = site->module;
	struct go_function f;

	for (size_t at = BEFORE_CALL - LOAD_BYTES + 1; at-- > 0;) {
		uint64_t type = target_of(site, at, LOAD_BYTES);

		if (is_call(site, at, &f))
			return 0;
		if (site->code[at] == 0x48 && site->code[at + 1] == 0x8d &&
		    site->code[at + 2] == (0x05 | reg << 3) &&
		    type >= m->types && type < m->types_end)
			return type;
	}
	return 0;
}

/* --- the description --- */

/* The runtime's abi.Type, the same in all versions. */
struct type {
	uint64_t size, ptr_bytes;
	uint32_t hash;
	uint8_t flags, align, field_align, kind;
	uint64_t equal, gc_data;
	int32_t name, ptr_to_this;
};

#define EXTRA_STAR 2		/* the name is that of a pointer to the type */
#define NAME_MAX_BYTES 512

/* A byte of flags, a length in groups of seven bits, and so many bytes. */
static char *read_name(const struct go_module *m, uint64_t at, bool extra_star)
{
	uint8_t head[3];
	size_t length, skip = 2;
	char *name;

	if (!go_module_read(m, at, head, sizeof(head)))
		return NULL;
	length = head[1] & 0x7f;
	if (head[1] & 0x80) {
		length |= (size_t)(head[2] & 0x7f) << 7;
		skip = 3;
	}
	if (length <= extra_star || length > NAME_MAX_BYTES || (skip == 3 && head[2] & 0x80))
		return NULL;
	name = xcalloc(1, length + 1);
	if (go_module_read(m, at + skip, name, length) && (!extra_star || *name == '*')) {
		memmove(name, name + extra_star, length - extra_star + 1);
		return name;
	}
	free(name);
	return NULL;
}

static char *type_name(const struct go_module *m, uint64_t vaddr)
{
	struct type type;

	if (!vaddr || !go_module_read(m, vaddr, &type, sizeof(type)) || type.name <= 0)
		return NULL;
	return read_name(m, m->types + (uint64_t)type.name, type.flags & EXTRA_STAR);
}

char *go_type_allocated(const struct go_module *m, uint64_t vaddr)
{
	struct site site = { .module = m, .start = vaddr - sizeof(site.code) };
	__cleanup_free char *name = NULL;
	const struct allocator *a;
	struct go_function callee;
	enum reg reg;

	if (!m->types || m->table.quantum != 1 ||
	    !go_module_read(m, site.start, site.code, sizeof(site.code)) ||
	    !is_call(&site, BEFORE_CALL, &callee))
		return NULL;
	a = find_allocator(callee.name);
	if (!a || a->shape == FIXED)
		return a ? xstrdup(a->fixed) : NULL;
	reg = a->type == REG_SI && m->table.before_1_20 ? REG_AX : a->type;
	name = type_name(m, loaded_type(&site, reg));
	return !name ? NULL : a->shape == SLICE ? xasprintf("[]%s", name) : steal_ptr(name);
}
