// SPDX-License-Identifier: GPL-2.0-or-later
/* From an address to a name; see symbolizer.h. */
#include <string.h>

#include "symbol/address_space.h"
#include "symbol/object.h"
#include "symbol/symbolizer.h"

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void name_function(const struct mapping *m, uint64_t pc, struct symbol *ret)
{
	const struct object_symbol *sym = object_find_symbol(m->object, pc - m->bias);

	if (!sym)
		return;
	ret->raw = sym->name;
	ret->function = object_demangle(m->object, sym);
}

void address_space_symbolize(const struct address_space *as, uint64_t pc,
			     bool is_return, struct symbol *ret)
{
	uint64_t inside = pc - is_return;
	const struct region *region = address_space_region(as, inside);

	*ret = (struct symbol){ .module = "", .path = "", .build_id = "", .offset = pc };
	if (!region || !region->backing)
		return;
	ret->path = region->backing->path;
	ret->module = base_name(ret->path);
	if (!region->m.object) {
		ret->offset = pc - region->m.start + region->m.file_offset;
		return;
	}
	ret->build_id = region->m.object->build_id;
	ret->offset = pc - region->m.bias;
	name_function(&region->m, inside, ret);
}
