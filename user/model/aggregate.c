// SPDX-License-Identifier: GPL-2.0-or-later
/* The rows' storage; see aggregate.h. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "model/aggregate.h"
#include "model/blocks.h"

#define LINE 64
_Static_assert(AGG_ROWS_MAX <= BLOCK_ROW_MAX, "a block's entry holds any row");

static void agg_reserve(struct agg *agg, uint32_t cap)
{
	char *memory = xmalloc(cap * sizeof(*agg->rows) + LINE);
	struct spread *spreads;
	struct agg_row *rows = (void *)(memory + LINE - (uintptr_t)memory % LINE);

	if (agg->len)
		memcpy(rows, agg->rows, agg->len * sizeof(*rows));
	free(agg->memory);
	agg->memory = memory;
	agg->rows = rows;
	/* Pages of rows that are exact are never touched. */
	spreads = xcalloc(cap, sizeof(*spreads));
	if (agg->len)
		memcpy(spreads, agg->spreads, agg->len * sizeof(*spreads));
	free(agg->spreads);
	agg->spreads = spreads;
	agg->cap = cap;
}

void agg_init(struct agg *agg)
{
	*agg = (struct agg){ 0 };
	agg_reserve(agg, 256);
	agg->rows[agg->len++] = (struct agg_row){ 0 };
}

void agg_deinit(struct agg *agg)
{
	free(agg->memory);
	free(agg->spreads);
	*agg = (struct agg){ 0 };
}

uint32_t agg_add_row(struct agg *agg, uint32_t stack, uint32_t image, unsigned int kind)
{
	if (agg->len > AGG_ROWS_MAX)
		return 0;
	if (agg->len == agg->cap)
		agg_reserve(agg, agg->cap * 2);
	agg->rows[agg->len] = (struct agg_row){ .stack = stack, .image = image, .kind = kind };
	return agg->len++;
}
