// SPDX-License-Identifier: GPL-2.0-or-later
/* The rows' storage; see aggregate.h. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "model/aggregate.h"
#include "model/blocks.h"

_Static_assert(AGG_ROWS_MAX <= BLOCK_ROW_MAX, "a block's entry holds any row");

static void agg_reserve(struct agg *agg, uint32_t cap)
{
	struct agg_row *rows = xcalloc_table(cap, sizeof(*rows));
	struct spread *spreads;

	if (agg->len)
		memcpy(rows, agg->rows, agg->len * sizeof(*rows));
	free(agg->rows);
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
	agg_path_vec_push(&agg->paths, (struct agg_path){ 0 });
}

void agg_deinit(struct agg *agg)
{
	free(agg->rows);
	free(agg->spreads);
	agg_path_vec_deinit(&agg->paths);
	*agg = (struct agg){ 0 };
}

uint32_t agg_add_path(struct agg *agg, uint32_t stack, uint32_t image, unsigned int kind)
{
	agg_path_vec_push(&agg->paths, (struct agg_path){ stack, image, kind });
	return (uint32_t)agg->paths.len - 1;
}

uint32_t agg_add_row(struct agg *agg, uint32_t path, uint32_t thread, unsigned int size_class)
{
	if (agg->len > AGG_ROWS_MAX)
		return 0;
	if (agg->len == agg->cap)
		agg_reserve(agg, agg->cap * 2);
	agg->rows[agg->len] = (struct agg_row){
		.path = path, .thread = thread, .size_class = size_class };
	return agg->len++;
}
