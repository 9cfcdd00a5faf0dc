// SPDX-License-Identifier: GPL-2.0-or-later
/* A list with a cursor; see ui.h. */
#include "view/ui.h"

void list_fit(struct list *list, size_t count, int rows)
{
	size_t page = rows > 0 ? (size_t)rows : 1;

	list->count = count;
	list->rows = (int)page;
	if (list->cursor >= count)
		list->cursor = count ? count - 1 : 0;
	if (list->top > list->cursor)
		list->top = list->cursor;
	if (list->cursor - list->top >= page)
		list->top = list->cursor - page + 1;
	if (list->top + page > count)
		list->top = count > page ? count - page : 0;
}

unsigned int list_act(struct list *list, enum action action)
{
	size_t last = list->count ? list->count - 1 : 0, page = list->rows > 0 ? list->rows : 1;

	switch (action) {
	case ACTION_UP:
		list->cursor -= list->cursor > 0;
		break;
	case ACTION_DOWN:
		list->cursor += list->cursor < last;
		break;
	case ACTION_PAGE_UP:
		list->cursor -= list->cursor < page ? list->cursor : page;
		break;
	case ACTION_PAGE_DOWN:
		list->cursor = list->cursor + page < last ? list->cursor + page : last;
		break;
	case ACTION_FIRST:
		list->cursor = 0;
		break;
	case ACTION_LAST:
		list->cursor = last;
		break;
	default:
		return EFFECT_PASS;
	}
	return EFFECT_DRAW;
}
