// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target for the notes of probes in programs and their arguments:
 * make fuzz builds it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "symbol/usdt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_arguments(const char *text, enum usdt_machine machine)
{
	struct usdt_argument arguments[3];
	int count = usdt_parse_arguments(text, machine, arguments, 3);

	if (count < -1 || count > 3)
		abort();
	for (int i = 0; i < count; i++) {
		const struct usdt_argument *a = &arguments[i];

		if (!a->bytes || a->bytes > 8 || (a->reg > 31 && a->reg != USDT_NO_REGISTER) ||
		    (a->place == USDT_REGISTER && a->reg == USDT_NO_REGISTER) ||
		    (a->place == USDT_SYMBOL) != (a->symbol[0] != '\0') || a->shift > 3)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct usdt_probe_vec probes = { 0 };
	/* Of its exact size, so that a read behind its end is seen. */
	__cleanup_free uint8_t *notes = xmalloc(size + !size);
	__cleanup_free char *text = xcalloc(1, size + 1);

	memcpy(notes, data, size);
	memcpy(text, data, size);
	usdt_parse_notes(notes, size, 0x1000, "otel_memory", &probes);
	vec_for_each(probe, &probes) {
		if (strcmp(probe->provider, "otel_memory"))
			abort();
		check_arguments(probe->arguments, USDT_X86_64);
		check_arguments(probe->arguments, USDT_ARM64);
	}
	usdt_probes_deinit(&probes);
	check_arguments(text, USDT_X86_64);
	check_arguments(text, USDT_ARM64);
	return 0;
}
