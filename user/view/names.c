// SPDX-License-Identifier: GPL-2.0-or-later
/* Names of frames; see names.h. */
#include <string.h>

#include "view/names.h"

void name_frame(struct strbuf *sb, const struct frame *frame)
{
	if (frame->function)
		strbuf_addstr(sb, frame->function);
	else if (*frame->module)
		strbuf_addf(sb, "%s+0x%llx", frame->module, (unsigned long long)frame->offset);
	else
		strbuf_addf(sb, "[0x%llx]", (unsigned long long)frame->pc);
}

/* Where the list of arguments begins: no template's, operator()'s or namespace's brace. */
static size_t arguments(const char *function)
{
	int angles = 0;

	for (size_t i = 0; function[i]; i++) {
		const char *at = &function[i];

		if (*at == '(' && !angles && i && strncmp(at, "(anonymous", 10) &&
		    !(i >= 8 && !strncmp(at - 8, "operator", 8)))
			return i;
		/* "operator<", "operator->" and their kin. */
		if (i >= 8 && !strncmp(at - 8, "operator", 8))
			return strlen(function);
		angles += (*at == '<') - (*at == '>');
	}
	return strlen(function);
}

void name_frame_short(struct strbuf *sb, const struct frame *frame)
{
	if (frame->function)
		strbuf_add(sb, frame->function, arguments(frame->function));
	else
		name_frame(sb, frame);
}

void name_place(struct strbuf *sb, const struct frame *frame)
{
	const char *slash = frame->file ? strrchr(frame->file, '/') : NULL;

	if (frame->file && frame->line)
		strbuf_addf(sb, "%s:%u", slash ? slash + 1 : frame->file, frame->line);
	else if (frame->function)
		strbuf_addstr(sb, frame->module);
}

static bool begins(const char *s, const char *prefix)
{
	return s && !strncmp(s, prefix, strlen(prefix));
}

static bool begins_with_one(const char *s, const char *const *prefixes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (begins(s, prefixes[i]))
			return true;
	return false;
}

/* Functions that hand memory on to who asked for it: their names say nothing of why. */
static const char *const wrappers[] = {
	"operator new", "std::", "__gnu_cxx::",				/* C++ */
	"alloc::", "<alloc::", "hashbrown::", "__rust_", "__rdl_",	/* Rust */
	"PyMem_", "_PyMem_", "PyObject_Malloc", "PyObject_Calloc", "PyObject_Realloc",
	"_PyObject_Malloc", "_PyObject_Calloc", "_PyObject_Realloc", "_PyObject_Arena",
	"pymalloc_", "allocate_from_new_pool", "new_arena",		/* Python */
	"v8::base::", "v8::internal::Malloced", "v8::internal::AllocWithRetry",
	"v8::internal::BackingStore", "v8::internal::VirtualMemory",
	"node::NodeArrayBufferAllocator", "node::Malloc", "node::Realloc",
	"node::UncheckedRealloc",					/* V8 and Node */
	"zmalloc", "zcalloc", "zrealloc", "ztrymalloc", "ztryrealloc", "je_", /* Redis */
	"g_malloc", "g_realloc", "g_try_", "g_slice_", "g_strdup",	/* GLib */
	"xmalloc", "xcalloc", "xrealloc", "xstrdup", "__strdup", "strdup", "__strndup",
	"__GI_", "sqlite3Malloc", "sqlite3DbMalloc", "sqlite3MemMalloc",
};

uint32_t site_frame(const struct snapshot *snap, const struct snapshot_stack *stack)
{
	const struct frame *frames = snapshot_frames(snap, stack);

	for (uint32_t i = 0; i < stack->frame_count; i++)
		if (!begins_with_one(frames[i].function, wrappers,
				     sizeof(wrappers) / sizeof(wrappers[0])))
			return i;
	return 0;
}

static bool is_start_code(const struct frame *frame)
{
	static const char *const names[] = {
		"_start", "__libc_start", "__libc_init_first", "start_thread", "clone", "__clone",
	};

	return begins_with_one(frame->raw ? frame->raw : frame->function, names,
			       sizeof(names) / sizeof(names[0]));
}

const struct frame *thread_frame(const struct snapshot *snap,
				 const struct snapshot_stack *stack)
{
	const struct frame *frames = snapshot_frames(snap, stack);

	for (uint32_t i = stack->frame_count; i-- > 0;)
		if (!is_start_code(&frames[i]))
			return &frames[i];
	return NULL;
}
