// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target for Go's table of functions: all functions, all values, files and
 * trees of inlined calls of whatever the table claims; what symbol/go/pclntab.h promises of
 * ranges is required.
 */
#include <stdlib.h>
#include <string.h>

#include "symbol/go/pclntab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUNCTIONS_MAX 64	/* looked at of one input */
#define RANGES_MAX 256

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void walk_values(const struct go_pclntab *table, const struct go_function *f,
			enum go_value value)
{
	struct go_value_range range;
	uint64_t next = f->start;
	int32_t at;

	if (!go_value_begin(table, f, value, &range))
		return;
	for (int i = 0; i < RANGES_MAX && go_value_next(table, &range); i++) {
		require(range.start == next && range.end > next && range.end <= f->end);
		next = range.end;
		require(go_value_at(table, f, value, range.start, &at) && at == range.value);
		if (value == GO_FILE) {
			const char *file = go_pclntab_file(table, f, range.value);

			require(!file || strlen(file) < table->size);
		}
	}
}

static void read_function(const struct go_pclntab *table, size_t i)
{
	struct go_function f;
	uint32_t tree = 0;

	if (!go_pclntab_function(table, i, &f))
		return;
	require(f.end > f.start && strlen(f.name) < table->size);
	for (int value = GO_STACK_DELTA; value <= GO_INLINED; value++)
		walk_values(table, &f, (enum go_value)value);
	go_pclntab_inline_tree(table, &f, &tree);
	go_pclntab_name(table, tree);
	go_pclntab_find(table, f.start, &f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);	/* with an end that ASan sees */
	struct go_pclntab table;

	memcpy(copy, data, size);
	if (go_pclntab_init(&table, copy, size))
		for (size_t i = 0; i < table.count && i < FUNCTIONS_MAX; i++)
			read_function(&table, i);
	free(copy);
	return 0;
}
