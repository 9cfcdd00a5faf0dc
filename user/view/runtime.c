// SPDX-License-Identifier: GPL-2.0-or-later
/* Runtime: what the language's runtime says of its heap. */
#include "view/ui.h"

static void runtime_draw(struct ui *ui, void *state, struct area area)
{
	draw_fill(area, 0, 0, area.columns, ROLE_HEADER, ' ');
	draw_text(area, 0, 0, area.columns, ROLE_HEADER, "the language's runtime");
	draw_text(area, 2, 2, area.columns - 2, ROLE_DIM,
		  "Nothing is known of a runtime's own heap in this target: the figures of a Go");
	draw_text(area, 3, 2, area.columns - 2, ROLE_DIM,
		  "program (HeapAlloc, NumGC, HeapReleased ...) are not read yet.");
}

const struct view_ops view_runtime = { .state_bytes = 1, .draw = runtime_draw };
