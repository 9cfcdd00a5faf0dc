/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How the frames of Go code are laid out, in the shape of call frame information
 * (cfi.h), by the table that Go's runtime itself unwinds by: how far the stack
 * pointer is from where it was at a function's entry, for every instruction. It is
 * in stripped programs too; .debug_frame, which has the same of programs with
 * debug data, does not tell where frame pointers are saved.
 *
 * The stack ends, as for the runtime, at functions that it marks as top frames
 * (goexit, mstart, rt0_go). Those that change stacks (systemstack, asmcgocall,
 * cgocallback) are crossed by the frame pointer, which they keep: from the system
 * stack to the goroutine that wanted something done there, from C to the Go code
 * that called it, and from Go to the C code that called back. (Until 1.20 some of
 * them have no frame of their own; their caller, a function of the runtime, is then
 * missing.) What the scheduler does when it left a goroutine (mcall, morestack) is
 * nobody's call, and the stack ends there.
 */
#ifndef HEAPSONDE_SYMBOL_GO_FRAMES_H
#define HEAPSONDE_SYMBOL_GO_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "symbol/cfi.h"
#include "symbol/unwind_image.h"

struct go_frames;

/* NULL if the image, which is borrowed, is no file of a Go program. */
struct go_frames *go_frames_create(const struct unwind_image *image);
void go_frames_destroy(struct go_frames *frames);
DEFINE_CLEANUP(struct go_frames *, go_frames_destroy);

/*
 * Functions by number from 0 on, ascending by address as a rule. False if there
 * are no more; one that makes no sense is empty.
 */
bool go_frames_function(const struct go_frames *frames, size_t i, uint64_t *start, uint64_t *end);
/* Its rows, as cfi_fde_rows() gives them; fewer where the table breaks off. */
void go_frames_rows(const struct go_frames *frames, size_t i, cfi_row_fn *fn, void *ctx);

#endif
