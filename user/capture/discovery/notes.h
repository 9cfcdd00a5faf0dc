/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is worth telling about a target, one line each, in the order found. */
#ifndef HEAPSONDE_CAPTURE_DISCOVERY_NOTES_H
#define HEAPSONDE_CAPTURE_DISCOVERY_NOTES_H

#include "base/vec.h"

DEFINE_VEC(note_vec, char *);

void __attribute__((format(printf, 2, 3)))
notes_add(struct note_vec *notes, const char *fmt, ...);
/* With the lines. */
void notes_deinit(struct note_vec *notes);

#endif
