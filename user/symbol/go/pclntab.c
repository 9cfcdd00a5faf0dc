// SPDX-License-Identifier: GPL-2.0-or-later
/* Go's table of functions; see pclntab.h. */
#include <string.h>

#include "symbol/go/pclntab.h"

#define MAGIC_1_18 0xfffffff0u
#define MAGIC_1_20 0xfffffff1u

#define PCDATA_INLINED 2
#define FUNCDATA_INLINE_TREE 3
#define NOTHING UINT32_MAX	/* an offset that leads nowhere */

struct header {
	uint32_t magic;
	uint8_t zero[2], quantum, pointer_size;
	uint64_t functions, files, text_start;
	uint64_t names, units, file_names, pc_tables, functab;
};

struct functab_entry { uint32_t start, func; };

/* The runtime's _func, of 1.20 and newer; before, start_line was not there. */
struct func {
	uint32_t start, name, args, deferreturn;
	uint32_t stack_delta, file, line, pcdata_count, unit, start_line;
	uint8_t id, flags, zero, funcdata_count;
};

#define TAIL_BYTES 4	/* from id on */

bool go_pclntab_init(struct go_pclntab *table, const void *data, size_t size)
{
	struct header h;

	if (size < sizeof(h))
		return false;
	memcpy(&h, data, sizeof(h));
	if ((h.magic != MAGIC_1_18 && h.magic != MAGIC_1_20) || h.zero[0] || h.zero[1] ||
	    h.pointer_size != 8 || h.names >= size || h.functab >= size || h.units >= size ||
	    h.file_names >= size || h.pc_tables >= size)
		return false;
	/* A last entry, without a function, says where text ends. */
	if (h.functions >= (size - h.functab) / sizeof(struct functab_entry))
		return false;
	*table = (struct go_pclntab){
		.data = data,
		.size = size,
		.names = h.names,
		.units = h.units,
		.files = h.file_names,
		.pc_tables = h.pc_tables,
		.functab = h.functab,
		.count = h.functions,
		.quantum = h.quantum,
		.before_1_20 = h.magic == MAGIC_1_18,
	};
	return true;
}

static bool read_at(const struct go_pclntab *table, uint64_t at, void *ret, size_t size)
{
	if (at > table->size || table->size - at < size)
		return false;
	memcpy(ret, table->data + at, size);
	return true;
}

/* The string at @offset of the strings that begin at @base; NULL. */
static const char *string_at(const struct go_pclntab *table, uint64_t base, uint32_t offset)
{
	uint64_t at = base + offset;

	if (at >= table->size || !memchr(table->data + at, '\0', table->size - at))
		return NULL;
	return (const char *)table->data + at;
}

const char *go_pclntab_name(const struct go_pclntab *table, uint32_t name)
{
	const char *string = string_at(table, table->names, name);

	return string ? string : "";
}

static size_t func_bytes(const struct go_pclntab *table)
{
	return sizeof(struct func) - (table->before_1_20 ? sizeof(uint32_t) : 0);
}

static bool read_func(const struct go_pclntab *table, uint64_t at, struct func *ret)
{
	if (!at || !read_at(table, at, ret, func_bytes(table)))
		return false;
	if (table->before_1_20) {
		memmove(&ret->id, &ret->start_line, TAIL_BYTES);
		ret->start_line = 0;
	}
	return true;
}

static struct functab_entry functab_at(const struct go_pclntab *table, size_t i)
{
	struct functab_entry entry = { 0 };

	/* The last one is half an entry at the table's very end. */
	memcpy(&entry, table->data + table->functab + i * sizeof(entry),
	       i < table->count ? sizeof(entry) : sizeof(entry.start));
	return entry;
}

bool go_pclntab_function(const struct go_pclntab *table, size_t i, struct go_function *ret)
{
	struct functab_entry entry, next;
	struct func func;

	if (i >= table->count)
		return false;
	entry = functab_at(table, i);
	next = functab_at(table, i + 1);
	if (next.start <= entry.start)
		return false;
	*ret = (struct go_function){ .start = entry.start, .end = next.start, .name = "" };
	if (!read_func(table, table->functab + entry.func, &func))
		return true;
	ret->func = table->functab + entry.func;
	ret->name = go_pclntab_name(table, func.name);
	ret->flags = func.flags;
	ret->id = func.id;
	ret->start_line = func.start_line;
	return true;
}

bool go_pclntab_find(const struct go_pclntab *table, uint64_t offset, struct go_function *ret)
{
	size_t lo = 0, hi = table->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (functab_at(table, mid).start <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && go_pclntab_function(table, lo - 1, ret) &&
	       offset - ret->start < ret->end - ret->start;
}

/* ---- values by address ---- */

/* An unsigned number of 7 bits a byte, the lowest first; false if it does not end. */
static bool read_varint(const struct go_pclntab *table, uint64_t *at, uint32_t *ret)
{
	*ret = 0;
	for (unsigned int shift = 0; shift < 35 && *at < table->size; shift += 7) {
		uint8_t byte = table->data[(*at)++];

		if (shift < 32)
			*ret |= (uint32_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

static uint32_t table_of(const struct go_pclntab *table, const struct go_function *f,
			 const struct func *func, enum go_value value)
{
	uint32_t offset = 0;

	switch (value) {
	case GO_STACK_DELTA:
		return func->stack_delta;
	case GO_FILE:
		return func->file;
	case GO_LINE:
		return func->line;
	case GO_INLINED:
		if (func->pcdata_count > PCDATA_INLINED)
			read_at(table, f->func + func_bytes(table) +
				PCDATA_INLINED * sizeof(offset), &offset, sizeof(offset));
		break;
	}
	return offset;
}

bool go_value_begin(const struct go_pclntab *table, const struct go_function *f,
		    enum go_value value, struct go_value_range *ret)
{
	struct func func;
	uint32_t offset;

	if (!read_func(table, f->func, &func))
		return false;
	offset = table_of(table, f, &func, value);
	*ret = (struct go_value_range){
		.start = f->start,
		.end = f->start,
		.value = -1,
		.at = table->pc_tables + offset,
		.limit = f->end,
	};
	return offset;
}

bool go_value_next(const struct go_pclntab *table, struct go_value_range *range)
{
	bool first = range->end == range->start;
	uint32_t value, pc;

	/* A value that does not change ends the table, unless it is the first. */
	if (range->end >= range->limit || !read_varint(table, &range->at, &value) ||
	    (!value && !first) || !read_varint(table, &range->at, &pc) || !pc)
		return false;
	/* The lowest bit is the sign. */
	range->value = (int32_t)((uint32_t)range->value +
				 (value & 1 ? ~(value >> 1) : value >> 1));
	range->start = range->end;
	range->end += (uint64_t)pc * table->quantum;
	if (range->end > range->limit)
		range->end = range->limit;
	return range->end > range->start;
}

bool go_value_at(const struct go_pclntab *table, const struct go_function *f,
		 enum go_value value, uint64_t offset, int32_t *ret)
{
	struct go_value_range range;

	if (!go_value_begin(table, f, value, &range))
		return false;
	while (go_value_next(table, &range)) {
		if (offset < range.end) {
			*ret = range.value;
			return true;
		}
	}
	return false;
}

/* ---- files, inlined calls ---- */

const char *go_pclntab_file(const struct go_pclntab *table, const struct go_function *f,
			    int32_t number)
{
	struct func func;
	uint32_t offset;

	if (number < 0 || !read_func(table, f->func, &func) ||
	    !read_at(table,
		     table->units + ((uint64_t)func.unit + (uint32_t)number) * sizeof(offset),
		     &offset, sizeof(offset)) || offset == NOTHING)
		return NULL;
	return string_at(table, table->files, offset);
}

bool go_pclntab_inline_tree(const struct go_pclntab *table, const struct go_function *f,
			    uint32_t *ret)
{
	struct func func;
	uint64_t at;

	if (!read_func(table, f->func, &func) || func.funcdata_count <= FUNCDATA_INLINE_TREE)
		return false;
	at = f->func + func_bytes(table) +
	     ((uint64_t)func.pcdata_count + FUNCDATA_INLINE_TREE) * sizeof(*ret);
	return read_at(table, at, ret, sizeof(*ret)) && *ret != NOTHING;
}
