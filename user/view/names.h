/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What views call frames, and which frames of a stack say something. */
#ifndef HEAPSONDE_VIEW_NAMES_H
#define HEAPSONDE_VIEW_NAMES_H

#include "base/strbuf.h"
#include "model/snapshot.h"

/* Appends "function", else "module+0x1f", else "[0x7f...]". */
void name_frame(struct strbuf *sb, const struct frame *frame);
/* The same for narrow columns: without a C++ function's arguments. */
void name_frame_short(struct strbuf *sb, const struct frame *frame);
/* Appends "cache.cc:120" or the module; nothing if neither is known. */
void name_place(struct strbuf *sb, const struct frame *frame);

/* Index of the frame that asked for memory: past functions that only hand it on. */
uint32_t site_frame(const struct snapshot *snap, const struct snapshot_stack *stack);

/* The function a thread began with, past the C library's start code; NULL if unknown. */
const struct frame *thread_frame(const struct snapshot *snap,
				 const struct snapshot_stack *stack);

#endif
