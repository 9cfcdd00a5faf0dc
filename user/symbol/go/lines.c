// SPDX-License-Identifier: GPL-2.0-or-later
/* Names and lines of Go code by its runtime's tables; see lines.h. */
#include <string.h>

#include "base/alloc.h"
#include "base/strpool.h"
#include "symbol/elfread.h"
#include "symbol/go/lines.h"
#include "symbol/go/module.h"
#include "symbol/go/types.h"

#define FRAMES_MAX 64		/* inlined into each other: more are a broken tree */

struct go_lines {
	Elf *elf;
	struct go_module module;
	uint8_t wrapper_id;		/* of functions that the compiler made */
	struct strpool *names;		/* as shown, where that is not as in the table */
	struct source_frame frames[FRAMES_MAX];
};

/*
 * The runtime's number of wrappers differs from version to version; this function,
 * which every program has, is counted as one.
 */
static uint8_t find_wrapper_id(const struct go_pclntab *table)
{
	struct go_function f;

	for (size_t i = 0; i < table->count; i++)
		if (go_pclntab_function(table, i, &f) && !strcmp(f.name, "runtime.deferreturn"))
			return f.id;
	return UINT8_MAX;
}

struct go_lines *go_lines_create(int fd)
{
	__cleanup(go_lines_destroyp) struct go_lines *lines = xcalloc(1, sizeof(*lines));

	lines->elf = elfread_open_foreign(fd);
	if (!lines->elf || !go_module_init(&lines->module, lines->elf, fd) || !lines->module.text)
		return NULL;
	lines->names = strpool_create();
	lines->wrapper_id = find_wrapper_id(&lines->module.table);
	return steal_ptr(lines);
}

void go_lines_destroy(struct go_lines *lines)
{
	if (!lines)
		return;
	strpool_destroy(lines->names);
	go_module_deinit(&lines->module);
	elf_end(lines->elf);
	free(lines);
}

/*
 * "slices.Sort[go.shape.int].func1" is "slices.Sort[...].func1", as the runtime has it.
 * (1.19's linker writes it so already.)
 */
static const char *display_name(struct go_lines *lines, const char *name)
{
	const char *open = strchr(name, '['), *close = strrchr(name, ']');
	__cleanup_free char *shown = NULL;

	if (!open || !close || close < open)
		return name;
	shown = xasprintf("%.*s[...]%s", (int)(open - name), name, close + 1);
	return strpool_intern(lines->names, shown);
}

/* Where the instruction at @offset comes from, whatever function is written there. */
static void add_source(struct go_lines *lines, const struct go_function *f, uint64_t offset,
		       const char *name, uint32_t start_line, size_t *count)
{
	const struct go_pclntab *table = &lines->module.table;
	struct source_frame *frame = &lines->frames[(*count)++];
	int32_t value;

	*frame = (struct source_frame){
		.function = display_name(lines, name), .raw = name, .start_line = start_line,
		.is_called = true };
	if (go_value_at(table, f, GO_FILE, offset, &value))
		frame->file = go_pclntab_file(table, f, value);
	if (go_value_at(table, f, GO_LINE, offset, &value) && value > 0)
		frame->line = (uint32_t)value;
}

/* A call that was inlined stands, for its caller, at the instruction named as its parent. */
size_t go_lines_find(struct go_lines *lines, uint64_t vaddr, const struct source_frame **ret)
{
	const struct go_module *m = &lines->module;
	uint64_t offset = vaddr - m->text;
	__cleanup_free char *type = NULL;
	struct go_function f;
	size_t count = 0;

	*ret = lines->frames;
	if (!go_pclntab_find(&m->table, offset, &f) || !*f.name)
		return 0;
	while (count < FRAMES_MAX - 1) {
		struct go_inlined call;
		int32_t index;

		if (!go_value_at(&m->table, &f, GO_INLINED, offset, &index) || index < 0 ||
		    !go_module_inlined(m, &f, index, &call))
			break;
		if (!count || call.id != lines->wrapper_id)
			add_source(lines, &f, offset, call.name, call.start_line, &count);
		offset = call.parent;
	}
	/* 1.19 does show the outermost. */
	if (!count || f.id != lines->wrapper_id || m->table.before_1_20)
		add_source(lines, &f, offset, f.name, f.start_line, &count);
	type = go_type_allocated(m, vaddr + 1);
	if (type)
		lines->frames[0].type = strpool_intern(lines->names, type);
	return count;
}

void go_lines_functions(struct go_lines *lines, go_lines_fn *fn, void *ctx)
{
	const struct go_module *m = &lines->module;
	struct go_function f;

	for (size_t i = 0; i < m->table.count; i++)
		if (go_pclntab_function(&m->table, i, &f) && *f.name)
			fn(ctx, m->text + f.start, f.end - f.start, display_name(lines, f.name));
}
