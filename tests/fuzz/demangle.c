// SPDX-License-Identifier: GPL-2.0-or-later
/* libFuzzer target for names of symbols; what demangle.h promises is required. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "symbol/demangle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	__cleanup_free char *raw = xcalloc(1, size + 1);
	__cleanup_free char *name = NULL;

	memcpy(raw, data, size);
	name = demangle(raw);
	if (name && !strcmp(name, raw))
		abort();
	return 0;
}
