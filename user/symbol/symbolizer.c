// SPDX-License-Identifier: GPL-2.0-or-later
/* From an address to a name; see symbolizer.h. */
#include <string.h>

#include "symbol/address_space.h"
#include "symbol/dwarf_lines.h"
#include "symbol/jitmap.h"
#include "symbol/object.h"
#include "symbol/symbolizer.h"

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void name_function(struct object *object, uint64_t vaddr, struct symbol *ret)
{
	const struct object_symbol *sym = object_find_symbol(object, vaddr);

	if (!sym)
		return;
	ret->raw = sym->name;
	ret->function = object_demangle(object, sym);
}

static void name_jitted(const struct address_space *as, uint64_t pc, struct symbol *ret)
{
	ret->function = ret->raw = jitmap_find(address_space_jitmap(as), pc);
	if (ret->function)
		ret->module = "[jit]";
}

/* @in_object becomes the mapping of the object whose symbols have the name, or NULL. */
static void locate(const struct address_space *as, uint64_t pc, uint64_t inside,
		   struct symbol *ret, const struct mapping **in_object)
{
	const struct region *region = address_space_region(as, inside);

	*in_object = NULL;
	*ret = (struct symbol){ .module = "", .path = "", .build_id = "", .offset = pc };
	if (!region || !region->m.object)
		name_jitted(as, inside, ret);
	if (!region || !region->backing || ret->function)
		return;
	ret->path = region->backing->path;
	ret->module = base_name(ret->path);
	if (!region->m.object) {
		ret->offset = pc - region->m.start + region->m.file_offset;
		return;
	}
	ret->build_id = region->m.object->build_id;
	ret->offset = pc - region->m.bias;
	*in_object = &region->m;
}

void address_space_locate(const struct address_space *as, uint64_t pc, bool is_return,
			  struct symbol *ret)
{
	const struct mapping *in_object;

	locate(as, pc, pc - is_return, ret, &in_object);
}

void address_space_symbolize(const struct address_space *as, uint64_t pc,
			     bool is_return, struct symbol *ret)
{
	const struct mapping *in_object;

	locate(as, pc, pc - is_return, ret, &in_object);
	if (in_object)
		name_function(in_object->object, pc - is_return - in_object->bias, ret);
}

static void add_source(struct symbol_frame *frame, const struct source_frame *source)
{
	frame->file = source->file;
	frame->line = source->line;
	frame->column = source->column;
	frame->start_line = source->start_line;
	frame->type = source->type;
}

size_t symbol_frames_compose(const struct symbol *symbol, const struct source_frame *sources,
			     size_t count, struct symbol_frame *ret, size_t max)
{
	struct symbol_frame called = { .symbol = *symbol };
	size_t inlined;

	if (count) {
		add_source(&called, &sources[count - 1]);
		if (!called.symbol.function || sources[count - 1].is_called) {
			called.symbol.function = sources[count - 1].function;
			called.symbol.raw = sources[count - 1].raw;
		}
	}
	inlined = count ? count - 1 : 0;
	if (inlined > max - 1)
		inlined = max - 1;
	for (size_t i = 0; i < inlined; i++) {
		ret[i] = (struct symbol_frame){ .symbol = called.symbol, .inlined = true };
		ret[i].symbol.function = sources[i].function;
		ret[i].symbol.raw = sources[i].raw;
		add_source(&ret[i], &sources[i]);
	}
	ret[inlined] = called;
	return inlined + 1;
}

size_t address_space_symbolize_frames(const struct address_space *as, uint64_t pc,
				      bool is_return, struct symbol_frame *ret, size_t max)
{
	const struct mapping *m = address_space_find(as, pc - is_return);
	const struct source_frame *sources = NULL;
	struct symbol called;
	size_t count = 0;

	address_space_symbolize(as, pc, is_return, &called);
	if (m)
		count = object_source_frames(m->object, pc - is_return - m->bias, &sources);
	return symbol_frames_compose(&called, sources, count, ret, max);
}

size_t object_symbolize_frames(struct object *object, const struct symbol *at, bool is_return,
			       struct symbol_frame *ret, size_t max)
{
	const struct source_frame *sources = NULL;
	struct symbol called = *at;
	size_t count;

	name_function(object, at->offset - is_return, &called);
	count = object_source_frames(object, at->offset - is_return, &sources);
	return symbol_frames_compose(&called, sources, count, ret, max);
}
