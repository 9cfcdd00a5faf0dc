// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target for functions as placement reads them: whatever their bytes are, a
 * probe stands within them, and exits are where the code is. Of an input the first byte
 * says what the probe reads.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "capture/discovery/placement.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VADDR 0x401000

enum { ARGS = 0x3f, RETURNS = 0x40, STACK = 0x80 };

static void check_place(const uint8_t *code, size_t size, uint8_t how)
{
	const struct placement_request request = {
		.code = code, .size = size, .vaddr = VADDR, .args = how & ARGS,
		.returns = how & RETURNS, .stack = how & STACK,
	};
	struct placement place = { 0 };
	struct error *err = placement_find(&request, &place);

	if (!err && (place.offset >= size ||
		     !memchr(place.instruction, '\0', sizeof(place.instruction)) ||
		     !memchr(place.reason, '\0', sizeof(place.reason))))
		abort();
	error_destroy(err);
}

static void check_exits(const uint8_t *code, size_t size)
{
	__cleanup(function_exit_vec_deinit) struct function_exit_vec exits = { 0 };

	error_destroy(placement_exits(code, size, VADDR, &exits));
	vec_for_each(exit, &exits) {
		if (exit->vaddr - VADDR >= size || (!exit->returns && exit->target - VADDR < size))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	__cleanup_free uint8_t *code = NULL;

	if (size < 2)
		return 0;
	/* Of its exact size, so that a read behind its end is seen. */
	code = xmalloc(size - 1);
	memcpy(code, data + 1, size - 1);
	check_place(code, size - 1, *data);
	check_exits(code, size - 1);
	return 0;
}
