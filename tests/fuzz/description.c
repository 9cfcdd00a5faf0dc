// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target for descriptions of allocators.
 *
 *	clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Iuser -I. \
 *		tests/fuzz/description.c user/capture/discovery/{description,allocators}.c \
 *		user/base/{alloc,error,format,strbuf,utf8}.c -lm
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "capture/discovery/description.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	__cleanup_free char *text = xasprintf("%.*s", (int)size, (const char *)data);
	struct allocator_choice choice = { 0 };
	struct error *err = description_parse(text, "fuzz", &choice.described);

	if (err && err->code != ERROR_USAGE)
		abort();
	vec_for_each(d, &choice.described)
		if (!d->function.symbol ||
		    allocator_function_args(&d->function) >= 1u << PROBE_ARGS)
			abort();
	error_destroy(err);
	allocator_choice_deinit(&choice);
	return 0;
}
