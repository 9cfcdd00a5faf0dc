// SPDX-License-Identifier: GPL-2.0-or-later
/* Go's table of functions; see go_pclntab.h. */
#include <string.h>

#include "symbol/go_pclntab.h"

#define MAGIC_1_18 0xfffffff0u
#define MAGIC_1_20 0xfffffff1u

struct header {
	uint32_t magic;
	uint8_t zero[2], quantum, pointer_size;
	uint64_t functions, files, text_start;
	uint64_t names, units, file_names, pc_tables, functab;
};

struct functab_entry { uint32_t start, func; };
struct func { uint32_t start, name; };	/* as far as it is needed here */

bool go_pclntab_init(struct go_pclntab *table, const void *data, size_t size)
{
	struct header h;

	if (size < sizeof(h))
		return false;
	memcpy(&h, data, sizeof(h));
	if ((h.magic != MAGIC_1_18 && h.magic != MAGIC_1_20) || h.zero[0] || h.zero[1] ||
	    h.pointer_size != 8 || h.names >= size || h.functab >= size)
		return false;
	/* A last entry, without a function, says where text ends. */
	if (h.functions >= (size - h.functab) / sizeof(struct functab_entry))
		return false;
	*table = (struct go_pclntab){
		.data = data,
		.size = size,
		.names = h.names,
		.functab = h.functab,
		.count = h.functions,
	};
	return true;
}

static const char *name_at(const struct go_pclntab *table, uint64_t func_offset)
{
	uint64_t at = table->functab + func_offset;
	struct func func;
	uint64_t name;

	if (at > table->size - sizeof(func))
		return "";
	memcpy(&func, table->data + at, sizeof(func));
	name = table->names + func.name;
	if (name >= table->size || !memchr(table->data + name, '\0', table->size - name))
		return "";
	return (const char *)table->data + name;
}

bool go_pclntab_function(const struct go_pclntab *table, size_t i, struct go_function *ret)
{
	struct functab_entry entry[2];

	if (i >= table->count)
		return false;
	memcpy(entry, table->data + table->functab + i * sizeof(entry[0]), sizeof(entry[0]));
	/* The last one is half an entry at the table's very end. */
	memcpy(&entry[1].start, table->data + table->functab + (i + 1) * sizeof(entry[0]),
	       sizeof(entry[1].start));
	if (entry[1].start <= entry[0].start)
		return false;
	*ret = (struct go_function){
		.start = entry[0].start,
		.end = entry[1].start,
		.name = name_at(table, entry[0].func),
	};
	return true;
}
