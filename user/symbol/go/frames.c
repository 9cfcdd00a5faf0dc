// SPDX-License-Identifier: GPL-2.0-or-later
/* Call frame information of Go code; see frames.h. */
#include <elf.h>
#include <string.h>

#include "base/alloc.h"
#include "symbol/elfread.h"
#include "symbol/go/frames.h"
#include "symbol/go/module.h"

/* DWARF's numbers of registers */
#define X86_SP 7
#define X86_BP 6
#define ARM64_SP 31
#define ARM64_BP 29

#define PROLOGUE_BYTES 96	/* a frame pointer that is saved is saved within */

enum kind {
	PLAIN,
	BOTTOM,		/* nobody called it */
	SWITCH,		/* its caller is on another stack */
	SIGNAL_RETURN,	/* where signal handlers return to */
};

struct go_frames {
	const struct unwind_image *image;	/* borrowed */
	Elf *elf;
	struct go_module module;
	bool arm64;
};

struct go_frames *go_frames_create(const struct unwind_image *image)
{
	__cleanup(go_frames_destroyp) struct go_frames *frames = xcalloc(1, sizeof(*frames));

	frames->image = image;
	frames->arm64 = image->machine == EM_AARCH64;
	frames->elf = image->fd >= 0 ? elfread_open_foreign(image->fd) : NULL;
	if (!frames->elf || !go_module_init(&frames->module, frames->elf, image->fd) ||
	    !frames->module.text)
		return NULL;
	return steal_ptr(frames);
}

void go_frames_destroy(struct go_frames *frames)
{
	if (!frames)
		return;
	go_module_deinit(&frames->module);
	elf_end(frames->elf);
	free(frames);
}

/* Assembly functions that C or the system calls, or Go by another ABI, have a suffix. */
static bool is_called(const struct go_function *f, const char *name)
{
	size_t len = strlen(name);

	return !strncmp(f->name, name, len) && (!f->name[len] || !strcmp(f->name + len, ".abi0"));
}

static enum kind kind_of(const struct go_function *f)
{
	if (is_called(f, "runtime.sigreturn") || is_called(f, "runtime.sigreturn__sigaction"))
		return SIGNAL_RETURN;
	/* The runtime looks no further than its signal handler; we do. */
	if (f->flags & GO_TOP_FRAME && !is_called(f, "runtime.sigtramp"))
		return BOTTOM;
	if (!(f->flags & GO_SP_WRITE))
		return PLAIN;
	return is_called(f, "runtime.mcall") || is_called(f, "runtime.morestack") ? BOTTOM : SWITCH;
}

/* A signal handler's return address is where sigreturn begins; one before is looked up. */
bool go_frames_function(const struct go_frames *frames, size_t i, uint64_t *start, uint64_t *end)
{
	struct go_function f;

	if (i >= frames->module.table.count)
		return false;
	*start = *end = 0;
	if (!go_pclntab_function(&frames->module.table, i, &f))
		return true;
	*start = frames->module.text + f.start - (kind_of(&f) == SIGNAL_RETURN);
	*end = frames->module.text + f.end;
	return true;
}

/* lea disp(%rsp), %rbp after mov %rbp, disp(%rsp); or push %rbp; mov %rsp, %rbp */
static bool is_frame_setup(const uint8_t *p)
{
	static const uint8_t push[] = { 0x55, 0x48, 0x89, 0xe5 };
	static const uint8_t store8[] = { 0x48, 0x89, 0x6c, 0x24 };
	static const uint8_t lea8[] = { 0x48, 0x8d, 0x6c, 0x24 };
	static const uint8_t store32[] = { 0x48, 0x89, 0xac, 0x24 };
	static const uint8_t lea32[] = { 0x48, 0x8d, 0xac, 0x24 };

	return !memcmp(p, push, 4) ||
	       (!memcmp(p, store8, 4) && !memcmp(p + 5, lea8, 4) && p[4] == p[9]) ||
	       (!memcmp(p, store32, 4) && !memcmp(p + 8, lea32, 4) && !memcmp(p + 4, p + 12, 4));
}

/*
 * Whether the function has saved its caller's frame pointer where compiled ones
 * do. Assembly need not: it may have no frame but what it pushes.
 */
static bool saves_bp(const struct go_frames *frames, const struct go_function *f)
{
	uint8_t code[PROLOGUE_BYTES + 16] = { 0 };
	size_t len = sizeof(code);

	if (!(f->flags & GO_ASSEMBLY))
		return true;
	if (len > f->end - f->start)
		len = f->end - f->start;
	unwind_image_read(frames->image, frames->module.text + f->start, code, len);
	for (size_t i = 0; i < PROLOGUE_BYTES; i++)
		if (is_frame_setup(code + i))
			return true;
	return false;
}

static struct cfi_where at_register(uint32_t reg, int64_t value)
{
	return (struct cfi_where){ .how = CFI_REGISTER, .reg = reg, .value = value };
}

static struct cfi_where at_cfa(int64_t value)
{
	return (struct cfi_where){ .how = CFI_OFFSET, .value = value };
}

/* @delta bytes below the return address, the topmost word maybe the frame pointer. */
static void set_x86(struct cfi_row *row, int64_t delta, bool bp_saved)
{
	row->cfa = row->other_stack ? at_register(X86_BP, 16) : at_register(X86_SP, delta + 8);
	row->ra = at_cfa(-8);
	if (row->other_stack || (delta && bp_saved))
		row->bp = at_cfa(-16);
}

/*
 * @delta bytes with the link register lowest; the frame pointer is saved below all
 * of them, and points there. crosscall2, which C calls, does as C functions do.
 */
static void set_arm64(struct cfi_row *row, int64_t delta, const struct go_function *f)
{
	row->cfa = row->other_stack ? at_register(ARM64_BP, delta + 8) :
				      at_register(ARM64_SP, delta);
	if (!delta)
		return;
	row->ra = at_cfa(is_called(f, "crosscall2") ? -8 : -delta);
	row->bp = at_cfa(row->ra.value - 8);
}

static void give_plain_rows(const struct go_frames *frames, const struct go_function *f,
			    bool other_stack, cfi_row_fn *fn, void *ctx)
{
	const struct go_module *m = &frames->module;
	bool bp_saved = !frames->arm64 && saves_bp(frames, f);
	struct go_value_range range;

	if (!go_value_begin(&m->table, f, GO_STACK_DELTA, &range))
		return;
	while (go_value_next(&m->table, &range)) {
		struct cfi_row row = {
			.start = m->text + range.start,
			.end = m->text + range.end,
			.other_stack = other_stack,
		};

		if (range.value < 0)
			return;
		if (frames->arm64)
			set_arm64(&row, range.value, f);
		else
			set_x86(&row, range.value, bp_saved);
		fn(ctx, &row);
	}
}

void go_frames_rows(const struct go_frames *frames, size_t i, cfi_row_fn *fn, void *ctx)
{
	struct go_function f;
	struct cfi_row row = { 0 };
	enum kind kind;

	if (!go_pclntab_function(&frames->module.table, i, &f))
		return;
	kind = kind_of(&f);
	if (kind == PLAIN || kind == SWITCH) {
		give_plain_rows(frames, &f, kind == SWITCH, fn, ctx);
		return;
	}
	go_frames_function(frames, i, &row.start, &row.end);
	row.signal_frame = kind == SIGNAL_RETURN;
	row.ra.how = CFI_UNDEFINED;
	fn(ctx, &row);
}
