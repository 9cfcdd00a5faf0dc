// SPDX-License-Identifier: GPL-2.0-or-later
/* Notes about a target; see notes.h. */
#include "capture/discovery/notes.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/alloc.h"

void notes_add(struct note_vec *notes, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	note_vec_push(notes, xvasprintf(fmt, args));
	va_end(args);
}

void notes_deinit(struct note_vec *notes)
{
	vec_for_each(note, notes)
		free(*note);
	note_vec_deinit(notes);
}
